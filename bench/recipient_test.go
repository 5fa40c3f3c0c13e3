package bench

import (
	"crypto/ecdh"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwe"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/internal/token"
)

// Other libraries that implement RFC 7518 open the tokens that we encrypt to a client's key,
// with our apu and apv.
func TestOtherLibrariesDecryptOurTokens(t *testing.T) {
	const inner = "a.b.c"
	derive := func(label string) []byte {
		sum := sha256.Sum256([]byte(label))
		return sum[:]
	}
	for _, curve := range []ecdh.Curve{ecdh.P256(), ecdh.X25519()} {
		private, err := curve.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		for _, alg := range []string{"ECDH-ES", "ECDH-ES+A256KW"} {
			jwk, err := counterfoil.DecryptionKey{ID: "e1", Agreement: private, Wrapped: alg != "ECDH-ES"}.PublicJWK()
			if err != nil {
				t.Fatal(err)
			}
			to, err := token.ParseRecipient(jwk)
			if err != nil {
				t.Fatal(err)
			}
			text, err := token.EncryptTo(to, derive, token.AccessType, inner)
			if err != nil {
				t.Fatal(err)
			}
			with, _ := jwa.LookupKeyEncryptionAlgorithm(alg)
			if curve == ecdh.X25519() {
				got, err := jwe.Decrypt([]byte(text), jwe.WithKey(with, private))
				if err != nil || string(got) != inner {
					t.Errorf("jwx, X25519, %s: %q, %v", alg, got, err)
				}
				continue // go-jose does not support X25519
			}
			der, err := x509.MarshalPKCS8PrivateKey(private)
			if err != nil {
				t.Fatal(err)
			}
			key, err := x509.ParsePKCS8PrivateKey(der) // as *ecdsa.PrivateKey, which both libraries accept
			if err != nil {
				t.Fatal(err)
			}
			if got, err := jwe.Decrypt([]byte(text), jwe.WithKey(with, key)); err != nil || string(got) != inner {
				t.Errorf("jwx, P-256, %s: %q, %v", alg, got, err)
			}
			m, err := jose.ParseEncryptedCompact(text, []jose.KeyAlgorithm{jose.KeyAlgorithm(alg)}, []jose.ContentEncryption{jose.A256GCM})
			if err != nil {
				t.Fatal(err)
			}
			if got, err := m.Decrypt(key); err != nil || string(got) != inner {
				t.Errorf("go-jose, P-256, %s: %q, %v", alg, got, err)
			}
		}
	}
}
