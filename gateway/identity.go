package gateway

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
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

// maxIdentity bounds the identity headers in bytes: nginx takes no longer answer than 4 KiB.
const maxIdentity = 2 << 10

var errIdentityTooLong = &refusal.Problem{Status: 403, Type: "identity-too-long", Title: "Not allowed", Detail: "The caller has more roles and scopes than fit the headers."}

// identity is what a service is told of a caller. Many requests share one, so it does not change.
type identity struct {
	of     *counterfoil.Session
	values [][]string // of allNames, each with a slice of its own
	lines  string     // of the head of an answer to a proxy that says so, see [headWriter]

	made, renew int64 // nanoseconds since 1970: it is good in between. Its assertion has half of its life left at renew.
}

// allNames are all headers that say who asks.
var allNames = slices.Concat(IdentityNames, RemoteNames)

// nobody asks.
var nobody = newIdentity(make([]string, len(allNames)))

func newIdentity(values []string) *identity {
	i := &identity{values: make([][]string, len(allNames))}
	for n := range allNames {
		i.values[n] = values[n : n+1 : n+1]
	}
	h, lines := http.Header{"Cache-Control": noStore}, new(strings.Builder)
	i.set(h)
	_ = h.Write(lines) // net/http has one way to write a header
	i.lines = lines.String()
	return i
}

// set writes i into h.
func (i *identity) set(h http.Header) {
	for n, name := range allNames {
		h[name] = i.values[n]
	}
}

// fits reports whether i is to be sent at now. A clock that was set back makes none fit.
func (i *identity) fits(now time.Time) bool {
	at := now.UnixNano()
	return at >= i.made && at < i.renew
}

// identify returns what the service is told of who asks, or a refusal if that is too long.
func (g *Gateway) identify(v *verdict) (*identity, *refusal.Problem) {
	if v.session == nil {
		return nobody, nil
	}
	kept, now := v.route.audience, v.begun
	life, lasts := v.life(now, g.bound)
	if lasts {
		if i := kept.get(v.session); i != nil && i.fits(now) {
			return i, nil
		}
	}
	assertion, err := g.assert(v.session, kept.name, now, life)
	if err != nil {
		return nil, &refusal.Problem{Status: http.StatusInternalServerError, Type: "internal", Title: "Internal error", Cause: err}
	}
	values, size := kept.kind.of(v.session, assertion), 0
	for n, name := range allNames {
		if n < len(IdentityNames) || kept.kind == IdentityRemote {
			size += len(name) + len(values[n]) + len(": \r\n")
		}
	}
	if size > maxIdentity {
		return nil, errIdentityTooLong
	}
	i := newIdentity(values)
	i.of, i.made, i.renew = v.session, now.UnixNano(), now.Add(life/2).UnixNano()
	if lasts && (assertion != "" || g.opts.AssertionKeys == nil) { // there may be a key for the next answer
		kept.put(i, now)
	}
	return i, nil
}

// of returns the values of allNames for s.
func (kind Identity) of(s *counterfoil.Session, assertion string) []string {
	authTime := ""
	if !s.AuthTime.IsZero() {
		authTime = strconv.FormatInt(s.AuthTime.Unix(), 10)
	}
	roles := strings.Join(s.Roles, " ")
	values := []string{s.Subject, s.ID, s.Client, roles, strings.Join(s.Scopes, " "), s.ACR, authTime, assertion}
	if kind == IdentityRemote {
		return append(values, s.Subject, roles, oneLine(s.Attributes["email"]), oneLine(s.Attributes["name"]))
	}
	return append(values, make([]string, len(RemoteNames))...)
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
