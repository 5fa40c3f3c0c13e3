package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
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

// engine is the store of the sessions of a cluster. The users are in PostgreSQL.
type engine struct {
	name     string
	store    string // --store
	sessions string // --sessions; empty: the store
	logs     string // --log-level
	kill     func()
	back     func()
}

// engines has the engines that several nodes can share. Each flushes to disk.
var engines = map[string]func(t *testing.T) engine{
	"postgres": func(t *testing.T) engine {
		server := testsvc.StartPostgres(t, testsvc.Durable)
		_, store := server.Database(t, "")
		return engine{name: "postgres", logs: "error", store: store, kill: server.Kill, back: func() { server.Restart(t) }}
	},
	"redis": func(t *testing.T) engine {
		_, store := testsvc.SharedPostgres(t).Database(t, "")
		server := testsvc.StartRedis(t, "--appendonly", "yes", "--appendfsync", "always")
		return engine{name: "redis", logs: "error", store: store, sessions: "redis://" + server.Addr(), kill: server.Kill, back: func() { server.Restart(t) }}
	},
}

// cluster has several real servers on one engine. A load balancer sends each request to the
// next server. Verifiers follow the log through the load balancer.
type cluster struct {
	t         *testing.T
	engine    engine
	bound     time.Duration // D of the verifiers
	data      string        // folder of the first node
	lb        *faultnet.Balancer
	url       string
	key       string
	nodes     []*serving
	verifiers []*counterfoil.Verifier
	web       *http.Client

	confirmed atomic.Int64 // revocations that reached every verifier before they returned
	newEpoch  atomic.Bool  // the log may begin another epoch: then a session may be refused without a revocation

	held    []atomic.Pointer[signedIn] // the session that each caller is checking
	waiting atomic.Int64               // callers that wait for the answer to a check
	surges  atomic.Int64
	surged  atomic.Pointer[chan struct{}] // closed at the next surge

	mu   sync.Mutex // guards good
	good []*signedIn
}

// serving is one server. A restart replaces its process.
type serving struct {
	address string
	args    []string
	cmd     *exec.Cmd
	output  output
}

// signedIn is one session, with the acknowledged operations on it.
type signedIn struct {
	holder
	revoked    atomic.Int64 // when its revocation returned, in Unix nanoseconds; 0: it is good; -1: the outcome is unknown
	everywhere atomic.Bool  // the revocation was confirmed to have reached every verifier
	renewed    bool         // its access token was issued after a failover
}

func startCluster(t *testing.T, on engine, nodes int, bound time.Duration, flags ...string) *cluster {
	t.Helper()
	c := &cluster{
		t: t, engine: on, bound: bound, data: t.TempDir(),
		web: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}, Timeout: 30 * time.Second},
	}
	c.surged.Store(new(make(chan struct{})))
	var addresses []string
	for range nodes {
		addresses = append(addresses, testsvc.FreeAddress(t))
	}
	lb, err := faultnet.Balance(addresses...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = lb.Close() })
	c.lb, c.url = lb, "http://"+lb.Addr()
	create := exec.Command(binary, "apikey", "create", "--data", c.data, "--client", "control",
		"--scope", "admin", "--scope", "sessions:create", "--scope", "revocation:read", "--scope", "introspect")
	create.Env = append(os.Environ(), "COUNTERFOIL_STORE="+on.store, "COUNTERFOIL_SESSIONS="+on.sessions)
	out, err := create.Output()
	if err != nil {
		t.Fatalf("apikey create: %v\n%s", err, err.(*exec.ExitError).Stderr)
	}
	c.key = strings.TrimSpace(string(out))
	for n, address := range addresses {
		data := c.data
		if n > 0 {
			data = t.TempDir()
			seal, err := os.ReadFile(filepath.Join(c.data, "counterfoil.key"))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(data, "counterfoil.key"), seal, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		// With --idle=24h sessions outlive the longest of these tests.
		node := &serving{address: address, args: []string{"serve", "--data", data, "--store", on.store, "--listen", address, "--issuer", c.url,
			"--ops-listen", "off", "--drain", "1s", "--log-level", on.logs, "--refresh-grace", "1m", "--idle", "24h", "--access-ttl", "15m", "--max-bound", bound.String()}}
		if on.sessions != "" {
			node.args = append(node.args, "--sessions", on.sessions)
		}
		node.args = append(node.args, flags...)
		c.nodes = append(c.nodes, node)
		c.start(node)
		t.Cleanup(func() { node.end(os.Kill) })
	}
	for range 4 {
		c.follow()
	}
	return c
}

// follow adds a verifier.
func (c *cluster) follow() {
	c.t.Helper()
	source, err := counterfoil.Remote(c.url, counterfoil.RemoteOptions{Credential: c.key, Transport: &http.Transport{MaxIdleConnsPerHost: 64}})
	if err != nil {
		c.t.Fatal(err)
	}
	v, err := counterfoil.NewVerifier(c.t.Context(), source, counterfoil.Options{Issuer: c.url, Audience: c.url, Bound: c.bound})
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(v.Close)
	c.verifiers = append(c.verifiers, v)
}

// start starts a node and returns when it is ready.
func (c *cluster) start(n *serving) {
	c.t.Helper()
	n.cmd = exec.Command(binary, n.args...)
	n.cmd.Stderr = &n.output
	if err := n.cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.eventually("node "+n.address, func() bool {
		res, err := http.Get("http://" + n.address + "/readyz")
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

// hang stops the process of a node, which keeps its connections, until goOn is called.
func (n *serving) hang() (goOn func()) {
	_ = n.cmd.Process.Signal(syscall.SIGSTOP)
	return func() { _ = n.cmd.Process.Signal(syscall.SIGCONT) }
}

func (c *cluster) eventually(what string, condition func() bool) {
	c.t.Helper()
	for begun := time.Now(); time.Since(begun) < patience(); pause(20 * time.Millisecond) {
		if condition() {
			return
		}
	}
	c.t.Fatalf("%s: not within %v", what, patience())
}

// patience returns the time after which a test gives up. It is not a limit of the product.
func patience() time.Duration { return hung + time.Duration(*manySessions)*time.Millisecond }

// pause waits between two tries of a loop, so that the loop does not use up the processor.
func pause(d time.Duration) { time.Sleep(d) }

// call sends JSON as the operator. It returns an error unless the answer is a 2xx.
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
