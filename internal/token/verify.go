package token

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rsa"
	_ "crypto/sha256" // crypto.SHA256
	_ "crypto/sha512" // crypto.SHA384, crypto.SHA512
	"math/big"
	"strings"
)

// VerifyJWS returns the payload of a compact JWS whose header says typ and whose
// signature the key that find returns for its kid accepts. typ is compared without
// case and without "application/" (RFC 7515 section 4.1.9), and cannot be empty:
// one kind of token must not pass for another (TOK-19). A find that knows several
// issuers must be bound to one of them (TOK-17).
func VerifyJWS(compact, typ string, find func(kid string) (Key, bool)) (payload []byte, kid string, err error) {
	if !validType(typ) {
		return nil, "", refuse("typ")
	}
	return verifyJWS(compact, typ, find)
}

// verifyJWS takes any typ if typ is empty: published vectors have none.
func verifyJWS(compact, typ string, find func(kid string) (Key, bool)) (payload []byte, kid string, err error) {
	p, err := split(compact, 3)
	if err != nil {
		return nil, "", err
	}
	h, err := parseHeader(p[0], typ)
	if err != nil {
		return nil, "", err
	}
	for _, name := range []string{"enc", "epk", "zip"} { // a JWE's, RFC 7516 section 9
		if _, ok := h.rest[name]; ok {
			return nil, "", refuse("header of another kind of token")
		}
	}
	sig, err := decode(p[2])
	if err != nil {
		return nil, "", err
	}
	k, ok := find(h.kid)
	if !ok || k.ID != h.kid {
		return nil, "", refuse("unknown kid")
	}
	if h.alg != string(k.alg) || k.alg != k.Alg { // TOK-02
		return nil, "", refuse("alg is not that of the key")
	}
	if !k.verify([]byte(compact[:len(p[0])+1+len(p[1])]), sig) {
		return nil, "", refuse("signature")
	}
	payload, err = decode(p[1])
	if err != nil {
		return nil, "", err
	}
	if len(payload) == 0 {
		return nil, "", refuse("empty payload")
	}
	return payload, h.kid, nil
}

// header holds what JWS and JWE headers have in common.
type header struct {
	alg, kid, cty string
	rest          object // every member
}

// parseHeader reads a protected header. Members that carry or point to keys are
// refused where ignoring them would do, because someone downstream may not
// (TOK-15). crit is refused with every content: no extension is understood here
// (RFC 7515 section 4.1.11, TOK-18), and b64 is one (RFC 7797).
func parseHeader(part, typ string) (header, error) {
	raw, err := decode(part)
	if err != nil {
		return header{}, err
	}
	if len(raw) > MaxHeaderSize {
		return header{}, refuse("header size")
	}
	o, err := parseObject(raw)
	if err != nil {
		return header{}, err
	}
	for name, v := range o {
		switch name {
		case "jku", "x5u", "jwk", "x5c", "crit", "b64":
			return header{}, refuse("forbidden header member")
		case "epk": // the one object (RFC 7518 section 4.6.1.1)
		default:
			if _, ok := v.(string); !ok {
				return header{}, refuse("type of a header member")
			}
		}
	}
	h := header{rest: o}
	h.alg, _ = o["alg"].(string)
	h.kid, _ = o["kid"].(string)
	h.cty, _ = o["cty"].(string)
	got, _ := o["typ"].(string)
	if typ != "" && !sameType(got, typ) {
		return header{}, refuse("typ")
	}
	if h.alg == "" {
		return header{}, refuse("alg")
	}
	return h, checkID(h.kid)
}

// validType reports whether s may be a media type with or without "application/".
func validType(s string) bool {
	for i := range len(s) {
		if c := s[i]; !urlByte(c) && c != '+' && c != '.' && c != '/' {
			return false
		}
	}
	return s != "" && len(s) <= 128
}

func sameType(a, b string) bool {
	return validType(a) && strings.EqualFold(shortType(a), shortType(b))
}

func shortType(s string) string {
	const prefix = "application/"
	if len(s) > len(prefix) && strings.EqualFold(s[:len(prefix)], prefix) && !strings.Contains(s[len(prefix):], "/") {
		return s[len(prefix):]
	}
	return s
}

func (k Key) verify(input, sig []byte) bool {
	info := algs[k.alg]
	switch p := k.public.(type) {
	case *ecdsa.PublicKey:
		// Fixed length rejects DER; the range rejects the zero signature of
		// CVE-2022-21449 whatever the library below does (TOK-05).
		size := coordinate(info.curve)
		if len(sig) != 2*size {
			return false
		}
		r, s := new(big.Int).SetBytes(sig[:size]), new(big.Int).SetBytes(sig[size:])
		n := info.curve.Params().N
		return inRange(r, n) && inRange(s, n) && ecdsa.Verify(p, digest(info.hash, input), r, s)
	case ed25519.PublicKey:
		return len(sig) == ed25519.SignatureSize && ed25519.Verify(p, input, sig)
	case *rsa.PublicKey:
		if len(sig) != p.Size() {
			return false
		}
		if info.family == familyPSS {
			return rsa.VerifyPSS(p, info.hash, digest(info.hash, input), sig, pss(info.hash)) == nil
		}
		return rsa.VerifyPKCS1v15(p, info.hash, digest(info.hash, input), sig) == nil
	case []byte:
		m := hmac.New(info.hash.New, p)
		m.Write(input)
		return hmac.Equal(m.Sum(nil), sig) // constant time (TOK-35)
	}
	return false
}

// pss fixes the salt to the size of the hash (RFC 7518 section 3.5).
func pss(h crypto.Hash) *rsa.PSSOptions {
	return &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: h}
}

func digest(h crypto.Hash, b []byte) []byte {
	d := h.New()
	d.Write(b)
	return d.Sum(nil)
}

// coordinate is the size of a field element in bytes: 66 for P-521.
func coordinate(c elliptic.Curve) int { return (c.Params().BitSize + 7) / 8 }
