package gateway

import (
	"maps"
	"net/http"
	"slices"
	"strings"
)

// RemoveHeader is the header by which an answer names to Envoy those of the visitor that the
// service does not get, with commas between them.
const RemoveHeader = "X-Envoy-Auth-Headers-To-Remove"

// written are the claims that a proxy writes itself.
var written = []string{"X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Client-Cert"}

// keepBack keeps from the service what it does not get where the gateway is the proxy itself: the
// claims of the visitor (GW-01, CSRF-11), and the credential unless credentials is false (GW-14). h
// has the names that Envoy removes, and what it replaces. Over gRPC Envoy tells all headers of a
// request, and over HTTP those of its configuration.
func keepBack(h http.Header, r *http.Request, credentials bool) {
	gone := map[string]bool{}
	for name := range r.Header {
		if claim(name) && h[name] == nil && !slices.Contains(written, name) {
			gone[strings.ToLower(name)] = true
		}
	}
	if credentials {
		keepCredentialsBack(h, r, gone)
	}
	if len(gone) > 0 {
		h[RemoveHeader] = []string{strings.Join(slices.Sorted(maps.Keys(gone)), ", ")}
	}
}

func keepCredentialsBack(h http.Header, r *http.Request, gone map[string]bool) {
	names := []string{"Authorization", "Cookie"}
	rest := http.Header{}
	for _, name := range names {
		if values := r.Header[name]; values != nil {
			rest[name] = values
		}
	}
	removeCredentials(rest)
	for _, name := range names {
		switch values := r.Header[name]; {
		case values == nil || slices.Equal(rest[name], values):
		case rest[name] == nil:
			gone[strings.ToLower(name)] = true
		default: // some of the cookies
			h[name] = []string{strings.Join(rest[name], "; ")}
		}
	}
}
