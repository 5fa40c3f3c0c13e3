// Package gateway checks requests for services that cannot check them. It decides by routes:
// who may ask for what. A verifier resolves the credential, and the upstream is told who the
// caller is.
//
// Begin with [New]. [Gateway.AuthRequest], [Gateway.ForwardAuth] and [Gateway.ExtAuthz] answer
// the questions of a proxy that stands in front of the services: 200 with headers that name
// the caller, or a refusal. A gateway follows the revocation log by its verifier, so an answer
// costs no question to the auth server, and a revoked session is refused within the verifier's
// bound. It keeps no answer.
//
// The package has a verifier and can reach no store.
package gateway

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/internal/forwarded"
	"github.com/counterfoil/counterfoil/internal/refusal"
	"github.com/counterfoil/counterfoil/internal/request"
	"github.com/counterfoil/counterfoil/internal/resource"
	"github.com/counterfoil/counterfoil/internal/urls"
)

// Options of New.
type Options struct {
	Verifier *counterfoil.Verifier // required
	Routes   []Route               // at least one; what no route allows is refused (GW-10)

	// TrustedProxies are the networks of the proxies that may ask, and whose headers say what
	// was asked for. Nil trusts nobody, and then every question is refused (GW-05).
	TrustedProxies []netip.Prefix

	// Peer returns the address of the other end of the connection of a question. Nil: that in
	// its RemoteAddr, which is right unless something in front of the gateway has changed it.
	Peer func(r *http.Request) netip.Addr

	// SignIn is the URL of the page on which people sign in, and prove again who they are. It
	// gets return_to, max_age (seconds) where a route demands a fresh login, and Client as client.
	// The client must list the origins of the routes. Empty: a person gets the answer of a
	// program, which is 401.
	SignIn, Client string

	// Exchange gets the tokens for the upstreams of routes with BFF. Nil: there are no such routes.
	Exchange Exchange

	// Handover gives hosts other than that of SignIn cookies of their own. Nil: people are signed
	// in at services on the host of that page alone, and get 401 elsewhere.
	Handover *Handover

	// AssertionKeys returns the keys that sign what an upstream is told of the caller, and nil
	// while there is none: then the header is empty. It must be quick. Nil: there is never one.
	AssertionKeys func() *AssertionKeys

	// Decided is called for each answer, for metrics: with the route that decided, which is
	// empty if none did, with "allowed" or the type of the refusal, and with the time that it
	// took. Nil: nobody is told.
	Decided func(route, verdict string, took time.Duration)

	Now func() time.Time // nil: time.Now

	// Opened is called when a WebSocket has been opened through [Gateway.Proxy], and what it returns when
	// that has ended, with who or what ended it: "client", "upstream", "revoked", "expired",
	// "stale_claims", "stale", "idle" or "stopping". The handler has returned by then. Nil: nobody is told.
	Opened func(w http.ResponseWriter, route string) (ended func(by string))

	// Cut is called when another answer was cut because the session had ended, with the reason: one
	// of the same words. Nil: nobody is told.
	Cut func(w http.ResponseWriter, route, by string)

	Logger *slog.Logger // of failures of upstreams; nil: nobody is told
}

// Gateway decides about requests. It is safe for concurrent use.
type Gateway struct {
	routes   atomic.Pointer[table]
	opts     Options
	pageHost string        // where a sign-in leaves its cookie, without the port; empty: there is no page
	bound    time.Duration // of the verifier
	issuer   string        // whose sessions are accepted
	turn     atomic.Uint64 // of the upstreams
	sockets  sockets

	upstreams *upstreams
	exchanges exchanges
	codes     codes
}

// New returns a gateway, or says which route or option is wrong.
func New(o Options) (*Gateway, error) {
	if o.Verifier == nil {
		return nil, errors.New("gateway: Options.Verifier is required")
	}
	pageHost, err := o.pageHost()
	if err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	if o.Peer == nil {
		o.Peer = func(r *http.Request) netip.Addr { return forwarded.Peer(r.RemoteAddr) }
	}
	if o.Decided == nil {
		o.Decided = func(string, string, time.Duration) {}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Opened == nil {
		o.Opened = func(http.ResponseWriter, string) func(string) { return func(string) {} }
	}
	if o.Cut == nil {
		o.Cut = func(http.ResponseWriter, string, string) {}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	follows := o.Verifier.Status()
	g := &Gateway{opts: o, pageHost: pageHost, bound: follows.Bound, issuer: follows.Issuer, upstreams: newUpstreams(), codes: newCodes()}
	if err := g.SetRoutes(o.Routes); err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	return g, nil
}

// SetRoutes puts routes in the place of those before. If it returns an error, they stay. A request
// that was let pass goes on by the old ones, and connections to upstreams that are still named are kept.
func (g *Gateway) SetRoutes(routes []Route) error {
	t, err := newTable(routes)
	if err != nil {
		return err
	}
	if longest, allowed := LongestStale(routes), g.opts.Verifier.Status().ServeStale; longest > allowed {
		return fmt.Errorf("a route may be served on stale knowledge for %v, and the verifier was made for %v at most: start the gateway anew", longest, allowed)
	}
	t.guard(g.opts.Verifier)
	if err := g.exchanges.connect(t, &g.opts); err != nil { // before what is in use is touched
		return err
	}
	if err := g.upstreams.connect(t); err != nil {
		return err
	}
	g.routes.Store(&t)
	return nil
}

// pageHost returns the host, without the port, at which a sign-in leaves its cookie: that of the
// auth server. Empty: people cannot sign in.
func (o *Options) pageHost() (string, error) {
	if o.SignIn == "" {
		if o.Handover != nil {
			return "", errors.New("Options.Handover needs Options.SignIn")
		}
		return "", nil
	}
	page, err := urls.Issuer(o.SignIn)
	if err != nil {
		return "", fmt.Errorf("Options.SignIn: %w", err)
	}
	if o.Handover != nil {
		if page, err = urls.Issuer(o.Handover.Page); err != nil {
			return "", fmt.Errorf("Options.Handover.Page: %w", err)
		}
	}
	return page.Hostname(), nil
}

// verdict is what a gateway says of a request.
type verdict struct {
	route   *route               // that the request was held against; nil: none
	session *counterfoil.Session // who asks; nil on a route for everybody
	refused *refusal.Problem     // nil: the request may pass
	page    string               // where a person is sent instead of being refused; empty: nowhere

	begun     time.Time     // before the session was judged
	staleness time.Duration // of the verifier, at that time
}

func refuse(r *route, p *refusal.Problem) verdict { return verdict{route: r, refused: p} }

// decide holds a request against the routes. What it says rests on q alone, and on the
// credential that r carries.
func (g *Gateway) decide(r *http.Request, q *question) verdict {
	t := target{}
	if err := t.parse(q); err != nil {
		return refuse(nil, err)
	}
	at, err := g.routes.Load().find(&t, q.method)
	if err != nil {
		return refuse(at, err)
	}
	if at.tokens != nil && !q.direct {
		return refuse(at, errNoRoute) // a proxy that asks gives the service no token
	}
	if at.Anonymous {
		return verdict{route: at}
	}
	begun, staleness := g.opts.Now(), g.opts.Verifier.Staleness()
	session, failed := at.guard.VerifyRequest(q.shell(r))
	if failed == nil {
		return verdict{route: at, session: session, begun: begun, staleness: staleness}
	}
	if strings.HasPrefix(t.path, HandoverPrefix) && g.opts.Handover != nil {
		return refuse(at, errNotPassedOn) // or a person who is sent there would be sent again
	}
	v := refuse(at, refusal.For(failed, at.Transport == counterfoil.Cookie).At(resource.MetadataURL(t.resource())))
	if navigation(r, q.method) && at.signsIn(g) {
		v.page = g.page(&t, at, failed)
	}
	return v
}

// page returns the URL to which a person is sent who was refused with err at a route: with another
// login it would not have been.
func (g *Gateway) page(t *target, at *route, err error) string {
	query := url.Values{}
	again := (*refusal.StepUpError)(nil)
	switch {
	case errors.As(err, &again):
		if again.MaxAge == nil {
			return "" // the page makes no login of another class
		}
		query.Set("max_age", strconv.Itoa(int(*again.MaxAge/time.Second)))
	case errors.Is(err, counterfoil.ErrNoCredential), errors.Is(err, counterfoil.ErrInvalidToken):
	default:
		return ""
	}
	if at.host != g.pageHost {
		return wayTo(t, query.Get("max_age"))
	}
	if g.opts.Client != "" {
		query.Set("client", g.opts.Client)
	}
	back := t.origin + t.raw
	if _, err := urls.ReturnTo(back, []string{t.origin}); err != nil {
		back = t.origin + "/" // the page would refuse it: it is too long, or spelled as only its route allows
	}
	query.Set("return_to", back)
	return g.opts.SignIn + "?" + query.Encode()
}

// navigation reports whether a person waits for a page: a browser opens a document and can
// show another one (GW-22). A browser without Fetch Metadata says by Accept that it wants one.
// Nothing is decided by User-Agent (GW-11).
func navigation(r *http.Request, method string) bool {
	if method != http.MethodGet && method != http.MethodHead || upgrade(r) {
		return false
	}
	if mode := r.Header["Sec-Fetch-Mode"]; len(mode) > 0 {
		return len(mode) == 1 && mode[0] == "navigate"
	}
	return request.Accepts(r, "text/html", "")
}
