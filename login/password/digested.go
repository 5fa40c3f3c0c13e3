package password

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	stdhash "hash"
	"regexp"
	"strings"

	"golang.org/x/crypto/bcrypt"
)

// digested is bcrypt of a digest of the password, as text, so that more than 72 bytes of a
// password count. inner is bcrypt's own spelling.
func digested(stored, inner string, digest func(password string) string) (kept, error) {
	k, err := readBcrypt(inner)
	return kept{spelling: stored, effort: k.effort, matches: func(password string) bool {
		return bcrypt.CompareHashAndPassword([]byte(inner), []byte(digest(password))) == nil
	}}, err
}

func digestOf(h stdhash.Hash, text string) []byte {
	h.Write([]byte(text))
	return h.Sum(nil)
}

// readWordPress reads $wp$2y$…, which WordPress has since 6.8.
func readWordPress(stored string) (kept, error) {
	k, err := digested(stored, strings.TrimPrefix(stored, "$wp"), func(password string) string {
		return base64.StdEncoding.EncodeToString(digestOf(hmac.New(sha512.New384, []byte("wp-sha384")), slashed(password)))
	})
	k.whole = trimmed
	return k, err
}

// readDjangoBcrypt reads bcrypt_sha256$$2b$… of Django.
func readDjangoBcrypt(stored string) (kept, error) {
	return digested(stored, strings.TrimPrefix(stored, "bcrypt_sha256$"), func(password string) string {
		return hex.EncodeToString(digestOf(sha256.New(), password))
	})
}

var passlibBcrypt = regexp.MustCompile(`^\$bcrypt-sha256\$(v=2,t=)?(2[aby]),(?:r=)?([1-9][0-9]?)\$([./A-Za-z0-9]{22})\$([./A-Za-z0-9]{31})$`)

// readPasslibBcrypt reads $bcrypt-sha256$v=2,t=2b,r=12$salt$sum of passlib, and the form of its
// first version, $bcrypt-sha256$2b,12$salt$sum.
func readPasslibBcrypt(stored string) (kept, error) {
	m := passlibBcrypt.FindStringSubmatch(stored)
	if m == nil || (m[1] == "") != !strings.Contains(stored, ",r=") {
		return kept{}, ErrHash
	}
	cost, salt := m[3], m[4]
	if len(cost) == 1 {
		cost = "0" + cost
	}
	return digested(stored, "$"+m[2]+"$"+cost+"$"+salt+m[5], func(password string) string {
		h := sha256.New()
		if m[1] != "" {
			h = hmac.New(sha256.New, []byte(salt))
		}
		return base64.StdEncoding.EncodeToString(digestOf(h, password))
	})
}
