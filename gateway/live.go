package gateway

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/internal/refusal"
)

// Why something was ended that outlives the check of its request, as Options.Opened and Options.Cut say it.
const (
	byRevocation = "revoked"
	byExpiry     = "expired"
	byClaims     = "stale_claims"
	byStale      = "stale"
	byStop       = "stopping"
)

// wordOf returns the word for what [counterfoil.Verifier.Watch] says.
func wordOf(cause error) string {
	for _, c := range []struct {
		is   error
		word string
	}{{counterfoil.ErrRevoked, byRevocation}, {counterfoil.ErrExpired, byExpiry}, {counterfoil.ErrStaleClaims, byClaims}, {counterfoil.ErrStale, byStale}, {counterfoil.ErrUnavailable, byStale}} {
		if errors.Is(cause, c.is) {
			return c.word
		}
	}
	return byRevocation
}

// live follows a session for a request, or for a WebSocket.
//
// A copy of an opaque session ends long before the session does. Then the credential is checked
// anew, as with the next request. A token is its own end: nothing more is known of its session.
//
// While the knowledge of the verifier is stale, the policy of the route decides, as it does for a
// check: it goes on, for some time or not at all.
type live struct {
	verifier *counterfoil.Verifier
	check    func() (*counterfoil.Session, error) // the credential anew
	policy   policy
	begun    time.Time

	mu      sync.Mutex // guards the fields below
	session *counterfoil.Session
	end     func(error) // what is done when the session has ended; nil: it was done, or nobody wants it any more
	stop    func()      // of the watch, or of the timer
	doubted time.Time   // since when nobody can say whether it has ended; zero: it is known
}

// policy is the stale policy of a route, for what outlives a check.
type policy struct {
	bound  time.Duration // of the verifier
	beyond time.Duration // serve_stale goes on for so long
	asks   bool          // introspect: the check has asked the auth server, so it holds for the bound
}

func policyOf(p counterfoil.StalePolicy, s counterfoil.Status) policy {
	asks, beyond := p == counterfoil.Introspect(), p.Beyond()
	if p == (counterfoil.StalePolicy{}) {
		if asks = s.Policy == counterfoil.Introspect().String(); !asks && s.Policy != counterfoil.FailClosed().String() {
			beyond = s.ServeStale
		}
	}
	return policy{s.Bound, beyond, asks}
}

// settle is how long a request may take before its session is followed: most are over by then, and
// cost no more than a timer. One that was revoked meanwhile ends then.
const settle = 20 * time.Millisecond

// follow calls end once, when the session has ended, and holds a lock meanwhile. After release
// it does not. It begins after a while.
func (g *Gateway) follow(r *route, s *counterfoil.Session, check func() (*counterfoil.Session, error), end func(cause error)) *live {
	l := &live{verifier: g.opts.Verifier, check: check, policy: r.policy, begun: time.Now(), session: s, end: end}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.later(settle, l.watch)
	return l
}

// release ends it. When it has returned, end is not called any more.
func (l *live) release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.end = nil
	l.stop()
}

// watch begins to follow, or does so again. The caller holds mu.
func (l *live) watch() {
	ctx, stop := l.verifier.Watch(context.Background(), l.session)
	l.stop = stop
	if ctx.Err() == nil {
		l.doubted = time.Time{}
	}
	context.AfterFunc(ctx, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.end == nil {
			return
		}
		l.stop()
		switch cause := context.Cause(ctx); {
		case errors.Is(cause, counterfoil.ErrExpired) && l.session.Carrier.Format == counterfoil.Opaque:
			l.renew()
		case errors.Is(cause, counterfoil.ErrStale) && l.goesOn():
			l.later(again(), l.watch)
		default:
			l.over(cause)
		}
	})
}

// renew checks the credential anew. The caller holds mu.
func (l *live) renew() {
	l.mu.Unlock() // the auth server is asked
	s, err := l.check()
	l.mu.Lock()
	switch {
	case l.end == nil:
	case err == nil && s.Expires.After(l.session.Expires):
		l.session = s
		l.watch()
	case err == nil:
		l.over(counterfoil.ErrExpired)
	case (errors.Is(err, counterfoil.ErrUnavailable) || errors.Is(err, counterfoil.ErrStale)) && l.since() < l.policy.bound:
		l.later(again(), l.renew)
	default:
		l.over(err)
	}
}

// over says that the session has ended. The caller holds mu.
func (l *live) over(cause error) {
	l.end(cause)
	l.end = nil
}

// later calls do, with mu held, unless released before. The caller holds mu.
func (l *live) later(wait time.Duration, do func()) {
	timer := time.AfterFunc(wait, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.end != nil {
			do()
		}
	})
	l.stop = func() { timer.Stop() }
}

// again is how long it takes to look again at what nobody can say: not the same for all.
func again() time.Duration { return 250*time.Millisecond + rand.N(250*time.Millisecond) }

// goesOn reports whether the policy lets stale knowledge pass. The caller holds mu.
func (l *live) goesOn() bool {
	if l.policy.asks {
		return time.Since(l.begun) < l.policy.bound
	}
	return l.since() < l.policy.beyond && l.verifier.Staleness() < l.policy.bound+l.policy.beyond
}

// since is for how long it has not been known whether the session has ended. The caller holds mu.
func (l *live) since() time.Duration {
	if l.doubted.IsZero() {
		l.doubted = time.Now()
	}
	return time.Since(l.doubted)
}

// lastWords is how long the answer of a request whose session has ended may still be written. The
// client may have stopped to read.
const lastWords = 100 * time.Millisecond

// endWith has a request end with the session of p (GW-13): its context ends, so the request to the
// upstream does, and what is copied to the visitor. It returns that context, and what is called when the
// request has been served.
func (g *Gateway) endWith(p *passage, w http.ResponseWriter, r *http.Request) (_ context.Context, served func()) {
	if p.session == nil {
		return r.Context(), func() {}
	}
	ctx, cancel := context.WithCancelCause(r.Context())
	check := func() (*counterfoil.Session, error) { return p.route.guard.VerifyRequest(r) }
	p.live = g.follow(p.route, p.session, check, func(cause error) {
		cancel(&endedError{cause})
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(lastWords))
	})
	return ctx, func() {
		p.live.release()
		if ended := endOf(ctx); ended != nil {
			_ = http.NewResponseController(w).SetWriteDeadline(time.Time{}) // for the next request
			g.opts.Cut(w, p.route.name(), wordOf(ended))
		}
		cancel(nil)
	}
}

// endedError is the cause of a context that ended with a session.
type endedError struct{ cause error }

func (e *endedError) Error() string { return "the session has ended: " + e.cause.Error() }
func (e *endedError) Unwrap() error { return e.cause }

// endOf returns why the session of a request has ended, or nil.
func endOf(ctx context.Context) error {
	if e, is := errors.AsType[*endedError](context.Cause(ctx)); is {
		return e.cause
	}
	return nil
}

// refuseEnded answers a request whose session has ended before the upstream has answered.
func refuseEnded(w http.ResponseWriter, r *http.Request, p *passage, cause error) {
	refusal.For(cause, p.session.Carrier.Transport == counterfoil.Cookie).ServeHTTP(w, r)
}
