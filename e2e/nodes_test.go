package e2e_test

import (
	"errors"
	"flag"
	"math/rand/v2"
	"net/http"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
)

var (
	manySessions = flag.Int("e2e.sessions", 300, "sessions that are alive when a node and the store are killed")
	manyChecks   = flag.Int("e2e.checks", 100, "checks in flight when a node and the store are killed")
	manyNodes    = flag.Int("e2e.nodes", 3, "servers on one store")
	killedBound  = flag.Duration("e2e.bound", 4*time.Second, "D of the verifiers when a node and the store are killed")
)

// Nodes are restarted one after the other while everything is in use: no check fails. A
// call that waits for all verifiers may last longer than a server that was told to stop;
// it has no answer then, and is made again with the same receipt. An upgrade is the same with
// another program.
func TestRollingRestart(t *testing.T) {
	t.Parallel()
	for name, on := range engines {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := startCluster(t, on(t), 2, 10*time.Second)
			c.fill(50)
			checks, calls := c.load(20)
			for _, n := range c.nodes {
				c.until(checks, 200)
				c.until(calls, 20)
				n.end(syscall.SIGTERM)
				c.until(checks, 200)
				c.start(n)
			}
			checks.stop()
			calls.stop()
			t.Logf("%d restarts: %d checks, %d calls, %d of them wait=all and confirmed", len(c.nodes), checks.done.Load(), calls.done.Load(), c.confirmed.Load())
			if n := checks.failed.Load(); n > 0 {
				t.Errorf("%d checks failed, the last one by %v", n, *checks.last.Load())
			}
			if n := calls.failed.Load(); n > 0 {
				t.Logf("%d calls had no answer, the last one by %v", n, *calls.last.Load())
			}
		})
	}
}

// A node and the store are killed in the middle of everything, and come back: nothing
// that was acknowledged is lost, nothing revoked is accepted, nobody is signed out.
func TestNodeAndStoreKilled(t *testing.T) {
	t.Parallel()
	for name, on := range engines {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := startCluster(t, on(t), *manyNodes, *killedBound)
			c.fill(*manySessions)
			checks, calls := c.load(*manyChecks)
			c.until(checks, 2*int64(*manyChecks))
			inFlight := c.surge()
			c.nodes[0].end(os.Kill)
			c.engine.kill()
			killed := time.Now()
			before := calls.failed.Load()
			c.eventually("the outage", func() bool { return calls.failed.Load() > before+20 })
			// No verifier knows anything by now that is young enough: every check waits.
			c.eventually("waiting callers", func() bool { return c.waiting.Load() >= int64(*manyChecks*9/10) && c.stale() })
			gone := time.Since(killed)
			begun := time.Now()
			c.engine.back()
			started := time.Since(begun)
			c.start(c.nodes[0])
			c.eventually("answers", func() bool { return c.waiting.Load() < int64(*manyChecks/10) })
			t.Logf("%d checks in flight at the kill; %v without a store; it started in %v; nine of ten callers had an answer %v after that began",
				inFlight, gone.Round(time.Second/10), started.Round(time.Second/10), time.Since(begun).Round(time.Second/10))
			c.until(calls, 50)
			c.until(checks, 2*int64(*manyChecks))
			// Another is gone for good, and a third answers nothing for a while.
			c.nodes[1].end(os.Kill)
			goOn := c.nodes[len(c.nodes)-1].hang()
			c.until(checks, 2*int64(*manyChecks))
			goOn()
			c.until(calls, 50)
			checks.stop()
			calls.stop()
			t.Logf("%d sessions, %d callers: %d checks said something, %d that nobody knows; %d calls, %d failed; %d wait=all confirmed",
				len(c.good), *manyChecks, checks.done.Load(), checks.failed.Load(), calls.done.Load(), calls.failed.Load(), c.confirmed.Load())
			c.nothingLost(c.nodes[0], c.nodes[len(c.nodes)-1])
		})
	}
}

// stale reports whether no verifier knows enough.
func (c *cluster) stale() bool {
	for _, v := range c.verifiers {
		if v.Ready() == nil {
			return false
		}
	}
	return true
}

// byLookup is how many sessions the servers are asked about, one by one; with more of
// them these are drawn at random, beside all that were revoked.
const byLookup = 20_000

// nothingLost looks for each session in the store, and asks the servers about them, and the
// verifiers about what was revoked.
func (c *cluster) nothingLost(alive ...*serving) {
	begun := time.Now()
	there := c.rows()
	var asked []*signedIn
	var good, revoked, unknown int
	for _, s := range c.good {
		at := s.revoked.Load()
		switch row := there[s.Session.ID]; {
		case at < 0:
			unknown++
			continue
		case at > 0:
			revoked++
			if row {
				c.t.Errorf("a revoked %s session is there", s.carrier)
			}
		default:
			good++
			if !row {
				c.t.Errorf("a good %s session is gone", s.carrier)
			}
		}
		if at > 0 || rand.N(len(c.good)) < byLookup {
			asked = append(asked, s)
		}
	}
	var sources []counterfoil.Source
	for _, n := range alive {
		source, err := counterfoil.Remote("http://"+n.address, counterfoil.RemoteOptions{Credential: c.key, Transport: &http.Transport{MaxIdleConnsPerHost: 64}})
		if err != nil {
			c.t.Fatal(err)
		}
		sources = append(sources, source)
	}
	var all sync.WaitGroup
	const workers = 32
	for worker := range workers {
		all.Go(func() {
			for n := worker; n < len(asked); n += workers {
				c.asAcknowledged(sources[n/workers%len(sources)], asked[n])
			}
		})
	}
	all.Wait()
	c.t.Logf("as acknowledged: %d signed in, %d revoked; %d revocations without an answer; servers asked about %d; found out in %v",
		good, revoked, unknown, len(asked), time.Since(begun).Round(time.Second))
	if revoked == 0 || good == 0 {
		c.t.Error("shows nothing: nothing was revoked, or nobody is signed in")
	}
}

// rows are the ids of the sessions in the store.
func (c *cluster) rows() map[string]bool {
	c.t.Helper()
	_, sessions, closeAll := c.open()
	defer closeAll()
	there := make(map[string]bool, len(c.good))
	for r, err := range sessions.List(c.t.Context(), "session", "*") {
		if err != nil {
			c.t.Fatal(err)
		}
		there[r.ID] = true
	}
	return there
}

// asAcknowledged asks a server about s. An outage, on a busy machine, is no answer.
func (c *cluster) asAcknowledged(source counterfoil.Source, s *signedIn) {
	_, err := source.Lookup(c.t.Context(), s.Access)
	for errors.Is(err, counterfoil.ErrUnavailable) && c.t.Context().Err() == nil {
		pause(20 * time.Millisecond)
		_, err = source.Lookup(c.t.Context(), s.Access)
	}
	gone := errors.Is(err, counterfoil.ErrInvalidToken)
	switch {
	case err != nil && !gone:
		c.t.Errorf("look up: %v", err)
	case s.revoked.Load() > 0:
		if !gone {
			c.t.Errorf("a revoked %s session is found", s.carrier)
		}
		for _, v := range c.verifiers {
			good, err := c.ask(c.t.Context(), v, s)
			for err != nil && c.t.Context().Err() == nil {
				pause(20 * time.Millisecond)
				good, err = c.ask(c.t.Context(), v, s)
			}
			if good {
				c.t.Errorf("a verifier accepts a revoked %s session", s.carrier)
			}
		}
	case s.Refresh != "": // its token may have expired
		if err := c.call("/v1/refresh", map[string]any{"refresh_token": s.Refresh, "client": s.client}, nil); err != nil {
			c.t.Errorf("a good session cannot be refreshed: %v", err)
		}
	case gone:
		c.t.Errorf("a good %s session is not found", s.carrier)
	}
}
