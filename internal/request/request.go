// Package request finds the one credential of an HTTP request, and tells whether a browser
// may have been made to send it. Package source shows these names to programs.
package request

import (
	"net/http"

	"github.com/counterfoil/counterfoil/internal/refusal"
)

// MinCursorHeader is the request header in which a client names a receipt: the
// answer must know the log at least that far (REV-11).
const MinCursorHeader = "Counterfoil-Min-Cursor"

// SessionKey is the key of the context value that is the *Session of a request.
type SessionKey struct{}

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
// A header does not depend on cookies that are too long to be read: they are none beside it.
func Find(r *http.Request, cookieName string, in Place) (value string, at Place, err error) {
	var header, cookie string
	headers, cookies := 0, 0
	if in != Cookie {
		if header, headers, err = inHeader(r); err != nil {
			return "", Authorization, err
		}
	}
	if in != Authorization {
		if cookie, cookies, err = Cookies(r, cookieName); err != nil && headers == 0 {
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
