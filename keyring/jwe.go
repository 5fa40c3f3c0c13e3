package keyring

import (
	"crypto/rand"
	"encoding/hex"
	"strings"
	"sync/atomic"

	"github.com/counterfoil/counterfoil/internal/token"
)

// maxSealed is how often one JWE key is used. With random IVs the limit of
// AES-GCM is 2^32 (SP 800-38D section 8.3, JWE-11); half of it leaves room for
// calls that are under way while the next key is made.
const maxSealed = 1 << 31

// sealing is the JWE key that this process encrypts with. Its id names the signing key and
// a random salt, and its secret is derived from both and the root. Every process has keys
// of its own, so its count of uses is exact without being stored. Every other process has
// the root, so it derives the key from the id alone.
type sealing struct {
	kid  string
	key  *token.Opener
	uses atomic.Uint64
}

// saltSize in bytes. It need not be secret, only unlike that of every other
// process under the same signing key.
const saltSize = 8

// Sealer returns the JWE key that goes with the signing key now. Each call counts
// as one use.
func (k *Keyring) Sealer() (*token.Opener, error) {
	kid := signing(k.current.Load(), k.opts.Now()).ID
	s := k.sealing.Load()
	if s != nil && s.kid == kid && s.uses.Add(1) <= maxSealed {
		return s.key, nil
	}
	salt := make([]byte, saltSize)
	rand.Read(salt)
	next := &sealing{kid: kid}
	var err error
	if next.key, err = k.opener(kid, hex.EncodeToString(salt)); err != nil {
		return nil, err
	}
	next.uses.Store(1)
	k.sealing.CompareAndSwap(s, next) // if another caller was first, this key is used once
	return next.key, nil
}

// Opener returns the JWE key of that id. It opens as long as its signing key verifies, so
// both retire and are revoked together.
func (k *Keyring) Opener(id string) (*token.Opener, bool) {
	kid, salt, ok := strings.Cut(id, "-")
	raw, err := hex.DecodeString(salt)
	if !ok || err != nil || len(raw) != saltSize || hex.EncodeToString(raw) != salt {
		return nil, false
	}
	if _, ok := k.Find(kid); !ok {
		return nil, false
	}
	o, err := k.opener(kid, salt)
	return o, err == nil
}

func (k *Keyring) opener(kid, salt string) (*token.Opener, error) {
	return token.NewDirectKey(kid+"-"+salt, k.Derive("jwe "+kid+" "+salt))
}
