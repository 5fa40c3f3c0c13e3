package token

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"slices"
)

// Signer makes tokens with one key and one algorithm.
type Signer struct {
	key     Key
	private any
}

// NewSigner takes an *ecdsa.PrivateKey, ed25519.PrivateKey or *rsa.PrivateKey, or the []byte
// of an HMAC secret. It refuses a private key with the public key of another pair: a
// signature made with such a mix can reveal the private key.
func NewSigner(id string, alg Alg, private any) (*Signer, error) {
	var public any
	switch p := private.(type) {
	case *ecdsa.PrivateKey:
		if p == nil || p.Curve == nil {
			return nil, refuse("private key")
		}
		raw, err := p.Bytes()
		if err != nil {
			return nil, refuse("private key")
		}
		q, err := ecdsa.ParseRawPrivateKey(p.Curve, raw)
		if err != nil || !q.PublicKey.Equal(&p.PublicKey) {
			return nil, refuse("private key")
		}
		private, public = q, &q.PublicKey
	case ed25519.PrivateKey:
		if len(p) != ed25519.PrivateKeySize || !ed25519.NewKeyFromSeed(p.Seed()).Equal(p) {
			return nil, refuse("private key")
		}
		private, public = slices.Clone(p), p.Public()
	case *rsa.PrivateKey:
		if p == nil || p.N == nil || p.D == nil || p.Validate() != nil {
			return nil, refuse("private key")
		}
		public = &p.PublicKey
	case []byte:
		private, public = slices.Clone(p), p
	default:
		return nil, refuse("type of key")
	}
	k, err := NewKey(id, alg, public)
	if err != nil {
		return nil, err
	}
	return &Signer{k, private}, nil
}

// GenerateKey returns a new private key for [NewSigner].
func GenerateKey(alg Alg) (private any, err error) {
	info, ok := algs[alg]
	if !ok {
		return nil, refuse("unknown alg")
	}
	switch info.family {
	case familyECDSA:
		return ecdsa.GenerateKey(info.curve, rand.Reader)
	case familyEdDSA:
		_, p, err := ed25519.GenerateKey(rand.Reader)
		return p, err
	case familyHMAC:
		b := make([]byte, info.hash.Size())
		rand.Read(b)
		return b, nil
	}
	return rsa.GenerateKey(rand.Reader, 3072)
}

// Key returns the key that verifies the signatures of s.
func (s *Signer) Key() Key { return s.key }

// String returns no part of the private key, so that printing a Signer reveals nothing.
func (s *Signer) String() string { return "token.Signer(" + s.key.ID + ")" }

// GoString does the same for %#v.
func (s *Signer) GoString() string { return s.String() }

// Sign returns payload as a compact JWS with the header members alg, kid and typ. It refuses
// a typ and a payload that [VerifyJWS] would refuse.
func (s *Signer) Sign(typ string, payload []byte) (string, error) {
	if !validType(typ) {
		return "", refuse("typ")
	}
	if len(payload) == 0 || len(payload) > MaxSize {
		return "", refuse("payload size")
	}
	// Concatenation is safe: the three values have only characters that JSON never escapes.
	header := `{"alg":"` + string(s.key.alg) + `","kid":"` + s.key.ID + `","typ":"` + typ + `"}`
	input := encode([]byte(header)) + "." + encode(payload)
	sig, err := s.sign([]byte(input))
	if err != nil {
		return "", err
	}
	t := input + "." + encode(sig)
	if len(t) > MaxSize {
		return "", refuse("token size")
	}
	return t, nil
}

// Signature returns a signature over input, for tokens with other headers than ours. [Signer.Sign]
// makes our own.
func (s *Signer) Signature(input []byte) ([]byte, error) { return s.sign(input) }

func (s *Signer) sign(input []byte) ([]byte, error) {
	info := algs[s.key.alg]
	var sum [maxDigest]byte
	switch p := s.private.(type) {
	case *ecdsa.PrivateKey:
		r, t, err := ecdsa.Sign(rand.Reader, p, digest(info.hash, input, &sum))
		if err != nil {
			return nil, err
		}
		size := coordinate(info.curve) // fixed length (RFC 7518 section 3.4)
		sig := make([]byte, 2*size)
		r.FillBytes(sig[:size])
		t.FillBytes(sig[size:])
		return sig, nil
	case ed25519.PrivateKey:
		return ed25519.Sign(p, input), nil
	case *rsa.PrivateKey:
		if info.family == familyPSS {
			return rsa.SignPSS(rand.Reader, p, info.hash, digest(info.hash, input, &sum), pss(info.hash))
		}
		return rsa.SignPKCS1v15(nil, p, info.hash, digest(info.hash, input, &sum))
	case []byte:
		m := hmac.New(info.hash.New, p)
		m.Write(input)
		return m.Sum(nil), nil
	}
	return nil, refuse("type of key")
}
