package password

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/internal/secret"
	"github.com/counterfoil/counterfoil/login"
)

// A device credential says: this client signed this account in before. Whoever
// shows one has failures of its own counted, so strangers who guess at an account
// slow down each other and never its owner (LOGIN-09). It proves nothing else, and
// nothing is stored for it: 16 random bytes, and their HMAC-SHA256 with the
// account under a key of its own, in base64url behind a prefix.

const (
	devicePrefix = "cfd_" // lets secret scanners recognise a leaked one

	// maxDeviceFailures in a row make a device like any other: a stolen credential
	// is not a second row of guesses for ever.
	maxDeviceFailures = 20
)

// Device returns what the client of a login that succeeded should keep and show at
// the next as login.Attempt.Device. It is presented itself if that is one already.
func (p *Passwords) Device(identifier string, presented secret.String) secret.String {
	account := accountOf(identifier)
	if _, ok := p.device(account, presented); ok {
		return presented
	}
	id := make([]byte, 16)
	rand.Read(id)
	return secret.New(devicePrefix + base64.RawURLEncoding.EncodeToString(append(id, p.deviceMAC(id, account)...)))
}

func (p *Passwords) deviceMAC(id []byte, account string) []byte {
	m := hmac.New(sha256.New, p.opts.DeviceKey)
	m.Write(id) // of one length: what follows cannot be mistaken for a part of it
	m.Write([]byte(account))
	return m.Sum(nil)
}

// device returns the id of a device that signed account in before.
func (p *Passwords) device(account string, presented secret.String) (id string, ok bool) {
	text, ok := strings.CutPrefix(presented.Reveal(), devicePrefix)
	if !ok || len(text) != 64 { // exact: the decoder skips line breaks
		return "", false
	}
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(raw) != 48 || !hmac.Equal(raw[16:], p.deviceMAC(raw[:16], account)) {
		return "", false
	}
	return text[:22] + " " + account, true
}

// counter is where the failures of an attempt are counted.
type counter struct {
	in  *backoff
	key string
}

func (p *Passwords) counterFor(a login.Attempt, now time.Time) counter {
	account := accountOf(a.Identifier)
	if id, ok := p.device(account, a.Device); ok && p.devices.count(id, now) < maxDeviceFailures {
		return counter{p.devices, id}
	}
	return counter{p.accounts, account}
}

// accountOf is the one name that all aliases of an account share.
func accountOf(identifier string) string {
	account, err := directory.Canonical(identifier)
	if err != nil {
		return "not an identifier"
	}
	return account
}
