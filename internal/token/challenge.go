package token

import (
	"crypto/sha256"
	"encoding/base64"
)

// ChallengeSize is the length of what [Challenge] returns.
const ChallengeSize = 43

// Challenge is what S256 of RFC 7636 section 4.2 makes of a verifier. Who knows the verifier can show that
// later, and the challenge does not tell it.
func Challenge(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
