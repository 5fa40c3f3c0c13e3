package source

import (
	"net/http"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/internal/refusal"
	"github.com/counterfoil/counterfoil/internal/request"
)

// The cookies of the carriers. The prefix makes a browser refuse them unless they
// are Secure, have Path=/ and no Domain, so no sister site can plant one (SES-06).
// The insecure names are for plain http on loopback (SES-07).
const (
	CookieName                = request.CookieName
	RefreshCookieName         = request.RefreshCookieName
	InsecureCookieName        = request.InsecureCookieName
	InsecureRefreshCookieName = request.InsecureRefreshCookieName
)

// MinCursorHeader is the request header in which a client names a receipt: the
// answer must know the log at least that far (REV-11).
const MinCursorHeader = request.MinCursorHeader

// ParseCarrier returns the preset of that name: cookie, bearer, jwt-cookie, jwe or
// jwe-cookie. The five presets are all that an issuer hands out.
func ParseCarrier(name string) (c counterfoil.Carrier, err error) {
	err = c.UnmarshalText([]byte(name))
	return c, err
}

// Credential is what a request carries, and how.
type Credential struct {
	Value     string
	Transport counterfoil.Transport
}

// FindCredential returns the one credential of a request: in the Authorization header, or
// in the cookie of that name. Query and body are never read (TOK-33). None is
// counterfoil.ErrNoCredential. Two headers, or a header and a cookie, are
// [ErrMultipleCredentials], because two parties may each believe in another one (TOK-34).
// Two cookies are [ErrDuplicateCookie]: an attacker planted one of them, and both must go
// (SES-08).
func FindCredential(r *http.Request, cookieName string) (Credential, error) {
	value, at, err := request.Find(r, cookieName, request.Anywhere)
	if err != nil {
		return Credential{}, err
	}
	if at == request.Cookie {
		return Credential{value, counterfoil.Cookie}, nil
	}
	return Credential{value, counterfoil.Header}, nil
}

// The errors of a request whose credential is not clear, or must not be used. Verifier and
// Guard return them as well.
var (
	ErrMultipleCredentials = refusal.ErrMultipleCredentials
	ErrDuplicateCookie     = refusal.ErrDuplicateCookie // a counterfoil.ErrInvalidToken
	ErrCrossOrigin         = refusal.ErrCrossOrigin
)

// CheckOrigin is the CSRF check for requests that a browser authenticates by itself: an
// unsafe method passes only if the browser says that it comes from this very origin, or
// from one of origins, exactly (CSRF-01 to 04, 08). A request with neither header is
// refused with [ErrCrossOrigin].
//
// A GET that opens a WebSocket is checked as well, since no CORS stands before it,
// and one for an event stream if a browser says where it comes from (CSRF-12).
func CheckOrigin(r *http.Request, origins []string) error { return request.CheckOrigin(r, origins) }
