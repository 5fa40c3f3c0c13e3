package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/internal/faultnet"
	"github.com/counterfoil/counterfoil/internal/testsvc"
)

var (
	manySessions = flag.Int("e2e.sessions", 1000, "sessions that are alive when a node and the store are killed")
	manyChecks   = flag.Int("e2e.checks", 100, "checks in flight all the time meanwhile")
	manyNodes    = flag.Int("e2e.nodes", 3, "servers on one store")
)

// nodesBound is D of the verifiers, the default.
const nodesBound = 10 * time.Second

// cluster is several real servers on one PostgreSQL behind a load balancer that sends
// each request to the next, and the verifiers that follow through it.
type cluster struct {
	t         *testing.T
	pg        *testsvc.Postgres
	lb        *faultnet.Balancer
	url       string
	key       string
	nodes     []*serving
	verifiers []*counterfoil.Verifier
	web       *http.Client

	confirmed atomic.Int64 // revocations that reached every verifier before they returned

	mu   sync.Mutex // guards all below
	good []*signedIn
}

// serving is one server: a process, which may be another one later.
type serving struct {
	args   []string
	cmd    *exec.Cmd
	output output
}

// signedIn is one session and what was acknowledged about it.
type signedIn struct {
	holder
	revoked    atomic.Int64 // when its revocation returned, in Unix nanoseconds; 0: it is good; -1: nobody knows
	everywhere atomic.Bool  // and was confirmed to have reached every verifier
}

func startCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{t: t, pg: testsvc.StartPostgres(t, testsvc.Durable), web: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}, Timeout: 30 * time.Second}}
	_, store := c.pg.Database(t, "")
	var addresses []string
	for range *manyNodes {
		addresses = append(addresses, freeAddress(t))
	}
	lb, err := faultnet.Balance(addresses...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = lb.Close() })
	c.lb, c.url = lb, "http://"+lb.Addr()
	first := t.TempDir()
	create := exec.Command(binary, "apikey", "create", "--data", first, "--client", "control",
		"--scope", "admin", "--scope", "sessions:create", "--scope", "revocation:read", "--scope", "introspect")
	create.Env = append(os.Environ(), "COUNTERFOIL_STORE="+store)
	out, err := create.Output()
	if err != nil {
		t.Fatal(err)
	}
	c.key = strings.TrimSpace(string(out))
	for n, address := range addresses {
		data := first
		if n > 0 {
			data = t.TempDir()
			seal, err := os.ReadFile(filepath.Join(first, "counterfoil.key"))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(data, "counterfoil.key"), seal, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		node := &serving{args: []string{"serve", "--data", data, "--store", store, "--listen", address, "--issuer", c.url,
			"--ops-listen", "off", "--drain", "500ms", "--log-level", "error", "--refresh-grace", "1m"}}
		c.nodes = append(c.nodes, node)
		c.start(node)
		t.Cleanup(func() { node.end(os.Kill) })
	}
	for range 4 {
		source, err := counterfoil.Remote(c.url, counterfoil.RemoteOptions{Credential: c.key, Transport: &http.Transport{MaxIdleConnsPerHost: 64}})
		if err != nil {
			t.Fatal(err)
		}
		v, err := counterfoil.NewVerifier(t.Context(), source, counterfoil.Options{Issuer: c.url, Audience: c.url, Bound: nodesBound})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(v.Close)
		c.verifiers = append(c.verifiers, v)
	}
	return c
}

// start runs a node and returns when it is ready.
func (c *cluster) start(n *serving) {
	c.t.Helper()
	n.cmd = exec.Command(binary, n.args...)
	n.cmd.Stderr = &n.output
	if err := n.cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	address := n.args[6]
	c.eventually("node "+address, func() bool {
		res, err := http.Get("http://" + address + "/readyz")
		if err != nil {
			return false
		}
		_ = res.Body.Close()
		return res.StatusCode == http.StatusOK
	})
}

// end signals a node and waits for its end.
func (n *serving) end(s os.Signal) {
	_ = n.cmd.Process.Signal(s)
	_ = n.cmd.Wait()
}

func (c *cluster) eventually(what string, is func() bool) {
	c.t.Helper()
	for begun := time.Now(); time.Since(begun) < patience(); pause(20 * time.Millisecond) {
		if is() {
			return
		}
	}
	c.t.Fatalf("%s: not within %v", what, patience())
}

// patience is when a test gives up: it says nothing about how long anything may take.
func patience() time.Duration { return time.Minute + time.Duration(*manySessions)*10*time.Millisecond }

// pause keeps loops that ask a process from being all that the machine does.
func pause(d time.Duration) { time.Sleep(d) }

// call sends JSON as the operator, or fails.
func (c *cluster) call(path string, body, into any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	r, err := http.NewRequest(http.MethodPost, c.url+path, bytes.NewReader(data))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	if path != "/v1/refresh" {
		r.Header.Set("Authorization", "Bearer "+c.key)
	}
	res, err := c.web.Do(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode/100 != 2 {
		err = fmt.Errorf("%s: %d %s", path, res.StatusCode, answer)
	}
	if err != nil || into == nil {
		return err
	}
	return json.Unmarshal(answer, into)
}

// login makes a session; one in eight carries a JWT and a refresh token.
func (c *cluster) login() error {
	s := &signedIn{holder: holder{carrier: "cookie", client: "default"}}
	if rand.N(8) == 0 {
		s.carrier = "bearer"
	}
	if err := c.call("/v1/admin/sessions", map[string]any{"subject": fmt.Sprintf("u-%d", rand.Uint64()), "carrier": s.carrier}, &s.holder); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.good = append(c.good, s)
	return nil
}

func (c *cluster) any() *signedIn {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.good[rand.N(len(c.good))]
}

// revokeOne revokes some session; with wait "all" it returns when no verifier accepts it.
func (c *cluster) revokeOne(wait string) error {
	s := c.any()
	if !s.revoked.CompareAndSwap(0, -1) {
		return nil
	}
	body := map[string]any{"scope": "session", "id": s.Session.ID}
	if wait != "" {
		body["wait"] = wait
	}
	var got struct{ Confirmed bool }
	err := c.call("/v1/admin/revocations", body, &got)
	if err == nil {
		s.everywhere.Store(got.Confirmed)
		s.revoked.Store(time.Now().UnixNano())
	}
	if got.Confirmed {
		c.confirmed.Add(1)
	}
	return err
}

// ask asks verifier v about s. Refusing who was not revoked, or accepting who was
// longer ago than D, fails the test. Not to know is an error.
func (c *cluster) ask(ctx context.Context, v *counterfoil.Verifier, s *signedIn) error {
	revoked, begun := s.revoked.Load(), time.Now()
	_, err := v.Verify(ctx, s.Access)
	switch {
	case err == nil:
		late := nodesBound + nodesBound/1000
		if s.everywhere.Load() {
			late = 0
		}
		if since := begun.Sub(time.Unix(0, revoked)); revoked > 0 && since > late {
			c.t.Errorf("a %s session is accepted %v after its revocation returned: want at most %v", s.carrier, since, late)
		}
	case errors.Is(err, counterfoil.ErrExpired):
		return nil // it is older than five minutes: nothing is said
	case errors.Is(err, counterfoil.ErrInvalidToken):
		if s.revoked.Load() == 0 {
			c.t.Errorf("a good %s session is refused: %v", s.carrier, err)
		}
		return nil
	}
	return err
}

// work does f by many workers until stop, and counts what fails.
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
				if err := f(); err != nil {
					w.failed.Add(1)
					w.last.Store(&err)
					pause(time.Millisecond)
				} else {
					w.done.Add(1)
				}
			}
		})
	}
}

func (w *work) stop() { w.stopped.Store(true); w.all.Wait() }

// until waits for so many more that were done.
func (c *cluster) until(w *work, more int64) {
	c.t.Helper()
	want := w.done.Load() + more
	c.eventually("load", func() bool { return w.done.Load() >= want })
}

// load signs in, revokes and checks all the time. Checks and calls are counted apart.
func (c *cluster) load(inFlight int) (checks, calls *work) {
	checks, calls = &work{}, &work{}
	var turn atomic.Uint64
	checks.by(inFlight, func() error {
		err := c.ask(c.t.Context(), c.verifiers[turn.Add(1)%uint64(len(c.verifiers))], c.any())
		pause(time.Duration(rand.N(20)) * time.Millisecond)
		return err
	})
	calls.by(2, c.login)
	calls.by(1, func() error { return c.revokeOne("") })
	calls.by(1, func() error { return c.revokeOne("all") })
	return checks, calls
}

// Nodes are restarted one after the other while everything is in use: no check fails. A
// call that waits for all verifiers may last longer than a server that was told to stop;
// it has no answer then, and is made again with the same receipt. An upgrade is the same with
// another program.
func TestRollingRestart(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
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
}

// A node and the store are killed in the middle of everything, and come back: nothing
// that was acknowledged is lost, nothing revoked is accepted, nobody is signed out.
func TestNodeAndStoreKilled(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	c.fill(*manySessions)
	checks, calls := c.load(*manyChecks)
	c.until(checks, 2*int64(*manyChecks))
	c.nodes[0].end(os.Kill)
	c.pg.Kill()
	before := calls.failed.Load()
	c.eventually("the outage", func() bool { return calls.failed.Load() > before+20 })
	c.pg.Restart(t)
	c.start(c.nodes[0])
	c.until(calls, 50)
	c.until(checks, 2*int64(*manyChecks))
	// Another is gone for good, and a third answers nothing for a while.
	c.nodes[1].end(os.Kill)
	hung := c.nodes[len(c.nodes)-1].cmd.Process
	_ = hung.Signal(syscall.SIGSTOP)
	c.until(checks, 2*int64(*manyChecks))
	_ = hung.Signal(syscall.SIGCONT)
	c.until(calls, 50)
	checks.stop()
	calls.stop()
	t.Logf("%d sessions, %d checks in flight: %d checks said something, %d that nobody knows; %d calls, %d failed; %d wait=all confirmed",
		len(c.good), *manyChecks, checks.done.Load(), checks.failed.Load(), calls.done.Load(), calls.failed.Load(), c.confirmed.Load())
	c.nothingLost()
}

// fill signs so many in.
func (c *cluster) fill(many int) {
	c.t.Helper()
	filling := &work{}
	filling.by(16, c.login)
	c.until(filling, int64(many))
	filling.stop()
	if filling.failed.Load() > 0 {
		c.t.Fatal(*filling.last.Load())
	}
}

// nothingLost asks the servers themselves about what was acknowledged.
func (c *cluster) nothingLost() {
	source, err := counterfoil.Remote(c.url, counterfoil.RemoteOptions{Credential: c.key, Transport: &http.Transport{MaxIdleConnsPerHost: 64}})
	if err != nil {
		c.t.Fatal(err)
	}
	var all sync.WaitGroup
	var good, revoked, unknown atomic.Int64
	for worker := range 16 {
		all.Go(func() {
			for n := worker; n < len(c.good); n += 16 {
				s := c.good[n]
				_, err := source.Lookup(c.t.Context(), s.Access)
				gone := errors.Is(err, counterfoil.ErrInvalidToken)
				switch at := s.revoked.Load(); {
				case err != nil && !gone:
					c.t.Errorf("look up: %v", err)
				case at < 0:
					unknown.Add(1)
				case at > 0:
					revoked.Add(1)
					if !gone {
						c.t.Errorf("a revoked %s session is there", s.carrier)
					}
				case s.Refresh != "": // its token may have expired
					good.Add(1)
					if err := c.call("/v1/refresh", map[string]any{"refresh_token": s.Refresh, "client": s.client}, nil); err != nil {
						c.t.Errorf("a good session cannot be refreshed: %v", err)
					}
				default:
					good.Add(1)
					if gone {
						c.t.Errorf("a good %s session is gone", s.carrier)
					}
				}
			}
		})
	}
	all.Wait()
	c.t.Logf("as acknowledged: %d signed in, %d revoked; %d revocations without an answer", good.Load(), revoked.Load(), unknown.Load())
	if revoked.Load() == 0 || good.Load() == 0 {
		c.t.Error("shows nothing: nothing was revoked, or nobody is signed in")
	}
}
