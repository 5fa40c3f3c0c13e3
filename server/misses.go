package server

import (
	"net/http"
	"path"
	"strings"

	"github.com/counterfoil/counterfoil/source"
)

// misses answers what no route of mux does. Programs get a problem, people a page,
// and 405 says which methods there are.
func (s *Server) misses(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h, pattern := mux.Handler(r)
		if clean := path.Clean(r.URL.Path); clean != r.URL.Path && (clean == "/" || clean+"/" != r.URL.Path) {
			// The mux would redirect to the cleaned path, and the caller would send its credential there.
			s.miss(w, r, errNotFound)
			return
		}
		if pattern != "" {
			mux.ServeHTTP(w, r)
			return
		}
		found := &missed{header: make(http.Header)}
		h.ServeHTTP(found, r)
		switch found.status {
		case http.StatusMethodNotAllowed:
			w.Header().Set("Allow", found.header.Get("Allow"))
			s.miss(w, r, &source.Problem{Status: found.status, Type: "method-not-allowed", Title: "Method not allowed"})
		default:
			s.miss(w, r, nothingAt(r.URL.Path))
		}
	})
}

// nothingAt is the answer to a path that is not there. Gateways ask for the metadata of OpenID
// providers, and the person who sets one up learns what there is instead.
func nothingAt(path string) error {
	if path != "/.well-known/openid-configuration" {
		return errNotFound
	}
	p := *errNotFound
	p.Detail = "This is no OpenID provider. The metadata is at " + metadataPath + " (RFC 8414), and names jwks_uri."
	return &p
}

func (s *Server) miss(w http.ResponseWriter, r *http.Request, err error) {
	do := s.page
	if strings.HasPrefix(r.URL.Path, "/oauth/") {
		s.oauth(func(http.ResponseWriter, *http.Request) error { return err }).ServeHTTP(w, r)
		return
	}
	for _, prefix := range []string{"/v1", "/.well-known", "/healthz", "/readyz", "/openapi.json"} {
		if r.URL.Path == prefix || strings.HasPrefix(r.URL.Path, prefix+"/") {
			do = s.api
		}
	}
	do(func(http.ResponseWriter, *http.Request) error { return err }).ServeHTTP(w, r)
}

// missed keeps what net/http would have answered.
type missed struct {
	header http.Header
	status int
}

func (m *missed) Header() http.Header         { return m.header }
func (m *missed) Write(b []byte) (int, error) { return len(b), nil }
func (m *missed) WriteHeader(status int)      { m.status = status }
