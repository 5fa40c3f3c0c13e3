package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/counterfoil/counterfoil"
)

// work runs a function in several goroutines until stop, and counts successes and failures.
type work struct {
	all          sync.WaitGroup
	stopped      atomic.Bool
	done, failed atomic.Int64
	late         atomic.Int64 // of failed: those that had no answer in time, as on a busy machine
	last         atomic.Pointer[error]
}

func (w *work) by(workers int, f func() error) {
	for range workers {
		w.all.Go(func() {
			for !w.stopped.Load() {
				if w.count(f()) != nil {
					pause(10 * time.Millisecond)
				}
			}
		})
	}
}

func (w *work) count(err error) error {
	if err != nil {
		w.failed.Add(1)
		if errors.Is(err, context.DeadlineExceeded) {
			w.late.Add(1)
		}
		w.last.Store(&err)
	} else {
		w.done.Add(1)
	}
	return err
}

func (w *work) stop() { w.stopped.Store(true); w.all.Wait() }

// until waits until w has the given number of further successes.
func (c *cluster) until(w *work, more int64) {
	c.t.Helper()
	want := w.done.Load() + more
	c.eventually("load", func() bool { return w.done.Load() >= want })
}

// load starts goroutines that sign in, revoke and check until they are stopped. checks counts
// the checks. calls counts the other calls.
func (c *cluster) load(callers int) (checks, calls *work) {
	checks, calls = &work{}, &work{}
	c.held = make([]atomic.Pointer[signedIn], callers)
	for n := range callers {
		checks.all.Go(func() { c.caller(checks, n) })
	}
	calls.by(2, c.login)
	calls.all.Go(func() { c.revoker(calls, "") })
	calls.all.Go(func() { c.revoker(calls, "all") })
	return checks, calls
}

// caller checks one session a few times, then another one. A revoker picks the session that a
// caller is checking.
func (c *cluster) caller(checks *work, n int) {
	v := c.verifiers[n%len(c.verifiers)]
	for !checks.stopped.Load() {
		s, surge := c.any(), c.surges.Load()
		c.held[n].Store(s)
		for turns := 1 + rand.N(20); turns > 0 && surge == c.surges.Load(); turns-- {
			if good := c.answered(checks, v, s); !good {
				turns = min(turns, 2) // a refused session stays refused
			}
			select {
			case <-time.After(c.think()):
			case <-*c.surged.Load():
			}
		}
	}
}

// think returns how long a caller waits before its next check. With many callers each waits
// longer, so that their rate in total does not grow.
func (c *cluster) think() time.Duration {
	return rand.N(max(50*time.Millisecond, time.Duration(len(c.held))*200*time.Microsecond))
}

// answered makes one check. If the verifier cannot tell, the caller tries again until it has a
// verdict.
func (c *cluster) answered(checks *work, v *counterfoil.Verifier, s *signedIn) (good bool) {
	c.waiting.Add(1)
	defer c.waiting.Add(-1)
	for !checks.stopped.Load() {
		good, err := c.ask(c.t.Context(), v, s)
		if checks.count(err) == nil {
			return good
		}
		pause(c.think())
	}
	return false
}

// surge makes all callers begin to check another session at the same time, until nine of ten
// wait for an answer. It returns how many wait. If there are few sessions, the verifiers soon
// have all of them cached and answer at once: then surge gives up after a few tries.
func (c *cluster) surge() (waiting int64) {
	c.t.Helper()
	tries := 0
	c.eventually("checks in flight", func() bool {
		tries++
		c.surges.Add(1)
		close(*c.surged.Swap(new(make(chan struct{}))))
		waiting = c.waiting.Load()
		return waiting >= int64(len(c.held)*9/10) || tries == 20
	})
	return waiting
}

// login makes a session. One session of eight has a JWT and a refresh token.
func (c *cluster) login() error {
	s := newcomer()
	if err := c.call("/v1/admin/sessions", map[string]any{"subject": s.Session.Subject, "carrier": s.carrier}, &s.holder); err != nil {
		return err
	}
	c.add(s)
	return nil
}

func newcomer() *signedIn {
	s := &signedIn{holder: holder{carrier: "cookie", client: "default"}}
	if rand.N(8) == 0 {
		s.carrier = "bearer"
	}
	s.Session.Subject = fmt.Sprintf("u-%d", rand.Uint64())
	return s
}

func (c *cluster) add(s *signedIn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.good = append(c.good, s)
}

func (c *cluster) any() *signedIn {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.good[rand.N(len(c.good))]
}

// revoker revokes one session after the other. It picks sessions that callers are checking. It
// repeats a revocation until the server acknowledges it. With wait "all" an acknowledgement
// means that no verifier accepts the session any more.
func (c *cluster) revoker(calls *work, wait string) {
	for !calls.stopped.Load() {
		pause(10 * time.Millisecond)
		s := c.held[rand.N(len(c.held))].Load()
		if s == nil || !s.revoked.CompareAndSwap(0, -1) {
			continue
		}
		body := map[string]any{"scope": "session", "id": s.Session.ID}
		if wait != "" {
			body["wait"] = wait
		}
		var got struct{ Confirmed bool }
		err := calls.count(c.call("/v1/admin/revocations", body, &got))
		for err != nil && !calls.stopped.Load() {
			pause(10 * time.Millisecond)
			err = calls.count(c.call("/v1/admin/revocations", body, &got))
		}
		if err != nil {
			return // the outcome is unknown
		}
		s.everywhere.Store(got.Confirmed)
		s.revoked.Store(time.Now().UnixNano())
		if got.Confirmed {
			c.confirmed.Add(1)
		}
	}
}

// ask asks verifier v about s. The test fails if v refuses a session that was not revoked, or
// accepts one that was revoked longer ago than D. ask returns an error if v cannot tell.
func (c *cluster) ask(ctx context.Context, v *counterfoil.Verifier, s *signedIn) (good bool, err error) {
	revoked, begun := s.revoked.Load(), time.Now()
	_, err = v.Verify(ctx, s.Access)
	switch {
	case err == nil:
		late := c.bound + c.bound/1000
		if s.everywhere.Load() {
			late = 0
		}
		if since := begun.Sub(time.Unix(0, revoked)); revoked > 0 && since > late {
			c.t.Errorf("a %s session is accepted %v after its revocation returned: want at most %v", s.carrier, since, late)
		}
		return true, nil
	case errors.Is(err, counterfoil.ErrExpired):
		return false, nil // the token has expired, which says nothing about the session
	case errors.Is(err, counterfoil.ErrInvalidToken):
		if s.revoked.Load() == 0 && !c.newEpoch.Load() {
			c.t.Errorf("a good %s session is refused: %v", s.carrier, err)
		}
		return false, nil
	}
	return false, err
}
