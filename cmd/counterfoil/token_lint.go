package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil/internal/config"
	"github.com/counterfoil/counterfoil/internal/token"
)

type tokenLint struct {
	tokenInput
	JSON bool `help:"Print JSON."`
}

// finding is one fault of a token. A strict verifier refuses a token with an error. A warning
// is advice to the issuer.
type finding struct {
	Level string `json:"level"` // error, warning
	Rule  string `json:"rule"`
	Text  string `json:"text"`
}

// Run prints what is wrong or unwise about a token. It needs no key. It fails if there is an
// error.
func (c *tokenLint) Run(ctx context.Context) error {
	text, err := c.read(ctx)
	if err != nil {
		return err
	}
	found := lint(text, time.Now())
	if c.JSON {
		if err := writeJSON(os.Stdout, append([]finding{}, found...)); err != nil {
			return err
		}
	} else {
		for _, f := range found {
			fmt.Printf("%s: %s (%s)\n", f.Level, f.Text, f.Rule)
		}
		if len(found) == 0 {
			fmt.Println("no findings")
		}
	}
	if slices.ContainsFunc(found, func(f finding) bool { return f.Level == "error" }) {
		return errors.New("a strict verifier refuses this token")
	}
	return nil
}

// linter collects findings.
type linter []finding

func (l *linter) fail(rule, format string, args ...any) {
	*l = append(*l, finding{"error", rule, fmt.Sprintf(format, args...)})
}

func (l *linter) warn(rule, format string, args ...any) {
	*l = append(*l, finding{"warning", rule, fmt.Sprintf(format, args...)})
}

func lint(text string, now time.Time) []finding {
	var l linter
	if len(text) > token.MaxSize {
		l.fail("size", "it has %d bytes; verifiers stop reading at %d", len(text), token.MaxSize)
		return l
	}
	if strings.HasPrefix(text, "{") {
		l.fail("serialization", "it is in JSON serialization; only the compact one is accepted")
		return l
	}
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		l.fail("shape", "it has %d parts; a signed token has 3", len(parts))
		return l
	}
	for i, name := range []string{"header", "claims", "signature"} {
		raw, err := base64.RawURLEncoding.DecodeString(parts[i])
		switch {
		case err != nil:
			l.fail("base64", "the %s is not base64url without padding (RFC 7515 section 2)", name)
			return l
		case base64.RawURLEncoding.EncodeToString(raw) != parts[i]:
			l.fail("base64", "the %s has a second spelling: line breaks or unused bits", name)
		case i < 2 && token.CheckJSON(raw) != nil:
			l.fail("json", "the %s is not one strict JSON object: duplicate members, bad UTF-8, too deep or trailing data", name)
		}
	}
	if len(l) > 0 {
		return l
	}
	l.header(parts[0])
	l.claims(parts[1], now)
	if parts[2] == "" {
		l.fail("signature", "there is no signature")
	}
	if len(text) > 4000 {
		l.warn("size", "it has %d bytes and does not fit a cookie", len(text))
	}
	return l
}

func (l *linter) header(part string) {
	h := members(part)
	var alg string
	_ = json.Unmarshal(h["alg"], &alg)
	switch {
	case strings.EqualFold(alg, "none"):
		l.fail("alg", "alg is %q: anybody can write such a token (RFC 8725 section 3.1)", alg)
	case alg == "EdDSA":
		l.fail("alg", "alg is EdDSA, which does not name a curve; Ed25519 does (RFC 9864)")
	case !slices.Contains(token.Algorithms(), token.Alg(alg)):
		l.fail("alg", "alg is %q, which is no signature algorithm of RFC 7518 or RFC 9864", alg)
	case token.Alg(alg).Symmetric():
		l.warn("alg", "alg is %s: every verifier can also sign", alg)
	}
	if h["kid"] == nil {
		l.fail("kid", "there is no kid to find the key by")
	}
	if h["typ"] == nil {
		l.fail("typ", "there is no typ: another kind of token could pass for this one (RFC 8725 section 3.11)")
	}
	for _, name := range []string{"jku", "jwk", "x5u", "x5c"} {
		if h[name] != nil {
			l.fail(name, "%s would let the author of the token choose the key", name)
		}
	}
	for _, name := range []string{"crit", "b64", "zip"} {
		if h[name] != nil {
			l.fail(name, "%s is refused", name)
		}
	}
}

func (l *linter) claims(part string, now time.Time) {
	c := members(part)
	for _, name := range []string{"iss", "sub", "aud", "exp", "iat", "jti", "client_id"} {
		if c[name] == nil {
			l.warn(name, "there is no %s (RFC 9068 section 2.2)", name)
		}
	}
	var exp, iat int64
	if err := json.Unmarshal(c["exp"], &exp); c["exp"] != nil && (err != nil || exp <= 0 || exp >= 1<<53) {
		l.fail("exp", "exp is no whole number of seconds")
	} else if exp != 0 && exp <= now.Unix() {
		l.warn("exp", "it has expired")
	}
	if err := json.Unmarshal(c["iat"], &iat); c["iat"] != nil && (err != nil || iat <= 0 || iat >= 1<<53) {
		l.fail("iat", "iat is no whole number of seconds")
	} else if exp != 0 && iat != 0 && exp-iat > int64(15*time.Minute/time.Second) {
		l.warn("lifetime", "it lives %s; 15m is the most that a verifier of Counterfoil accepts by default", config.Duration(time.Duration(exp-iat)*time.Second))
	}
	if c["sid"] == nil || c["rv"] == nil {
		l.warn("rv", "without sid and rv it cannot be revoked before it expires")
	}
	for _, name := range []string{"email", "name", "phone_number", "address", "birthdate", "password", "ssn"} {
		if c[name] != nil {
			l.warn("privacy", "%s is readable for every holder of the token, and in every log that has the token", name)
		}
	}
	for name := range c {
		for _, known := range []string{"iss", "sub", "aud", "exp", "iat", "nbf", "jti", "sid"} {
			if name != known && strings.EqualFold(name, known) {
				l.fail("case", "%q is not %q: readers that ignore case confuse the two", name, known)
			}
		}
	}
}

func members(part string) map[string]json.RawMessage {
	raw, err := base64.RawURLEncoding.DecodeString(part)
	var m map[string]json.RawMessage
	if err != nil || json.Unmarshal(raw, &m) != nil {
		return nil
	}
	return m
}
