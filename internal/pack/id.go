package pack

import "strings"

// A packed id encodes its own length, and two ids never have the same packed form. If the id
// has a shape, the first byte is the code of the shape. Otherwise the first byte is rawID plus
// the length of the id, and the id follows unchanged.
const rawID = 0x20

// MaxID is the length of the longest id that can be packed.
const MaxID = 0xff - rawID

// shape is a form of ids: a prefix, then n characters of an alphabet.
type shape struct {
	prefix string
	chars  *alphabet
	n      int // how many characters follow the prefix
}

// The index of a shape is its code. So new shapes are added at the end only, up to 16.
var shapes = [...]shape{
	{"ses_", five, 32}, // 160 bits of a hash
	{"ses_", five, 26}, // crypto/rand.Text
	{"usr_", five, 26},
	{"tok_", five, 26},
	{"", six, 22}, // 128 bits in base64url
	{"", six, 43}, // 256 bits
}

// shapeOf returns the code and the length of the shape of s. If inside is true, it returns
// the shape of the part of s before a quote.
func shapeOf(s string, inside bool) (code byte, n int) {
	for i := range shapes {
		h := &shapes[i]
		n := len(h.prefix) + h.n
		if len(s) < n || inside && (len(s) == n || s[n] != '"') || !inside && len(s) != n {
			continue
		}
		if strings.HasPrefix(s, h.prefix) && h.chars.run(s[len(h.prefix):n]) == h.n {
			return byte(i), n
		}
	}
	return 0, 0
}

func (h *shape) append(dst []byte, s string) []byte {
	return h.chars.append(dst, s[len(h.prefix):len(h.prefix)+h.n])
}

// AppendID packs an id of at most MaxID bytes.
func AppendID(dst []byte, id string) []byte {
	if code, n := shapeOf(id, false); n > 0 {
		return shapes[code].append(append(dst, code), id)
	}
	return append(append(dst, rawID+byte(len(id))), id...)
}

// ID returns the id at the start of b, and the length of its packed form: 0 if there is none.
func ID(b []byte) (string, int) {
	n := IDSize(b)
	switch {
	case n == 0:
		return "", 0
	case b[0] >= rawID:
		return string(b[1:n]), n
	}
	h := &shapes[b[0]]
	var text [64]byte
	return string(h.chars.appendChars(append(text[:0], h.prefix...), b[1:n], h.n)), n
}

// IDSize returns the length of the packed id at the start of b: 0 if there is none.
func IDSize(b []byte) int {
	n := 0
	switch {
	case len(b) == 0:
	case b[0] >= rawID:
		n = 1 + int(b[0]) - rawID
	case int(b[0]) < len(shapes):
		n = 1 + shapes[b[0]].chars.size(shapes[b[0]].n)
	}
	if n > len(b) {
		return 0
	}
	return n
}
