package keyring

import (
	"bytes"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"slices"
	"strings"
	"time"
)

// ErrConfigured means that the key is a configured secret, which the ring cannot
// replace by itself: configure another.
var ErrConfigured = errors.New("the signing key is a configured secret: configure another")

// CheckSecret returns an error that says why secret is not good enough to sign with
// (KEY-02, RFC 7518 section 3.2). Text holds fewer random bits than its length says, so it
// must be longer. Everybody knows the secrets that stand in manuals.
func CheckSecret(secret []byte) error {
	text := !bytes.ContainsFunc(secret, func(r rune) bool { return r < ' ' || r > '~' })
	folded := strings.ToLower(string(secret))
	distinct := slices.Compact(slices.Sorted(slices.Values(secret)))
	switch {
	case len(secret) < 32:
		return errors.New("has fewer than 32 bytes")
	case text && len(secret) < 43:
		return errors.New("is text of fewer than 43 characters")
	case len(distinct) < 12:
		return errors.New("repeats itself")
	case text && slices.ContainsFunc(wellKnown, func(w string) bool { return strings.Contains(folded, w) }):
		return errors.New("holds a word that many examples have")
	}
	return nil
}

// wellKnown words occur in the secrets of manuals, of templates and of lists of weak
// secrets. By chance one of them occurs in one of ten million random texts.
var wellKnown = []string{"secret", "changeme", "change-me", "change_me", "password", "example", "your-256-bit", "0123456789", "abcdefgh", "qwertyui", "letmein", "replace-", "supersecure"}

// addSecret makes the configured secret sign at from. The id is derived from the secret, so
// that every process has the same id, and the ring recognises a secret of before.
func (k *Keyring) addSecret(s *state, from time.Time) error {
	sum := sha256.Sum256(append([]byte("counterfoil kid "), k.opts.Secret...))
	id := "k" + strings.ToLower(base32.StdEncoding.EncodeToString(sum[:10]))
	e := entry{ID: id, Alg: k.opts.Alg, Private: slices.Clone(k.opts.Secret), Created: k.opts.Now(), From: from}
	if i := slices.IndexFunc(s.Keys, func(e entry) bool { return e.ID == id }); i >= 0 {
		if s.Keys[i].Revoked {
			return ErrConfigured
		}
		e.Created = s.Keys[i].Created
		s.Keys = slices.Delete(s.Keys, i, i+1)
	}
	return k.insert(s, e)
}
