package gateway

import (
	"net/http"
	"strings"

	"github.com/counterfoil/counterfoil/internal/request"
)

// claims are the prefixes of the headers by which services are told who the visitor is, where the
// visitor comes from, what the visitor asks for, or which method is meant. No visitor may say
// that (GW-01, CSRF-11). The configurations of proxies that know no prefixes name the usual ones.
var claims = []string{
	"counterfoil-", "x-counterfoil-", "remote-", "x-remote-", "x-auth-",
	"x-forwarded-", "x-original-", "x-rewrite-", "x-http-method", "x-method-override",
}

// claim reports whether a visitor may not send a header of that name. A name with a character
// that is neither a letter, a digit nor "-" is the same as another name for some programs (GW-02).
func claim(name string) bool {
	if !plainName(name) {
		return true
	}
	for _, prefix := range claims {
		if len(name) >= len(prefix) && strings.EqualFold(name[:len(prefix)], prefix) {
			return name != request.MinCursorHeader // it says what a check must know
		}
	}
	return strings.EqualFold(name, "Forwarded") || strings.EqualFold(name, "X-Real-Ip")
}

// removeCredentials takes away what a check of ours reads: with it a service could act in the
// visitor's name elsewhere (GW-14). Another scheme than Bearer, and other cookies, are the service's.
func removeCredentials(h http.Header) {
	request.RemoveCredentialCookies(h)
	for _, field := range h["Authorization"] {
		if scheme, _ := request.Credentials(field); strings.EqualFold(scheme, "Bearer") {
			delete(h, "Authorization")
			return
		}
	}
}
