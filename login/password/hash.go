package password

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"

	"golang.org/x/crypto/argon2"
)

// params of argon2id: memory in KiB, passes, lanes.
type params struct {
	m, t uint32
	p    uint8
}

// policy is what new hashes are made with; stored ones below it are made anew at
// the next login (LOGIN-03).
var policy = params{m: 65536, t: 2, p: 1}

// The most that a stored hash may ask for: a hostile one must not take the
// machine down (LOGIN-05).
const (
	maxM = 256 << 10
	maxT = 10
	maxP = 8
)

var errHash = errors.New("stored password hash is malformed or asks for too much")

func hash(password string, q params) string {
	salt := make([]byte, 16)
	rand.Read(salt)
	sum := argon2.IDKey([]byte(password), salt, q.t, q.m, q.p, 32)
	return fmt.Sprintf("$argon2id$v=19$m=%d,t=%d,p=%d$%s$%s", q.m, q.t, q.p,
		base64.RawStdEncoding.EncodeToString(salt), base64.RawStdEncoding.EncodeToString(sum))
}

// verify reports whether password belongs to the PHC string phc, and whether the
// string is below policy.
func verify(phc, password string) (match, weak bool, err error) {
	var q params
	var salt64, sum64 string
	var version int
	n, err := fmt.Sscanf(phc, "$argon2id$v=%d$m=%d,t=%d,p=%d$%s", &version, &q.m, &q.t, &q.p, &salt64)
	if err != nil || n != 5 || version != argon2.Version || q.m > maxM || q.t > maxT || q.p > maxP || q.m < 8*uint32(q.p) || q.t < 1 || q.p < 1 {
		return false, false, errHash
	}
	for i := range salt64 {
		if salt64[i] == '$' {
			salt64, sum64 = salt64[:i], salt64[i+1:]
			break
		}
	}
	salt, err1 := base64.RawStdEncoding.Strict().DecodeString(salt64)
	sum, err2 := base64.RawStdEncoding.Strict().DecodeString(sum64)
	if err1 != nil || err2 != nil || len(salt) < 8 || len(salt) > 64 || len(sum) < 16 || len(sum) > 64 {
		return false, false, errHash
	}
	got := argon2.IDKey([]byte(password), salt, q.t, q.m, q.p, uint32(len(sum)))
	weak = q.m < policy.m || q.t < policy.t
	return subtle.ConstantTimeCompare(got, sum) == 1, weak, nil
}
