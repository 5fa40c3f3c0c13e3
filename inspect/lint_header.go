package inspect

import (
	"encoding/json"
	"slices"
	"strings"
)

// registered are the members of a header that no crit may name (RFC 7515 section 4.1.11).
var registered = []string{"alg", "jku", "jwk", "kid", "x5u", "x5c", "x5t", "x5t#S256", "typ", "cty", "crit",
	"enc", "zip", "epk", "apu", "apv", "iv", "tag", "p2s", "p2c"}

// header looks at what headers of signed and encrypted tokens have in common.
func (l *linter) header(h object, kind Kind) {
	l.headerTypes(h)
	l.keysInHeader(h, kind)
	l.crit(h)
	l.kid(h, kind)
	if h.has("zip") {
		l.find("zip", "")
	}
	if h.has("x5t") {
		l.find("x5t-sha1", "")
	}
	if !h.has("typ") {
		l.find("typ-missing", "")
	}
	if !h.has("enc") {
		l.alg(h)
	}
}

func (l *linter) headerTypes(h object) {
	for _, name := range []string{"kid", "typ", "cty", "enc"} {
		if h.has(name) && !h.isText(name) {
			l.find("header-type", "%s", name)
		}
	}
	if !h.isText("alg") || h.text("alg") == "" {
		l.find("alg-missing", "")
	}
}

// alg looks at the algorithm of a signature.
func (l *linter) alg(h object) {
	switch alg := h.text("alg"); {
	case alg == "":
	case strings.EqualFold(alg, "none"):
		l.find("alg-none", "")
	case alg == "EdDSA":
		l.find("alg-eddsa", "")
	case slices.Contains(rareAlgs, alg):
		l.find("alg-rare", "%s", alg)
	case !knownSignature(alg):
		l.find("alg-unknown", "alg is %s", quoted(alg))
	}
}

func (l *linter) keysInHeader(h object, kind Kind) {
	for _, name := range []string{"jku", "x5u", "x5c"} {
		if h.has(name) {
			l.find("header-"+name, "")
		}
	}
	if h.has("jwk") && kind.ID != "dpop-proof" {
		l.find("header-jwk", "")
	}
	if private(h["jwk"]) {
		l.find("private-key", "jwk of the header")
	}
}

// private reports whether a JWK has a private member.
func private(jwk json.RawMessage) bool {
	key, err := readObject(jwk)
	return err == nil && slices.ContainsFunc([]string{"d", "p", "q", "k", "priv"}, key.has)
}

func (l *linter) crit(h object) {
	if string(h["b64"]) == "false" {
		l.find("b64-false", "")
	}
	if !h.has("crit") {
		return
	}
	var names []string
	if json.Unmarshal(h["crit"], &names) != nil || len(names) == 0 {
		l.find("crit-form", "it is no list of names")
		return
	}
	for i, name := range names {
		switch {
		case slices.Contains(registered, name):
			l.find("crit-form", "%s is no extension", quoted(name))
		case slices.Contains(names[:i], name):
			l.find("crit-form", "%s occurs twice", quoted(name))
		case !h.has(name):
			l.find("crit-form", "the header has no %s", quoted(name))
		case name != "b64":
			l.find("crit-unknown", "%s", quoted(name))
		}
	}
}

func (l *linter) kid(h object, kind Kind) {
	kid := h.text("kid")
	switch {
	case !h.has("kid") && !slices.Contains([]string{"dpop-proof", "key-binding"}, kind.ID): // these have their key by other ways
		l.find("kid-missing", "")
	case strings.ContainsFunc(kid, meaning), strings.Contains(kid, ".."), strings.Contains(kid, "--"),
		strings.Contains(kid, "://"), strings.HasPrefix(kid, "/"):
		l.find("kid-injection", "kid is %s", quoted(kid))
	}
}

// meaning reports whether a character means something in a path, a URL, SQL or a shell.
func meaning(r rune) bool {
	return r <= ' ' || r == 0x7f || strings.ContainsRune("\"'`;|&$<>(){}\\*?!%", r)
}

// quoted is at most 40 characters of a text, between quotes.
func quoted(s string) string {
	if runes := []rune(s); len(runes) > 40 {
		s = string(runes[:40]) + "…"
	}
	return `"` + s + `"`
}

// encrypted looks at the header of an encrypted token.
func (l *linter) encrypted(m *message) {
	e := m.encrypted
	if len(e.raw) > 0 {
		m.objectFaults("header", e.raw)
	}
	for i := range e.recipients {
		h := e.recipient(i)
		kind, _ := kindOf(object{"typ": h["typ"]}, object{}, false)
		l.header(h, kind)
		l.encryption(h)
	}
}

func (l *linter) encryption(h object) {
	alg, enc := h.text("alg"), h.text("enc")
	switch {
	case alg == "RSA1_5":
		l.find("alg-rsa1_5", "")
	case slices.Contains(decryptOnly, alg):
		l.find("alg-rare", "%s", alg)
	case alg != "" && !slices.Contains(keyAlgs, alg):
		l.find("alg-unknown", "alg is %s", quoted(alg))
	}
	if !slices.Contains(contentAlgs, enc) {
		l.find("enc-unknown", "enc is %s", quoted(enc))
	}
	if strings.HasPrefix(alg, "PBES2-") {
		if n, ok := h.number("p2c"); !ok || n < 1000 || n > maxRounds {
			l.find("pbes2-rounds", "")
		}
	}
	if shortType(h.text("cty")) != "jwt" {
		l.find("encrypted-unsigned", "")
	}
}
