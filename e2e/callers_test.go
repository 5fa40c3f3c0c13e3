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

// work is what many do until stop, and counts what fails.
type work struct {
	all          sync.WaitGroup
	stopped      atomic.Bool
	done, failed atomic.Int64
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
		w.last.Store(&err)
	} else {
		w.done.Add(1)
	}
	return err
}

func (w *work) stop() { w.stopped.Store(true); w.all.Wait() }

// until waits for so many more that were done.
func (c *cluster) until(w *work, more int64) {
	c.t.Helper()
	want := w.done.Load() + more
	c.eventually("load", func() bool { return w.done.Load() >= want })
}

// load signs in, revokes and checks all the time. Checks and calls are counted apart.
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

// caller checks one session some times, then another one. What it checks just now is
// what may be revoked.
func (c *cluster) caller(checks *work, n int) {
	v := c.verifiers[n%len(c.verifiers)]
	for !checks.stopped.Load() {
		s, surge := c.any(), c.surges.Load()
		c.held[n].Store(s)
		for turns := 1 + rand.N(20); turns > 0 && surge == c.surges.Load(); turns-- {
			if good := c.answered(checks, v, s); !good {
				turns = min(turns, 2) // it will not be good again
			}
			select {
			case <-time.After(c.think()):
			case <-*c.surged.Load():
			}
		}
	}
}

// think is how long a caller has nothing to ask: many of them ask no more than a few.
func (c *cluster) think() time.Duration {
	return rand.N(max(50*time.Millisecond, time.Duration(len(c.held))*200*time.Microsecond))
}

// answered makes one check: whoever is told to come again, because nobody knows, does.
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

// surge has all callers begin to check another session at once, until nine of ten wait
// for an answer, and returns how many do. Of few sessions the verifiers have soon seen
// all, and answer at once: then it does not try for long.
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

// login makes a session; one in eight carries a JWT and a refresh token.
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

// revoker revokes one session after the other of those that are in use, and tries again
// until that is acknowledged; with wait "all" that means that no verifier accepts it.
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
			return // perhaps it was done
		}
		s.everywhere.Store(got.Confirmed)
		s.revoked.Store(time.Now().UnixNano())
		if got.Confirmed {
			c.confirmed.Add(1)
		}
	}
}

// ask asks verifier v about s. Refusing who was not revoked, or accepting who was
// longer ago than D, fails the test. Not to know is an error.
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
		return false, nil // it is older than its token may be: nothing is said
	case errors.Is(err, counterfoil.ErrInvalidToken):
		if s.revoked.Load() == 0 && !c.overturned.Load() {
			c.t.Errorf("a good %s session is refused: %v", s.carrier, err)
		}
		return false, nil
	}
	return false, err
}
