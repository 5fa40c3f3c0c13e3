package bench

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"hash"
	"strings"

	"github.com/counterfoil/counterfoil/internal/token"
)

// hashOf returns the hash of alg, by the end of its name.
func hashOf(alg token.Alg) (crypto.Hash, func() hash.Hash) {
	switch {
	case strings.HasSuffix(string(alg), "384"):
		return crypto.SHA384, sha512.New384
	case strings.HasSuffix(string(alg), "512"):
		return crypto.SHA512, sha512.New
	}
	return crypto.SHA256, sha256.New
}

func sum(alg token.Alg, input []byte) []byte {
	switch h, _ := hashOf(alg); h {
	case crypto.SHA384:
		s := sha512.Sum384(input)
		return s[:]
	case crypto.SHA512:
		s := sha512.Sum512(input)
		return s[:]
	}
	s := sha256.Sum256(input)
	return s[:]
}

// rawSign signs with the primitive alone. The signature has the form of a JWS (RFC 7518
// section 3).
func rawSign(alg token.Alg, private any, input []byte) ([]byte, error) {
	h, newHash := hashOf(alg)
	switch p := private.(type) {
	case *ecdsa.PrivateKey:
		r, s, err := ecdsa.Sign(rand.Reader, p, sum(alg, input))
		if err != nil {
			return nil, err
		}
		size := (p.Params().BitSize + 7) / 8
		sig := make([]byte, 2*size)
		r.FillBytes(sig[:size])
		s.FillBytes(sig[size:])
		return sig, nil
	case ed25519.PrivateKey:
		return ed25519.Sign(p, input), nil
	case *rsa.PrivateKey:
		if strings.HasPrefix(string(alg), "PS") {
			return rsa.SignPSS(rand.Reader, p, h, sum(alg, input), &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
		}
		return rsa.SignPKCS1v15(nil, p, h, sum(alg, input))
	case []byte:
		m := hmac.New(newHash, p)
		m.Write(input)
		return m.Sum(nil), nil
	}
	return nil, fmt.Errorf("no raw %s", alg)
}

// rawVerify signs input, and returns a function that verifies the signature with the primitive
// alone. The signature has the form that is cheapest for the primitive.
func rawVerify(alg token.Alg, private any, input []byte) (func() bool, error) {
	h, newHash := hashOf(alg)
	switch p := private.(type) {
	case *ecdsa.PrivateKey:
		sig, err := ecdsa.SignASN1(rand.Reader, p, sum(alg, input))
		return func() bool { return ecdsa.VerifyASN1(&p.PublicKey, sum(alg, input), sig) }, err
	}
	sig, err := rawSign(alg, private, input)
	if err != nil {
		return nil, err
	}
	switch p := private.(type) {
	case ed25519.PrivateKey:
		public := p.Public().(ed25519.PublicKey)
		return func() bool { return ed25519.Verify(public, input, sig) }, nil
	case *rsa.PrivateKey:
		if strings.HasPrefix(string(alg), "PS") {
			return func() bool {
				return rsa.VerifyPSS(&p.PublicKey, h, sum(alg, input), sig, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
			}, nil
		}
		return func() bool { return rsa.VerifyPKCS1v15(&p.PublicKey, h, sum(alg, input), sig) == nil }, nil
	}
	secret := private.([]byte)
	return func() bool {
		m := hmac.New(newHash, secret)
		m.Write(input)
		return hmac.Equal(m.Sum(nil), sig)
	}, nil
}
