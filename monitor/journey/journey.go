// Package journey is the check of a monitor that signs in, and sees the session end. Give [Probe] to
// a monitor, for checks of the kind journey.
//
// One run does this, for each carrier of the check at the same time:
//
//  1. It calls each target without a credential. A target that lets it in checks nothing.
//  2. It signs in as the user of the check, and calls each target: it must be let in.
//  3. It refreshes the session, if the carrier has something to refresh, and calls each target again.
//  4. It ends the session, and calls each target until that refuses.
//
// A target keeps its promise if it lets nobody in by a request that was sent later than
// D(1+rho) after the auth server said that the session has ended (docs/revocation.md, P1). Only such a
// request, which was let in, is a breach: a slow network makes none. An answer that is neither, such as
// 503, is no refusal.
//
// The package uses the public API of the auth server, and knows nothing else of it. Whatever fails, it
// ends the session that it has begun.
package journey

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/counterfoil/counterfoil/internal/api"
	"github.com/counterfoil/counterfoil/monitor"
)

const (
	agent = "counterfoil-monitor"

	rho       = 1e-3 // how wrong the rate of a clock may be
	pollEvery = 20 * time.Millisecond
	enough    = 5               // refusals in a row: of several nodes behind a target, more than one has been asked
	unsureFor = 2 * time.Second // after the bound, until a target that neither accepts nor refuses is given up

	callWithin   = 5 * time.Second
	logoutWithin = 10 * time.Second
)

// Probe returns what makes the runs of journeys, for monitor.Options.Probes. Dial connects to the auth server and
// to the targets.
func Probe(dial func(ctx context.Context, network, address string) (net.Conn, error)) func(*monitor.Check) (monitor.Probe, error) {
	return func(c *monitor.Check) (monitor.Probe, error) {
		issuer, err := url.Parse(c.Target)
		if err != nil {
			return nil, err
		}
		j := &journey{check: c, dial: dial, issuer: strings.TrimSuffix(c.Target, "/"), origin: issuer.Scheme + "://" + issuer.Host}
		return j.run, nil
	}
}

// journey is one check.
type journey struct {
	check  *monitor.Check
	dial   func(ctx context.Context, network, address string) (net.Conn, error)
	issuer string
	origin string // of the issuer

	mu     sync.Mutex // held during a login: guards device
	device string     // so that strangers who guess at the account do not make the next login wait
}

// finding is what one carrier has shown of one target, or of the auth server if target is empty.
type finding struct {
	carrier, target string
	reason          monitor.Reason
	failure         string
	critical        bool
	refusal         *monitor.Refusal
}

// run is a monitor.Probe.
func (j *journey) run(ctx context.Context) monitor.Result {
	transport := j.transport()
	defer transport.CloseIdleConnections()
	all := j.withoutCredential(ctx, transport)
	open := map[string]bool{} // targets of which more need not be known
	for _, f := range all {
		open[f.target] = true
	}
	var mu sync.Mutex // guards all
	var legs sync.WaitGroup
	for _, carrier := range j.check.Sign.Carriers {
		legs.Go(func() {
			found := j.leg(ctx, carrier, open)
			mu.Lock()
			defer mu.Unlock()
			all = append(all, found...)
		})
	}
	legs.Wait()
	return j.result(all)
}

// transport is for one run and one carrier: connections are kept within it.
func (j *journey) transport() *http.Transport {
	return &http.Transport{DialContext: j.dial, DisableCompression: true, MaxResponseHeaderBytes: 64 << 10, MaxIdleConnsPerHost: 8, TLSHandshakeTimeout: callWithin}
}

// withoutCredential looks whether each target refuses a request that carries nothing.
func (j *journey) withoutCredential(ctx context.Context, transport *http.Transport) (all []finding) {
	for i, answer := range j.callAll(ctx, transport, nil) {
		t := j.check.Sign.Targets[i]
		switch {
		case answer.accepted():
			all = append(all, finding{target: t.Name, reason: monitor.Unchecked, critical: true, failure: fmt.Sprintf("it answers %d to a request without a credential: it checks nothing", answer.status)})
		case answer.err != nil:
			all = append(all, finding{target: t.Name, reason: monitor.Unreachable, failure: answer.String()})
		}
	}
	return all
}

// result is what the findings say of the check.
func (j *journey) result(all []finding) monitor.Result {
	r := monitor.Result{OK: true}
	order := append([]string{""}, j.check.Sign.Carriers...)
	slices.SortStableFunc(all, func(a, b finding) int { return slices.Index(order, a.carrier) - slices.Index(order, b.carrier) })
	var texts []string
	for _, f := range all {
		if f.refusal != nil {
			r.Refusals = append(r.Refusals, *f.refusal)
		}
		if f.failure == "" {
			continue
		}
		if r.OK || f.critical && !r.Critical {
			r.Reason = f.reason
		}
		r.OK, r.Critical = false, r.Critical || f.critical
		text := strings.TrimSpace(f.carrier + " " + f.target)
		texts = append(texts, strings.TrimPrefix(text+": "+f.failure, ": "))
	}
	r.Failure = strings.Join(texts, "; ")
	return r
}

// login is a session by one carrier.
type login struct {
	api.Client
	browser *browser
	body    api.Refresh[string]
	nothing bool // there is nothing to refresh
}

// leg is the whole way by one carrier, to the targets that are not left out.
func (j *journey) leg(ctx context.Context, carrier string, without map[string]bool) (all []finding) {
	transport := j.transport()
	defer transport.CloseIdleConnections()
	failed := func(target string, reason monitor.Reason, format string, args ...any) {
		all = append(all, finding{carrier: carrier, target: target, reason: reason, failure: fmt.Sprintf(format, args...)})
	}
	s, err := j.signIn(ctx, transport, carrier)
	if err != nil {
		failed("", monitor.BadSignIn, "login: %v", err)
		return all
	}
	ended := false
	defer func() {
		if !ended {
			if err := j.signOut(ctx, s); err != nil {
				failed("", monitor.BadSignIn, "the session of this run could not be ended: %v", err)
			}
		}
	}()
	let := map[string]bool{} // targets that let the session in
	first := s.credential()
	for i, answer := range j.callAll(ctx, transport, first) {
		name := j.check.Sign.Targets[i].Name
		if let[name] = answer.accepted() && !without[name]; !let[name] && !without[name] {
			failed(name, monitor.Unsure, "after the login: %v, want 200 to 299", answer)
		}
	}
	if !s.nothing {
		if err := s.refresh(ctx); err != nil {
			failed("", monitor.BadSignIn, "refresh: %v", err)
			return all
		}
		for i, answer := range j.callAll(ctx, transport, s.credential()) {
			if name := j.check.Sign.Targets[i].Name; let[name] && !answer.accepted() {
				let[name] = false
				failed(name, monitor.Unsure, "after the refresh: %v, want 200 to 299", answer)
			}
		}
	}
	copies := []http.Header{s.credential(), first}
	if err := s.Logout(ctx); err != nil {
		failed("", monitor.BadSignIn, "logout: %v", err)
		return all // whether the session has ended is not known
	}
	ended = true
	return append(all, j.watchAll(ctx, transport, carrier, let, copies, time.Now())...)
}

// callAll calls all targets at once, and returns their answers in the order of the targets.
func (j *journey) callAll(ctx context.Context, transport *http.Transport, credential http.Header) []answer {
	answers := make([]answer, len(j.check.Sign.Targets))
	var calls sync.WaitGroup
	for i, t := range j.check.Sign.Targets {
		calls.Go(func() { answers[i] = call(ctx, transport, t.URL, credential) })
	}
	calls.Wait()
	return answers
}

// watchAll watches the targets until each refuses.
func (j *journey) watchAll(ctx context.Context, transport *http.Transport, carrier string, let map[string]bool, copies []http.Header, since time.Time) (all []finding) {
	found := make([]finding, len(j.check.Sign.Targets))
	var watches sync.WaitGroup
	for i, t := range j.check.Sign.Targets {
		if let[t.Name] {
			watches.Go(func() {
				found[i] = j.watch(ctx, transport, t, copies, since)
				found[i].carrier, found[i].target = carrier, t.Name
				if r := found[i].refusal; r != nil {
					r.Carrier, r.Target = carrier, t.Name
				}
			})
		}
	}
	watches.Wait()
	for _, f := range found {
		if f.target != "" {
			all = append(all, f)
		}
	}
	return all
}

// limitOf is D(1+rho): what a clock that is too slow by rho takes for a bound.
func limitOf(bound time.Duration) time.Duration { return bound + time.Duration(float64(bound)*rho) }

// watch calls a target with the copies of a session that ended before since, until it refuses or has broken
// its promise.
func (j *journey) watch(ctx context.Context, transport *http.Transport, t monitor.Target, copies []http.Header, since time.Time) finding {
	bound := j.check.Sign.Bound
	if t.Bound > 0 {
		bound = t.Bound
	}
	limit := limitOf(bound)
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	var last answer
	refused, after := 0, time.Duration(0)
	for n := 0; ctx.Err() == nil; n++ {
		sent := time.Since(since)
		copied := copies[0]
		if refused == enough-1 {
			copied = copies[len(copies)-1] // the copy of before the refresh has ended as well
		}
		last = call(ctx, transport, t.URL, copied)
		switch {
		case last.refused():
			if refused == 0 {
				after = time.Since(since)
			}
			if refused++; refused == enough {
				return finding{refusal: &monitor.Refusal{After: after, Refused: true}}
			}
		case last.accepted() && sent > limit:
			return finding{
				reason: monitor.NotRefused, critical: true, refusal: &monitor.Refusal{After: sent},
				failure: fmt.Sprintf("a session is accepted %v after it has ended: want %v", sent.Round(time.Millisecond), bound),
			}
		case last.accepted():
			refused = 0
		case sent > limit+unsureFor:
			return finding{reason: monitor.Unsure, refusal: &monitor.Refusal{After: sent}, failure: fmt.Sprintf("%v is no refusal, %v after the session has ended", last, sent.Round(time.Millisecond))}
		default:
			refused = 0
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
	return finding{reason: monitor.TimedOut, failure: fmt.Sprintf("the time was over before it refused: %v", last)}
}
