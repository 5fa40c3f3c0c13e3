// Package request finds the one credential of an HTTP request, and tells whether a browser
// may have been made to send it. Package source shows these names to programs.
package request

import (
	"errors"
	"net/http"
	"strings"

	"github.com/counterfoil/counterfoil/internal/refusal"
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

// MinCursorHeader is the request header in which a client names a receipt: the
// answer must know the log at least that far (REV-11).
const MinCursorHeader = "Counterfoil-Min-Cursor"

// SessionKey is the key of the context value that is the *Session of a request.
type SessionKey struct{}

const (
	maxCookies      = 64
	maxCookieHeader = 16 << 10
)

// Place is where a credential stands in a request.
type Place uint8

// The places.
const (
	Anywhere      Place = iota // in one of the two
	Cookie                     // in the cookie of a given name
	Authorization              // in the Authorization header
)

// Find returns the one credential of a request, and where it stands. It reads one place
// only, unless in is Anywhere. It is the one function that looks for a credential: query
// and body are never read (TOK-33). The place is returned with an error as well: the error
// is about that place.
//
// None is ErrNoCredential. Two headers, or a header and a cookie, are
// ErrMultipleCredentials, because two parties may each believe in another one (TOK-34). Two
// cookies are ErrDuplicateCookie: an attacker planted one of them, and both must go (SES-08).
func Find(r *http.Request, cookieName string, in Place) (value string, at Place, err error) {
	var header, cookie string
	headers, cookies := 0, 0
	if in != Cookie {
		if header, headers, err = inHeader(r); err != nil {
			return "", Authorization, err
		}
	}
	if in != Authorization {
		if cookie, cookies, err = Cookies(r, cookieName); err != nil {
			return "", Cookie, err
		}
	}
	switch {
	case headers+cookies == 0 && in == Cookie:
		return "", Cookie, refusal.ErrNoCredential
	case headers+cookies == 0:
		return "", Authorization, refusal.ErrNoCredential
	case headers > 1 || (headers == 1 && cookies > 0):
		return "", Authorization, refusal.ErrMultipleCredentials
	case cookies > 1:
		return "", Cookie, refusal.ErrDuplicateCookie
	case headers == 1:
		return header, Authorization, nil
	}
	return cookie, Cookie, nil
}

// inHeader returns the last credential in Authorization, and how many there are.
func inHeader(r *http.Request) (value string, n int, err error) {
	for _, field := range r.Header["Authorization"] {
		scheme, rest, ok := strings.Cut(field, " ")
		if !ok || !strings.EqualFold(scheme, "Bearer") || rest == "" {
			return "", 0, refusal.ErrInvalidToken
		}
		value = rest
		n++
	}
	return value, n, nil
}

// Cookies returns the last cookie of that name, and how many there are. It is the one parser
// of cookies: two that differ would let one check see a cookie that another does not.
func Cookies(r *http.Request, name string) (value string, n int, err error) {
	pairs, size := 0, 0
	for _, field := range r.Header["Cookie"] {
		if size += len(field); size > maxCookieHeader {
			return "", 0, tooManyCookies()
		}
		for pair := range strings.SplitSeq(field, ";") {
			if pairs++; pairs > maxCookies {
				return "", 0, tooManyCookies()
			}
			// Only the space that RFC 6265 4.2.1 puts there is trimmed: other white
			// space before a name is a way around the prefix (SES-09).
			key, rest, ok := strings.Cut(strings.TrimLeft(pair, " "), "=")
			if ok && key == name {
				value = rest
				n++
			}
		}
	}
	return value, n, nil
}

// tooManyCookies says nothing about a credential (SES-11). A sister site can plant more
// cookies than are read, and must not sign the visitor out by that.
func tooManyCookies() error {
	return &refusal.Problem{
		Status: http.StatusRequestHeaderFieldsTooLarge, Type: "too-many-cookies", Title: "Too many cookies",
		Cause: errors.New("more cookies than are read"),
	}
}
