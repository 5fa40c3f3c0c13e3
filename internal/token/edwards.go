package token

import (
	"math/big"
	"slices"
)

// The field of edwards25519, and d of its equation -x² + y² = 1 + dx²y² (RFC 8032
// section 5.1).
var (
	edwardsP = new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 255), big.NewInt(19))
	edwardsD = new(big.Int).Mul(big.NewInt(-121665), new(big.Int).ModInverse(big.NewInt(121666), edwardsP))
)

// edwardsPoint reports whether key is the canonical encoding of a point of edwards25519 (RFC
// 8032 section 5.1.3), and the order of the point is large. crypto/ed25519 checks neither.
// Under a key of small order everybody can sign: for the neutral element one signature is
// valid for every message.
func edwardsPoint(key []byte) bool {
	b := slices.Clone(key) // little-endian; the upper bit is the sign of x
	slices.Reverse(b)
	b[0] &= 0x7f
	y := new(big.Int).SetBytes(b)
	if y.Cmp(edwardsP) >= 0 {
		return false
	}
	mod := func(n *big.Int) *big.Int { return n.Mod(n, edwardsP) }
	one := big.NewInt(1)
	yy := mod(new(big.Int).Mul(y, y))
	u := mod(new(big.Int).Sub(yy, one))
	v := mod(new(big.Int).Add(mod(new(big.Int).Mul(edwardsD, yy)), one))
	// x² = u/v, and v is never 0. So x exists if uv is a square.
	if big.Jacobi(mod(new(big.Int).Mul(u, v)), edwardsP) < 0 {
		return false
	}
	// The order is 1 or 2 if x = 0, and 4 if y = 0. It is 8 if twice the point has y = 0,
	// which holds if x² = -y².
	eight := mod(new(big.Int).Add(u, mod(new(big.Int).Mul(yy, v))))
	return u.Sign() != 0 && y.Sign() != 0 && eight.Sign() != 0
}
