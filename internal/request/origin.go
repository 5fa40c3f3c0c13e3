package request

import (
	"net/http"
	"slices"

	"github.com/counterfoil/counterfoil/internal/refusal"
)

// FormReferrerPolicy is the Referrer-Policy of a page with a form. With no-referrer a browser sends
// the form with the origin "null", as every sandboxed frame can, so [CheckOrigin] refuses it
// unless Fetch Metadata says more (Fetch, "append a request Origin header"). With
// same-origin the browser names the origin, and tells the page's path and query to its own
// origin alone. So they must not be secret; a fragment may be.
const FormReferrerPolicy = "same-origin"

// Unsafe reports whether a request with that method may change something (RFC 9110 section 9.2.1).
func Unsafe(method string) bool {
	return method != http.MethodGet && method != http.MethodHead && method != http.MethodOptions
}

// StatesOrigin reports whether r says where it comes from, as a browser does with each unsafe
// request. A program that does not has no cookie that somebody else could use.
func StatesOrigin(r *http.Request) bool {
	return len(r.Header["Origin"])+len(r.Header["Sec-Fetch-Site"]) > 0
}

// CheckOrigin is the CSRF check for requests that a browser authenticates by
// itself: an unsafe method passes only if the browser says that it comes from
// this very origin, or from one of origins, exactly (CSRF-01 to 04, 08). A
// request with neither header is refused.
//
// Origin is enough: a browser without Fetch Metadata sends it alone, and a proxy may
// drop the others.
//
// A GET that opens a WebSocket is checked as well, since no CORS stands before it,
// and one for an event stream if a browser says where it comes from (CSRF-12).
func CheckOrigin(r *http.Request, origins []string) error {
	if !Unsafe(r.Method) {
		upgrade := len(r.Header["Upgrade"]) > 0
		stream := StatesOrigin(r) && Accepts(r, "text/event-stream", "")
		if !upgrade && !stream {
			return nil
		}
	}
	sites, origin := r.Header["Sec-Fetch-Site"], r.Header["Origin"]
	if len(sites) > 1 || len(origin) > 1 {
		return refusal.ErrCrossOrigin
	}
	if len(sites) == 1 && (sites[0] == "same-origin" || sites[0] == "none") {
		return nil
	}
	if len(origin) == 1 && origin[0] != "null" && slices.Contains(origins, origin[0]) {
		return nil
	}
	return refusal.ErrCrossOrigin
}
