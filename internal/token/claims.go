package token

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	maxString  = 1024 // bytes of one claim
	maxElems   = 64   // of one array or map of claims
	maxInteger = 1 << 53
)

// Claims has the claims of RFC 7519, RFC 9068 and Counterfoil. They are data: they need not
// be true, current or meant for the reader.
type Claims struct {
	Issuer   string   // iss
	Subject  string   // sub
	Client   string   // client_id
	ID       string   // jti
	SID      string   // sid
	ACR      string   // acr
	RV       string   // rv
	Audience []string // aud, written as a string if there is one
	Roles    []string // roles
	Scopes   []string // scope, one string with the scopes separated by spaces (RFC 6749 section 3.3)
	Methods  []string // amr

	// Seconds since 1970. Zero: absent. Expires must be present.
	Expires   int64 // exp
	IssuedAt  int64 // iat
	NotBefore int64 // nbf
	AuthTime  int64 // auth_time

	ClaimsVersion uint64            // cv; zero: absent
	Attributes    map[string]string // app

	// act: who acts as Subject (RFC 8693 section 4.1), by sub and sid. Both or neither. client_id is
	// the client of that session; tokens of earlier versions have none.
	Actor, ActorSession, ActorClient string
}

// ParseClaims reads claims. It skips unknown members, after checking them by the rules of
// [CheckJSON]. It refuses a claim of the wrong type, and never treats it as absent (TOK-30).
// The function is short enough for the compiler to inline it. So if a caller copies the
// claims, they need not be on the heap.
func ParseClaims(payload string) (*Claims, error) {
	c := new(Claims)
	if err := c.read(payload); err != nil {
		return nil, err
	}
	return c, nil
}

// CheckAudience refuses a text that cannot be an audience, of a client or of a caller that
// introspects tokens.
func CheckAudience(aud string) error {
	if aud == "" || len(aud) > 200 || strings.ContainsFunc(aud, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return errors.New("an audience is 1 to 200 printable ASCII characters without spaces")
	}
	return nil
}

// Marshal writes the claims in a fixed order, without empty ones. [ParseClaims] reads the
// result back. Marshal refuses claims that ParseClaims would refuse (TOK-31).
func (c *Claims) Marshal() ([]byte, error) {
	if err := c.check(false); err != nil {
		return nil, err
	}
	var aud any
	switch len(c.Audience) {
	case 0:
	case 1:
		aud = c.Audience[0]
	default:
		aud = c.Audience
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(struct {
		Issuer        string            `json:"iss"`
		Subject       string            `json:"sub"`
		Audience      any               `json:"aud,omitempty"`
		Expires       int64             `json:"exp"`
		IssuedAt      int64             `json:"iat,omitempty"`
		NotBefore     int64             `json:"nbf,omitempty"`
		ID            string            `json:"jti,omitempty"`
		Client        string            `json:"client_id,omitempty"`
		SID           string            `json:"sid,omitempty"`
		Scope         string            `json:"scope,omitempty"`
		Roles         []string          `json:"roles,omitempty"`
		AuthTime      int64             `json:"auth_time,omitempty"`
		ACR           string            `json:"acr,omitempty"`
		Methods       []string          `json:"amr,omitempty"`
		ClaimsVersion uint64            `json:"cv,omitempty"`
		RV            string            `json:"rv,omitempty"`
		Attributes    map[string]string `json:"app,omitempty"`
		Act           *act              `json:"act,omitempty"`
	}{
		c.Issuer, c.Subject, aud, c.Expires, c.IssuedAt, c.NotBefore, c.ID, c.Client, c.SID,
		strings.Join(c.Scopes, " "), c.Roles, c.AuthTime, c.ACR, c.Methods, c.ClaimsVersion,
		c.RV, c.Attributes, c.act(),
	})
	if err != nil {
		return nil, refuse("claims: %v", err)
	}
	if b.Len() > MaxSize {
		return nil, refuse("claims size")
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// act is the claim of that name.
type act struct {
	Subject string `json:"sub"`
	Session string `json:"sid"`
	Client  string `json:"client_id,omitempty"`
}

func (c *Claims) act() *act {
	if c.Actor == "" {
		return nil
	}
	return &act{c.Actor, c.ActorSession, c.ActorClient}
}

// check checks claims that were read, and claims that will be written. plain says that all of them come from one text
// which is: see the function of that name.
func (c *Claims) check(plain bool) error {
	if c.Issuer == "" || c.Subject == "" || c.Expires == 0 {
		return refuse("iss, sub or exp is missing")
	}
	for _, s := range [...]string{c.Issuer, c.Subject, c.Client, c.ID, c.SID, c.ACR, c.RV, c.Actor, c.ActorSession, c.ActorClient} {
		if err := checkText(s, plain); err != nil {
			return err
		}
	}
	if (c.Actor == "") != (c.ActorSession == "") || c.Actor == "" && c.ActorClient != "" {
		return refuse("act has no sub or no sid")
	}
	for _, list := range [...][]string{c.Audience, c.Roles, c.Scopes, c.Methods} {
		if len(list) > maxElems {
			return refuse("too many values of a claim")
		}
		for _, s := range list {
			if s == "" {
				return refuse("empty value of a claim")
			}
			if err := checkText(s, plain); err != nil {
				return err
			}
		}
	}
	scope := 0
	for _, s := range c.Scopes {
		if scope += len(s) + 1; !scopeToken(s) || scope > maxString {
			return refuse("scope")
		}
	}
	for _, n := range [...]int64{c.Expires, c.IssuedAt, c.NotBefore, c.AuthTime} {
		if n < 0 || n >= maxInteger {
			return refuse("time of a claim out of range")
		}
	}
	if c.ClaimsVersion >= maxInteger {
		return refuse("cv out of range")
	}
	if len(c.Attributes) > maxElems {
		return refuse("too many attributes")
	}
	for k, v := range c.Attributes {
		if k == "" {
			return refuse("attribute without a name")
		}
		if err := checkText(k, plain); err != nil {
			return err
		}
		if err := checkText(v, plain); err != nil {
			return err
		}
	}
	return nil
}

// checkText refuses control characters, so that a claim cannot bring line breaks and terminal
// escapes into headers, logs and SQL (TOK-31). A plain text has none.
func checkText(s string, plain bool) error {
	if len(s) > maxString {
		return refuse("claim too long")
	}
	if plain {
		return nil
	}
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' { // rare: only now use the slower checks for Unicode
			if !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) {
				return refuse("claim with control characters")
			}
			break
		}
	}
	return nil
}

// scopeToken reports whether s is a scope-token of RFC 6749 section 3.3.
func scopeToken(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < 0x21 || c > 0x7e || c == '"' || c == '\\' {
			return false
		}
	}
	return s != ""
}
