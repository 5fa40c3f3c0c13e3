package gateway

import (
	"net/http"
	"time"

	"github.com/counterfoil/counterfoil/internal/refusal"
)

// ForwardAuth answers the questions of Traefik, Caddy and HAProxy, which name the visitor's
// request by X-Forwarded-Method, X-Forwarded-Proto, X-Forwarded-Host and X-Forwarded-Uri. The
// proxy passes refusals on to the visitor as they are, redirections too.
func (g *Gateway) ForwardAuth() http.Handler { return g.answers(byForwarded, passed) }

// AuthRequest answers the questions of nginx (auth_request), which names the visitor's request
// by X-Original-Method and X-Original-URL. nginx understands 200, 401 and 403 alone, and makes
// 500 of all others. So a person who must sign in gets 401 with Location, which the
// configuration of nginx turns into a redirection, a malformed request 403, and stale
// knowledge 503, which the configuration turns back from 500.
func (g *Gateway) AuthRequest() http.Handler { return g.answers(byOriginal, forNginx) }

// ExtAuthz answers the questions of Envoy (ext_authz over HTTP) and of the ExternalAuth filter
// of the Gateway API: the visitor's own method and host, and its path behind prefix.
func (g *Gateway) ExtAuthz(prefix string) http.Handler { return g.answers(byPrefix(prefix), passed) }

// answers returns the handler for a dialect. refuse writes a refusal, and the page that a
// person is sent to, if there is one.
func (g *Gateway) answers(d *dialect, refuse func(w http.ResponseWriter, r *http.Request, p *refusal.Problem, page string)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begun := time.Now()
		if r.ContentLength != 0 {
			// A proxy that announces a body and sends none would keep the connection waiting for it.
			w.Header()["Connection"] = closing
		}
		var v verdict
		var told *identity
		if q, refused := g.ask(d, r); refused != nil {
			v.refused = refused
		} else if v = g.decide(r, &q); v.refused == nil {
			told, v.refused = g.identify(&v)
		}
		if v.refused != nil {
			g.opts.Decided(v.route.name(), v.refused.Type, time.Since(begun))
			h := w.Header()
			h["Cache-Control"] = noStore
			h["Counterfoil-Refusal"] = []string{v.refused.Type} // a proxy can make up an answer, and not this
			refuse(w, r, v.refused, v.page)
			return
		}
		g.opts.Decided(v.route.name(), "allowed", time.Since(begun))
		if fast, is := w.(headWriter); is && !d.keepBack && fast.WriteHead(told.lines) {
			w.WriteHeader(http.StatusOK)
			return
		}
		h := w.Header()
		h["Cache-Control"] = noStore
		told.set(h)
		if d.keepBack {
			keepBack(h, r, !v.route.KeepCredentials)
		}
		h["Content-Length"] = nothing
		w.WriteHeader(http.StatusOK)
	})
}

// headWriter is a writer of answers that may take lines of a head as they are written. WriteHead reports whether
// it has: then the next WriteHeader sends them, before what is in Header.
//
// net/http copies, sorts and checks the headers of each answer. Here they are the same for all requests of
// a session, and took a third of the time of an answer.
type headWriter interface{ WriteHead(lines string) bool }

var (
	noStore = []string{"no-store"}
	closing = []string{"close"}
	nothing = []string{"0"}
)

// passed refuses for a proxy that passes the answer on to the visitor.
func passed(w http.ResponseWriter, r *http.Request, p *refusal.Problem, page string) {
	if page != "" {
		w.Header().Set("Location", page)
		w.Header()["Content-Length"] = nothing
		w.WriteHeader(http.StatusFound)
		return
	}
	p.ServeHTTP(w, r)
}

// forNginx refuses without a body: nginx would open a connection for each question.
func forNginx(w http.ResponseWriter, _ *http.Request, p *refusal.Problem, page string) {
	status := p.Status
	if page != "" {
		w.Header().Set("Location", page)
		status = http.StatusUnauthorized
	}
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusServiceUnavailable:
	default:
		status = http.StatusForbidden
	}
	p.SetHeader(w.Header())
	w.Header()["Content-Length"] = nothing
	w.WriteHeader(status)
}
