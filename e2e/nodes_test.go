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
	manySessions = flag.Int("e2e.sessions", 300, "sessions when a node and the store are killed")
	manyChecks   = flag.Int("e2e.checks", 100, "checks in flight when a node and the store are killed")
	manyNodes    = flag.Int("e2e.nodes", 3, "servers on one store")
	killedBound  = flag.Duration("e2e.bound", 4*time.Second, "D of the verifiers when a node and the store are killed")
)

// The nodes restart one after the other under load. No check fails, and of a hundred at most one is late: a busy
// machine needs longer than the half second that an introspection has. A revocation that waits for all
// verifiers is not confirmed by a server that stops: the caller repeats it. An upgrade is the same with
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
			late := checks.late.Load()
			t.Logf("%d checks had no answer in time", late)
			if n := checks.failed.Load() - late; n > 0 || late*100 > checks.done.Load() {
				t.Errorf("%d checks failed and %d were late, the last one by %v", n, late, *checks.last.Load())
			}
			if n := calls.failed.Load(); n > 0 {
				t.Logf("%d calls had no answer, the last one by %v", n, *calls.last.Load())
			}
		})
	}
}

// A node and the store are killed under load, and restarted. No acknowledged operation is
// lost, no revoked session is accepted, and nobody is signed out.
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
			// By now every verifier is stale, and every caller waits for a verdict.
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
			// A second node is killed for good, and a third one hangs for a while.
			c.nodes[1].end(os.Kill)
			goOn := c.nodes[len(c.nodes)-1].hang()
			c.until(checks, 2*int64(*manyChecks))
			goOn()
			c.until(calls, 50)
			checks.stop()
			calls.stop()
			t.Logf("%d sessions, %d callers: %d checks with a verdict, %d without; %d calls, %d failed; %d wait=all confirmed",
				len(c.good), *manyChecks, checks.done.Load(), checks.failed.Load(), calls.done.Load(), calls.failed.Load(), c.confirmed.Load())
			c.nothingLost(c.nodes[0], c.nodes[len(c.nodes)-1])
		})
	}
}

// stale reports whether every verifier is stale.
func (c *cluster) stale() bool {
	for _, v := range c.verifiers {
		if v.Ready() == nil {
			return false
		}
	}
	return true
}

// byLookup is how many sessions are looked up at the servers, one by one. If there are more,
// they are chosen at random. Every revoked session is looked up too.
const byLookup = 20_000

// nothingLost checks each session: in the store, at the servers, and at the verifiers if it
// was revoked.
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
				c.t.Errorf("the store has a revoked %s session", s.carrier)
			}
		default:
			good++
			if !row {
				c.t.Errorf("the store lacks a good %s session", s.carrier)
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
		c.t.Error("shows nothing: no session was revoked, or none is good")
	}
}

// rows returns the ids of the sessions in the store.
func (c *cluster) rows() map[string]bool {
	c.t.Helper()
	_, sessions, closeAll := c.open()
	defer closeAll()
	there := make(map[string]bool, len(c.good))
	for r, err := range sessions.List(c.t.Context(), "session", "*", "") {
		if err != nil {
			c.t.Fatal(err)
		}
		there[r.ID] = true
	}
	return there
}

// asAcknowledged compares a server's answer about s with the acknowledged operations. On a
// busy machine it may get an outage, and tries again.
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
	case s.Refresh != "": // its access token may have expired
		if err := c.call("/v1/refresh", map[string]any{"refresh_token": s.Refresh, "client": s.client}, nil); err != nil {
			c.t.Errorf("a good session cannot be refreshed: %v", err)
		}
	case gone:
		c.t.Errorf("a good %s session is not found", s.carrier)
	}
}
