package token

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"strings"
)

// Refresh is what a refresh token says: it is the Counter-th of a grant.
type Refresh struct {
	Grant   [16]byte
	Counter uint64
}

const refreshPrefix = "cfr_" // lets secret scanners recognise a leaked one

// Spell writes the one text of r under key: grant (16 bytes), counter (8), HMAC-SHA256
// of both (32), in base64url behind the prefix.
func (r Refresh) Spell(key []byte) string {
	body := binary.BigEndian.AppendUint64(r.Grant[:], r.Counter)
	return refreshPrefix + encode(append(body, refreshMAC(key, body)...))
}

// ParseRefresh reads what Spell wrote under key, and nothing else.
func ParseRefresh(s string, key []byte) (r Refresh, err error) {
	text, ok := strings.CutPrefix(s, refreshPrefix)
	if !ok || len(text) != 75 {
		return Refresh{}, refuse("refresh token's shape")
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
