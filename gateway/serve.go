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

	AssertionKeysPath = "/.well-known/counterfoil-assertion-jwks.json" // GET: the public keys, for services
)

var (
	errNotFound   = &refusal.Problem{Status: http.StatusNotFound, Type: "not-found", Title: "Not found"}
	errNotAllowed = &refusal.Problem{Status: http.StatusMethodNotAllowed, Type: "method-not-allowed", Title: "Method not allowed"}
)

// Handler serves the questions of all proxies, what they pass on of people who sign in (below
// [HandoverPrefix]), the public keys of assertions, the metadata of the resources that it protects,
// and the probes /healthz and /readyz. It is no http.ServeMux, which answers a path such as /ext-authz//x with
// a redirection.
func (g *Gateway) Handler() http.Handler {
	forward, nginx, envoy := g.ForwardAuth(), g.AuthRequest(), g.ExtAuthz(ExtAuthzPrefix)
	people := g.handover(func(r *http.Request) (question, *refusal.Problem) { return g.ask(byHandover, r) })
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
		case strings.HasPrefix(path, HandoverPrefix):
			r.Pattern = HandoverPrefix
			people.ServeHTTP(w, r)
		case g.wellKnown(w, r):
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

// ready answers 204 while the verifier can accept a credential, and 503 while it cannot. What is wrong
// with the auth server is for the log: it names addresses.
func (g *Gateway) ready(w http.ResponseWriter, r *http.Request) {
	if s := g.opts.Verifier.Status(); s.Stale {
		p := *refusal.For(counterfoil.ErrStale, true)
		p.Detail = "The auth server has not answered for longer than the bound."
		if s.Waiting != "" {
			p.Detail = "The auth server has not answered since the gateway was started. The log says why."
		}
		p.ServeHTTP(w, r)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// keysFor is how long a service may keep the keys. Libraries fetch them again when they meet one
// that they do not know.
const keysFor = "public, max-age=300"

// wellKnown answers what everybody may read of the gateway, and reports whether r asks for that.
func (g *Gateway) wellKnown(w http.ResponseWriter, r *http.Request) bool {
	if !strings.HasPrefix(r.RequestURI, "/.well-known/") {
		return false // most requests
	}
	path, _, _ := strings.Cut(r.RequestURI, "?")
	if path == AssertionKeysPath {
		r.Pattern = "GET " + AssertionKeysPath
		serveDocument(w, r, "application/jwk-set+json", g.assertionKeys())
		return true
	}
	if resource, below := strings.CutPrefix(path, MetadataPath); below && (resource == "" || resource[0] == '/') {
		if about := g.describe(r.Host, resource); about != nil {
			r.Pattern = "GET " + MetadataPath
			serveDocument(w, r, "application/json", about.Document())
			return true
		}
	}
	return false
}

// assertionKeys is the set of public keys. That of a gateway that signs nothing is empty.
func (g *Gateway) assertionKeys() []byte {
	if g.opts.AssertionKeys != nil {
		if keys := g.opts.AssertionKeys(); keys != nil {
			return keys.JWKS()
		}
	}
	return []byte(`{"keys":[]}`)
}

// serveDocument answers GET and HEAD with what everybody may read.
func serveDocument(w http.ResponseWriter, r *http.Request, kind string, document []byte) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		errNotAllowed.ServeHTTP(w, r)
		return
	}
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("Cache-Control", keysFor)
	_, _ = w.Write(document)
}
