package inspect

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"
	"hash"
	"slices"
	"strings"

	"github.com/counterfoil/counterfoil/internal/token"
)

// hmacs are the HMAC algorithms (RFC 7518 section 3.2).
var hmacs = map[string]func() hash.Hash{"HS256": sha256.New, "HS384": sha512.New384, "HS512": sha512.New}

// signatureSizes are the lengths of signatures. RSA has the length of its key.
var signatureSizes = map[string]int{
	"HS256": 32, "HS384": 48, "HS512": 64, "ES256": 64, "ES384": 96, "ES512": 132, "Ed25519": 64, "EdDSA": 64, "ES256K": 64,
}

var (
	// rareAlgs are registered, and not verified here.
	rareAlgs = []string{"ES256K", "Ed448", "ML-DSA-44", "ML-DSA-65", "ML-DSA-87"}

	// keyAlgs are the algorithms that encrypt or agree on a content key (RFC 7518 section 4.1).
	keyAlgs = []string{"dir", "A128KW", "A192KW", "A256KW", "A128GCMKW", "A192GCMKW", "A256GCMKW",
		"ECDH-ES", "ECDH-ES+A128KW", "ECDH-ES+A192KW", "ECDH-ES+A256KW", "RSA-OAEP", "RSA-OAEP-256", "RSA-OAEP-384", "RSA-OAEP-512", "RSA1_5",
		"PBES2-HS256+A128KW", "PBES2-HS384+A192KW", "PBES2-HS512+A256KW"}

	// decryptOnly are registered, and our library does not encrypt with them.
	decryptOnly = []string{"RSA-OAEP-384", "RSA-OAEP-512"}

	// contentAlgs encrypt the contents (RFC 7518 section 5.1).
	contentAlgs = []string{"A128GCM", "A192GCM", "A256GCM", "A128CBC-HS256", "A192CBC-HS384", "A256CBC-HS512"}
)

// SignatureAlgorithms are the algorithms that Verify and Sign know, EdDSA as a second name of
// Ed25519.
func SignatureAlgorithms() (names []string) {
	for _, alg := range token.Algorithms() {
		names = append(names, string(alg))
	}
	return append(names, "EdDSA")
}

// KeyAlgorithms are the algorithms for content keys that Decrypt knows. Encrypt refuses RSA1_5, and
// does not know RSA-OAEP-384 and RSA-OAEP-512.
func KeyAlgorithms() []string { return slices.Clone(keyAlgs) }

// ContentAlgorithms are the algorithms for contents that Encrypt and Decrypt know.
func ContentAlgorithms() []string { return slices.Clone(contentAlgs) }

func knownSignature(alg string) bool { return slices.Contains(SignatureAlgorithms(), alg) }

// oneName is the fully specified name of EdDSA (RFC 9864), and each other name as it is.
func oneName(alg string) string {
	if alg == "EdDSA" {
		return string(token.Ed25519)
	}
	return alg
}

// misfit says why a key cannot be one for a signature algorithm; empty if it can.
func (k Key) misfit(alg string) string {
	want := ""
	_, symmetric := hmacs[alg]
	switch p := publicHalf(k.value).(type) {
	case []byte:
		if !symmetric {
			want = "a public key"
		}
	case *ecdsa.PublicKey:
		if curve := map[string]string{"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}[alg]; curve != p.Curve.Params().Name {
			want = "a key on " + curve
		}
	case ed25519.PublicKey:
		if oneName(alg) != string(token.Ed25519) {
			want = "another kind of key"
		}
	case *rsa.PublicKey:
		if !strings.HasPrefix(alg, "RS") && !strings.HasPrefix(alg, "PS") {
			want = "another kind of key"
		}
	default:
		return "it is for encryption only"
	}
	switch {
	case want == "":
		return ""
	case symmetric:
		return fmt.Sprintf("it is %s, and %s wants a secret", k.Type, alg)
	case want == "a key on ":
		want = "another kind of key"
	}
	return fmt.Sprintf("it is %s, and %s wants %s", k.Type, alg, want)
}

var errSignature = errors.New("no key made the signature")

// holds checks a signature with one key. It returns errSignature, or why the key is no good.
func (k Key) holds(alg string, input, sig []byte) error {
	if secret, ok := k.value.([]byte); ok {
		m := hmac.New(hmacs[alg], secret)
		m.Write(input)
		if !hmac.Equal(m.Sum(nil), sig) {
			return errSignature
		}
		return nil
	}
	key, err := token.NewKey("key", token.Alg(oneName(alg)), publicHalf(k.value))
	if err != nil {
		return fmt.Errorf("it is no sound key: %s", reason(err))
	}
	if !key.Holds(input, sig) {
		return errSignature
	}
	return nil
}

// reason is the text of a refusal of package token, without its beginning, which all have.
func reason(err error) string {
	return strings.TrimPrefix(err.Error(), token.ErrInvalid.Error()+": ")
}
