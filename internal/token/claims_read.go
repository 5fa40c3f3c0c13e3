package token

import (
	"slices"
	"strings"
)

// read fills c from payload in one pass. Every claim shares its bytes with payload, and all
// lists share one array.
func (c *Claims) read(payload string) error {
	if len(payload) > MaxSize {
		return errSize
	}
	s, err := scan(payload)
	if err != nil {
		return err
	}
	r := claimReader{scanner: s}
	m := members{depth: 1}
	for m.next(&r.scanner) {
		m.err = r.claim(m.name, c)
	}
	if m.err != nil {
		return m.err
	}
	if err := r.end(); err != nil {
		return err
	}
	return c.check(r.plain)
}

// claimReader reads the members of a claims object, one at each call of claim. It has no
// pointer to the claims: otherwise they would be on the heap.
type claimReader struct {
	scanner
	list []string // the values of all lists so far; each list is a part of it
}

func (r *claimReader) claim(name string, c *Claims) (err error) {
	switch name {
	case "iss":
		c.Issuer, err = r.text()
	case "sub":
		c.Subject, err = r.text()
	case "aud":
		c.Audience, err = r.audience()
	case "exp":
		c.Expires, err = r.integer()
	case "iat":
		c.IssuedAt, err = r.integer()
	case "nbf":
		c.NotBefore, err = r.integer()
	case "jti":
		c.ID, err = r.text()
	case "client_id":
		c.Client, err = r.text()
	case "sid":
		c.SID, err = r.text()
	case "scope":
		c.Scopes, err = r.scope()
	case "roles":
		c.Roles, err = r.texts()
	case "auth_time":
		c.AuthTime, err = r.integer()
	case "acr":
		c.ACR, err = r.text()
	case "amr":
		c.Methods, err = r.texts()
	case "cv":
		var n int64
		n, err = r.integer()
		c.ClaimsVersion = uint64(n)
	case "rv":
		c.RV, err = r.text()
	case "app":
		c.Attributes, err = r.attributes()
	case "act":
		err = r.act(c)
	case "cnf":
		// RFC 7800: only the holder of a key may use the token. This package cannot check
		// that, so it must not accept the token as a bearer token.
		err = refuse("cnf")
	default:
		err = r.skip(2)
	}
	return err
}

var errClaimType = refuse("type of a claim")

func (r *claimReader) text() (string, error) {
	if r.peek() != '"' {
		return "", errClaimType
	}
	s, err := r.string()
	if err == nil && s == "" {
		err = errClaimType
	}
	return s, err
}

// add appends s to r.list. The lists share r.list, so that most tokens need one array.
func (r *claimReader) add(s string) {
	if r.list == nil {
		r.list = make([]string, 0, 8)
	}
	r.list = append(r.list, s)
}

// since returns the values that were added after r.list had start values.
func (r *claimReader) since(start int) []string {
	if len(r.list) == start {
		return nil
	}
	return slices.Clip(r.list[start:])
}

func (r *claimReader) texts() ([]string, error) {
	if r.peek() != '[' {
		return nil, errClaimType
	}
	start := len(r.list)
	e := elements{depth: 2}
	for e.next(&r.scanner) {
		var s string
		if s, e.err = r.text(); e.err == nil && len(r.list)-start == maxElems {
			e.err = refuse("too many values of a claim")
		}
		r.add(s)
	}
	return r.since(start), e.err
}

// audience reads a string or an array (RFC 7519 section 4.1.3). It refuses an empty array,
// which must not mean "no restriction" (TOK-21).
func (r *claimReader) audience() (list []string, err error) {
	if r.peek() == '[' {
		if list, err = r.texts(); err == nil && len(list) == 0 {
			err = errClaimType
		}
		return list, err
	}
	s, err := r.text()
	if err != nil {
		return nil, err
	}
	start := len(r.list)
	r.add(s)
	return r.since(start), nil
}

func (r *claimReader) scope() ([]string, error) {
	s, err := r.text()
	if err != nil {
		return nil, err
	}
	if len(s) > maxString {
		return nil, refuse("scope")
	}
	start := len(r.list)
	for scope := range strings.SplitSeq(s, " ") {
		r.add(scope)
	}
	return r.since(start), nil
}

// integer accepts digits only, with 0 < n < 2^53. It refuses a fraction and an exponent: they
// would need rounding, and on amd64 int64(1.8e308) is a time in the past (TOK-22, TOK-23).
func (r *claimReader) integer() (n int64, err error) {
	if r.peek() == '0' { // JSON has no leading zeros
		return 0, errClaimType
	}
	rest := r.data[r.pos:]
	digits := 0
	for ; digits < len(rest) && rest[digits]-'0' <= 9 && n < maxInteger; digits++ {
		n = 10*n + int64(rest[digits]-'0')
	}
	r.pos += digits
	switch r.peek() {
	case '.', 'e', 'E':
		return 0, errClaimType
	}
	if n == 0 || n >= maxInteger {
		return 0, errClaimType
	}
	return n, nil
}

// act reads who acts as the subject. One that does not say who, and of which session, is refused:
// what ends that session must end the token.
func (r *claimReader) act(c *Claims) error {
	if r.peek() != '{' {
		return errClaimType
	}
	m := members{depth: 2}
	for m.next(&r.scanner) {
		switch m.name {
		case "sub":
			c.Actor, m.err = r.text()
		case "sid":
			c.ActorSession, m.err = r.text()
		case "client_id":
			c.ActorClient, m.err = r.text()
		default:
			m.err = r.skip(3)
		}
	}
	if m.err == nil && (c.Actor == "" || c.ActorSession == "") {
		return errClaimType
	}
	return m.err
}

func (r *claimReader) attributes() (map[string]string, error) {
	if r.peek() != '{' {
		return nil, errClaimType
	}
	var values map[string]string
	m := members{depth: 2}
	for m.next(&r.scanner) {
		if r.peek() != '"' {
			return nil, errClaimType
		}
		if values == nil {
			values = make(map[string]string)
		}
		values[m.name], m.err = r.string()
	}
	return values, m.err
}
