package inspect

import (
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

// claims looks at the claims of a token of some kind.
func (l *linter) claims(m *message, header, claims object, kind Kind) {
	l.needed(claims, kind)
	l.confused(header, claims, kind)
	l.types(claims)
	l.times(claims, kind)
	l.people(claims, kind)
	l.bound(m, claims)
	if kind.ID == "dpop-proof" {
		l.proof(header, claims)
	}
	for _, name := range slices.Sorted(maps.Keys(claims)) {
		for _, known := range []string{"iss", "sub", "aud", "exp", "iat", "nbf", "jti", "sid", "scope", "client_id", "cnf", "roles"} {
			if name != known && strings.EqualFold(name, known) {
				l.find("case", "%s is not %s", quoted(name), known)
			}
		}
	}
	if u, err := url.Parse(claims.text("iss")); err == nil && u.Scheme == "http" && !loopback(u.Hostname()) {
		l.find("iss-http", "")
	}
	if claims.has("scope") && !claims.isText("scope") {
		l.find("scope-list", "")
	}
	if kind.ID == "access-token" && !claims.has("jti") && !claims.has("sid") && !claims.has("status") {
		l.find("not-revocable", "")
	}
}

func loopback(host string) bool {
	return host == "localhost" || host == "::1" || strings.HasPrefix(host, "127.")
}

// needed finds the claims that a token of this kind must have.
func (l *linter) needed(claims object, kind Kind) {
	for _, name := range kind.Needs {
		switch {
		case claims.has(name):
		case name == "iss", name == "aud", name == "exp":
			l.find(name+"-missing", "required by %s", kind.Source)
		default:
			l.find("claim-missing", "%s, required by %s", name, kind.Source)
		}
	}
}

// confused finds claims of other kinds of tokens.
func (l *linter) confused(header, claims object, kind Kind) {
	for _, name := range kind.Foreign {
		if claims.has(name) {
			l.find("typ-confusion", "%s does not belong in: %s", name, kind.Title)
		}
	}
	if kind.ID == "access-token" && shortType(header.text("typ")) == "jwt" {
		l.find("typ-generic", "")
	}
}

func (l *linter) types(claims object) {
	for _, name := range []string{"iss", "sub", "jti", "client_id", "sid", "azp", "nonce"} {
		if claims.has(name) && claims.text(name) == "" {
			l.find("claim-type", "%s", name)
		}
	}
	if !claims.has("aud") {
		return
	}
	list, ok := claims.texts("aud")
	if !ok {
		l.find("claim-type", "aud")
		return
	}
	if len(list) == 0 || slices.ContainsFunc(list, func(s string) bool { return s == "" || s == "*" }) {
		l.find("aud-any", "")
	}
}

// A number of seconds beyond milliseconds is in the year 5138. One beyond that is no date.
const (
	milliseconds = 1e11
	noDate       = 1e14
)

const (
	leeway      = time.Minute
	longestLife = 15 * time.Minute
	maxRounds   = 1_000_000 // of PBES2
)

// times looks at the times of a token, and at the time that it has left.
func (l *linter) times(claims object, kind Kind) {
	for _, name := range []string{"exp", "iat", "nbf", "auth_time"} {
		n, ok := claims.number(name)
		switch {
		case !claims.has(name):
		case !ok:
			l.find("time-type", "%s", name)
		case n <= 0, n >= noDate:
			l.find("time-range", "%s", name)
		case n >= milliseconds:
			l.find("time-milliseconds", "%s", name)
		case n != float64(int64(n)):
			l.find("time-fraction", "%s", name)
		}
	}
	exp, hasExp := claims.time("exp")
	iat, hasIat := claims.time("iat")
	nbf, hasNbf := claims.time("nbf")
	if hasExp && !l.now.Before(exp) {
		l.find("expired", "%s", away(exp, l.now))
	}
	if hasNbf && nbf.After(l.now.Add(leeway)) {
		l.find("nbf-future", "%s", away(nbf, l.now))
	}
	if hasIat && iat.After(l.now.Add(leeway)) {
		l.find("iat-future", "%s", away(iat, l.now))
	}
	if hasNbf && hasExp && !nbf.Before(exp) {
		l.find("nbf-after-exp", "")
	}
	if hasIat && hasExp && !iat.Before(exp) {
		l.find("exp-before-iat", "")
	}
	// Credentials of these kinds are kept by their holder or published, and may live for years.
	kept := slices.Contains([]string{"sd-jwt", "status-list", "security-event", "key-binding"}, kind.ID)
	if hasIat && hasExp && !kept && exp.Sub(iat) > longestLife {
		l.find("lifetime", "%s", strings.TrimPrefix(away(exp, iat), "in "))
	}
}

// personal are claims about people (OpenID Connect Core 1.0 section 5.1), and others that often are.
var personal = []string{"name", "given_name", "family_name", "middle_name", "nickname", "preferred_username", "profile", "picture",
	"email", "gender", "birthdate", "birthday", "phone", "phone_number", "mobile", "address", "street_address", "postal_code",
	"ssn", "social_security_number", "tax_id", "passport", "nationality", "first_name", "last_name", "full_name"}

var secretNames = []string{"password", "passwd", "pwd", "secret", "client_secret", "api_key", "apikey", "private_key",
	"access_token", "refresh_token", "pin", "otp", "totp_secret", "credit_card", "card_number", "cvv"}

var mailAddress = regexp.MustCompile(`^[^@\s]+@[^@\s]+\.[A-Za-z]{2,}$`)

// people finds data about people, and secrets.
func (l *linter) people(claims object, kind Kind) {
	for _, name := range secretNames {
		if claims.has(name) {
			l.find("secret-claim", "%s", name)
		}
	}
	if mailAddress.MatchString(claims.text("sub")) {
		l.find("sub-email", "")
	}
	if kind.ID == "id-token" { // it is what an ID token is for
		return
	}
	for _, name := range slices.Sorted(maps.Keys(claims)) {
		switch {
		case slices.Contains(personal, name):
			l.find("personal-data", "%s", name)
		case name != "sub" && mailAddress.MatchString(claims.text(name)):
			l.find("personal-data", "%s is an e-mail address", quoted(name))
		}
	}
}

// bound looks at cnf, which binds a token to a key (RFC 7800).
func (l *linter) bound(m *message, claims object) {
	if !claims.has("cnf") {
		return
	}
	cnf, err := readObject(claims["cnf"])
	if err != nil || !slices.ContainsFunc([]string{"jwk", "jwe", "jku", "kid", "jkt", "x5t#S256"}, cnf.has) {
		l.find("cnf-form", "")
		return
	}
	if private(cnf["jwk"]) {
		l.find("private-key", "jwk of cnf")
	}
	switch {
	case m.scheme == "Bearer" && cnf.has("jkt"):
		l.find("cnf-bearer", "")
	case m.scheme == "" && !m.selective:
		l.find("cnf-proof", "")
	}
}

// proof checks the form of a DPoP proof (RFC 9449 section 4.2).
func (l *linter) proof(header, claims object) {
	for _, name := range []string{"htm", "htu", "jti"} {
		if claims.text(name) == "" {
			l.find("proof-form", "there is no %s", name)
		}
	}
	if _, ok := claims.number("iat"); !ok {
		l.find("proof-form", "there is no iat")
	}
	if shortType(header.text("typ")) != "dpop+jwt" {
		l.find("proof-form", "typ is not dpop+jwt")
	}
	if alg := header.text("alg"); hmacs[alg] != nil || strings.EqualFold(alg, "none") {
		l.find("proof-form", "alg is %s, and a proof is signed with a private key", quoted(alg))
	}
	key, err := parseJWK(header["jwk"])
	switch {
	case !header.has("jwk"):
		l.find("proof-form", "there is no jwk")
	case err != nil:
		l.find("proof-form", "jwk: %v", err)
	case key.misfit(header.text("alg")) != "":
		l.find("proof-form", "jwk: %s", key.misfit(header.text("alg")))
	}
}
