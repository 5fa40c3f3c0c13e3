package e2e_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/internal/testsvc"
)

// failovers are the ways in which another server replaces a killed primary.
var failovers = map[string]struct {
	promise promise
	start   func(t *testing.T) failover
}{
	"postgres, a synchronous standby":   {keeps, synchronousStandby},
	"redis, a replica behind Sentinel":  {mayLose, func(t *testing.T) failover { return sentinel(t, false) }},
	"redis, a replica that was cut off": {loses, func(t *testing.T) failover { return sentinel(t, true) }},
}

// promise is what the documentation promises about acknowledged commits.
type promise int

const (
	keeps   promise = iota // none is lost
	mayLose                // the last ones may be lost; detected if a node has seen a later head
	loses                  // some are lost, and the loss is detected
)

type failover struct {
	engine
	cut  func() // ends replication to the second server
	over func() // kills the first server, and the second becomes the primary
}

func synchronousStandby(t *testing.T) failover {
	primary := testsvc.StartPostgres(t, testsvc.Durable)
	name, _ := primary.Database(t, "")
	standby := primary.StartStandby(t)
	primary.Exec(t, "postgres", "ALTER SYSTEM SET synchronous_standby_names = '*'")
	primary.Exec(t, "postgres", "SELECT pg_reload_conf()")
	return failover{
		engine: engine{name: "postgres", logs: "warn", store: fmt.Sprintf("postgres://cf@%s,%s/%s", standby.Addr(), primary.Addr(), name)},
		cut:    func() {},
		over:   func() { primary.Kill(); standby.Promote(t) },
	}
}

func sentinel(t *testing.T, cut bool) failover {
	_, store := testsvc.SharedPostgres(t).Database(t, "")
	s := testsvc.StartSentinel(t, "--appendonly", "yes", "--appendfsync", "always")
	f := failover{
		engine: engine{name: "redis", logs: "warn", store: store, sessions: "redis-sentinel://" + strings.Join(s.Addrs(), ",") + "/" + testsvc.SentinelMaster},
		cut:    func() {},
		over:   s.Nodes[0].Kill, // the sentinels promote the replica
	}
	if cut {
		f.cut = func() {
			for _, cmd := range []string{"ACL SETUSER default -psync -sync", "CLIENT KILL TYPE replica"} {
				if _, err := s.Nodes[0].Do(strings.Fields(cmd)...); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	return f
}

// The primary is killed under load and another server takes its place, under the addresses
// that the nodes got at the start. The log begins another epoch, and the nodes raise an alarm.
// No revoked session is accepted. If nothing is lost, nobody must sign in again: cookies go on,
// and an access token is refreshed once. If the nodes detect that entries of the log are lost,
// every session has ended.
func TestFailover(t *testing.T) {
	t.Parallel()
	for name, f := range failovers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			on := f.start(t)
			c := startCluster(t, on.engine, 2, 4*time.Second)
			c.fill(50)
			before := len(c.good)
			c.newEpoch.Store(true)
			checks, calls := c.load(20)
			c.until(calls, 20)
			on.cut()
			c.until(calls, 20)
			failed, made := calls.failed.Load(), c.made()
			on.over()
			c.eventually("another log", func() bool {
				for _, v := range c.verifiers {
					if v.Status().Epochs == 0 || v.Ready() != nil {
						return false
					}
				}
				return true
			})
			c.until(calls, 20)
			c.until(checks, 200)
			checks.stop()
			calls.stop()
			kept, ended := c.afterwards(before, made, f.promise)
			t.Logf("%d sessions are kept, %d have ended; %d calls failed meanwhile", kept, ended, calls.failed.Load()-failed)
			for _, n := range c.nodes {
				if !strings.Contains(n.output.String(), "log.epoch") {
					t.Errorf("the node at %s raises no alarm:\n%s", n.address, n.output.String())
				}
			}
			if err := c.login(); err != nil {
				t.Fatal(err)
			}
			for _, v := range c.verifiers {
				if !c.finds(v, c.good[len(c.good)-1].Access) {
					t.Error("a new session is refused after the failover")
				}
			}
		})
	}
}

// afterwards checks the promise for each session. The sessions up to `before` had reached both
// servers when the load began. The sessions up to `made` existed when the primary was killed.
func (c *cluster) afterwards(before, made int, p promise) (kept, ended int) {
	c.t.Helper()
	all := p == loses
	if p == mayLose { // a session that was not revoked shows whether the loss was detected
		for _, s := range c.good[:before] {
			if s.revoked.Load() == 0 {
				all = !c.lives(s, true)
				break
			}
		}
	}
	for n, s := range c.good {
		lives := c.lives(s, n < before)
		if lives {
			kept++
		} else {
			ended++
		}
		switch at := s.revoked.Load(); {
		case at > 0 && lives:
			c.t.Errorf("a revoked %s session is accepted again", s.carrier)
		case at == 0 && all && lives && n < made:
			c.t.Errorf("a %s session outlived the loss of acknowledged entries", s.carrier)
		case at == 0 && !all && !lives && (n < before || p == keeps):
			c.t.Errorf("a good %s session has ended", s.carrier)
		}
	}
	return kept, ended
}

func (c *cluster) made() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.good)
}

// lives reports whether s is accepted: with its credential, or with a refreshed one. An access
// token of the old epoch must be refused.
func (c *cluster) lives(s *signedIn, old bool) bool {
	c.t.Helper()
	good := c.finds(c.verifiers[0], s.Access)
	if s.Refresh == "" {
		return good
	}
	if good && old && !s.renewed {
		c.t.Error("an access token of the old epoch is accepted")
	}
	err := c.call("/v1/refresh", map[string]any{"refresh_token": s.Refresh, "client": s.client}, &s.holder)
	if err != nil && strings.Contains(err.Error(), "401") {
		return false
	}
	if err != nil {
		c.t.Errorf("refresh after a failover: %v", err)
	}
	s.renewed = true
	return c.finds(c.verifiers[0], s.Access)
}

// finds asks v until it has a verdict.
func (c *cluster) finds(v *counterfoil.Verifier, access string) (good bool) {
	c.t.Helper()
	c.eventually("an answer", func() bool {
		_, err := v.Verify(c.t.Context(), access)
		good = err == nil
		return err == nil || errors.Is(err, counterfoil.ErrInvalidToken)
	})
	return good
}
