package gateway

import (
	"net/http"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/internal/refusal"
	"github.com/counterfoil/counterfoil/internal/request"
)

// Identity is how an upstream is told who asks.
type Identity string

// The identities.
const (
	IdentityHeaders Identity = ""       // Counterfoil-Subject and the others of [IdentityNames]
	IdentityRemote  Identity = "remote" // those of [RemoteNames] besides, for programs that know them
)

// IdentityNames are the headers that say who asks. Every answer that lets a request pass has
// each of them, empty where there is nothing to say: a proxy then overwrites what the visitor
// sent by that name (GW-01, GW-03). Lists are separated by a space, which no role and no scope has.
var IdentityNames = []string{
	"Counterfoil-Subject", "Counterfoil-Session", "Counterfoil-Client",
	"Counterfoil-Roles", "Counterfoil-Scopes", "Counterfoil-Acr", "Counterfoil-Auth-Time", AssertionHeader,
}

// RemoteNames are the headers of [IdentityRemote]. They are in every answer as well, and empty with
// another identity: a service may believe them all the same.
//
// Remote-User is the user's id, and Remote-Groups has the roles. Remote-Email and Remote-Name are the attributes
// email and name of the session, if the program that made it has set them.
var RemoteNames = []string{"Remote-User", "Remote-Groups", "Remote-Email", "Remote-Name"}

var nobody = []string{""}

// maxIdentity bounds the identity headers in bytes: nginx takes no longer answer than 4 KiB.
const maxIdentity = 2 << 10

var errIdentityTooLong = &refusal.Problem{Status: 403, Type: "identity-too-long", Title: "Not allowed", Detail: "The caller has more roles and scopes than fit the headers."}

// identify writes into h who asks, or nothing if that is too long.
func (g *Gateway) identify(h http.Header, v *verdict) *refusal.Problem {
	s := v.session
	if s == nil {
		s = &counterfoil.Session{}
	}
	assertion, refused := g.assert(v)
	if refused != nil {
		return refused
	}
	authTime := ""
	if !s.AuthTime.IsZero() {
		authTime = strconv.FormatInt(s.AuthTime.Unix(), 10)
	}
	roles := strings.Join(s.Roles, " ")
	values := []string{s.Subject, s.ID, s.Client, roles, strings.Join(s.Scopes, " "), s.ACR, authTime, assertion[0]}
	size := 0
	for n, name := range IdentityNames {
		size += len(name) + len(values[n]) + len(": \r\n")
	}
	var remote []string
	if v.route.Identity == IdentityRemote {
		remote = []string{s.Subject, roles, oneLine(s.Attributes["email"]), oneLine(s.Attributes["name"])}
		for n, name := range RemoteNames {
			size += len(name) + len(remote[n]) + len(": \r\n")
		}
	}
	if size > maxIdentity {
		return errIdentityTooLong
	}
	for n, name := range IdentityNames {
		h[name] = values[n : n+1 : n+1]
	}
	for n, name := range RemoteNames {
		if h[name] = nobody; remote != nil {
			h[name] = remote[n : n+1 : n+1]
		}
	}
	return nil
}

// oneLine is text, or nothing if it cannot be the value of a header: a program has set it, and
// nobody has checked it (RFC 9110 section 5.5).
func oneLine(text string) string {
	if strings.ContainsFunc(text, unicode.IsControl) || !utf8.ValidString(text) {
		return ""
	}
	return text
}

// readNames are those of what a check reads, as fold has them.
var readNames = func() map[string]bool {
	all := map[string]bool{}
	for name := range strings.SplitSeq(request.Reads(request.Anywhere), ", ") {
		all[fold(name)] = true
	}
	return all
}()

// ambiguous reports whether h has another spelling of a claim, or of what a check reads: servers behind
// the proxy take "_", "." and all else that is neither a letter nor a digit for "-" (GW-02, RFC 3875
// section 4.1.18). net/http has made one spelling of capitals already.
func ambiguous(h http.Header) bool {
	for name := range h {
		if !plainName(name) && (claim(fold(name)) || readNames[fold(name)]) {
			return true
		}
	}
	return false
}

// plainName reports whether a name has letters, digits and "-" alone, as nearly all have.
func plainName(name string) bool {
	for n := range len(name) {
		if odd(rune(name[n])) {
			return false
		}
	}
	return true
}

// odd reports whether r is neither a letter, a digit nor "-".
func odd(r rune) bool {
	return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-')
}

// fold is the spelling that all spellings of a name share.
func fold(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return -1
		case odd(r):
			return '-'
		}
		return r
	}, strings.ToLower(name))
}
