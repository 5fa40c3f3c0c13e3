package request

import (
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/counterfoil/counterfoil/internal/refusal"
)

// The cookies of the carriers. The prefix makes a browser refuse them unless they
// are Secure, have Path=/ and no Domain, so no sister site can plant one (SES-06).
// The insecure names are for plain http on loopback (SES-07).
const (
	CookieName                = securePrefix + "cf"
	RefreshCookieName         = securePrefix + "cf_rt"
	InsecureCookieName        = "cf"
	InsecureRefreshCookieName = "cf_rt"

	// Of a browser that signs in at another host, see package gateway.
	WayCookieName         = securePrefix + "cf_way"
	InsecureWayCookieName = "cf_way"

	securePrefix = "__Host-Http-"
)

// maxCookieHeader is how many bytes of cookies are read (SES-11). Their number is not limited:
// a browser keeps more than a hundred for a site that has many applications.
const maxCookieHeader = 16 << 10

// Cookies returns the last cookie of that name, and how many there are. An empty one is none:
// some clients keep an empty cookie where one was deleted. It is the one parser of cookies: two
// that differ would let one check see a cookie that another does not.
func Cookies(r *http.Request, name string) (value string, n int, err error) {
	size := 0
	for _, field := range r.Header["Cookie"] {
		if size += len(field); size > maxCookieHeader {
			return "", 0, tooManyCookies()
		}
	}
	for _, field := range r.Header["Cookie"] {
		for pair := range strings.SplitSeq(field, ";") {
			// Only the space that RFC 6265 4.2.1 puts there is trimmed: other white
			// space before a name is a way around the prefix (SES-09).
			key, rest, ok := strings.Cut(strings.TrimLeft(pair, " "), "=")
			if ok && key == name && rest != "" {
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
		Cause: errors.New("more bytes of cookies than are read"),
	}
}

// SetCookie returns the Set-Cookie field for a cookie that lives for age seconds, and 0 deletes
// it. A browser ignores a deletion without the attributes that the prefix of the name demands
// (SES-06). Only a deletion has Expires: some clients read no Max-Age and would keep the cookie,
// and a date in the future would be wrong by the difference of the two clocks. Second 0 of 1970
// is no date for some clients.
func SetCookie(name, value, sameSite string, age int) string {
	var end, secure string
	if age <= 0 {
		age, end = 0, "Expires=Thu, 01 Jan 1970 00:00:01 GMT; "
	}
	if strings.HasPrefix(name, securePrefix) {
		secure = "Secure; "
	}
	return name + "=" + value + "; Path=/; Max-Age=" + strconv.Itoa(age) + "; " + end + secure + "HttpOnly; SameSite=" + sameSite
}
