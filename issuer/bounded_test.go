package issuer_test

import (
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/store/memory"
)

// A service that keeps an answer until it expires keeps it for MaxBound at most, however the whole
// second lies, and never for longer than the credential lives.
func TestLookupBounded(t *testing.T) {
	const bound = 7 * time.Second
	b := newIssuerWith(t, memory.New(), func(o *issuer.Options) { o.MaxBound = bound })
	for _, carrier := range carriers {
		access := b.login(t, "alice", carrier).Access.Reveal()
		for range 10 {
			b.clock.add(370 * time.Millisecond)
			whole, err := b.Lookup(t.Context(), access)
			if err != nil {
				t.Fatal(err)
			}
			s, err := b.LookupBounded(t.Context(), access)
			if err != nil {
				t.Fatal(err)
			}
			now := b.clock.Now()
			if kept := s.Expires.Sub(now); kept > bound || kept <= bound-time.Second || s.Expires.Nanosecond() != 0 {
				t.Errorf("%v: an answer of %v expires %v, %v later", carrier, now, s.Expires, kept)
			}
			s.Expires, whole.Expires = time.Time{}, time.Time{}
			if s.ID != whole.ID || s.Subject != whole.Subject || s.Born != whole.Born {
				t.Errorf("%v: %+v, want %+v", carrier, s, whole)
			}
		}
	}
	access := b.login(t, "alice", counterfoil.CarrierBearer).Access.Reveal()
	whole, err := b.Lookup(t.Context(), access)
	if err != nil {
		t.Fatal(err)
	}
	b.clock.add(whole.Expires.Sub(b.clock.Now()) - 2*time.Second)
	if s, err := b.LookupBounded(t.Context(), access); err != nil || !s.Expires.Equal(whole.Expires) {
		t.Errorf("a token that expires in 2 s: %+v, %v, want that it expires %v", s, err, whole.Expires)
	}
}
