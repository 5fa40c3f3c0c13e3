package fastverify

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha512"

	"filippo.io/edwards25519"
)

// edTable has, for each byte of a scalar, the multiples of the negated key by the values of that byte.
type edTable struct {
	key       ed25519.PublicKey
	multiples [32][255]edwards25519.Point // of the lowest byte first, by one first
}

func newEd25519(key ed25519.PublicKey) (table, error) {
	point, err := new(edwards25519.Point).SetBytes(key)
	if err != nil {
		return nil, err
	}
	t := &edTable{key: bytes.Clone(key)}
	base := new(edwards25519.Point).Negate(point)
	for n := range t.multiples {
		row := &t.multiples[n]
		row[0].Set(base)
		for i := 1; i < len(row); i++ {
			row[i].Add(&row[i-1], base)
		}
		base.Add(&row[len(row)-1], base)
	}
	return t, nil
}

// verify is RFC 8032 section 5.1.7 as the standard library does it: without the cofactor, and R compared as it is
// written. The caller has checked the length of sig.
func (t *edTable) verify(input, sig []byte) bool {
	h := sha512.New()
	h.Write(sig[:32])
	h.Write(t.key)
	h.Write(input)
	var digest [sha512.Size]byte
	k, err := edwards25519.NewScalar().SetUniformBytes(h.Sum(digest[:0]))
	if err != nil {
		return false
	}
	s, err := edwards25519.NewScalar().SetCanonicalBytes(sig[32:])
	if err != nil {
		return false
	}
	sum := new(edwards25519.Point).ScalarBaseMult(s)
	for n, b := range k.Bytes() {
		if b != 0 {
			sum.Add(sum, &t.multiples[n][b-1])
		}
	}
	return bytes.Equal(sum.Bytes(), sig[:32])
}
