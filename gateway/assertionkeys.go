package gateway

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/counterfoil/counterfoil/internal/token"
)

// AssertionKeys are the keys of a gateway, or of several that share a file: the first signs, and
// all are published.
type AssertionKeys struct {
	signer *token.Signer
	jwks   []byte
}

// NewAssertionKey returns a new key (ES256) as [ReadAssertionKeys] reads it.
func NewAssertionKey() ([]byte, error) {
	private, err := token.GenerateKey(token.ES256)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// ReadAssertionKeys reads private keys in PEM (PKCS #8): on P-256, for ES256, or Ed25519.
// ES256 is what every JWT library verifies.
func ReadAssertionKeys(text []byte) (*AssertionKeys, error) {
	var all AssertionKeys
	var keys []token.Key
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		if block.Type != "PRIVATE KEY" {
			return nil, fmt.Errorf("block %d is %q: want PRIVATE KEY (PKCS #8)", len(keys)+1, block.Type)
		}
		signer, err := assertionSigner(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("key %d: %w", len(keys)+1, err)
		}
		if keys = append(keys, signer.Key()); all.signer == nil {
			all.signer = signer
		}
	}
	if all.signer == nil {
		return nil, errors.New("no private key in PEM is there")
	}
	var err error
	all.jwks, err = token.MarshalJWKS(keys)
	return &all, err
}

// assertionSigner names a key by its public half: all that share a file name it alike.
func assertionSigner(der []byte) (*token.Signer, error) {
	private, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, errors.New("not a private key in PKCS #8")
	}
	alg, public := token.ES256, any(nil)
	switch p := private.(type) {
	case *ecdsa.PrivateKey:
		public = p.Public()
	case ed25519.PrivateKey:
		alg, public = token.Ed25519, p.Public()
	default:
		return nil, errors.New("want a key on P-256, or Ed25519")
	}
	spki, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(spki)
	signer, err := token.NewSigner(base64.RawURLEncoding.EncodeToString(sum[:12]), alg, private)
	if err != nil {
		return nil, errors.New("want a key on P-256, or Ed25519")
	}
	return signer, nil
}

// JWKS returns the public keys (RFC 7517), for services.
func (k *AssertionKeys) JWKS() []byte { return k.jwks }

// String returns no part of a key.
func (k *AssertionKeys) String() string { return "gateway.AssertionKeys(" + k.signer.Key().ID + ")" }

// GoString does the same for %#v.
func (k *AssertionKeys) GoString() string { return k.String() }
