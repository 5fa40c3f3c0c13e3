package server

import (
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"strings"

	"github.com/counterfoil/counterfoil/internal/urls"
)

// metadataPath is where RFC 8414 section 3 has the description of a server.
const metadataPath = "/.well-known/oauth-authorization-server"

// below lets the server answer below the path of its issuer: the routes, and what they compare,
// have their paths without it. The proxy in front may take the path away or leave it, so both
// are answered, and probes work without it. [CheckURL] sees to it that no request is both.
func (s *Server) below(next http.Handler) http.Handler {
	if s.base == "" {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		inner := s.inside(r)
		next.ServeHTTP(w, inner)
		r.Pattern = inner.Pattern // what the mux found, for those who observe the request
	})
}

// inside returns r without the path of the issuer, or r itself if it has none.
func (s *Server) inside(r *http.Request) *http.Request {
	u := *r.URL
	// A client puts the well-known name between the host and the path (RFC 8414 section 3.1).
	if u.Path == metadataPath+s.base && u.RawPath == "" {
		u.Path = metadataPath
	} else {
		rest, found := strings.CutPrefix(u.Path, s.base)
		raw, spelled := strings.CutPrefix(u.RawPath, s.base)
		if !found || rest != "" && rest[0] != '/' || u.RawPath != "" && !spelled {
			return r
		}
		if u.Path, u.RawPath = rest, raw; rest == "" {
			u.Path, u.RawPath = "/", ""
		}
	}
	inner := *r
	inner.URL = &u
	return &inner
}

// CheckURL says whether text may be Config.URL: the URL of an issuer as browsers spell it, whose
// path does not begin as one of the server's own paths does. With such a path a request for /login
// would be one for the page of that name, or for the start of a server below /login.
func CheckURL(text string) error {
	u, err := urls.Issuer(text)
	if err != nil || u.Path == "" {
		return err
	}
	first, _, _ := strings.Cut(u.Path[1:], "/")
	for _, pattern := range new(Server).patterns() {
		_, own, _ := strings.Cut(pattern, " /")
		if own, _, _ = strings.Cut(own, "/"); own == first {
			return &urls.Error{Text: text, Problem: "has a path that begins with /" + first + ", which is a path of the server", Hint: "write another, such as " + urls.OriginOf(u) + "/auth"}
		}
	}
	return nil
}

// parsePages parses the templates, whose links name paths without that of the issuer.
func parsePages(base string) (*template.Template, error) {
	link := strings.NewReplacer(`href="/`, `href="`+base+`/`, `src="/`, `src="`+base+`/`, `action="/`, `action="`+base+`/`,
		`data-check="/`, `data-check="`+base+`/`, `.Link "/`, `.Link "`+base+`/`)
	names, err := fs.Glob(files, "templates/*.html")
	pages := template.New("")
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
