package token

import (
	"encoding/base64"
	"fmt"
	"strings"
)

// refuse returns an error that wraps ErrInvalid. Its text names the rule, never
// the bytes that broke it: they are the sender's and may be a secret.
func refuse(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrInvalid}, args...)...)
}

var rawURL = base64.RawURLEncoding.Strict()

func urlByte(c byte) bool {
	return 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_'
}

func encode(b []byte) string { return rawURL.EncodeToString(b) }

// decode accepts one spelling of each byte string. The alphabet is checked here
// because Go's strict decoder still skips CR and LF (TOK-09), the trailing bits by
// the decoder (RFC 4648 section 3.5, TOK-10).
func decode(s string) ([]byte, error) {
	for i := range len(s) {
		if !urlByte(s[i]) {
			return nil, refuse("not base64url")
		}
	}
	b, err := rawURL.DecodeString(s)
	if err != nil {
		return nil, refuse("base64url is not canonical")
	}
	return b, nil
}

// split cuts a compact serialization into its parts. Size, alphabet and number of
// dots are checked before anything is allocated: splitting a megabyte of dots first
// costs sixteen (TOK-08, TOK-14).
func split(s string, parts int) ([]string, error) {
	if len(s) == 0 || len(s) > MaxSize {
		return nil, refuse("size")
	}
	dots := 0
	for i := range len(s) {
		if s[i] == '.' {
			dots++
		} else if !urlByte(s[i]) {
			return nil, refuse("alphabet")
		}
	}
	if dots != parts-1 {
		return nil, refuse("number of parts")
	}
	p := strings.Split(s, ".")
	if len(p[0]) > rawURL.EncodedLen(MaxHeaderSize) {
		return nil, refuse("header size")
	}
	return p, nil
}

// checkID holds a kid to the characters that mean nothing to a path, a URL, SQL or
// a shell (TOK-16).
func checkID(id string) error {
	if len(id) < 1 || len(id) > 64 {
		return refuse("kid length")
	}
	for i := range len(id) {
		if !urlByte(id[i]) {
			return refuse("kid alphabet")
		}
	}
	return nil
}
