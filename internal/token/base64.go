package token

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
)

// refuse returns an error that wraps ErrInvalid. Its text names the rule. It never has the
// bytes that broke the rule, which may be a secret of the sender.
func refuse(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrInvalid}, args...)...)
}

var rawURL = base64.RawURLEncoding

const urlAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// sextets has the six bits of each character of the alphabet. It has notInAlphabet for every
// other byte.
var sextets = func() (t [256]byte) {
	for i := range t {
		t[i] = notInAlphabet
	}
	for i := range len(urlAlphabet) {
		t[urlAlphabet[i]] = byte(i)
	}
	return t
}()

const notInAlphabet = 0x80

func urlByte(c byte) bool { return sextets[c] != notInAlphabet }

func encode(b []byte) string { return rawURL.EncodeToString(b) }

// decode appends to out the bytes that s encodes in base64url without padding (RFC 4648
// section 5). It accepts one spelling. It refuses every byte outside the alphabet: Go's strict
// decoder would skip CR and LF (TOK-09). It refuses unused bits that are not zero (section 3.5,
// TOK-10).
func decode(out []byte, s string) ([]byte, error) {
	begin := len(out)
	out = slices.Grow(out, len(s)*3/4)
	to := out[begin : begin+len(s)*3/4]
	bad, n := byte(0), 0
	for len(s) >= 4 {
		a, b, c, d := sextets[s[0]], sextets[s[1]], sextets[s[2]], sextets[s[3]]
		bad |= a | b | c | d
		to[n], to[n+1], to[n+2] = a<<2|b>>4, b<<4|c>>2, c<<6|d
		s, n = s[4:], n+3
	}
	left := byte(0) // the unused bits of the last character
	switch len(s) {
	case 1:
		return nil, refuse("base64url length")
	case 2:
		a, b := sextets[s[0]], sextets[s[1]]
		bad |= a | b
		to[n], left = a<<2|b>>4, b<<4
	case 3:
		a, b, c := sextets[s[0]], sextets[s[1]], sextets[s[2]]
		bad |= a | b | c
		to[n], to[n+1], left = a<<2|b>>4, b<<4|c>>2, c<<6
	}
	if bad&notInAlphabet != 0 {
		return nil, refuse("not base64url")
	}
	if left != 0 {
		return nil, refuse("base64url is not canonical")
	}
	return out[:begin+len(to)], nil
}

// split cuts a compact serialization into its parts. It checks the size and the number of dots
// before it allocates anything: strings.Split of a megabyte of dots would allocate sixteen
// megabytes (TOK-08, TOK-14). It does not check the alphabet: decode does, for every part.
func split(s string, parts int) (p [5]string, err error) {
	if len(s) == 0 || len(s) > MaxSize {
		return p, errSize
	}
	for i := range parts - 1 {
		var dot bool
		if p[i], s, dot = strings.Cut(s, "."); !dot {
			return p, errParts
		}
	}
	if p[parts-1] = s; strings.IndexByte(s, '.') >= 0 {
		return p, errParts
	}
	if len(p[0]) > rawURL.EncodedLen(MaxHeaderSize) {
		return p, errSize
	}
	return p, nil
}

var (
	errSize  = refuse("size")
	errParts = refuse("number of parts")
)

// checkID refuses a kid with characters that have a meaning in a path, a URL, SQL or a shell
// (TOK-16).
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
