package counterfoil

import (
	"net/http"
	"slices"
	"strings"
)

// The cookies of the carriers. The prefix makes a browser refuse them unless they
// are Secure, have Path=/ and no Domain, so no sister site can plant one (SES-06).
// The insecure names are for plain http on loopback (SES-07).
const (
	CookieName                = "__Host-Http-cf"
	RefreshCookieName         = "__Host-Http-cf_rt"
	InsecureCookieName        = "cf"
	InsecureRefreshCookieName = "cf_rt"
)

const (
	maxCookies      = 64
	maxCookieHeader = 16 << 10
)

// Credential is what a request carries, and how.
type Credential struct {
	Value     string
	Transport Transport
}

// FindCredential returns the one credential of a request: in the Authorization
// header, or in the cookie of that name. It is the one place that looks for it.
// Query and body are never read (TOK-33). None is ErrNoCredential; two of any kind
// are ErrMultipleCredentials, because two parties may each believe in another
// one (TOK-34, SES-08).
func FindCredential(r *http.Request, cookieName string) (Credential, error) {
	var found []Credential
	for _, field := range r.Header["Authorization"] {
		scheme, value, ok := strings.Cut(field, " ")
		if !ok || !strings.EqualFold(scheme, "Bearer") || value == "" {
			return Credential{}, ErrInvalidToken
		}
		found = append(found, Credential{value, Header})
	}
	n, size := 0, 0
	for _, field := range r.Header["Cookie"] {
		if size += len(field); size > maxCookieHeader {
			return Credential{}, ErrInvalidToken
		}
		for pair := range strings.SplitSeq(field, ";") {
			if n++; n > maxCookies {
				return Credential{}, ErrInvalidToken
			}
			// Only the space that RFC 6265 4.2.1 puts there is trimmed: other white
			// space before a name is a way around the prefix (SES-09).
			name, value, ok := strings.Cut(strings.TrimLeft(pair, " "), "=")
			if ok && name == cookieName {
				found = append(found, Credential{value, Cookie})
			}
		}
	}
	switch len(found) {
	case 0:
		return Credential{}, ErrNoCredential
	case 1:
		return found[0], nil
	}
	return Credential{}, ErrMultipleCredentials
}

// CheckOrigin is the CSRF check for requests that a browser authenticates by
// itself: an unsafe method passes only if the browser says that it comes from
// this very origin, or from one of origins, exactly (CSRF-01 to 04, 08). A
// request with neither header is refused.
func CheckOrigin(r *http.Request, origins []string) error {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return nil
	}
	sites, origin := r.Header["Sec-Fetch-Site"], r.Header["Origin"]
	if len(sites) > 1 || len(origin) > 1 {
		return ErrCrossOrigin
	}
	if len(sites) == 1 && (sites[0] == "same-origin" || sites[0] == "none") {
		return nil
	}
	if len(origin) == 1 && origin[0] != "null" && slices.Contains(origins, origin[0]) {
		return nil
	}
	return ErrCrossOrigin
}
