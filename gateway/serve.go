package gateway

import (
	"net/http"
	"strings"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/internal/refusal"
)

// The paths at which [Gateway.Handler] answers the questions of proxies.
const (
	ForwardAuthPath = "/forward-auth"
	AuthRequestPath = "/auth-request"
	ExtAuthzPrefix  = "/ext-authz" // the visitor's path follows
)

var errNotFound = &refusal.Problem{Status: http.StatusNotFound, Type: "not-found", Title: "Not found"}

// Handler serves the questions of all proxies, and the probes /healthz and /readyz. It is no http.ServeMux, which answers a path
// such as /ext-authz//x with a redirection.
func (g *Gateway) Handler() http.Handler {
	forward, nginx, envoy := g.ForwardAuth(), g.AuthRequest(), g.ExtAuthz(ExtAuthzPrefix)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path, _, _ := strings.Cut(r.RequestURI, "?")
		switch {
		case path == AuthRequestPath:
			r.Pattern = AuthRequestPath
			nginx.ServeHTTP(w, r)
		case path == ForwardAuthPath:
			r.Pattern = ForwardAuthPath
			forward.ServeHTTP(w, r)
		case strings.HasPrefix(path, ExtAuthzPrefix+"/"):
			r.Pattern = ExtAuthzPrefix
			envoy.ServeHTTP(w, r)
		case path == "/healthz":
			r.Pattern = "GET /healthz"
			w.WriteHeader(http.StatusNoContent)
		case path == "/readyz":
			r.Pattern = "GET /readyz"
			g.ready(w, r)
		default:
			errNotFound.ServeHTTP(w, r)
		}
	})
}

// ready answers 204 while the verifier can accept a credential, and 503 while it cannot.
func (g *Gateway) ready(w http.ResponseWriter, r *http.Request) {
	if g.opts.Verifier.Status().Stale {
		refusal.For(counterfoil.ErrStale, true).ServeHTTP(w, r)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
