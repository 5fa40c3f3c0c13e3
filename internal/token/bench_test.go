package token_test

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/internal/token"
)

// typical returns the claims of a typical access token.
func typical() *token.Claims {
	return &token.Claims{
		Issuer: "https://auth.example.com", Subject: "usr_3k2j5h4g6f7d8s9a0q1w2e3r4t", Audience: []string{"https://auth.example.com"},
		Client: "default", ID: "tok_7h3j2k4l5m6n7b8v9c0x1z2a3s", SID: "ses_1q2w3e4r5t6y7u8i9o0p1a2s3d",
		RV: "0123456789abcdef.123456", Expires: time.Now().Add(time.Minute).Unix(), IssuedAt: time.Now().Unix(),
		AuthTime: time.Now().Unix(), Methods: []string{"pwd"}, Roles: []string{"staff"},
	}
}

// BenchmarkFirstSight verifies a token that is in no cache: signature and claims. "raw" is the
// signature's primitive alone, on the same bytes.
func BenchmarkFirstSight(b *testing.B) {
	for _, alg := range []token.Alg{token.ES256, token.Ed25519, token.RS256, token.HS256} {
		private, err := token.GenerateKey(alg)
		if err != nil {
			b.Fatal(err)
		}
		signer, err := token.NewSigner("k1234567890123456", alg, private)
		if err != nil {
			b.Fatal(err)
		}
		payload, err := typical().Marshal()
		if err != nil {
			b.Fatal(err)
		}
		text, err := signer.Sign("at+jwt", payload)
		if err != nil {
			b.Fatal(err)
		}
		key := signer.Key()
		find := func(kid string) (token.Key, bool) { return key, kid == key.ID }
		b.Run(string(alg)+"/raw", func(b *testing.B) { raw(b, private, []byte(text[:strings.LastIndexByte(text, '.')])) })
		b.Run(string(alg)+"/token", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				p, _, err := token.VerifyJWS(text, "at+jwt", find)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := token.ParseClaims(p); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func raw(b *testing.B, private any, input []byte) {
	var verify func() bool
	switch p := private.(type) {
	case *ecdsa.PrivateKey:
		if p.Curve != elliptic.P256() {
			b.Fatal("curve")
		}
		sum := sha256.Sum256(input)
		sig, err := ecdsa.SignASN1(rand.Reader, p, sum[:])
		if err != nil {
			b.Fatal(err)
		}
		verify = func() bool { sum := sha256.Sum256(input); return ecdsa.VerifyASN1(&p.PublicKey, sum[:], sig) }
	case ed25519.PrivateKey:
		sig, public := ed25519.Sign(p, input), p.Public().(ed25519.PublicKey)
		verify = func() bool { return ed25519.Verify(public, input, sig) }
	case *rsa.PrivateKey:
		sum := sha256.Sum256(input)
		sig, err := rsa.SignPKCS1v15(nil, p, 5, sum[:])
		if err != nil {
			b.Fatal(err)
		}
		verify = func() bool {
			sum := sha256.Sum256(input)
			return rsa.VerifyPKCS1v15(&p.PublicKey, 5, sum[:], sig) == nil
		}
	case []byte:
		mac := func() []byte { m := hmac.New(sha256.New, p); m.Write(input); return m.Sum(nil) }
		want := mac()
		verify = func() bool { return hmac.Equal(mac(), want) }
	}
	b.ReportAllocs()
	for b.Loop() {
		if !verify() {
			b.Fatal("refused")
		}
	}
}

// BenchmarkOpen opens a JWE with a direct key. "raw" is AES-GCM alone, on the same bytes.
func BenchmarkOpen(b *testing.B) {
	secret := make([]byte, 32)
	rand.Read(secret)
	o, err := token.NewDirectKey("k1", secret)
	if err != nil {
		b.Fatal(err)
	}
	signer, err := token.NewSigner("k1", token.HS256, secret)
	if err != nil {
		b.Fatal(err)
	}
	payload, err := typical().Marshal()
	if err != nil {
		b.Fatal(err)
	}
	inner, err := signer.Sign("at+jwt", payload)
	if err != nil {
		b.Fatal(err)
	}
	text, err := token.EncryptDirect(o, "at+jwt", inner)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("raw", func(b *testing.B) {
		block, err := aes.NewCipher(secret)
		if err != nil {
			b.Fatal(err)
		}
		aead, err := cipher.NewGCM(block)
		if err != nil {
			b.Fatal(err)
		}
		iv, head := make([]byte, 12), []byte(text[:strings.IndexByte(text, '.')])
		sealed := aead.Seal(nil, iv, []byte(inner), head)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := aead.Open(nil, iv, sealed, head); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("token", func(b *testing.B) {
		find := func(string) (*token.Opener, bool) { return o, true }
		b.ReportAllocs()
		for b.Loop() {
			if _, err := token.DecryptJWE(text, "at+jwt", find); err != nil {
				b.Fatal(err)
			}
		}
	})
}
