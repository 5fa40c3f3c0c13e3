package token

import (
	"crypto/rand"
	"strings"
)

const opaqueLen = 43 // base64url of 32 bytes

// NewOpaque returns 256 random bits as base64url.
func NewOpaque() string {
	var b [32]byte
	rand.Read(b[:]) // never returns an error: on failure it ends the program
	return encode(b[:])
}

// ParseOpaque returns the bytes that [NewOpaque] wrote. It accepts one spelling, so that a
// text and its hash identify the same credential.
func ParseOpaque(s string) ([32]byte, error) {
	if len(s) != opaqueLen {
		return [32]byte{}, refuse("opaque length")
	}
	b, err := decode(nil, s)
	if err != nil {
		return [32]byte{}, err
	}
	return [32]byte(b), nil
}

// Shape is the kind of credential that a text looks like.
type Shape uint8

const (
	ShapeUnknown Shape = iota
	ShapeOpaque        // 43 bytes, no dot
	ShapeJWT           // two dots
	ShapeJWE           // four dots
)

// ShapeOf distinguishes the kinds by their dots and length alone. It decodes nothing and
// allocates nothing. Its result proves nothing about the credential.
func ShapeOf(s string) Shape {
	if len(s) > MaxSize {
		return ShapeUnknown
	}
	switch strings.Count(s, ".") {
	case 0:
		if len(s) == opaqueLen {
			return ShapeOpaque
		}
	case 2:
		return ShapeJWT
	case 4:
		return ShapeJWE
	}
	return ShapeUnknown
}
