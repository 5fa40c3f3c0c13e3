package server

import (
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/counterfoil/counterfoil/internal/urls"
	"github.com/counterfoil/counterfoil/source"
)

// forMachines are the paths that programs call by whatever name they know this server by:
// what they answer is public, or for a holder of an API key.
var forMachines = []string{"/v1/log", "/oauth/introspect", "/v1/handover", "/healthz", "/readyz"}

// hosts refuses a request whose Host is no name of this server. A page can have its own name
// resolve to an address in the visitor's network (DNS rebinding): then the browser takes this
// server for the page's own origin, and lets the page read every answer.
//
// An address instead of a name, and localhost, are resolved by nobody, so they pass. Ports are
// not compared.
func (s *Server) hosts(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := r.URL.Path
		if s.named(r.Host) || slices.Contains(forMachines, path) || strings.HasPrefix(path, "/.well-known/") {
			next.ServeHTTP(w, r)
			return
		}
		s.answer(w, r, &source.Problem{
			Status: http.StatusMisdirectedRequest, Type: "misdirected", Title: "Not a name of this server",
			Detail: fmt.Sprintf("This server is %s. If a proxy or a program calls it by another name, add the name to the setting hosts.", s.url),
		})
	})
}

func (s *Server) named(host string) bool {
	name := hostname(host)
	if _, err := netip.ParseAddr(name); err == nil || name == "localhost" {
		return true
	}
	return slices.Contains(s.names, name)
}

// hostname is host without its port and a dot at the end, in lower case.
func hostname(host string) string {
	u := url.URL{Host: host}
	return strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
}

// names returns the names that requests may call a server by.
func names(u *url.URL, more []string) ([]string, error) {
	all := []string{hostname(u.Host)}
	for _, host := range more {
		if err := urls.Host(host); err != nil {
			return nil, fmt.Errorf("server: Config.Hosts: %w", err)
		}
		all = append(all, host)
	}
	return all, nil
}
