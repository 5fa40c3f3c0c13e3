package token

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"strings"
)

// Refresh has the contents of a refresh token: it is the Counter-th token of a grant.
type Refresh struct {
	Grant   [16]byte
	Counter uint64
}

const refreshPrefix = "cfr_" // secret scanners recognise a leaked token by it

// Spell returns the text of r under key. It is the prefix, then in base64url: grant (16
// bytes), counter (8), HMAC-SHA256 of both (32). There is one text for each r and key.
func (r Refresh) Spell(key []byte) string {
	body := binary.BigEndian.AppendUint64(r.Grant[:], r.Counter)
	return refreshPrefix + encode(append(body, refreshMAC(key, body)...))
}

// ParseRefresh reads a text that [Refresh.Spell] wrote under key. It refuses every other text.
func ParseRefresh(s string, key []byte) (r Refresh, err error) {
	text, ok := strings.CutPrefix(s, refreshPrefix)
	if !ok || len(text) != 75 {
		return Refresh{}, refuse("shape of a refresh token")
	}
	raw, err := decode(nil, text)
	if err != nil || len(raw) != 56 || !hmac.Equal(raw[24:], refreshMAC(key, raw[:24])) {
		return Refresh{}, refuse("refresh token")
	}
	copy(r.Grant[:], raw)
	r.Counter = binary.BigEndian.Uint64(raw[16:24])
	return r, nil
}

func refreshMAC(key, body []byte) []byte {
	m := hmac.New(sha256.New, key)
	m.Write(body)
	return m.Sum(nil)
}
