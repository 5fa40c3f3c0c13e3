package inspect

import (
	"bytes"
	"crypto/hmac"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/counterfoil/counterfoil/internal/token"
)

// Finding is a rule that a token breaks.
type Finding struct {
	Rule
	Detail string `json:"detail,omitempty"` // where, and what
}

// LintOptions say what is known about the token beside its text.
type LintOptions struct {
	Now time.Time // required
	Key *Key      // that it is to be verified with; nil if that is not known
}

// linter collects the findings about one token.
type linter struct {
	found  []Finding
	now    time.Time
	key    *Key
	nested int
}

// Lint returns what is wrong or unwise about a token, in the order of [Rules]. It needs no key.
// Of an encrypted token it sees the header only. A text that is no token has the finding "form".
func Lint(text string, o LintOptions) []Finding {
	l := &linter{now: o.Now, key: o.Key}
	l.token(text)
	slices.SortStableFunc(l.found, func(a, b Finding) int { return place(a.ID) - place(b.ID) })
	return l.found
}

func place(id string) int {
	return slices.IndexFunc(rules, func(r Rule) bool { return r.ID == id })
}

// maxFindings bounds the answer: a text of 256 KB could have thousands.
const maxFindings = 100

// find adds a finding, once for each detail.
func (l *linter) find(id, format string, args ...any) {
	f := Finding{rules[place(id)], fmt.Sprintf(format, args...)}
	if l.nested > 0 {
		f.Detail = strings.TrimPrefix(f.Detail+", in the inner token", ", ")
	}
	if len(l.found) < maxFindings && !slices.Contains(l.found, f) {
		l.found = append(l.found, f)
	}
}

func (l *linter) token(text string) {
	if kind, _, ok := opaqueKind(text); ok {
		l.find("form", "it is an %s: it says nothing, so there is nothing to look at", strings.ReplaceAll(kind, "-", " "))
		return
	}
	m, err := parse(text)
	if err != nil {
		l.find("form", "%s", strings.TrimPrefix(err.Error(), ErrNoToken.Error()+": "))
		return
	}
	if m.serialization != Compact {
		l.find("json-serialization", "%s", m.serialization)
	}
	l.size(m)
	if m.encrypted != nil {
		l.encrypted(m)
	} else {
		l.signed(m)
	}
	for _, f := range m.faults {
		l.find(f.rule, "%s", f.detail)
	}
}

// The limits of what fits a cookie with its attributes, and of what is much for each request.
const (
	largeSize  = 1024
	cookieSize = 3584
)

func (l *linter) size(m *message) {
	switch n := len(m.text); {
	case l.nested > 0: // it counts with the outer token
	case n > cookieSize:
		l.find("size-3k5", "%d bytes", n)
	case n > largeSize:
		l.find("size-1k", "%d bytes", n)
	}
}

func (l *linter) signed(m *message) {
	claims, err := readObject(m.payload)
	isObject := err == nil
	header := m.signatures[0].header()
	inner, isNested := nestedText(header, m.payload)
	if isObject || bytes.HasPrefix(bytes.TrimSpace(m.payload), []byte("{")) || !utf8.Valid(m.payload) && !isNested {
		m.objectFaults("claims", m.payload)
	}
	if !isObject {
		claims = object{}
	}
	kind, _ := kindOf(header, claims, m.selective)
	for i := range m.signatures {
		s := &m.signatures[i]
		if len(s.raw) > 0 {
			m.objectFaults("header", s.raw)
		}
		for _, name := range []string{"alg", "crit"} {
			if s.unprotected.has(name) {
				l.find("unprotected-alg", "%s", name)
			}
		}
		l.header(s.header(), kind)
		l.signature(m, s, claims)
	}
	switch {
	case isNested:
		l.inner(inner)
	case !isObject:
		l.find("claims-missing", "")
	default:
		l.claims(m, header, claims, kind)
	}
	if m.selective {
		l.disclosures(m, claims)
	}
}

// inner looks at a token in the token.
func (l *linter) inner(text string) {
	if l.nested == maxNested {
		return
	}
	if m, err := parse(text); err == nil && m.encrypted == nil && strings.EqualFold(m.signatures[0].header().text("alg"), "none") {
		l.find("nested-none", "")
	}
	l.nested++
	l.token(text)
	l.nested--
}

// signature looks at the value of a signature, and tries the secrets that everybody can guess.
func (l *linter) signature(m *message, s *signature, claims object) {
	alg := s.header().text("alg")
	size := signatureSizes[alg]
	isRSA := (strings.HasPrefix(alg, "RS") || strings.HasPrefix(alg, "PS")) && knownSignature(alg)
	switch n := len(s.value); {
	case strings.EqualFold(alg, "none"):
	case n == 0:
		l.find("signature-missing", "")
	case size != 0 && n != size:
		l.find("signature-length", "%s has %d bytes, not %d", alg, size, n)
	case isRSA && n < 128:
		l.find("signature-length", "%s has the length of its key, 256 bytes or more, not %d", alg, n)
	}
	if l.key != nil && knownSignature(alg) {
		if why := l.key.misfit(alg); why != "" {
			l.find("key-mismatch", "%s", why)
		} else if l.key.Alg != "" && oneName(l.key.Alg) != oneName(alg) {
			l.find("key-mismatch", "alg of the key is %s", l.key.Alg)
		}
	}
	if hmacs[alg] == nil {
		return
	}
	l.find("alg-symmetric", "%s", alg)
	if list, ok := claims.texts("aud"); ok && len(list) > 1 {
		l.find("hmac-audiences", "%d audiences", len(list))
	}
	if n := weakSecret(alg, m.input(s), s.value); n >= 0 {
		l.find("weak-secret", "%s", []string{"it is empty", "it is in the list of words and examples"}[min(n, 1)])
	}
}

// weakSecret returns the place of the secret that made a signature in the list of those that
// everybody can guess: 0 is the empty one. It is -1 if none did. The secret itself is not
// said: reports are kept where tokens are. A text that is longer than tokens are is not tried.
func weakSecret(alg, input string, sig []byte) int {
	if len(input) > 2*token.MaxSize {
		return -1
	}
	for i, secret := range append([]string{""}, secrets...) {
		m := hmac.New(hmacs[alg], []byte(secret))
		m.Write([]byte(input))
		if hmac.Equal(m.Sum(nil), sig) {
			return i
		}
	}
	return -1
}

// input is what a signature is over (RFC 7515 section 5.1).
func (m *message) input(s *signature) string { return s.part + "." + m.payloadPart }

func (l *linter) disclosures(m *message, claims object) {
	for i, d := range m.disclosed(claims) {
		if !d.Matched {
			l.find("disclosure", "disclosure %d: %s", i+1, d.Problem)
		}
	}
	if m.binding != "" {
		l.nested++
		l.token(m.binding)
		l.nested--
	}
}
