package gateway

import (
	"net/http"
	"slices"
	"strings"
)

// RemoveHeader is the header by which an answer names to Envoy those of the visitor that the
// service does not get, with commas between them.
const RemoveHeader = "X-Envoy-Auth-Headers-To-Remove"

// keepBack keeps the credential of a visitor from the service (GW-14), as the gateway does where it is
// the proxy itself: h has what Envoy removes, and what it replaces.
func keepBack(h http.Header, r *http.Request) {
	rest := http.Header{}
	for _, name := range []string{"Authorization", "Cookie"} {
		if values := r.Header[name]; values != nil {
			rest[name] = values
		}
	}
	if len(rest) == 0 {
		return
	}
	removeCredentials(rest)
	var gone []string
	for _, name := range []string{"Authorization", "Cookie"} {
		switch values := r.Header[name]; {
		case values == nil || slices.Equal(rest[name], values):
		case rest[name] == nil:
			gone = append(gone, strings.ToLower(name))
		default: // some of the cookies
			h[name] = []string{strings.Join(rest[name], "; ")}
		}
	}
	if gone != nil {
		h[RemoveHeader] = []string{strings.Join(gone, ", ")}
	}
}
