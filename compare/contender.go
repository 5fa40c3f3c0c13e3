package compare

import (
	"slices"
	"strings"

	"github.com/counterfoil/counterfoil"
)

// The ids of contenders. Those with a store end with its kind.
const (
	noCheck       = "none"
	sessionMemory = "session-memory"
	sessionIn     = "session-"
	jwtBlocklist  = "jwt-blocklist-"
	jwtExpiry     = "jwt-es256"
	jwtCookie     = "jwt-cookie"
	jwtEncrypted  = "jwe"
	ours          = "counterfoil-"
)

// algorithms are those of the contenders that verify a JWT each time, by id.
var algorithms = map[string]string{
	"jwt-hs256": "HS256", "jwt-rs256": "RS256", jwtExpiry: "ES256", "jwt-ed25519": "EdDSA",
	jwtCookie: "ES256", jwtEncrypted: "ES256", jwtBlocklist: "ES256",
}

// carriers are the carriers of ours, in their order.
var carriers = []counterfoil.Carrier{counterfoil.CarrierCookie, counterfoil.CarrierBearer, counterfoil.CarrierJWTCookie, counterfoil.CarrierJWE}

// contenders are all contenders, with stores of these kinds.
func contenders(kinds []string) []Contender {
	all := []Contender{
		{ID: noCheck, Name: "no check", Family: FamilyNone, About: "the handler alone: no contender can be faster"},
		{ID: sessionMemory, Name: "session, memory", Family: FamilySession, Format: "opaque", Transport: "cookie", About: "scs in the memory of the process: each node knows its own sessions alone"},
	}
	for _, kind := range kinds {
		all = append(all, Contender{ID: sessionIn + kind, Name: "session, " + kind, Family: FamilySession, Format: "opaque", Transport: "cookie", Store: kind, About: "scs with a store: one read for each check"})
	}
	all = append(all,
		Contender{ID: "jwt-hs256", Name: "JWT HS256", Family: FamilyJWT, Format: "jwt", Transport: "header", About: "golang-jwt, verified each time; it is good until it expires"},
		Contender{ID: "jwt-rs256", Name: "JWT RS256", Family: FamilyJWT, Format: "jwt", Transport: "header", About: "golang-jwt, verified each time; it is good until it expires"},
		Contender{ID: jwtExpiry, Name: "JWT ES256", Family: FamilyJWT, Format: "jwt", Transport: "header", About: "golang-jwt, verified each time; it is good until it expires"},
		Contender{ID: "jwt-ed25519", Name: "JWT Ed25519", Family: FamilyJWT, Format: "jwt", Transport: "header", About: "golang-jwt, verified each time; it is good until it expires"},
		Contender{ID: jwtCookie, Name: "JWT ES256 in a cookie", Family: FamilyJWT, Format: "jwt", Transport: "cookie", About: "golang-jwt, verified each time, in an HttpOnly cookie with SameSite=Lax"},
		Contender{ID: jwtEncrypted, Name: "JWE (ES256 inside)", Family: FamilyJWT, Format: "jwe", Transport: "header", About: "go-jose, dir and A256GCM, with a JWT inside that golang-jwt verifies"},
	)
	for _, kind := range kinds {
		all = append(all, Contender{ID: jwtBlocklist + kind, Name: "JWT ES256, blocklist in " + kind, Family: FamilyJWT, Format: "jwt", Transport: "header", Store: kind, About: "golang-jwt, verified each time, and one read of the blocklist for each check"})
	}
	for _, c := range carriers {
		all = append(all, Contender{
			ID: ours + c.String(), Name: "Counterfoil " + c.String(), Family: FamilyOurs, Format: formatName(c.Format), Transport: transportName(c.Transport),
			About: "the verifier of this program, which follows the revocation log of an auth server over HTTP",
		})
	}
	return all
}

func formatName(f counterfoil.Format) string {
	return map[counterfoil.Format]string{counterfoil.Opaque: "opaque", counterfoil.JWT: "jwt", counterfoil.JWE: "jwe"}[f]
}

func transportName(t counterfoil.Transport) string {
	if t == counterfoil.Cookie {
		return "cookie"
	}
	return "header"
}

// carrierOf is the carrier of one of our contenders.
func carrierOf(id string) (c counterfoil.Carrier, is bool) {
	name, is := strings.CutPrefix(id, ours)
	if !is {
		return c, false
	}
	n := slices.IndexFunc(carriers, func(c counterfoil.Carrier) bool { return c.String() == name })
	return carriers[n], true
}

// Credential is what a caller holds.
type Credential struct {
	Field   string // header field that carries it, such as "Cookie: cf=…"
	ID      string // by which it is ended: the session, or the jti
	Refresh string // refresh token; empty: there is none
}

// field is the header field that carries value for a contender.
func (c Contender) field(value string) string {
	if c.Transport == "cookie" {
		return "Cookie: " + cookieName + "=" + value
	}
	return "Authorization: Bearer " + value
}
