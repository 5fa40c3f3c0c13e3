package bench

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/internal/token"
	"github.com/go-jose/go-jose/v4"
	josejwt "github.com/go-jose/go-jose/v4/jwt"
	"github.com/golang-jwt/jwt/v5"
	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwe"
	"github.com/lestrrat-go/jwx/v3/jwk"
	jwxjwt "github.com/lestrrat-go/jwx/v3/jwt"
)

// The names of benchmarks are BenchmarkTable/row/contender: cmd/report reads them.

var algorithms = []token.Alg{token.HS256, token.ES256, token.ES384, token.Ed25519, token.RS256, token.PS256}

func contender(b *testing.B, alg token.Alg) *Contender {
	b.Helper()
	c, err := NewContender(alg)
	if err != nil {
		b.Fatal(err)
	}
	return c
}

// repeat times f, which must not fail. cpu-ns/op is the processor time of the process, with
// the collection of f's garbage. On a shared machine it is more reliable than ns/op.
func repeat(b *testing.B, name string, f func() error) {
	b.Helper()
	b.Run(name, func(b *testing.B) {
		b.ReportAllocs()
		runtime.GC() // collects the garbage of earlier benchmarks
		before := processorTime()
		for b.Loop() {
			if err := f(); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(processorTime()-before)/float64(b.N), "cpu-ns/op")
	})
}

// BenchmarkVerify verifies a token that is not cached: signature, claims, iss, aud, times.
func BenchmarkVerify(b *testing.B) {
	for _, alg := range algorithms {
		c := contender(b, alg)
		text, err := c.Token(time.Now(), 1)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(string(alg), func(b *testing.B) {
			primitive, err := rawVerify(alg, c.Private, []byte(text[:strings.LastIndexByte(text, '.')]))
			if err != nil {
				b.Fatal(err)
			}
			repeat(b, Raw, func() error {
				if !primitive() {
					return counterfoil.ErrInvalidToken
				}
				return nil
			})
			for _, p := range append([]Peer{Tokens(c.Signer.Key(), time.Now)}, Libraries(alg, Public(c.Private), time.Now)...) {
				mine := text
				if p.Name == GoJOSE { // its only name for Ed25519 is EdDSA
					if mine, err = c.SignAny(fmt.Sprintf(`{"alg":"%s","kid":"%s","typ":"at+jwt"}`, joseAlg(alg), KeyID), payloadOf(b, text)); err != nil {
						b.Fatal(err)
					}
				}
				repeat(b, p.Name, func() error { _, err := p.Verify(mine); return err })
			}
		})
	}
}

func payloadOf(b *testing.B, compact string) string {
	b.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(strings.Split(compact, ".")[1])
	if err != nil {
		b.Fatal(err)
	}
	return string(raw)
}

// BenchmarkSign makes a token with the same claims, from a struct if the library accepts one.
func BenchmarkSign(b *testing.B) {
	for _, alg := range algorithms {
		c := contender(b, alg)
		now := time.Now()
		text, err := c.Token(now, 1)
		if err != nil {
			b.Fatal(err)
		}
		input := []byte(text[:strings.LastIndexByte(text, '.')])
		b.Run(string(alg), func(b *testing.B) {
			repeat(b, Raw, func() error { _, err := rawSign(alg, c.Private, input); return err })
			repeat(b, Ours, func() error { _, err := c.Token(now, 1); return err })
			repeat(b, GolangJWT, signGolangJWT(c, now))
			repeat(b, JWX, signJWX(b, c, now))
			repeat(b, GoJOSE, signGoJOSE(b, c, now))
		})
	}
}

func ownClaims(c *token.Claims) claims {
	return claims{Client: c.Client, SID: c.SID, RV: c.RV, Roles: c.Roles, Methods: c.Methods, AuthTime: c.AuthTime}
}

func signGolangJWT(c *Contender, now time.Time) func() error {
	type all struct {
		jwt.RegisteredClaims
		claims
	}
	method := jwt.GetSigningMethod(string(c.Alg))
	return func() error {
		w := Typical(now, 1)
		t := jwt.NewWithClaims(method, all{jwt.RegisteredClaims{
			Issuer: w.Issuer, Subject: w.Subject, Audience: w.Audience, ID: w.ID,
			ExpiresAt: jwt.NewNumericDate(time.Unix(w.Expires, 0)), IssuedAt: jwt.NewNumericDate(time.Unix(w.IssuedAt, 0)),
		}, ownClaims(w)})
		t.Header["kid"], t.Header["typ"] = KeyID, "at+jwt"
		_, err := t.SignedString(c.Private)
		return err
	}
}

func signJWX(b *testing.B, c *Contender, now time.Time) func() error {
	b.Helper()
	alg, ok := jwa.LookupSignatureAlgorithm(string(c.Alg))
	if !ok {
		b.Fatal(c.Alg)
	}
	key, err := jwk.Import(c.Private)
	if err == nil {
		err = key.Set(jwk.KeyIDKey, KeyID)
	}
	if err != nil {
		b.Fatal(err)
	}
	return func() error {
		w := Typical(now, 1)
		t, err := jwxjwt.NewBuilder().Issuer(w.Issuer).Subject(w.Subject).Audience(w.Audience).JwtID(w.ID).
			Expiration(time.Unix(w.Expires, 0)).IssuedAt(time.Unix(w.IssuedAt, 0)).
			Claim("client_id", w.Client).Claim("sid", w.SID).Claim("rv", w.RV).Claim("roles", w.Roles).
			Claim("amr", w.Methods).Claim("auth_time", w.AuthTime).Build()
		if err != nil {
			return err
		}
		_, err = jwxjwt.Sign(t, jwxjwt.WithKey(alg, key))
		return err
	}
}

func signGoJOSE(b *testing.B, c *Contender, now time.Time) func() error {
	b.Helper()
	type all struct {
		josejwt.Claims
		claims
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: joseAlg(c.Alg), Key: jose.JSONWebKey{Key: c.Private, KeyID: KeyID}}, (&jose.SignerOptions{}).WithType("at+jwt"))
	if err != nil {
		b.Fatal(err)
	}
	return func() error {
		w := Typical(now, 1)
		_, err := josejwt.Signed(signer).Claims(all{josejwt.Claims{
			Issuer: w.Issuer, Subject: w.Subject, Audience: w.Audience, ID: w.ID,
			Expiry: josejwt.NewNumericDate(time.Unix(w.Expires, 0)), IssuedAt: josejwt.NewNumericDate(time.Unix(w.IssuedAt, 0)),
		}, ownClaims(w)}).Serialize()
		return err
	}
}

// BenchmarkOpen opens a JWE (dir, A256GCM) with a signed token inside. It does not verify the
// inner signature.
func BenchmarkOpen(b *testing.B) {
	secret := make([]byte, 32)
	rand.Read(secret)
	inner, err := contender(b, token.ES256).Token(time.Now(), 1)
	if err != nil {
		b.Fatal(err)
	}
	opener, err := token.NewDirectKey(KeyID, secret)
	if err != nil {
		b.Fatal(err)
	}
	text, err := token.EncryptDirect(opener, "at+jwt", inner)
	if err != nil {
		b.Fatal(err)
	}
	block, err := aes.NewCipher(secret)
	if err != nil {
		b.Fatal(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		b.Fatal(err)
	}
	iv, aad := make([]byte, 12), []byte(text[:strings.IndexByte(text, '.')])
	sealed := aead.Seal(nil, iv, []byte(inner), aad)
	same := func(got string, err error) error {
		if err == nil && got != inner {
			err = counterfoil.ErrInvalidToken
		}
		return err
	}
	b.Run("dir+A256GCM", func(b *testing.B) {
		repeat(b, Raw, func() error { _, err := aead.Open(nil, iv, sealed, aad); return err })
		repeat(b, Ours, func() error {
			j, err := token.ParseJWE(text, token.AccessType)
			if err != nil {
				return err
			}
			return same(j.Open(opener))
		})
		repeat(b, JWX, func() error {
			got, err := jwe.Decrypt([]byte(text), jwe.WithKey(jwa.DIRECT(), secret))
			return same(string(got), err)
		})
		algs, encs := []jose.KeyAlgorithm{jose.DIRECT}, []jose.ContentEncryption{jose.A256GCM}
		repeat(b, GoJOSE, func() error {
			m, err := jose.ParseEncryptedCompact(text, algs, encs)
			if err != nil {
				return err
			}
			got, err := m.Decrypt(secret)
			return same(string(got), err)
		})
	})
}

// BenchmarkJunk refuses junk. Counterfoil is the real Verifier.
func BenchmarkJunk(b *testing.B) {
	c := contender(b, token.ES256)
	v, err := NewVerifier(b.Context(), counterfoil.Options{}, 0, c.Signer.Key())
	if err != nil {
		b.Fatal(err)
	}
	defer v.Close()
	peers := append([]Peer{Whole(v)}, Libraries(c.Alg, Public(c.Private), time.Now)...)
	head := b64(`{"alg":"ES256","kid":"` + strings.Repeat("z", 16) + `","typ":"at+jwt"}`)
	for _, size := range []struct {
		name  string
		bytes int
	}{{"100 B", 100}, {"8 KiB", 8 << 10}, {"1 MiB", 1 << 20}} {
		for _, junk := range []struct{ name, text string }{
			{"dots", strings.Repeat(".", size.bytes)},
			{"letters", cut(strings.Repeat("QUJD", size.bytes/4), 3)},
			{"letters like a JWE", cut(strings.Repeat("QUJD", size.bytes/4), 5)},
			{"unknown kid", head + "." + strings.Repeat("QUJD", max(size.bytes-len(head)-2-86, 4)/4) + "." + strings.Repeat("A", 86)},
		} {
			b.Run(junk.name+", "+size.name, func(b *testing.B) {
				for _, p := range peers {
					repeat(b, p.Name, func() error {
						if _, err := p.Verify(junk.text); err == nil {
							return fmt.Errorf("accepted")
						}
						return nil
					})
				}
			})
		}
	}
}

// cut puts dots into s, so that it has the given number of equal parts.
func cut(s string, parts int) string {
	n := len(s) / parts / 4 * 4
	var list []string
	for range parts {
		list, s = append(list, s[:n]), s[n:]
	}
	return strings.Join(list, ".")
}
