package gateway

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/counterfoil/counterfoil/internal/refusal"
	"github.com/counterfoil/counterfoil/internal/request"
)

// Proxy passes the requests of visitors on to the upstreams of their routes, or refuses them. The
// question is the request itself. It must not share a listener with the questions of other
// proxies ([Gateway.Handler]): a visitor could ask them.
//
// A route without upstreams lets nothing pass here.
func (g *Gateway) Proxy() http.Handler {
	proxy := &httputil.ReverseProxy{
		Rewrite: g.rewrite, Transport: balancer{g}, ModifyResponse: g.answered, ErrorHandler: g.failed,
		BufferPool: buffers{}, ErrorLog: slog.NewLogLogger(g.opts.Logger.Handler(), slog.LevelDebug),
	}
	people := g.handover(func(r *http.Request) (question, *refusal.Problem) {
		if twoHosts(r) {
			return question{}, errOtherHost
		}
		return g.asked(r), nil
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.RequestURI, HandoverPrefix) {
			r.Pattern = HandoverPrefix
			people.ServeHTTP(w, r)
			return
		}
		if g.wellKnown(w, r) {
			return
		}
		begun := time.Now()
		p, refused := g.admit(r)
		r.Pattern = p.route.name()
		if refused != nil {
			g.opts.Decided(p.route.name(), refused.Type, time.Since(begun))
			w.Header()["Cache-Control"] = noStore
			passed(w, r, refused, p.page)
			return
		}
		g.opts.Decided(p.route.name(), "allowed", time.Since(begun))
		defer p.moveTo(nil)
		ctx, served := g.endWith(p, w, r)
		defer served()
		proxy.ServeHTTP(newEarly(w, r, p), r.WithContext(p.socket.begin(w, r, p.with(ctx))))
	})
}

var errOtherHost = badTarget("the request names two hosts")

// admit decides about a request that came itself, and picks its upstream.
func (g *Gateway) admit(r *http.Request) (*passage, *refusal.Problem) {
	p := &passage{uri: r.RequestURI}
	if twoHosts(r) {
		return p, errOtherHost
	}
	q := g.asked(r)
	p.verdict = g.decide(r, &q)
	if p.refused != nil {
		return p, p.refused
	}
	if len(p.route.pool) == 0 {
		return p, errNoRoute
	}
	var refused *refusal.Problem
	if p.identity, refused = g.identify(&p.verdict); refused != nil {
		return p, refused
	}
	if p.route.tokens != nil {
		if refused := g.bear(r, p); refused != nil {
			return p, refused
		}
	}
	to := g.pick(p.route.pool, nil)
	if to == nil {
		return p, errNoUpstream
	}
	p.moveTo(to)
	return p, nil
}

// twoHosts reports whether r names two: HTTP/2 has a pseudo-header besides (GW-19).
func twoHosts(r *http.Request) bool {
	other := r.Header["Host"]
	return other != nil && (len(other) > 1 || other[0] != r.Host)
}

// asked is the question that a request is itself.
func (g *Gateway) asked(r *http.Request) question {
	return question{method: r.Method, scheme: g.schemeOf(r), host: r.Host, uri: r.RequestURI, direct: true}
}

// schemeOf returns the scheme that the visitor used. Behind a trusted proxy it is what that proxy
// says, if it says it once.
func (g *Gateway) schemeOf(r *http.Request) string {
	if said := r.Header["X-Forwarded-Proto"]; len(said) > 0 && g.trusts(r) {
		return strings.Join(said, ",") // two are none
	}
	if r.TLS != nil {
		return "https"
	}
	return "http"
}

// rewrite makes the request that the upstream gets. The hop-by-hop headers are gone already, so
// that a visitor cannot take ours away by naming them in Connection (GW-04).
func (g *Gateway) rewrite(pr *httputil.ProxyRequest) {
	p := passageOf(pr.In)
	p.onWire(pr.Out.URL)
	pr.Out.Host = p.route.authority
	// What no visitor may say is left out (GW-01). The map has room for all of ours from the start: one that
	// grows is copied, here twice.
	h := make(http.Header, len(pr.Out.Header)+len(allNames)+3)
	for name, values := range pr.Out.Header {
		if !claim(name) {
			h[name] = values
		}
	}
	pr.Out.Header = h
	if h["Upgrade"] != nil && !isWebSocket(h) {
		delete(h, "Upgrade") // an upgrade to HTTP/2 would be a connection that nobody checks
		delete(h, "Connection")
	}
	if !p.route.KeepCredentials {
		removeCredentials(h)
	}
	p.identity.set(h)
	if p.token != "" {
		h["Authorization"] = []string{"Bearer " + p.token}
	}
	pr.Out.Trailer = nil // programs that take trailers for headers would believe the visitor (GW-01)
	g.forwardedBy(pr)
}

// forwardedBy tells the upstream where the request came from. What was there is kept only if a
// trusted proxy sent it.
func (g *Gateway) forwardedBy(pr *httputil.ProxyRequest) {
	p, h := passageOf(pr.In), pr.Out.Header
	from := pr.In.RemoteAddr
	if peer := g.opts.Peer(pr.In); peer.IsValid() {
		from = peer.String()
	} else if host, _, err := net.SplitHostPort(from); err == nil {
		from = host
	}
	if before := pr.In.Header["X-Forwarded-For"]; len(before) > 0 && g.trusts(pr.In) {
		from = strings.Join(before, ", ") + ", " + from
	}
	said := []string{from, p.route.authority, p.route.scheme}
	h["X-Forwarded-For"], h["X-Forwarded-Host"], h["X-Forwarded-Proto"] = said[0:1:1], said[1:2:2], said[2:3:3]
}

// answered changes what an upstream answers before the visitor gets it.
func (g *Gateway) answered(res *http.Response) error {
	h := res.Header
	removeOurCookies(h)
	passageOf(res.Request).answered(res)
	if len(res.Trailer) > 0 {
		delete(h, "Content-Length") // HTTP/1.1 has trailers only without a length
	}
	if passageOf(res.Request).session != nil && h["Cache-Control"] == nil && res.StatusCode != http.StatusSwitchingProtocols {
		h["Cache-Control"] = forOne
		if kind, _, _ := strings.Cut(h.Get("Content-Type"), ";"); kind == "" || strings.EqualFold(strings.TrimRight(kind, " \t"), "text/html") {
			h["Cache-Control"] = forNobody
		}
	}
	if res.StatusCode == http.StatusSwitchingProtocols {
		return g.upgraded(res)
	}
	return nil
}

// What is said of an answer to one person, if its upstream says nothing (GW-21).
var (
	forOne    = []string{"private"}
	forNobody = []string{"private, no-store"} // a page
)

// removeOurCookies drops what would set a cookie of a session: a service that is not the auth
// server could sign a visitor in as somebody else (SES-04).
func removeOurCookies(h http.Header) {
	if all := h["Set-Cookie"]; all != nil {
		h["Set-Cookie"] = slices.DeleteFunc(all, request.SetsCredential)
	}
}

// early is the writer of a proxied answer. Informational answers do not pass [answered], and so
// lose their cookies, and the token, here. A client of HTTP/1.0 gets none (RFC 9110 section 15.2): it
// would take one for the answer. Nor does a 100 pass: net/http writes it when the visitor's body is
// first read, and the transport first reads it when the upstream said 100, or was silent for
// [continueTimeout]. Passed on as well, the visitor would get two.
type early struct {
	http.ResponseWriter
	p   *passage
	old bool // HTTP/1.0

	// said is what was said of the answer before an upstream was asked. It is for the final answer, and
	// httputil.ReverseProxy would send it with the first informational one alone.
	said http.Header
}

func newEarly(w http.ResponseWriter, r *http.Request, p *passage) early {
	e := early{ResponseWriter: w, p: p, old: !r.ProtoAtLeast(1, 1)}
	if len(w.Header()) > 0 {
		e.said = w.Header().Clone()
	}
	return e
}

func (e early) WriteHeader(status int) {
	h := e.Header()
	if status < 200 {
		h.Del("Set-Cookie")
		e.p.hide(h)
		for name := range e.said {
			delete(h, name)
		}
		if e.old || status == http.StatusContinue {
			return
		}
	} else {
		for name, values := range e.said {
			if h[name] == nil {
				h[name] = values
			}
		}
		if _, is := h["Content-Type"]; !is {
			h["Content-Type"] = nil // net/http would guess: a file that browsers are to keep would become a page
		}
	}
	e.ResponseWriter.WriteHeader(status)
}

// Unwrap is for http.ResponseController.
func (e early) Unwrap() http.ResponseWriter { return e.ResponseWriter }

var (
	errBody       = &refusal.Problem{Status: 400, Type: "malformed-request", Title: "Malformed request", Detail: "Its body cannot be read to its end."}
	errUpstream   = &refusal.Problem{Status: 502, Type: "upstream-failed", Title: "The service cannot be reached", Detail: "It refused the connection, or its answer cannot be passed on."}
	errNoUpstream = &refusal.Problem{Status: 503, Type: "no-upstream", Title: "The service is not available", Detail: "None of its servers is well.", RetryAfter: time.Second}
	errTooSlow    = &refusal.Problem{Status: 504, Type: "upstream-timeout", Title: "The service does not answer"}
)

// failed answers when no upstream did.
func (g *Gateway) failed(w http.ResponseWriter, r *http.Request, err error) {
	p := passageOf(r)
	if errors.Is(err, errTaken) {
		return
	}
	if cause := endOf(r.Context()); cause != nil {
		refuseEnded(w, r, p, cause)
		return
	}
	if errors.Is(err, context.Canceled) && r.Context().Err() != nil {
		panic(http.ErrAbortHandler) // the visitor is gone
	}
	if errors.Is(err, errBody) {
		errBody.ServeHTTP(w, r) // no upstream is to blame (GW-18)
		return
	}
	g.opts.Logger.WarnContext(r.Context(), "upstream", "route", p.route.name(), "upstream", p.to.url, "error", err.Error())
	problem := errUpstream
	if late, is := errors.AsType[net.Error](err); is && late.Timeout() {
		problem = errTooSlow
	}
	problem.ServeHTTP(w, r)
}

// buffers lends the buffers in which bodies are copied.
type buffers struct{}

type buffer [32 << 10]byte

var spare = sync.Pool{New: func() any { return new(buffer) }}

func (buffers) Get() []byte  { return spare.Get().(*buffer)[:] }
func (buffers) Put(b []byte) { spare.Put((*buffer)(b)) }
