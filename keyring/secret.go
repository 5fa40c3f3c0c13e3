package keyring

import (
	"bytes"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// ErrConfigured means that the key is a configured secret, which the ring cannot
// replace by itself: configure another.
var ErrConfigured = errors.New("the signing key is a configured secret: configure another")

// CheckSecret returns an error that says why secret is not good enough to sign with
// (KEY-02, RFC 7518 section 3.2). Text holds fewer random bits than its length says, so it
// must be longer, also if it is written as hexadecimal digits or base64. Everybody knows the
// secrets that are published.
func CheckSecret(secret []byte) error {
	if err := checkReading(secret); err != nil {
		return err
	}
	for _, decoded := range decodings(string(secret)) {
		if !printable(decoded) {
			continue // random bytes, as they should be
		}
		if err := checkReading(decoded); err != nil {
			return fmt.Errorf("decoded from hexadecimal or base64 %w", err)
		}
	}
	if isPublished(secret) {
		return errors.New("is known to everybody: it is an example, or a default of other software")
	}
	return nil
}

// checkReading judges a secret as it stands.
func checkReading(secret []byte) error {
	text := printable(secret)
	folded := strings.ToLower(string(secret))
	distinct := slices.Compact(slices.Sorted(slices.Values(secret)))
	within := bytes.TrimPrefix(bytes.TrimSpace(secret), []byte("\ufeff"))
	switch {
	case len(secret) < 32:
		return errors.New("has fewer than 32 bytes")
	case !text && len(within) < len(secret) && printable(within): // a service that reads its file otherwise refuses every token
		return errors.New("is text with a line end or a byte order mark around it, which is a part of the key: take it away")
	case text && len(secret) < 43:
		return errors.New("is text of fewer than 43 characters")
	case len(distinct) < 12:
		return errors.New("repeats itself")
	case text && slices.ContainsFunc(wellKnown, func(w string) bool { return strings.Contains(folded, w) }):
		return errors.New("holds a word that many examples have")
	}
	return nil
}

func printable(secret []byte) bool {
	return !bytes.ContainsFunc(secret, func(r rune) bool { return r < ' ' || r > '~' })
}

// decodings returns what text may be the hexadecimal or base64 encoding of.
func decodings(text string) (all [][]byte) {
	if raw, err := hex.DecodeString(text); err == nil {
		all = append(all, raw)
	}
	text = strings.TrimRight(text, "=")
	for _, of := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		if raw, err := of.DecodeString(text); err == nil {
			all = append(all, raw)
		}
	}
	return all
}

// wellKnown words occur in the secrets of manuals, of templates and of lists of weak
// secrets. By chance one of them occurs in one of five million random texts.
var wellKnown = []string{
	"secret", "segredo", "geheim", "password", "example", "letmein", "supersecure", "django-insecure",
	"changeme", "change-me", "change_me", "changethis", "change-this", "change_this", "replace-", "replace_",
	"your-256-bit", "0123456789", "abcdefgh", "qwertyui",
}

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
