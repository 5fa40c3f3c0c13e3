package prove

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/internal/api"
	"github.com/counterfoil/counterfoil/rights"
	"github.com/counterfoil/counterfoil/server"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/storetest"
)

// machine is a machine with a wall clock that can be set. Its other clocks cannot.
type machine struct{ off atomic.Int64 }

// now is the wall clock: it has no monotonic reading, because that would be set with it.
func (m *machine) now() time.Time { return time.Now().Round(0).Add(time.Duration(m.off.Load())) }

func (m *machine) set(off time.Duration) { m.off.Store(int64(off)) }

// database is the store of a simulated deployment, and the machine that it runs on.
type database struct {
	machine *machine
	open    func() (*outsideStore, error)

	// shared is what the nodes share. It is nil if the store is opened in the process of its one
	// node, and has no clock.
	shared *storetest.FaultyStore
}

// begin opens the store if nodes can share it.
func (d *database) begin(alone bool) error {
	if alone {
		return nil
	}
	s, err := d.open()
	if err != nil {
		return err
	}
	d.shared = storetest.Faulty(s)
	d.shared.SetClock(d.machine.now)
	return nil
}

// connect returns the store as one node has it, and what the node does with it at its end.
func (d *database) connect() (s store.Store, disconnect func() error, err error) {
	if d.shared != nil {
		return d.shared, func() error { return nil }, nil
	}
	own, err := d.open()
	if err != nil {
		return nil, nil, err
	}
	return own, own.Close, nil
}

// setDown makes every call of the nodes fail, or ends that.
func (d *database) setDown(down bool) {
	if down {
		d.shared.Inject(storetest.Fault{})
	} else {
		d.shared.Heal()
	}
}

// simulatedURL is the issuer of every simulated deployment.
const simulatedURL = "https://auth.test"

// simNode is an auth server on a machine.
type simNode struct {
	*client
	s       *simulation
	name    string
	number  int // of its checks in the history
	machine *machine

	running    atomic.Pointer[serving] // nil: it is stopped
	server     *server.Embedded
	disconnect func() error // of the server's store
}

func (s *simulation) newNode(name string, m *machine) *simNode {
	n := &simNode{s: s, name: name, number: nodeNumbers + len(s.nodes), machine: m}
	web := inProcess{n.running.Load}
	n.client = &client{url: simulatedURL, web: &http.Client{Transport: s.keyed(web)}, history: s.history}
	s.nodes = append(s.nodes, n)
	return n
}

// nodeNumbers is the first number of a node. Verifiers have lower numbers.
const nodeNumbers = 1000

func (n *simNode) start(ctx context.Context) error {
	db, disconnect, err := n.s.database.connect()
	if err != nil {
		return err
	}
	if n.s.mutant.store != nil {
		db = n.s.mutant.store(db, n.machine)
	}
	begun, wall := time.Now(), n.machine
	if n.s.mutant.blind {
		wall = n.s.right
	}
	n.server, err = server.Open(ctx, server.Config{
		Store: db, URL: simulatedURL, SealKey: [32]byte{1}, MaxBound: clocksBound, AccessTTL: accessTTL, NoVerifier: true,
		Logger: quiet, Audit: func(audit.Entry) {}, Now: wall.now,
		Elapsed: func() time.Duration { return time.Since(begun) }, InsecureHashes: true,
	})
	if err != nil {
		return errors.Join(err, disconnect())
	}
	n.disconnect = disconnect
	n.running.Store(serveInProcess(n.server))
	return nil
}

func (n *simNode) stop() {
	serving := n.running.Swap(nil)
	if serving == nil {
		return
	}
	serving.stop()
	_ = n.server.Close() // it may fail to write what is not acknowledged
	if err := n.disconnect(); err != nil {
		n.s.problem("%s: close the store: %v", n.name, err)
	}
}

// makeKey makes the API key of this deployment.
func (n *simNode) makeKey(ctx context.Context) (string, error) {
	_, key, err := n.server.Users().NewKey(ctx, rights.Owner(), audit.Act{By: audit.ByLocal}, directory.APIKey{
		Client: "prove", Scopes: []string{directory.ScopeAdmin, directory.ScopeFeed, directory.ScopeIntrospect, directory.ScopeSessions},
	})
	return key.Reveal(), err
}

// keyed sets the API key of the deployment in requests that ask for one.
func (s *simulation) keyed(next http.RoundTripper) http.RoundTripper {
	return roundTrip(func(r *http.Request) (*http.Response, error) {
		if r.Header.Get("Authorization") != "" {
			r = r.Clone(r.Context())
			r.Header.Set("Authorization", "Bearer "+s.key)
		}
		return next.RoundTrip(r)
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

// RoundTrip implements [http.RoundTripper].
func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// statusOf is the HTTP status of an error of [api.Client]; 0: there was no answer.
func statusOf(err error) int {
	var e *api.Error
	switch {
	case err == nil:
		return http.StatusOK
	case errors.As(err, &e):
		return e.Status
	}
	return 0
}

func outcomeOfStatus(status int) outcome {
	switch {
	case status/100 == 2:
		return accepted
	case status == http.StatusUnauthorized || status == http.StatusBadRequest:
		return refused
	}
	return unknown
}

// signIn makes a session at this node and records that, as a check of the node.
func (n *simNode) signIn(ctx context.Context, subject string, carrier counterfoil.Carrier) (*credential, error) {
	start := n.now()
	c, err := n.login(ctx, subject, defaultClient, carrier)
	if err != nil {
		return nil, err
	}
	n.history.check(check{span: span{start, n.now()}, verifier: n.number, of: c, outcome: accepted})
	return c, nil
}

// refresh renews c at this node and records the outcome.
func (n *simNode) refresh(ctx context.Context, c *credential) (*credential, outcome, error) {
	start := n.now()
	next, err := n.renew(ctx, c)
	got := outcomeOfStatus(statusOf(err))
	if got == refused && n.s.ahead() >= absolute {
		got, n.s.cell.OnlyClock = unknown, true
	}
	n.history.check(check{span: span{start, n.now()}, verifier: n.number, of: c, outcome: got})
	return next, got, err
}

// simVerifier is a verifier on a machine.
type simVerifier struct {
	s       *simulation
	name    string
	number  int
	machine *machine
	via     []*simNode // it asks these in turn
	turn    atomic.Uint64

	mu      sync.Mutex // guards the fields below
	v       verifier   // nil: it is stopped
	handler http.Handler
}

// newVerifier makes a verifier, which start starts. It keeps its number over restarts.
func (s *simulation) newVerifier(m *machine, via ...*simNode) *simVerifier {
	v := &simVerifier{s: s, number: s.verifiers, machine: m, via: via}
	s.verifiers++
	var names []string
	for _, n := range via {
		names = append(names, n.name)
	}
	v.name = fmt.Sprintf("verifier %d of %s", v.number, strings.Join(names, " and "))
	return v
}

func (v *simVerifier) start(ctx context.Context) error {
	web := roundTrip(func(r *http.Request) (*http.Response, error) {
		n := v.via[v.turn.Add(1)%uint64(len(v.via))]
		return inProcess{n.running.Load}.RoundTrip(r)
	})
	remote, err := counterfoil.Remote(simulatedURL, counterfoil.RemoteOptions{Credential: keyPlaceholder, Transport: v.s.keyed(web)})
	if err != nil {
		return err
	}
	started, err := v.s.mutant.newVerifier(ctx, remote, counterfoil.Options{
		Issuer: simulatedURL, Audience: simulatedURL, Bound: clocksBound, InsecureCookies: true, Logger: quiet, Now: v.machine.now,
	})
	if err != nil {
		return err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.v, v.handler = started, protect(started)
	return nil
}

func (v *simVerifier) stop() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.v != nil {
		v.v.Close()
		v.v = nil
	}
}

// protect returns a handler that lets only good requests through. A verifier under test that
// is no middleware gets one.
func protect(v verifier) http.Handler {
	if m, ok := v.(interface {
		Require(next http.Handler, rules ...counterfoil.Rule) http.Handler
	}); ok {
		return m.Require(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, err := v.VerifyRequest(r)
		switch {
		case err == nil:
			w.WriteHeader(http.StatusNoContent)
		case errors.Is(err, counterfoil.ErrInvalidToken) && !errors.Is(err, counterfoil.ErrUnavailable):
			w.WriteHeader(http.StatusUnauthorized)
		default:
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
}

// ask sends c to the verifier's handler and records the answer. For a verifier that is down it
// records nothing.
func (v *simVerifier) ask(ctx context.Context, c *credential) outcome {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.v == nil {
		return unknown
	}
	r := c.request().WithContext(ctx)
	r.Host = "app.test"
	a := &recorded{header: make(http.Header)}
	start := v.s.now()
	v.handler.ServeHTTP(a, r)
	k := check{span: span{start, v.s.now()}, verifier: v.number, of: c, outcome: outcomeOfStatus(a.status)}
	if k.outcome == refused && !c.expires.IsZero() && time.Now().After(c.expires) {
		k.outcome = unknown // it is over by its own exp: that says nothing about a revocation
	}
	for _, set := range a.header["Set-Cookie"] {
		k.deleted = k.deleted || strings.HasPrefix(set, source.InsecureCookieName+"=;")
	}
	if k.outcome == refused && v.s.over(c) {
		k.outcome, k.deleted, v.s.cell.OnlyClock = unknown, false, true
	}
	v.s.check(k)
	return k.outcome
}

// recorded is an answer without its body.
type recorded struct {
	header http.Header
	status int
}

func (a *recorded) Header() http.Header { return a.header }

func (a *recorded) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
}

func (a *recorded) Write(p []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	return len(p), nil
}
