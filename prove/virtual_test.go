package prove

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/server"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store/memory"
)

// These tests run in a synctest bubble, whose clock is exact and fake. Real time would be too
// coarse for them, or too long.

const virtualURL = "https://auth.test"

// broken is an issuer that a test can make unreachable: it refuses at once, or never answers.
type broken struct {
	*issuer.Issuer
	refuses, silent atomic.Bool
	asked           func(verifier string) // called at each request for the log; may be nil
}

func (b *broken) Log(ctx context.Context, f source.Follow) (source.Page, error) {
	if b.asked != nil {
		b.asked(f.Verifier)
	}
	page, err := b.Issuer.Log(ctx, f)
	switch {
	case b.refuses.Load():
		return source.Page{}, counterfoil.ErrUnavailable
	case b.silent.Load(): // also for a request that began before
		<-ctx.Done()
		return source.Page{}, ctx.Err()
	}
	return page, err
}

func newBroken(t *testing.T) *broken {
	t.Helper()
	auth, err := server.Open(t.Context(), server.Config{
		Store: memory.New(), URL: virtualURL, MaxBound: time.Minute, Offline: true, InsecureHashes: true,
		Logger: quiet, Audit: func(audit.Entry) {},
	})
	if err != nil {
		t.Fatal(err)
	}
	return &broken{Issuer: auth.Issuer()}
}

func (b *broken) verifier(t *testing.T, o counterfoil.Options) *counterfoil.Verifier {
	t.Helper()
	o.Issuer, o.Audience, o.Logger = virtualURL, virtualURL, quiet
	v, err := counterfoil.NewVerifier(t.Context(), b, o)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func (b *broken) signIn(t *testing.T) *issuer.Issued {
	t.Helper()
	rev, err := b.SubjectRev(t.Context(), "alice")
	if err != nil {
		t.Fatal(err)
	}
	issued, err := b.Login(t.Context(), login.Proof{Subject: "alice", At: time.Now(), SubjectRev: rev}, issuer.Request{Carrier: counterfoil.CarrierBearer})
	if err != nil {
		t.Fatal(err)
	}
	return issued
}

// P4: within two heartbeats after the network works again, the verifier accepts a good
// credential again, whatever the fault was and whenever it ended. Before that, a verifier whose
// knowledge is older than D accepts nothing.
func TestBackWithinTwoHeartbeats(t *testing.T) {
	for _, fault := range []string{"refuses", "silent"} {
		for _, bound := range []time.Duration{2 * time.Second, 10 * time.Second, time.Minute} {
			t.Run(fmt.Sprint(fault, bound), func(t *testing.T) {
				for n := range 20 {
					synctest.Test(t, func(t *testing.T) { backWithin(t, fault, bound, time.Duration(n)*bound/7) })
				}
			})
		}
	}
}

func backWithin(t *testing.T, fault string, bound, longer time.Duration) {
	b := newBroken(t)
	v := b.verifier(t, counterfoil.Options{Bound: bound})
	defer v.Close()
	down := &b.refuses
	if fault == "silent" {
		down = &b.silent
	}
	down.Store(true)
	time.Sleep(bound + bound/1000 + longer)
	access := b.signIn(t).Access.Reveal() // a new token, which does not expire during the test
	if _, err := v.Verify(t.Context(), access); !errors.Is(err, counterfoil.ErrStale) {
		t.Fatalf("Verify after %v without the log = %v, want ErrStale", bound+longer, err)
	}
	down.Store(false)
	healed := time.Now()
	for {
		if _, err := v.Verify(t.Context(), access); err == nil {
			break
		}
		if took := time.Since(healed); took > bound/2 {
			t.Fatalf("the verifier accepts nothing %v after the network works again: two heartbeats are %v", took, bound/2)
		}
		time.Sleep(bound / 1000)
	}
}

// Test 12: a verifier keeps an entry while any credential that it covers can be alive, and
// drops it afterwards. A clock that steps ahead and back does not make the verifier accept a
// revoked credential.
func TestEntriesEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroken(t)
		var step atomic.Int64
		v := b.verifier(t, counterfoil.Options{Now: func() time.Time { return time.Now().Add(time.Duration(step.Load())) }})
		defer v.Close()
		issued := b.signIn(t)
		access := issued.Access.Reveal()
		if _, err := v.Verify(t.Context(), access); err != nil {
			t.Fatal(err)
		}
		for n := range 500 {
			if _, err := b.Revoke(t.Context(), source.ScopeToken, fmt.Sprintf("tok_%d", n), audit.Act{}); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := b.Revoke(t.Context(), source.ScopeSession, issued.Session.ID, audit.Act{}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		for _, jump := range []time.Duration{0, time.Hour, -time.Hour} {
			step.Store(int64(jump))
			for range 60 {
				time.Sleep(time.Second)
				if _, err := v.Verify(t.Context(), access); err == nil {
					t.Fatalf("accepted after the revocation, the clock off by %v", jump)
				}
			}
		}
		step.Store(0)
		time.Sleep(time.Hour)
		if n := v.Status().Entries; n != 0 {
			t.Errorf("the verifier keeps %d entries after every credential that they cover has expired", n)
		}
		if _, err := v.Verify(t.Context(), access); err == nil {
			t.Error("accepted after the entry was dropped")
		}
	})
}

// A thousand verifiers lose their server at the same time. When it answers again, their first
// requests are spread over a heartbeat (4.5): no hundredth of a second has more than a tenth
// of them.
func TestNoStampede(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const many, window, heartbeat = 1000, 10 * time.Millisecond, 2500 * time.Millisecond
		b := newBroken(t)
		var mu sync.Mutex // guards first
		first := make(map[string]time.Time)
		b.asked = func(verifier string) {
			mu.Lock()
			defer mu.Unlock()
			if _, ok := first[verifier]; !ok {
				first[verifier] = time.Now()
			}
		}
		for range many {
			v := b.verifier(t, counterfoil.Options{})
			defer v.Close()
		}
		time.Sleep(time.Second)
		b.refuses.Store(true)
		time.Sleep(time.Minute)
		mu.Lock()
		clear(first)
		mu.Unlock()
		b.refuses.Store(false)
		healed := time.Now()
		time.Sleep(heartbeat)
		mu.Lock()
		defer mu.Unlock()
		windows, most := make(map[time.Duration]int), 0
		for _, at := range first {
			w := at.Sub(healed) / window
			windows[w]++
			most = max(most, windows[w])
		}
		if len(first) != many || most > many/10 {
			t.Errorf("%d of %d asked, up to %d within %v: want all, spread over a heartbeat of %v", len(first), many, most, window, heartbeat)
		}
		t.Logf("up to %d of %d within %v", most, many, window)
	})
}
