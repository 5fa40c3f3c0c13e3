package prove

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/internal/faultnet"
	"github.com/counterfoil/counterfoil/source"
)

// verifierStopped stops the process of a verifier for longer than D. When the process runs
// again, its first answer must already take that time into account.
func verifierStopped(ctx context.Context, w *world) error {
	n, err := w.newNode()
	if err != nil {
		return err
	}
	child, _, err := startChild(w.Child, childPlan{URL: w.url, Audience: w.audience(), Dial: n.net.Addr(), Key: *w.current.Load(), Bound: w.Bound})
	if err != nil {
		return err
	}
	n.v, n.via = childVerifier{child}, &http.Transport{}
	for range 2 {
		gone, err := w.one(ctx, "gone")
		if err != nil {
			return err
		}
		steady, err := w.one(ctx, "steady")
		if err != nil {
			return err
		}
		for _, c := range append(gone, steady...) {
			if !n.until(ctx, c, accepted, 2*w.Bound+w.patience) {
				w.problem("a %v credential is not accepted before the stop", c.carrier)
			}
		}
		if err := child.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
			return err
		}
		if _, err := w.revoke(ctx, "subject", gone[0].subject, false); err != nil {
			return err
		}
		pause(ctx, w.bound()+w.Bound/4)
		var all sync.WaitGroup
		for _, c := range gone { // sent while the process is stopped: it answers these first
			all.Go(func() { n.until(ctx, c, refused, 3*w.Bound) })
		}
		pause(ctx, w.Bound/20)
		n.recovers(ctx, steady[1], func() { err = child.cmd.Process.Signal(syscall.SIGCONT) })
		if err != nil {
			return err
		}
		all.Wait()
	}
	return nil
}

// clocks gives two verifiers clocks that run too fast and too slow, and two verifiers clocks
// that step. It cuts all of them off while sessions are revoked.
func clocks(ctx context.Context, w *world) error {
	var step atomic.Int64
	drifting, err := w.startClocks(ctx, rate(rho), rate(-rho))
	if err != nil {
		return err
	}
	stepping, err := w.startClocks(ctx,
		func() time.Time { return time.Now().Add(time.Duration(step.Load())) },
		func() time.Time { return time.Now().Add(-time.Duration(step.Load())) })
	if err != nil {
		return err
	}
	nodes := append(drifting, stepping...)
	for round := range 2 {
		// To a verifier whose clock is an hour ahead the credentials may have expired. So the
		// stepping verifiers need not accept them.
		held, err := w.present(ctx, drifting, "gone", "steady")
		if err != nil {
			return err
		}
		gone, steady := held[0], held[1]
		for _, n := range nodes {
			for _, c := range gone {
				_, _ = n.ask(ctx, c)
			}
			n.net.Set(faultnet.Fault{}, faultnet.Fault{Mode: faultnet.Lose})
		}
		if err := w.revokeSubject(ctx, gone); err != nil {
			return err
		}
		var all sync.WaitGroup
		all.Go(func() { awaitRefusal(ctx, nodes, gone, 3*w.Bound) })
		pause(ctx, w.Bound/2)
		step.Store(int64(time.Hour) * int64(1-round)) // while cut off: one hour ahead in the first round, back in the second
		pause(ctx, w.Bound)
		for _, n := range drifting {
			all.Go(func() { n.recovers(ctx, steady[1], n.net.Heal) })
		}
		for _, n := range stepping {
			n.net.Heal()
		}
		all.Wait()
	}
	return nil
}

// rate returns a clock that runs too fast by the fraction off; a negative off is too slow.
func rate(off float64) func() time.Time {
	begun := time.Now()
	return func() time.Time { return begun.Add(time.Duration(float64(time.Since(begun)) * (1 + off))) }
}

func (w *world) startClocks(ctx context.Context, clocks ...func() time.Time) ([]*node, error) {
	var nodes []*node
	for _, now := range clocks {
		n, err := w.newNode()
		if err != nil {
			return nil, err
		}
		n.opts.Now = now
		if err := n.start(ctx); err != nil {
			return nil, err
		}
		nodes = append(nodes, n)
	}
	return nodes, nil
}

// full follows a log with more entries than a verifier may keep.
func full(ctx context.Context, w *world) error {
	if err := w.serve(ctx); err != nil {
		return err
	}
	n, err := w.newNode()
	if err != nil {
		return err
	}
	n.opts.MaxEntries = 50
	if err := n.start(ctx); err != nil {
		return err
	}
	held, err := w.present(ctx, []*node{n}, "gone", "steady")
	if err != nil {
		return err
	}
	gone, steady := held[0], held[1]
	if err := w.revokeSubject(ctx, gone); err != nil {
		return err
	}
	awaitRefusal(ctx, []*node{n}, gone, 2*w.Bound)
	for i := range 200 {
		if _, err := w.server.Issuer().Revoke(ctx, source.ScopeToken, fmt.Sprintf("tok_full_%d", i), audit.Act{}); err != nil {
			return err
		}
	}
	n.mustTurnStale(ctx, steady[1], w.now()+w.bound()+w.heartbeat(), w.Bound/4, "too many entries for longer than D")
	for _, c := range gone {
		if got, _ := n.ask(ctx, c); got == accepted {
			w.problem("a revoked %v credential is accepted: the verifier dropped its entry", c.carrier)
		}
	}
	return nil
}

// flood revokes as fast as the server can, while one verifier has a very slow network.
func flood(ctx context.Context, w *world) error {
	if err := w.serve(ctx); err != nil {
		return err
	}
	nodes, err := w.startNodes(ctx, w.Verifiers+1)
	if err != nil {
		return err
	}
	steady, err := w.one(ctx, "steady")
	if err != nil {
		return err
	}
	slow := nodes[w.Verifiers]
	for _, n := range nodes {
		n.mustSay(ctx, steady[1], accepted, "just signed in")
	}
	slow.net.Set(faultnet.Fault{}, faultnet.Fault{Mode: faultnet.Trickle, Rate: 100})
	p := &pool{steady: steady}
	short, cancel := context.WithTimeout(ctx, max(3*w.Bound, w.Duration/4))
	defer cancel()
	var all sync.WaitGroup
	var took [16][]time.Duration
	begun := w.now()
	for worker := range took {
		all.Go(func() {
			for i := 0; short.Err() == nil; i++ {
				pause(short, begun+time.Duration(i)*time.Second*time.Duration(len(took))/time.Duration(w.Flood)-w.now())
				at := w.now()
				id := fmt.Sprintf("tok_flood_%d_%d", worker, i)
				if _, err := w.server.Issuer().Revoke(ctx, source.ScopeToken, id, audit.Act{}); err != nil {
					w.problem("revoke: %v", err)
					return
				}
				took[worker] = append(took[worker], w.now()-at)
			}
		})
	}
	all.Go(func() { w.revokeRepeatedly(short, p, nodes, 0) })
	all.Wait()
	p.asking.Wait()
	d := distribution(slices.Concat(took[:]...))
	w.note("%d revocations, %.0f/s, each p50 %v p99 %v", d.N, float64(d.N)/(w.now()-begun).Seconds(), round(d.P50), round(d.P99))
	read, err := w.readLog(ctx)
	if err != nil {
		return err
	}
	w.note("the log of %d entries is read from zero in %v", d.N, round(read))
	slow.mustSay(ctx, steady[1], unknown, "it could not receive the log")
	begun = w.now()
	slow.net.Heal()
	if !slow.until(ctx, steady[1], accepted, 5*w.Bound+w.patience) {
		w.problem("the slow verifier never came back")
	}
	w.note("the slow verifier was back %v after it could receive again", round(w.now()-begun))
	return nil
}

// policies checks a route of each stale policy while the verifiers cannot read the log.
func policies(ctx context.Context, w *world) error {
	reach := 2 * w.Bound // how long serve_stale serves after the bound
	var cut atomic.Bool
	nodes, err := w.startRoutes(ctx, &cut, reach, counterfoil.FailClosed(), counterfoil.Introspect(), counterfoil.ServeStale(reach))
	if err != nil {
		return err
	}
	closed, asking, serving := nodes[0], nodes[1], nodes[2]
	w.allow(serving, reach)
	held, err := w.present(ctx, nodes, "gone", "steady")
	if err != nil {
		return err
	}
	gone, steady := held[0], held[1]
	live, end := w.connect(ctx, closed, gone)
	defer end()
	cut.Store(true)
	at := w.now()
	if err := w.revokeSubject(ctx, gone); err != nil {
		return err
	}
	revoked := w.now()
	for ctx.Err() == nil && w.now() <= at+w.bound()+w.heartbeat() {
		for _, n := range nodes {
			for _, c := range append(gone, steady...) {
				_, _ = n.ask(ctx, c)
			}
		}
		pause(ctx, w.Bound/50)
	}
	for i, c := range steady {
		closed.mustSay(ctx, c, unknown, "fail_closed, without the log")
		asking.mustSay(ctx, c, accepted, "introspect, without the log")
		asking.mustSay(ctx, gone[i], refused, "introspect, without the log")
		serving.mustSay(ctx, c, accepted, "serve_stale, without the log")
	}
	w.mustHaveEnded(live, revoked)
	if s, err := serving.route.VerifyRequest(steady[1].request()); err == nil && !s.Stale {
		w.problem("serve_stale does not mark the session")
	}
	pause(ctx, at+w.bound()+reach+w.heartbeat()-w.now())
	serving.mustSay(ctx, steady[1], unknown, "serve_stale, beyond its cap")
	closed.recovers(ctx, steady[1], func() { cut.Store(false) })
	awaitRefusal(ctx, nodes, gone, 3*w.Bound+w.patience)
	return nil
}

// startRoutes starts a verifier for each policy, with one route. cut makes the log, and
// nothing else, unreachable for them.
func (w *world) startRoutes(ctx context.Context, cut *atomic.Bool, reach time.Duration, routes ...counterfoil.StalePolicy) ([]*node, error) {
	var nodes []*node
	for _, policy := range routes {
		n, err := w.newNode()
		if err != nil {
			return nil, err
		}
		n.opts.ServeStale = reach
		n.wrap = func(next http.RoundTripper) http.RoundTripper { return &withoutLog{next, cut} }
		if err := n.start(ctx); err != nil {
			return nil, err
		}
		v := n.real()
		if v == nil {
			return nil, errors.New("the verifier under test has no policies")
		}
		n.route = v.With(counterfoil.Route{Stale: policy})
		nodes = append(nodes, n)
	}
	return nodes, nil
}

// mustHaveEnded checks that the live connections ended within the bound.
func (w *world) mustHaveEnded(live []chan time.Duration, revoked time.Duration) {
	for _, ended := range live {
		select {
		case at := <-ended:
			if at > revoked+w.bound()+w.patience {
				w.problem("a live connection went on for %v after its session was revoked", at-revoked)
			}
		default:
			w.problem("a live connection goes on beyond D")
		}
	}
}

// allow adds extra to the bound of a verifier whose route serves stale.
func (w *world) allow(n *node, extra time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.extra == nil {
		w.extra = make(map[int]time.Duration)
	}
	w.extra[n.n] = extra
}

// connect opens a live connection for each credential. It returns a channel for each, which
// gets the time when the connection ended.
func (w *world) connect(ctx context.Context, n *node, all []*credential) (ended []chan time.Duration, end func()) {
	var stops []func()
	for _, c := range all {
		s, err := n.route.VerifyRequest(c.request())
		if err != nil {
			w.problem("%v credential: %v", c.carrier, err)
			continue
		}
		live, stop := n.real().Watch(ctx, s)
		over := make(chan time.Duration, 1)
		context.AfterFunc(live, func() { over <- w.now() })
		ended, stops = append(ended, over), append(stops, stop)
	}
	return ended, func() {
		for _, stop := range stops {
			stop()
		}
	}
}

// withoutLog passes every request on, except requests for the log while cut is true.
type withoutLog struct {
	next http.RoundTripper
	cut  *atomic.Bool
}

// RoundTrip implements [http.RoundTripper].
func (t *withoutLog) RoundTrip(r *http.Request) (*http.Response, error) {
	if t.cut.Load() && strings.HasSuffix(r.URL.Path, "/v1/log") {
		return nil, errDown
	}
	return t.next.RoundTrip(r)
}

// coldStart starts a verifier that cannot read the log, which must fail. Then it restarts a
// verifier that has refused credentials, which must refuse them again.
func coldStart(ctx context.Context, w *world) error {
	gone, err := w.one(ctx, "gone")
	if err != nil {
		return err
	}
	steady, err := w.one(ctx, "steady")
	if err != nil {
		return err
	}
	n, err := w.newNode()
	if err != nil {
		return err
	}
	n.net.Set(faultnet.Fault{}, faultnet.Fault{Mode: faultnet.Lose})
	short, cancel := context.WithTimeout(ctx, w.Bound/2)
	defer cancel()
	if err := n.start(short); err == nil {
		w.problem("a verifier started without the log")
	}
	n.net.Reset()
	n.net.Heal()
	for round := range 3 {
		n.restart(ctx)
		for _, c := range steady {
			n.mustSay(ctx, c, accepted, "right after the start")
		}
		for _, c := range gone {
			if round == 0 {
				n.mustSay(ctx, c, accepted, "right after the start")
			} else {
				n.mustSay(ctx, c, refused, "revoked before the start")
			}
		}
		if round > 0 {
			continue
		}
		if _, err := w.revoke(ctx, "subject", gone[0].subject, false); err != nil {
			return err
		}
		for _, c := range gone {
			n.until(ctx, c, refused, 2*w.Bound)
		}
	}
	return n.startsFirst(ctx, steady, gone)
}

// startsFirst starts the verifier while it cannot hear the server. It answers nothing until it has read the log.
// gone were revoked.
func (n *node) startsFirst(ctx context.Context, steady, gone []*credential) error {
	if n.real() == nil {
		return nil // it has no such option
	}
	n.stop()
	n.opts.StartStale = true
	n.net.Set(faultnet.Fault{}, faultnet.Fault{Mode: faultnet.Lose})
	short, cancel := context.WithTimeout(ctx, n.w.Bound/2)
	defer cancel()
	if err := n.start(short); err != nil {
		return err
	}
	for _, c := range slices.Concat(steady, gone) {
		n.mustSay(ctx, c, unknown, "before the log is read")
	}
	n.recovers(ctx, steady[1], n.net.Heal)
	for _, c := range steady {
		n.mustSay(ctx, c, accepted, "after the log is read")
	}
	for _, c := range gone {
		n.mustSay(ctx, c, refused, "revoked before the start")
	}
	return nil
}

// wirePage is the JSON of a page of the log.
type wirePage struct {
	After   string            `json:"after"`
	Upto    string            `json:"upto"`
	Head    string            `json:"head"`
	Proof   string            `json:"proof"`
	Time    json.RawMessage   `json:"time"`
	Entries []json.RawMessage `json:"entries"`
}

// corruptions are the ways in which a broken relay changes every other page. The server could
// have sent none of the results. Two of them have the same meaning as the page: "each entry
// twice" and "backwards".
var corruptions = []struct {
	name    string
	corrupt func(p, before *wirePage) []byte
}{
	{"gap", func(p, _ *wirePage) []byte { p.After, p.Entries = p.Upto, nil; return encode(p) }},
	{"forged after", func(p, _ *wirePage) []byte { p.After = p.Upto[:17] + "9007199254740991"; return encode(p) }},
	{"other epoch in after", func(p, _ *wirePage) []byte { p.After = "0123456789abcdef.0"; return encode(p) }},
	{"an older page", func(_, before *wirePage) []byte { return encode(before) }},
	{"each entry twice", func(p, _ *wirePage) []byte { p.Entries = append(p.Entries, p.Entries...); return encode(p) }},
	{"backwards", func(p, _ *wirePage) []byte { slices.Reverse(p.Entries); return encode(p) }},
	{"half a page", func(p, _ *wirePage) []byte { whole := encode(p); return whole[:len(whole)/2] }},
	{"no entries member", func(p, _ *wirePage) []byte {
		return []byte(`{"after":"` + p.After + `","upto":"` + p.Upto + `","head":"` + p.Head + `"}`)
	}},
	{"not a page", func(_, _ *wirePage) []byte { return []byte("<html>please sign in to the network</html>") }},
}

func encode(p *wirePage) []byte {
	if p.Entries == nil {
		p.Entries = []json.RawMessage{}
	}
	data, err := json.Marshal(p)
	if err != nil {
		return nil // a page that was read can be written
	}
	return data
}

// badPages makes each verifier follow through a relay with one of the corruptions.
func badPages(ctx context.Context, w *world) error {
	nodes := make([]*node, len(corruptions))
	for i := range corruptions {
		var err error
		if nodes[i], err = w.newNode(); err != nil {
			return err
		}
		nodes[i].wrap = func(next http.RoundTripper) http.RoundTripper {
			return &badRelay{next: next, corrupt: corruptions[i].corrupt}
		}
		if err := nodes[i].start(ctx); err != nil {
			return err
		}
	}
	p := &pool{}
	var err error
	if p.steady, err = w.one(ctx, "steady"); err != nil {
		return err
	}
	short, cancel := context.WithTimeout(ctx, 3*w.Bound)
	defer cancel()
	var all sync.WaitGroup
	for n := range 2 {
		all.Go(func() { w.revokeRepeatedly(short, p, nodes, n) })
	}
	all.Go(func() { w.askRandomly(short, p, nodes) })
	all.Wait()
	p.asking.Wait()
	for i, n := range nodes {
		if v := n.real(); v != nil && i < 4 && v.Status().Gaps == 0 {
			w.problem("%s: the verifier noticed nothing", corruptions[i].name)
		}
		if !n.until(ctx, p.good(), accepted, 5*w.Bound+w.patience) {
			w.problem("%s: the verifier never accepts again", corruptions[i].name)
		}
	}
	return nil
}

// badRelay corrupts every other page after the first.
type badRelay struct {
	next    http.RoundTripper
	corrupt func(p, before *wirePage) []byte

	mu     sync.Mutex // guards the fields below
	pages  int
	before wirePage // the last page that was passed on unchanged
}

// RoundTrip implements [http.RoundTripper].
func (l *badRelay) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := l.next.RoundTrip(r)
	if err != nil || !strings.HasSuffix(r.URL.Path, "/v1/log") || res.StatusCode != http.StatusOK {
		return res, err
	}
	res.Header.Del("Content-Length")
	if res.Header.Get("Content-Type") == "application/json-seq" {
		body, out := io.Pipe()
		go l.relay(res.Body, out)
		res.Body, res.ContentLength = body, -1
		return res, nil
	}
	body, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if err == nil {
		body, err = l.pass(body)
	}
	if err != nil {
		return nil, err
	}
	res.Body, res.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return res, nil
}

// relay passes on one page after the other, each as soon as it arrives, until either side
// closes the connection.
func (l *badRelay) relay(from io.ReadCloser, to *io.PipeWriter) {
	defer from.Close()
	for records := bufio.NewReader(from); ; {
		record, err := records.ReadBytes('\n')
		if err == nil {
			record, err = l.pass(bytes.Trim(record, "\x1e\n"))
		}
		if err == nil {
			_, err = to.Write(slices.Concat([]byte{0x1e}, record, []byte{'\n'}))
		}
		if err != nil {
			to.CloseWithError(err)
			return
		}
	}
}

// pass returns the page, unchanged or corrupted.
func (l *badRelay) pass(page []byte) ([]byte, error) {
	var p wirePage
	if err := json.Unmarshal(page, &p); err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	before := l.before
	if l.pages++; l.pages > 1 && l.pages%2 == 0 && before.Upto != p.Upto {
		return l.corrupt(&p, &before), nil
	}
	l.before = p
	return page, nil
}
