package token

import (
	"crypto"
	"crypto/elliptic"
	"maps"
	"slices"
)

// Alg is a JWS algorithm by its registered name. Names are compared exactly. "none" is not
// one of them, in no spelling (TOK-01).
type Alg string

// The algorithms of RFC 7518 section 3.1, and Ed25519 by the fully specified name
// of RFC 9864 section 2.2. The polymorphic name EdDSA is not supported (TOK-04).
const (
	ES256   Alg = "ES256"
	ES384   Alg = "ES384"
	ES512   Alg = "ES512"
	Ed25519 Alg = "Ed25519"
	RS256   Alg = "RS256"
	RS384   Alg = "RS384"
	RS512   Alg = "RS512"
	PS256   Alg = "PS256"
	PS384   Alg = "PS384"
	PS512   Alg = "PS512"
	HS256   Alg = "HS256"
	HS384   Alg = "HS384"
	HS512   Alg = "HS512"
)

type family uint8

const (
	familyECDSA family = iota + 1
	familyEdDSA
	familyPKCS1
	familyPSS
	familyHMAC
)

// algInfo has everything that differs between the algorithms of a family.
type algInfo struct {
	family family
	hash   crypto.Hash
	curve  elliptic.Curve // ECDSA only
	order  []byte         // of the curve's group, big-endian, as long as a coordinate
}

func init() {
	for alg, info := range algs {
		if info.curve != nil {
			info.order = info.curve.Params().N.FillBytes(make([]byte, coordinate(info.curve)))
			algs[alg] = info
		}
	}
}

// algs is the only list of algorithms. To add an algorithm of a family in this list, add a
// row.
//
// To add a family, such as ML-DSA, add a row, and a case in each function where families
// differ: NewKey, Key.verify, Key.JWK, parseJWK (with its private members), and in sign.go
// NewSigner, GenerateKey and Signer.sign. No exported name changes, here or in package
// counterfoil, because algorithms are strings and keys are any. Until then ParseJWKS skips
// the keys of the family, and VerifyJWS refuses its tokens (KEY-15). The longest signature, of
// ML-DSA-87, has 4,627 bytes. It fits into MaxSize, but not into a cookie.
var algs = map[Alg]algInfo{
	ES256:   {familyECDSA, crypto.SHA256, elliptic.P256(), nil},
	ES384:   {familyECDSA, crypto.SHA384, elliptic.P384(), nil},
	ES512:   {familyECDSA, crypto.SHA512, elliptic.P521(), nil},
	Ed25519: {familyEdDSA, 0, nil, nil},
	RS256:   {familyPKCS1, crypto.SHA256, nil, nil},
	RS384:   {familyPKCS1, crypto.SHA384, nil, nil},
	RS512:   {familyPKCS1, crypto.SHA512, nil, nil},
	PS256:   {familyPSS, crypto.SHA256, nil, nil},
	PS384:   {familyPSS, crypto.SHA384, nil, nil},
	PS512:   {familyPSS, crypto.SHA512, nil, nil},
	HS256:   {familyHMAC, crypto.SHA256, nil, nil},
	HS384:   {familyHMAC, crypto.SHA384, nil, nil},
	HS512:   {familyHMAC, crypto.SHA512, nil, nil},
}

// Algorithms returns the supported algorithms, sorted by name.
func Algorithms() []Alg { return slices.Sorted(maps.Keys(algs)) }

// Symmetric reports whether the key that verifies can also sign.
func (a Alg) Symmetric() bool { return algs[a].family == familyHMAC }
