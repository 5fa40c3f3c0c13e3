package inspect

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// VerifyOptions say what a token must be. What is empty is not asked for, and the answer says so.
type VerifyOptions struct {
	Keys     *Keys         // required
	Issuer   string        // iss
	Audience string        // one of aud, of the key binding JWT if there is one
	Type     string        // typ, compared as RFC 7515 section 4.1.9 says
	Nonce    string        // nonce, of the key binding JWT if there is one
	Leeway   time.Duration // for clocks that differ
	Now      time.Time     // required
}

// Outcome is how a check ended.
type Outcome string

const (
	Passed Outcome = "passed"
	Failed Outcome = "failed"
	Open   Outcome = "open" // nobody asked, so nothing is known
)

// Check is one thing that was verified, or was not.
type Check struct {
	Name    string  `json:"check"`
	Outcome Outcome `json:"outcome"`
	Text    string  `json:"text"`
}

// Verified is the answer to whether a token is good. Claims are there only if it is.
type Verified struct {
	Valid      bool            `json:"valid"`
	Kind       string          `json:"kind"`
	Title      string          `json:"title"`
	Key        string          `json:"key,omitempty"`        // kid of the key that made the signature
	Thumbprint string          `json:"thumbprint,omitempty"` // RFC 7638
	Header     json.RawMessage `json:"header,omitempty"`
	Claims     json.RawMessage `json:"claims,omitempty"` // of an SD-JWT with what was disclosed, and without digests
	Disclosed  []Disclosure    `json:"disclosures,omitempty"`
	Payload    []byte          `json:"payload,omitempty"` // in base64, if it is not a JSON object
	Checks     []Check         `json:"checks"`
	Skipped    []Skipped       `json:"skipped,omitempty"` // keys that were not tried, and why
	Warnings   []string        `json:"warnings,omitempty"`
}

// Problem is the text of the first check that failed; empty if none did.
func (v *Verified) Problem() string {
	for _, c := range v.Checks {
		if c.Outcome == Failed {
			return c.Text
		}
	}
	return ""
}

// disbelieve opens each check that passed, if the signature did not: what they are about may be
// anybody's.
func (v *Verified) disbelieve() {
	if !slices.ContainsFunc(v.Checks, func(c Check) bool { return c.Name == "signature" && c.Outcome == Failed }) {
		return
	}
	for i := range v.Checks {
		if c := &v.Checks[i]; c.Outcome == Passed && c.Name != "form" {
			c.Outcome, c.Text = Open, "not signed: "+c.Text
		}
	}
}

func (v *Verified) check(name string, outcome Outcome, format string, args ...any) {
	v.Checks = append(v.Checks, Check{name, outcome, fmt.Sprintf(format, args...)})
}

// ErrEncrypted is returned by [Verify] for an encrypted token: [Decrypt] it first.
var ErrEncrypted = errors.New("it is encrypted: decrypt it, and verify what is in it")

// Verify checks the signature of a token, its type, issuer, audience and times, and what its kind
// demands beside them. Of several signatures one by a known key is enough. An error means that
// the text is no signed token; whether a token is good is in the answer.
//
// It cannot see whether the session of a token was revoked.
func Verify(text string, o VerifyOptions) (*Verified, error) {
	if kind, _, ok := opaqueKind(text); ok {
		return nil, noToken("it is an %s: only its issuer can check it", strings.ReplaceAll(kind, "-", " "))
	}
	m, err := parse(text)
	if err != nil {
		return nil, err
	}
	if m.encrypted != nil {
		return nil, ErrEncrypted
	}
	v := &Verified{}
	s := v.signature(m, o)
	claims, err := readObject(m.payload)
	if err != nil {
		claims = object{}
	}
	kind, _ := kindOf(s.protected, claims, m.selective) // nobody signed the unprotected header
	v.Kind, v.Title = kind.ID, kind.Title
	if err == nil {
		own := o
		if m.binding != "" { // what this presentation is for stands in the key binding JWT
			own.Audience, own.Nonce = "", ""
		}
		v.claims(claims, own)
	} else {
		v.check("claims", Open, "the payload is not a JSON object")
	}
	v.typ(s.protected, o)
	v.kind(m, s, claims, o)
	if v.Valid = v.Problem() == ""; !v.Valid {
		v.disbelieve()
		v.Disclosed = nil
		return v, nil
	}
	v.Header = firstValue(s.raw) // without the unprotected one
	v.Claims = firstValue(m.payload)
	switch {
	case err != nil:
		v.Claims, v.Payload = nil, m.payload
	case m.selective:
		v.Claims, _ = m.resolved(v.Disclosed) // the check of disclosures did it before
	}
	return v, nil
}

// signature finds a signature by one of the keys. It returns the one that the checks after it
// are about.
func (v *Verified) signature(m *message, o VerifyOptions) *signature {
	v.form(m)
	v.Skipped = slices.Clone(o.Keys.Skipped)
	var problems []string
	for i := range m.signatures {
		s := &m.signatures[i]
		key, err := v.find(m, s, o.Keys)
		if err != nil {
			problems = append(problems, err.Error())
			continue
		}
		alg := s.header().text("alg")
		v.Key, v.Thumbprint = key.ID, key.Thumbprint
		name := key.Type
		if key.ID != "" {
			name = key.ID + " (" + key.Type + ")"
		}
		v.check("signature", Passed, "%s with key %s", alg, name)
		v.keyWarnings(m, s, key, o)
		return s
	}
	v.check("signature", Failed, "%s", strings.Join(problems, "; "))
	return &m.signatures[0]
}

// form fails for what strict readers refuse.
func (v *Verified) form(m *message) {
	for i := range m.signatures {
		if s := &m.signatures[i]; len(s.raw) > 0 {
			m.objectFaults("header", s.raw)
		}
	}
	if _, err := readObject(m.payload); err == nil {
		m.objectFaults("claims", m.payload)
	}
	var texts []string
	for _, f := range m.faults {
		texts = append(texts, strings.TrimSpace(rules[place(f.rule)].Title+" "+f.detail))
	}
	if len(texts) > 0 {
		v.check("form", Failed, "%s", strings.Join(slices.Compact(texts), "; "))
		return
	}
	v.check("form", Passed, "one spelling, no member twice")
}

// find returns the key that made a signature. It says in Skipped why it did not try a key.
func (v *Verified) find(m *message, s *signature, keys *Keys) (Key, error) {
	alg, err := s.algorithm()
	if err != nil {
		return Key{}, err
	}
	kid, tried := s.header().text("kid"), 0
	for i, key := range keys.List {
		place := key.ID
		if place == "" {
			place = fmt.Sprintf("key %d (%s)", i+1, key.Type)
		}
		why := key.unfit(alg)
		if why == "" && keys.set && kid != "" && key.ID != "" && key.ID != kid {
			why = "the token names another kid"
		}
		if why == "" {
			switch err := key.holds(alg, []byte(m.input(s)), s.value); {
			case err == nil:
				return key, nil
			case errors.Is(err, errSignature):
				tried++
				why = "it did not make the signature"
			default:
				why = err.Error()
			}
		}
		v.Skipped = append(v.Skipped, Skipped{place, why})
	}
	if tried == 0 {
		return Key{}, fmt.Errorf("no key fits %s%s", alg, ofKid(kid))
	}
	return Key{}, fmt.Errorf("%w (%s, keys tried: %d)", errSignature, alg, tried)
}

func ofKid(kid string) string {
	if kid == "" {
		return ""
	}
	return " and kid " + quoted(kid)
}

// algorithm returns the alg of a signature. It must be protected, and no extension may be
// critical (RFC 7515 sections 4.1.11 and 10.7).
func (s *signature) algorithm() (string, error) {
	alg := s.protected.text("alg")
	switch {
	case s.unprotected.has("alg"):
		return "", errors.New("alg is in the unprotected header")
	case strings.EqualFold(alg, "none"):
		return "", errors.New("alg is none: it has no signature")
	case !knownSignature(alg):
		return "", fmt.Errorf("alg is %s, which is not known here", quoted(alg))
	case s.header().has("crit"):
		return "", errors.New("crit demands an extension that is not known here")
	case s.header().has("b64"):
		return "", errors.New("b64 is not known here")
	}
	for name := range s.unprotected {
		if s.protected.has(name) {
			return "", fmt.Errorf("%s is in both headers", quoted(name))
		}
	}
	return alg, nil
}

// unfit says why a key is not for signatures with alg; empty if it is.
func (k Key) unfit(alg string) string {
	switch {
	case k.Use != "" && k.Use != "sig":
		return "its use is " + quoted(k.Use)
	case len(k.Operations) > 0 && !slices.Contains(k.Operations, "verify") && !slices.Contains(k.Operations, "sign"):
		return "its key_ops have no verify"
	case k.Alg != "" && oneName(k.Alg) != oneName(alg):
		return "its alg is " + k.Alg
	}
	return k.misfit(alg)
}

func (v *Verified) keyWarnings(m *message, s *signature, key Key, o VerifyOptions) {
	alg, kid := s.header().text("alg"), s.header().text("kid")
	if secret, ok := key.value.([]byte); ok {
		if n := signatureSizes[alg]; len(secret) < n {
			v.Warnings = append(v.Warnings, fmt.Sprintf("the secret has %d bytes: %s wants %d or more (RFC 7518 section 3.2)", len(secret), alg, n))
		}
		if weakSecret(alg, m.input(s), s.value) >= 0 {
			v.Warnings = append(v.Warnings, "everybody can guess the secret: it is in the list of words and examples")
		}
	}
	if kid != "" && key.ID != "" && kid != key.ID {
		v.Warnings = append(v.Warnings, fmt.Sprintf("the token names kid %s, and the key is %s: a verifier that finds keys by kid refuses it", quoted(kid), quoted(key.ID)))
	}
	if o.Keys.set && key.Private {
		v.Warnings = append(v.Warnings, "the key set has a private key or a secret: each of its readers can sign")
	}
	if key.Certificate != nil {
		if why := key.expired(o.Now); why != "" {
			v.check("certificate", Failed, "%s", why)
		}
		v.Warnings = append(v.Warnings, "nobody checked who issued the certificate")
	}
}

func (v *Verified) typ(header object, o VerifyOptions) {
	switch typ := header.text("typ"); {
	case o.Type == "" && typ == "":
		v.check("typ", Open, "it has none, and nobody asked for one")
	case o.Type == "":
		v.check("typ", Open, "%s; nobody asked for one", quoted(typ))
	case shortType(typ) != shortType(o.Type):
		v.check("typ", Failed, "typ is %s, not %s", quoted(typ), quoted(o.Type))
	default:
		v.check("typ", Passed, "%s", typ)
	}
}

// claims checks what claims of each kind have in common (RFC 7519 section 4.1).
func (v *Verified) claims(claims object, o VerifyOptions) {
	switch iss := claims.text("iss"); {
	case o.Issuer == "":
		v.check("iss", Open, "%s; nobody asked for one", quoted(iss))
	case iss != o.Issuer:
		v.check("iss", Failed, "iss is %s, not %s", quoted(iss), quoted(o.Issuer))
	default:
		v.check("iss", Passed, "%s", iss)
	}
	v.audience("aud", claims, o)
	if o.Nonce != "" || claims.has("nonce") {
		v.nonce("nonce", claims, o)
	}
	v.time(claims, "exp", func(at time.Time) bool { return o.Now.Before(at.Add(o.Leeway)) }, "it expired", o)
	v.time(claims, "nbf", func(at time.Time) bool { return !o.Now.Before(at.Add(-o.Leeway)) }, "it is not good yet: nbf is", o)
	v.time(claims, "iat", func(at time.Time) bool { return !o.Now.Before(at.Add(-o.Leeway)) }, "iat is in the future:", o)
}

func (v *Verified) audience(name string, claims object, o VerifyOptions) {
	list, ok := claims.texts("aud")
	switch {
	case claims.has("aud") && !ok:
		v.check(name, Failed, "aud is neither a text nor a list of texts")
	case o.Audience == "":
		v.check(name, Open, "%q; nobody asked for one", list)
	case !slices.Contains(list, o.Audience):
		v.check(name, Failed, "aud is %q, without %s", list, quoted(o.Audience))
	default:
		v.check(name, Passed, "%s", o.Audience)
	}
}

func (v *Verified) nonce(name string, claims object, o VerifyOptions) {
	switch nonce := claims.text("nonce"); {
	case o.Nonce == "":
		v.check(name, Open, "%s; nobody asked for one", quoted(nonce))
	case nonce != o.Nonce:
		v.check(name, Failed, "nonce is %s, not %s", quoted(nonce), quoted(o.Nonce))
	default:
		v.check(name, Passed, "%s", nonce)
	}
}

// time checks one claim that is a time, which may have a fraction.
func (v *Verified) time(claims object, name string, good func(time.Time) bool, bad string, o VerifyOptions) {
	at, ok := claims.time(name)
	switch {
	case !claims.has(name) && name == "exp":
		v.check(name, Open, "it has none: it never expires by itself")
	case !claims.has(name):
	case !ok:
		v.check(name, Failed, "%s is no number of seconds", name)
	case !good(at):
		v.check(name, Failed, "%s %s (%s)", bad, at.Format(time.RFC3339), away(at, o.Now))
	default:
		v.check(name, Passed, "%s (%s)", at.Format(time.RFC3339), away(at, o.Now))
	}
}
