package request

import (
	"net/http"
	"strings"
)

// credentialCookie reports whether name is that of a cookie of the carriers, or of a browser that
// is on its way to one.
func credentialCookie(name string) bool {
	switch name {
	case CookieName, RefreshCookieName, InsecureCookieName, InsecureRefreshCookieName, WayCookieName, InsecureWayCookieName:
		return true
	}
	return false
}

// RemoveCredentialCookies takes the cookies of the carriers out of the fields Cookie of h. The
// others stay byte for byte. A name is read as [Cookies] reads it.
func RemoveCredentialCookies(h http.Header) {
	fields := h["Cookie"]
	var kept []string
	changed := false
	for _, field := range fields {
		rest, cut := withoutCredentials(field)
		changed = changed || cut
		if rest != "" || !cut {
			kept = append(kept, rest)
		}
	}
	switch {
	case !changed:
	case len(kept) == 0:
		delete(h, "Cookie")
	default:
		h["Cookie"] = kept
	}
}

func withoutCredentials(field string) (rest string, cut bool) {
	var pairs []string
	for pair := range strings.SplitSeq(field, ";") {
		if name, _, found := strings.Cut(strings.TrimLeft(pair, " "), "="); found && credentialCookie(name) {
			cut = true
			continue
		}
		pairs = append(pairs, pair)
	}
	if !cut {
		return field, false
	}
	return strings.TrimLeft(strings.Join(pairs, ";"), " "), true
}

// SetsCredential reports whether a field Set-Cookie makes a browser send a cookie of the
// carriers. A cookie without a name, such as "=cf=x", is sent as its value alone.
func SetsCredential(field string) bool {
	pair, _, _ := strings.Cut(field, ";")
	name, _, found := strings.Cut(strings.TrimLeft(pair, " \t="), "=")
	return found && credentialCookie(strings.TrimRight(name, " \t"))
}
