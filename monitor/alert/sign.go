package alert

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
	"time"
)

// secretPrefix begins a secret of a webhook, as Standard Webhooks writes it.
const secretPrefix = "whsec_"

// ParseSecret returns the key in text, which is whsec_ and 24 to 64 bytes in base64.
func ParseSecret(text string) ([]byte, error) {
	encoded, found := strings.CutPrefix(strings.TrimSpace(text), secretPrefix)
	if !found {
		return nil, errors.New("a secret of a webhook begins with whsec_")
	}
	key, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil || len(key) < 24 || len(key) > 64 {
		return nil, errors.New("a secret of a webhook is whsec_ and 24 to 64 bytes in base64")
	}
	return key, nil
}

// sign returns the header webhook-signature: one signature for each key, so that a receiver that has
// either of them accepts (OPS-09).
func sign(keys [][]byte, id string, at time.Time, body []byte) string {
	all := make([]string, len(keys))
	for n, key := range keys {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(id + "." + strconv.FormatInt(at.Unix(), 10) + "."))
		mac.Write(body)
		all[n] = "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}
	return strings.Join(all, " ")
}
