package clients

import (
	"errors"
	"fmt"

	"github.com/counterfoil/counterfoil/internal/token"
)

// EncryptionKey is a public key of the services that open the JWEs of a client without
// asking: see Options.DecryptionKeys of package counterfoil, which has the private half.
type EncryptionKey struct{ to *token.Recipient }

// ParseEncryptionKey reads a public JWK (RFC 7517): on P-256 or X25519, with a kid, use
// "enc", and alg ECDH-ES or ECDH-ES+A256KW. Anything else is ErrBadRequest, above all
// a JWK with its private part.
func ParseEncryptionKey(jwk []byte) (*EncryptionKey, error) {
	k := new(EncryptionKey)
	return k, k.UnmarshalJSON(jwk)
}

// ID is the kid that JWEs to this key have.
func (k *EncryptionKey) ID() string { return k.to.ID() }

// Recipient is what JWEs are encrypted to.
func (k *EncryptionKey) Recipient() *token.Recipient { return k.to }

// MarshalJSON writes the JWK, with the members that were looked at.
func (k *EncryptionKey) MarshalJSON() ([]byte, error) {
	if k.to == nil {
		return nil, errors.New("encryption_key is empty")
	}
	return k.to.JWK()
}

// UnmarshalJSON is ParseEncryptionKey.
func (k *EncryptionKey) UnmarshalJSON(jwk []byte) (err error) {
	if k.to, err = token.ParseRecipient(jwk); err != nil {
		return fmt.Errorf("%w: encryption_key: %w", ErrBadRequest, err)
	}
	return nil
}
