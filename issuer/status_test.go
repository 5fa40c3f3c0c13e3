package issuer_test

import (
	"errors"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store/memory"
)

// REV-20: the issuer tells who follows and how far each has come.
func TestStatus(t *testing.T) {
	b := newIssuer(t, memory.New())
	page, err := b.Log(t.Context(), source.Follow{Verifier: "verifier-1", Bound: 5 * time.Second, ServeStale: true})
	if err != nil {
		t.Fatal(err)
	}
	got := b.login(t, "alice", counterfoil.CarrierBearer)
	receipt, err := b.Revoke(t.Context(), source.ScopeSession, got.Session.ID, audit.Act{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := b.Status(t.Context())
	if err != nil || s.Head != receipt.At || s.Entries != 1 || len(s.Followers) != 1 {
		t.Fatalf("Status = %+v, %v; want one entry, head %v, one follower", s, err, receipt.At)
	}
	if f := s.Followers[0]; f.ID != "verifier-1" || f.Acked != (counterfoil.Cursor{}) || !f.ServeStale || !f.Until.After(b.clock.Now().Add(4*time.Second)) {
		t.Errorf("follower = %+v", f)
	}
	if _, err := b.Log(t.Context(), source.Follow{After: page.Head, Verifier: "verifier-1", Bound: 5 * time.Second}); err != nil {
		t.Fatal(err)
	}
	if s, err = b.Status(t.Context()); err != nil || s.Followers[0].Acked != page.Head {
		t.Errorf("after its next question the follower has applied %v, want %v (%v)", s.Followers[0].Acked, page.Head, err)
	}
	if err := b.store.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Status(t.Context()); !errors.Is(err, counterfoil.ErrUnavailable) {
		t.Errorf("Status without the store = %v, want %v", err, counterfoil.ErrUnavailable)
	}
}
