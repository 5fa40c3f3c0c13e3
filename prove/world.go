package prove

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/clients"
	"github.com/counterfoil/counterfoil/internal/faultnet"
	"github.com/counterfoil/counterfoil/internal/urls"
	"github.com/counterfoil/counterfoil/rights"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store/storetest"
)

// world has the parts of one scenario: an auth server, the verifiers that follow it, a
// network for each verifier, and the history of all operations.
type world struct {
	Options
	*client
	host   string // where the server listens
	direct *http.Transport

	// The server that prove starts itself; nil with a deployment.
	place  *Place
	lossy  bool
	store  *storetest.FaultyStore
	server *authServer
	plan   serverPlan

	names   atomic.Int64           // numbers the subjects, so that each name is new
	current atomic.Pointer[string] // the current API key

	mu       sync.Mutex // guards the fields below
	nodes    []*node
	problems []string
	noted    []string              // figures that the scenario measured itself
	extra    map[int]time.Duration // see limits.extra
	read     time.Duration         // the longest read of the log from zero
	cleanup  []func()
}

func newWorld(ctx context.Context, o Options, s *Store) (*world, error) {
	w := &world{Options: o, client: &client{history: newHistory()}}
	if s == nil {
		return w, w.useDeployment()
	}
	var err error
	w.lossy = s.Lossy
	if w.place, err = s.New(ctx); err != nil {
		return nil, err
	}
	if w.place.Remove != nil {
		w.later(func() {
			if err := w.place.Remove(); err != nil {
				w.problem("remove the store: %v", err)
			}
		})
	}
	if w.host, err = freeAddress(); err != nil {
		return w, err
	}
	w.plan = serverPlan{Listen: w.host, Bound: o.Bound}
	rand.Read(w.plan.Seal[:])
	w.direct = &http.Transport{MaxIdleConnsPerHost: 64}
	w.web, w.url = &http.Client{Transport: keyed{w, w.direct}, Timeout: time.Minute}, "http://"+w.host
	w.later(w.direct.CloseIdleConnections)
	return w, nil
}

// useDeployment uses a server that already runs.
func (w *world) useDeployment() error {
	d := w.Deployment
	u, err := urls.Issuer(d.URL)
	if err != nil {
		return err
	}
	w.url, w.host = d.URL, urls.Address(u)
	w.useKey(d.Key)
	w.direct = d.Transport
	if w.direct == nil {
		w.direct = http.DefaultTransport.(*http.Transport).Clone()
	}
	w.web = &http.Client{Transport: keyed{w, w.direct}, Timeout: time.Minute}
	return nil
}

// serve starts a server in this process, over a store that can fail. With a deployment it
// does nothing.
func (w *world) serve(ctx context.Context) error {
	if w.place == nil {
		return nil
	}
	s, err := w.place.Open(ctx)
	if err != nil {
		return err
	}
	w.store = storetest.Faulty(s)
	if w.server, err = startServer(ctx, w.store, w.plan); err != nil {
		return errors.Join(err, w.store.Close())
	}
	w.useKey(w.server.key)
	w.later(w.shut)
	return nil
}

// useKey replaces the API key. Verifiers that already run use the new key too. A store that
// lost everything has also lost its API keys, and no scenario tests that.
func (w *world) useKey(key string) { w.current.Store(&key) }

// keyed sends requests with the current API key.
type keyed struct {
	w    *world
	next http.RoundTripper
}

// RoundTrip implements [http.RoundTripper].
func (k keyed) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Header.Get("Authorization") != "" {
		r = r.Clone(r.Context())
		r.Header.Set("Authorization", "Bearer "+*k.w.current.Load())
	}
	return k.next.RoundTrip(r)
}

// shut stops the server that serve started, and closes its store. The place can be opened
// again.
func (w *world) shut() {
	if w.server == nil {
		return
	}
	w.server.stop()
	if err := w.store.Close(); err != nil {
		w.problem("close the store: %v", err)
	}
	w.server = nil
}

// later registers f. close calls the registered functions, the last one first.
func (w *world) later(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cleanup = append(w.cleanup, f)
}

func (w *world) close() {
	for {
		w.mu.Lock()
		n := len(w.cleanup)
		if n == 0 {
			w.mu.Unlock()
			return
		}
		f := w.cleanup[n-1]
		w.cleanup = w.cleanup[:n-1]
		w.mu.Unlock()
		f()
	}
}

// problem records that a demand of the scenario was not met.
func (w *world) problem(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.problems = append(w.problems, fmt.Sprintf(format, args...))
}

// fine reports whether there is no problem so far.
func (w *world) fine() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.problems) == 0
}

// note records a figure for the report.
func (w *world) note(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.noted = append(w.noted, fmt.Sprintf(format, args...))
}

// subject returns a name that was never used before.
func (w *world) subject(kind string) string {
	return fmt.Sprintf("prove-%s-%d-%d", kind, w.begun.UnixNano(), w.names.Add(1))
}

// heartbeat is the longest time between two requests of a verifier for the log.
func (w *world) heartbeat() time.Duration { return w.Bound / 4 }

// bound is D(1+rho).
func (w *world) bound() time.Duration { return w.Bound + time.Duration(float64(w.Bound)*rho) }

// pause waits for d, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// node is a verifier and the network between it and the server.
type node struct {
	w    *world
	n    int
	net  *faultnet.Proxy
	opts counterfoil.Options
	wrap func(http.RoundTripper) http.RoundTripper // wraps the transport; may be nil

	swap  sync.RWMutex       // guards the fields below; locked for writing while the verifier is replaced
	v     verifier           // nil: it is down
	route *counterfoil.Guard // nil: the verifier's own
	via   *http.Transport
}

// newNode makes the network of one verifier. start makes the verifier.
func (w *world) newNode() (*node, error) {
	w.mu.Lock()
	n := &node{w: w, n: len(w.nodes)}
	w.nodes = append(w.nodes, n)
	w.mu.Unlock()
	proxy, err := faultnet.Listen(w.host, w.Seed+uint64(n.n))
	if err != nil {
		return nil, err
	}
	n.net = proxy
	w.later(func() { _ = proxy.Close() })
	n.opts = counterfoil.Options{Issuer: w.url, Audience: w.audience(), Bound: w.Bound, InsecureCookies: true, Logger: quiet}
	w.later(n.stop)
	return n, nil
}

func (w *world) audience() string {
	if w.Deployment != nil && w.Deployment.Audience != "" {
		return w.Deployment.Audience
	}
	return w.url
}

// signOut ends the remaining sessions that the scenario made in a deployment.
func (w *world) signOut(ctx context.Context) {
	for _, subject := range w.signedIn() {
		if _, err := w.revoke(ctx, "subject", subject, false); err != nil {
			w.problem("sign out: %v", err)
			return
		}
	}
}

// startNodes starts n verifiers.
func (w *world) startNodes(ctx context.Context, n int) ([]*node, error) {
	nodes := make([]*node, n)
	for i := range nodes {
		var err error
		if nodes[i], err = w.newNode(); err == nil {
			err = nodes[i].start(ctx)
		}
		if err != nil {
			return nil, err
		}
	}
	return nodes, nil
}

// start starts the verifier. It shares no state with an earlier verifier of this node.
func (n *node) start(ctx context.Context) error {
	via := n.w.direct.Clone()
	via.DialContext, via.Proxy, via.DisableCompression = n.net.Dial, nil, true
	transport := http.RoundTripper(keyed{n.w, via})
	if n.wrap != nil {
		transport = n.wrap(transport)
	}
	source, err := counterfoil.Remote(n.w.url, counterfoil.RemoteOptions{Credential: keyPlaceholder, Transport: transport})
	if err != nil {
		return err
	}
	v, err := n.w.newVerifier(ctx, source, n.opts)
	if err != nil {
		via.CloseIdleConnections()
		return err
	}
	n.swap.Lock()
	defer n.swap.Unlock()
	n.v, n.via = v, via
	return nil
}

// stop closes the verifier, as the end of its program would.
func (n *node) stop() {
	n.swap.Lock()
	defer n.swap.Unlock()
	if n.v == nil {
		return
	}
	n.v.Close()
	n.via.CloseIdleConnections()
	n.v, n.route = nil, nil
}

// real returns the verifier as a [counterfoil.Verifier]. It returns nil if another
// implementation is under test.
func (n *node) real() *counterfoil.Verifier {
	v, _ := n.v.(*counterfoil.Verifier)
	return v
}

// request returns a request of a client that has c.
func (c *credential) request() *http.Request {
	r := &http.Request{Method: http.MethodGet, URL: &url.URL{Path: "/"}, Header: make(http.Header)}
	if c.carrier.Transport == counterfoil.Cookie {
		r.Header["Cookie"] = []string{source.InsecureCookieName + "=" + c.value}
	} else {
		r.Header["Authorization"] = []string{"Bearer " + c.value}
	}
	return r
}

// ask sends c to the verifier and records the outcome. For a verifier that is down it records
// nothing.
func (n *node) ask(ctx context.Context, c *credential) (outcome, error) {
	n.swap.RLock()
	defer n.swap.RUnlock()
	if n.v == nil {
		return unknown, errDown
	}
	r := c.request().WithContext(ctx)
	var err error
	start := n.w.now()
	if n.route != nil {
		_, err = n.route.VerifyRequest(r)
	} else {
		_, err = n.v.VerifyRequest(r)
	}
	k := check{span: span{start, n.w.now()}, verifier: n.n, of: c, outcome: outcomeOf(err)}
	n.w.check(k)
	return k.outcome, err
}

var errDown = errors.New("this verifier is down")

func outcomeOf(err error) outcome {
	switch {
	case err == nil:
		return accepted
	case errors.Is(err, counterfoil.ErrExpired):
		return unknown // the credential has expired: that says nothing about a revocation
	case errors.Is(err, counterfoil.ErrInvalidToken):
		return refused
	}
	return unknown
}

// mustSay records a problem unless the verifier's outcome is want. On a busy machine a
// verifier can be stale for a while, which is no answer. Then mustSay asks again, unless the
// scenario already has a problem.
func (n *node) mustSay(ctx context.Context, c *credential, want outcome, when string) {
	got, err := n.ask(ctx, c)
	if got == unknown && want != unknown && n.w.fine() && n.until(ctx, c, want, 2*n.w.Bound+n.w.patience) {
		return
	}
	if got != want && ctx.Err() == nil {
		n.w.problem("verifier %d, %v credential, %s: %v (%v), want %v", n.n, c.carrier, when, got, err, want)
	}
}

func (o outcome) String() string {
	return [...]string{"nothing", "accepted", "refused", "stale"}[o]
}

// until asks again and again until the outcome is want, or d has passed. At first it asks
// often, because the resolution of the measured times depends on that.
func (n *node) until(ctx context.Context, c *credential, want outcome, d time.Duration) bool {
	begun := n.w.now()
	for ctx.Err() == nil {
		if got, _ := n.ask(ctx, c); got == want {
			return true
		}
		passed := n.w.now() - begun
		if passed > d {
			return false
		}
		pause(ctx, min(max(100*time.Microsecond, passed/20), n.w.Bound/50))
	}
	return false
}

// recovers ends a fault by repair, and records when. From then on the verifier must accept
// good again, a credential that is never revoked.
func (n *node) recovers(ctx context.Context, good *credential, repair func()) {
	repair()
	at := n.w.now()
	n.until(ctx, good, accepted, 3*n.w.Bound+n.w.patience)
	until := n.w.now()
	took, err := n.w.readLog(ctx)
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		n.w.problem("read the log from zero: %v", err)
	}
	n.w.heal(heal{n.n, at, until})
	n.w.mu.Lock()
	n.w.read = max(n.w.read, took)
	n.w.mu.Unlock()
}

// carriers has the four presets.
var carriers = []counterfoil.Carrier{
	counterfoil.CarrierCookie, counterfoil.CarrierBearer, counterfoil.CarrierJWTCookie, counterfoil.CarrierJWE,
}

// defaultClient is a client that every server has.
const defaultClient = "default"

// ownClient registers a client that a scenario can revoke. In a deployment it returns the
// default client.
func (w *world) ownClient(ctx context.Context) (string, error) {
	if w.server == nil {
		return defaultClient, nil
	}
	id := fmt.Sprintf("prove-%d", w.names.Add(1))
	return id, w.server.Issuer().Clients().Set(ctx, rights.Owner(), id, audit.Act{By: audit.ByLocal}, func(*clients.Client) {})
}

// one signs in a new subject, once by each carrier.
func (w *world) one(ctx context.Context, kind string) ([]*credential, error) {
	return w.oneOf(ctx, kind, defaultClient)
}

func (w *world) oneOf(ctx context.Context, kind, client string) ([]*credential, error) {
	var all []*credential
	subject := w.subject(kind)
	for _, carrier := range carriers {
		c, err := w.login(ctx, subject, client, carrier)
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	return all, nil
}

// present signs in a subject of each kind, by each carrier, and sends the credentials to the
// verifiers, which must accept them. In all scenarios the kind "gone" stands for credentials
// that the scenario revokes, and "steady" for credentials that it never revokes.
func (w *world) present(ctx context.Context, nodes []*node, kinds ...string) ([][]*credential, error) {
	var all [][]*credential
	for _, kind := range kinds {
		held, err := w.one(ctx, kind)
		if err != nil {
			return nil, err
		}
		for _, n := range nodes {
			for _, c := range held {
				n.mustSay(ctx, c, accepted, "just signed in")
			}
		}
		all = append(all, held)
	}
	return all, nil
}

// revokeSubject revokes the subject of held.
func (w *world) revokeSubject(ctx context.Context, held []*credential) error {
	_, err := w.revoke(ctx, "subject", held[0].subject, false)
	return err
}

// awaitRefusal sends each of held to every verifier until it refuses, for d at most.
func awaitRefusal(ctx context.Context, nodes []*node, held []*credential, d time.Duration) {
	var all sync.WaitGroup
	for _, n := range nodes {
		for _, c := range held {
			all.Go(func() { n.until(ctx, c, refused, d) })
		}
	}
	all.Wait()
}

// mustTurnStale sends c to the verifier again and again. From the time at on, and for d, the
// outcome must be unknown.
func (n *node) mustTurnStale(ctx context.Context, c *credential, at, d time.Duration, why string) {
	for ; ctx.Err() == nil && n.w.now() <= at; pause(ctx, n.w.Bound/50) {
		_, _ = n.ask(ctx, c)
	}
	for begun := n.w.now(); ctx.Err() == nil && n.w.now()-begun <= d; pause(ctx, n.w.Bound/50) {
		n.mustSay(ctx, c, unknown, why)
	}
}
