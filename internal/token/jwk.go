package token

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rsa"
	"encoding/json"
	"math/big"
	"slices"
	"sync"
)

// Limits of a JWK Set.
const (
	maxSetSize = 256 << 10
	maxSetKeys = 64
)

// Key verifies signatures. It is bound to one algorithm: [VerifyJWS] refuses a header with
// another one. So a public key is never used as an HMAC secret (TOK-02).
type Key struct {
	ID  string
	Alg Alg

	// public is an *ecdsa.PublicKey, ed25519.PublicKey or *rsa.PublicKey, or the []byte of an
	// HMAC secret. It is for alg. A caller that changes Alg cannot change alg.
	public any
	alg    Alg
	macs   *sync.Pool // of hash.Hash, keyed with an HMAC secret

	check CheckSignature // see With; nil: none
}

// NewKey returns a key. It checks that public is a sound key for alg (TOK-04, KEY-01). An
// HMAC secret must be at least as long as the hash (RFC 7518 section 3.2).
func NewKey(id string, alg Alg, public any) (Key, error) {
	if err := checkID(id); err != nil {
		return Key{}, err
	}
	info, ok := algs[alg]
	if !ok {
		return Key{}, refuse("unknown alg")
	}
	k := Key{ID: id, Alg: alg, alg: alg}
	switch p := public.(type) {
	case *ecdsa.PublicKey:
		if info.family != familyECDSA || p == nil || p.Curve != info.curve {
			return Key{}, refuse("key is not one for %s", alg)
		}
		raw, err := p.Bytes() // fails for a point that is not on the curve
		if err != nil {
			return Key{}, refuse("point is not on the curve")
		}
		if k.public, err = ecdsa.ParseUncompressedPublicKey(info.curve, raw); err != nil {
			return Key{}, refuse("point is not on the curve")
		}
	case ed25519.PublicKey:
		if info.family != familyEdDSA || len(p) != ed25519.PublicKeySize {
			return Key{}, refuse("key is not one for %s", alg)
		}
		if !edwardsPoint(p) {
			return Key{}, refuse("point of small order, or not on the curve")
		}
		k.public = slices.Clone(p)
	case *rsa.PublicKey:
		if info.family != familyPKCS1 && info.family != familyPSS || p == nil || p.N == nil {
			return Key{}, refuse("key is not one for %s", alg)
		}
		if n := p.N.BitLen(); n < 2048 || n > 8192 || p.N.Sign() < 0 || p.N.Bit(0) == 0 {
			return Key{}, refuse("RSA modulus")
		}
		if roca(p.N) {
			return Key{}, refuse("RSA modulus of a flawed generator")
		}
		if e := int64(p.E); e < 65537 || e >= 1<<32 || e%2 == 0 {
			return Key{}, refuse("RSA exponent")
		}
		k.public = &rsa.PublicKey{N: new(big.Int).Set(p.N), E: p.E}
	case []byte:
		if info.family != familyHMAC || len(p) < info.hash.Size() {
			return Key{}, refuse("secret is not one for %s", alg)
		}
		secret := slices.Clone(p)
		k.public = secret
		k.macs = &sync.Pool{New: func() any { return hmac.New(info.hash.New, secret) }}
	default:
		return Key{}, refuse("type of key")
	}
	return k, nil
}

// String returns no part of a secret, so that printing a Key reveals nothing.
func (k Key) String() string { return "token.Key(" + k.ID + ")" }

// GoString does the same for %#v.
func (k Key) GoString() string { return k.String() }

// jwk has public members only. It has no field for a private member, so none can be written
// (KEY-06).
type jwk struct {
	Kty string `json:"kty"`
	Kid string `json:"kid,omitempty"`
	Use string `json:"use,omitempty"`
	Alg string `json:"alg,omitempty"`
	Crv string `json:"crv,omitempty"`
	X   string `json:"x,omitempty"`
	Y   string `json:"y,omitempty"`
	N   string `json:"n,omitempty"`
	E   string `json:"e,omitempty"`
}

// JWK returns the key as a JWK (RFC 7517, RFC 7518 section 6, RFC 8037 section 2).
// It returns an error for an HMAC key, which has no public form.
func (k Key) JWK() ([]byte, error) {
	j := jwk{Kid: k.ID, Use: "sig", Alg: string(k.alg)}
	switch p := k.public.(type) {
	case *ecdsa.PublicKey:
		raw, err := p.Bytes()
		if err != nil {
			return nil, refuse("point is not on the curve")
		}
		n := (len(raw) - 1) / 2 // 4 || x || y
		j.Kty, j.Crv = "EC", p.Curve.Params().Name
		j.X, j.Y = encode(raw[1:1+n]), encode(raw[1+n:])
	case ed25519.PublicKey:
		j.Kty, j.Crv, j.X = "OKP", "Ed25519", encode(p)
	case *rsa.PublicKey:
		j.Kty, j.N, j.E = "RSA", encode(p.N.Bytes()), encode(big.NewInt(int64(p.E)).Bytes())
	default:
		return nil, refuse("key has no public form")
	}
	return json.Marshal(j)
}

// MarshalJWKS returns a set that [ParseJWKS] reads back. It returns an error if a key is
// symmetric, or two keys have the same id.
func MarshalJWKS(keys []Key) ([]byte, error) {
	if len(keys) > maxSetKeys {
		return nil, refuse("too many keys")
	}
	kids := map[string]bool{}
	set := struct {
		Keys []json.RawMessage `json:"keys"`
	}{Keys: []json.RawMessage{}}
	for _, k := range keys {
		if kids[k.ID] {
			return nil, refuse("kid twice")
		}
		kids[k.ID] = true
		j, err := k.JWK()
		if err != nil {
			return nil, err
		}
		set.Keys = append(set.Keys, j)
	}
	return json.Marshal(set)
}

// ParseJWKS reads a JWK Set (RFC 7517 section 5). It skips a key that it cannot use, and
// returns the reason: an issuer may publish kinds of keys that we do not support. It refuses
// the whole set if a kid occurs twice, because readers would differ about which key is meant
// (KEY-12). It also refuses a set that is not strict JSON. It always skips a symmetric or
// private key: every reader of the set could sign with it.
func ParseJWKS(data []byte) (keys []Key, skipped []error, err error) {
	if len(data) > maxSetSize {
		return nil, nil, refuse("JWK Set size")
	}
	o, err := parseObject(string(data))
	if err != nil {
		return nil, nil, err
	}
	list, ok := o["keys"].([]any)
	if !ok {
		return nil, nil, refuse("JWK Set without keys")
	}
	if len(list) > maxSetKeys {
		return nil, nil, refuse("too many keys")
	}
	kids := map[string]bool{}
	for i, v := range list {
		j, ok := v.(object)
		if !ok {
			skipped = append(skipped, refuse("key %d: not an object", i))
			continue
		}
		if kid, ok := j["kid"].(string); ok {
			if kids[kid] {
				return nil, nil, refuse("kid twice")
			}
			kids[kid] = true
		}
		k, err := parseJWK(j)
		if err != nil {
			skipped = append(skipped, refuse("key %d: %w", i, err))
			continue
		}
		keys = append(keys, k)
	}
	return keys, skipped, nil
}

// privateMembers are the members that a public JWK must not have (RFC 7518 section 6).
var privateMembers = []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"}

var curveAlgs = map[string]Alg{"P-256": ES256, "P-384": ES384, "P-521": ES512, "Ed25519": Ed25519}

func parseJWK(o object) (Key, error) {
	for _, name := range privateMembers {
		if _, ok := o[name]; ok {
			return Key{}, refuse("private member")
		}
	}
	var j jwk
	for name, to := range map[string]*string{
		"kty": &j.Kty, "kid": &j.Kid, "use": &j.Use, "alg": &j.Alg,
		"crv": &j.Crv, "x": &j.X, "y": &j.Y, "n": &j.N, "e": &j.E,
	} {
		v, ok := o[name]
		if !ok {
			continue
		}
		if *to, ok = v.(string); !ok || *to == "" {
			return Key{}, refuse("member of a JWK")
		}
	}
	if j.Use != "" && j.Use != "sig" {
		return Key{}, refuse("use")
	}
	if v, ok := o["key_ops"]; ok { // RFC 7517 section 4.3
		if ops, ok := v.([]any); !ok || !slices.Contains(ops, any("verify")) {
			return Key{}, refuse("key_ops")
		}
	}
	alg := Alg(j.Alg)
	if alg == "" {
		// The curve determines the algorithm. An RSA key could be used with six algorithms, so
		// it needs alg.
		alg = curveAlgs[j.Crv]
	}
	switch j.Kty {
	case "EC":
		return parseEC(j, alg)
	case "OKP":
		x, err := decode(nil, j.X)
		if err != nil {
			return Key{}, err
		}
		if j.Crv != "Ed25519" {
			return Key{}, refuse("crv")
		}
		return NewKey(j.Kid, alg, ed25519.PublicKey(x))
	case "RSA":
		return parseRSA(j, alg)
	}
	return Key{}, refuse("kty")
}

func parseRSA(j jwk, alg Alg) (Key, error) {
	n, err := decode(nil, j.N)
	if err != nil {
		return Key{}, err
	}
	e, err := decode(nil, j.E)
	if err != nil {
		return Key{}, err
	}
	// A leading zero is refused (RFC 7518 section 2, Base64urlUInt). The lengths are checked
	// first, because arithmetic with big numbers is slow.
	if len(n) < 256 || len(n) > 1024 || n[0] == 0 || len(e) < 1 || len(e) > 4 || e[0] == 0 {
		return Key{}, refuse("RSA size")
	}
	exp := new(big.Int).SetBytes(e).Int64()
	if exp != int64(int(exp)) {
		return Key{}, refuse("RSA exponent")
	}
	return NewKey(j.Kid, alg, &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(exp)})
}

func parseEC(j jwk, alg Alg) (Key, error) {
	info := algs[alg]
	if info.family != familyECDSA || j.Crv != info.curve.Params().Name {
		return Key{}, refuse("alg and crv do not match")
	}
	x, err := decode(nil, j.X)
	if err != nil {
		return Key{}, err
	}
	y, err := decode(nil, j.Y)
	if err != nil {
		return Key{}, err
	}
	// The coordinates have full length, with leading zeros (RFC 7518 section 6.2.1.2).
	if size := coordinate(info.curve); len(x) != size || len(y) != size {
		return Key{}, refuse("length of a coordinate")
	}
	p, err := ecdsa.ParseUncompressedPublicKey(info.curve, bytes.Join([][]byte{{4}, x, y}, nil))
	if err != nil {
		return Key{}, refuse("point is not on the curve")
	}
	return NewKey(j.Kid, alg, p)
}
