package throttle

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"strings"

	"github.com/counterfoil/counterfoil/internal/secret"
)

// A device credential says: this client signed this account in before. A client that
// shows one has failures of its own counted, so strangers who guess at an account slow
// down each other and never its owner (LOGIN-09). It proves nothing else, and the store
// does not know it: it is 16 random bytes and their HMAC-SHA256 with the account, in
// base64url behind a prefix.

const (
	devicePrefix = "cfd_" // lets secret scanners recognise a leaked one

	// maxDeviceFailures in a row make a device like any other: a stolen credential
	// is not a second row of guesses for ever.
	maxDeviceFailures = 20
)

// Device returns what the client of a login that succeeded should keep and show at
// the next as Guess.Device. If presented is such a credential already, it is returned.
func (t *Throttle) Device(account string, presented secret.String) secret.String {
	if t.device(account, presented) != "" {
		return presented
	}
	id := make([]byte, 16)
	rand.Read(id)
	return secret.New(devicePrefix + base64.RawURLEncoding.EncodeToString(append(id, t.deviceMAC(id, account)...)))
}

func (t *Throttle) deviceMAC(id []byte, account string) []byte {
	m := hmac.New(sha256.New, t.opts.Key)
	m.Write(id) // of one length: what follows cannot be mistaken for a part of it
	m.Write([]byte(account))
	return m.Sum(nil)
}

// Knows reports whether presented is the credential of a device that signed account in before.
func (t *Throttle) Knows(account string, presented secret.String) bool {
	return t.device(account, presented) != ""
}

// device returns the counter of a device that signed account in before; empty if
// presented is not the credential of one.
func (t *Throttle) device(account string, presented secret.String) string {
	text, ok := strings.CutPrefix(presented.Reveal(), devicePrefix)
	if !ok || len(text) != 64 { // exact: the decoder skips line breaks
		return ""
	}
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(raw) != 48 || !hmac.Equal(raw[16:], t.deviceMAC(raw[:16], account)) {
		return ""
	}
	return t.id("device", text[:22]+" "+account)
}
