package fastverify

import (
	"crypto/elliptic"
	"crypto/sha256"
	"math/big"
	"sync"

	"filippo.io/nistec"
)

// es256 has, for each byte of a scalar, the multiples of the key by the values of that byte.
type es256 struct {
	multiples [32][255]nistec.P256Point // of the lowest byte first, by one first
}

// order is that of the group of P-256.
var order = elliptic.P256().Params().N

func newES256(point []byte) (table, error) {
	base, err := nistec.NewP256Point().SetBytes(point)
	if err != nil {
		return nil, err
	}
	t := new(es256)
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

// scratch has the numbers of one verification. Those whose memory is used again are no variables of a function.
type scratch struct {
	r, s, w, u, v big.Int
	quotient      big.Int
	sum           nistec.P256Point
	u1, u2        [32]byte
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// verify is SEC 1 section 4.1.4, with the second product replaced by a sum of entries of the table. The
// caller has checked the length of sig, and that its numbers are in range.
func (t *es256) verify(input, sig []byte) bool {
	c := scratches.Get().(*scratch)
	defer scratches.Put(c)
	digest := sha256.Sum256(input)
	r := c.r.SetBytes(sig[:32])
	w := c.w.ModInverse(c.s.SetBytes(sig[32:]), order)
	if w == nil {
		return false
	}
	c.product(c.u.SetBytes(digest[:]), w, &c.u1)
	c.product(r, w, &c.u2)
	if _, err := c.sum.ScalarBaseMult(c.u1[:]); err != nil {
		return false
	}
	for n, b := range c.u2 {
		if b != 0 {
			c.sum.Add(&c.sum, &t.multiples[len(c.u2)-1-n][b-1])
		}
	}
	x, err := c.sum.BytesX() // an error for the point at infinity
	if err != nil {
		return false
	}
	c.u.SetBytes(x)
	return c.reduced(&c.u).Cmp(r) == 0
}

// product writes a × b, modulo the order.
func (c *scratch) product(a, b *big.Int, into *[32]byte) {
	c.reduced(c.v.Mul(a, b)).FillBytes(into[:])
}

// reduced returns c.s, as a modulo the order. Int.Mod would make a quotient anew.
func (c *scratch) reduced(a *big.Int) *big.Int {
	c.quotient.QuoRem(a, order, &c.s)
	return &c.s
}
