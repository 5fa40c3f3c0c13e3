package token

import (
	"encoding/base64"
	"encoding/binary"
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

// sextets has the six bits of each character of the alphabet, in the place that the first, second, third and fourth
// of four characters have among 24 bits. It has notInAlphabet for every other byte.
var sextets = func() (t [4][256]uint32) {
	for place := range t {
		for i := range t[place] {
			t[place][i] = notInAlphabet
		}
		for i := range len(urlAlphabet) {
			t[place][urlAlphabet[i]] = uint32(i) << (18 - 6*place)
		}
	}
	return t
}()

const notInAlphabet = 1 << 31

func urlByte(c byte) bool { return sextets[0][c] != notInAlphabet }

// four returns the 24 bits of four characters.
func four(s string) uint32 {
	_ = s[3]
	return sextets[0][s[0]] | sextets[1][s[1]] | sextets[2][s[2]] | sextets[3][s[3]]
}

func encode(b []byte) string { return rawURL.EncodeToString(b) }

// decode appends to out the bytes that s encodes in base64url without padding (RFC 4648
// section 5). It accepts one spelling. It refuses every byte outside the alphabet: Go's strict
// decoder would skip CR and LF (TOK-09). It refuses unused bits that are not zero (section 3.5,
// TOK-10).
func decode(out []byte, s string) ([]byte, error) {
	begin, end := len(out), len(out)+len(s)*3/4
	out = slices.Grow(out, end-begin)
	to := out[begin:end]
	bad := uint32(0)
	for len(s) >= 8 && len(to) >= 8 { // two bytes more than there are: the next ones replace them
		a, b := four(s), four(s[4:])
		bad |= a | b
		binary.BigEndian.PutUint64(to, (uint64(a)<<24|uint64(b&^notInAlphabet))<<16)
		s, to = s[8:], to[6:]
	}
	for len(s) >= 4 {
		a := four(s)
		bad |= a
		to[0], to[1], to[2] = byte(a>>16), byte(a>>8), byte(a)
		s, to = s[4:], to[3:]
	}
	left := byte(0) // the unused bits of the last character
	switch len(s) {
	case 1:
		return nil, refuse("base64url length")
	case 2:
		a := sextets[0][s[0]] | sextets[1][s[1]]
		bad |= a
		to[0], left = byte(a>>16), byte(a>>8)
	case 3:
		a := sextets[0][s[0]] | sextets[1][s[1]] | sextets[2][s[2]]
		bad |= a
		to[0], to[1], left = byte(a>>16), byte(a>>8), byte(a)
	}
	if bad&notInAlphabet != 0 {
		return nil, refuse("not base64url")
	}
	if left != 0 {
		return nil, refuse("base64url is not canonical")
	}
	return out[:end], nil
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
