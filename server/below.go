package server

import (
	"html/template"
	"io/fs"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/counterfoil/counterfoil/internal/urls"
	"github.com/counterfoil/counterfoil/source"
)

// metadataPath is where RFC 8414 section 3 has the description of a server.
const metadataPath = "/.well-known/oauth-authorization-server"

// atRoot are asked for without the path of the issuer: probes know the address of a node, and a
// password manager the host.
var atRoot = []string{"/healthz", "/readyz", changePasswordAt}

// below lets the server answer below the path of its issuer: the routes, and what they compare,
// have their paths without it. Nothing else is answered, not even a path that a proxy has taken
// that of the issuer away from: if both were, /auth/auth/v1 behind such a proxy would be /v1,
// and a rule of the proxy for /auth/v1 would not see it.
func (s *Server) below(next http.Handler) http.Handler {
	if s.base == "" {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		inner := s.inside(r)
		if inner == nil {
			s.miss(w, r, &source.Problem{
				Status: http.StatusNotFound, Type: "not-found", Title: "Not found",
				Detail: "This server is below " + s.base + ". A proxy in front must leave that path in the request.",
			})
			return
		}
		next.ServeHTTP(w, inner)
		r.Pattern = inner.Pattern // what the mux found, for those who observe the request
	})
}

// inside returns r without the path of the issuer; nil: r is for something else.
func (s *Server) inside(r *http.Request) *http.Request {
	u := *r.URL
	rest, found := strings.CutPrefix(u.Path, s.base)
	raw, spelled := strings.CutPrefix(u.RawPath, s.base)
	switch {
	case slices.Contains(atRoot, u.Path):
	case u.Path == metadataPath+s.base && u.RawPath == "":
		u.Path = metadataPath // a client puts it between host and path (RFC 8414 section 3.1)
	case !found || rest != "" && rest[0] != '/' || u.RawPath != "" && !spelled:
		return nil
	case rest == "":
		u.Path, u.RawPath = "/", ""
	default:
		u.Path, u.RawPath = rest, raw
	}
	inner := *r
	inner.URL = &u
	return &inner
}

// CheckURL says whether text may be Config.URL: the URL of an issuer as browsers spell it, whose
// path does not begin as one does that is asked for at the root of the host.
func CheckURL(text string) error {
	_, err := parseURL(text)
	return err
}

func parseURL(text string) (*url.URL, error) {
	u, err := urls.Issuer(text)
	if err != nil || u.Path == "" {
		return u, err
	}
	first, _, _ := strings.Cut(u.Path[1:], "/")
	if first = "/" + first; first == "/.well-known" || slices.Contains(atRoot, first) {
		return nil, &urls.Error{Text: text, Problem: "has a path that begins with " + first + ", which is asked for at the root of the host", Hint: "write another, such as " + urls.OriginOf(u) + "/auth"}
	}
	return u, nil
}

// parsePages parses the templates, whose links name paths without that of the issuer. A link that a
// template does not write out passes through its function link.
func parsePages(base string, b *brand, say template.FuncMap, languages func() []*tongue) (*template.Template, error) {
	link := strings.NewReplacer(`href="/`, `href="`+base+`/`, `src="/`, `src="`+base+`/`, `action="/`, `action="`+base+`/`,
		`data-check="/`, `data-check="`+base+`/`, `.Link "/`, `.Link "`+base+`/`)
	names, err := fs.Glob(files, "templates/*.html")
	pages := template.New("").Funcs(say).Funcs(template.FuncMap{
		"brand":     func() *brand { return b },
		"languages": languages,
		"link":      func(path string) string { return base + path },
	})
	for _, name := range names {
		var text []byte
		if text, err = files.ReadFile(name); err != nil {
			break
		}
		if _, err = pages.New(path.Base(name)).Parse(link.Replace(string(text))); err != nil {
			break
		}
	}
	return pages, err
}

// seeOther leads the browser to a page, by its path without that of the issuer.
func (s *Server) seeOther(w http.ResponseWriter, page string) {
	w.Header().Set("Location", s.base+page)
	w.WriteHeader(http.StatusSeeOther)
}
