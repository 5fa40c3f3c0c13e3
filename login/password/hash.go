package password

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
)

// params of argon2id: memory in KiB, passes, lanes.
type params struct {
	m, t uint32
	p    uint8
}

// production is above the floor of 19 MiB and two passes (LOGIN-03).
var production = params{m: 65536, t: 2, p: 1}

// insecure is for tests that are not about hashing.
var insecure = params{m: 64, t: 1, p: 1}

// The most that a stored hash may ask for: a hostile one must not take the
// machine down (LOGIN-05).
const (
	maxM = 256 << 10
	maxT = 10
	maxP = 8
)

// ErrHash refuses a stored or imported hash.
var ErrHash = errors.New("password hash is malformed or asks for too much")

func hash(password string, q params) string {
	salt := make([]byte, 16)
	rand.Read(salt)
	return phc(q, salt, argon2.IDKey([]byte(password), salt, q.t, q.m, q.p, 32))
}

// dummy is a hash of no password: comparing with it is the work of any other comparison, and
// making it none.
func dummy(q params) string {
	salt, sum := make([]byte, 16), make([]byte, 32)
	rand.Read(salt)
	rand.Read(sum)
	return phc(q, salt, sum)
}

func phc(q params, salt, sum []byte) string {
	return fmt.Sprintf("$argon2id$v=%d$%v$%s$%s", argon2.Version, q,
		base64.RawStdEncoding.EncodeToString(salt), base64.RawStdEncoding.EncodeToString(sum))
}

// verify reports whether password belongs to a stored hash, and whether it is then to
// be hashed anew, by policy.
func verify(stored, password string, policy params) (match, outdated bool, err error) {
	k, err := read(stored)
	if err != nil {
		return false, false, err
	}
	return k.matches(password), k.outdated(policy, password), nil
}

func (q params) below(policy params) bool { return q.m < policy.m || q.t < policy.t }

// parse reads the one spelling that hash writes.
func parse(phc string) (q params, salt, sum []byte, err error) {
	parts := strings.Split(phc, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != "v=19" {
		return q, nil, nil, ErrHash
	}
	if err := q.UnmarshalText([]byte(parts[3])); err != nil {
		return q, nil, nil, err
	}
	salt, err1 := base64.RawStdEncoding.Strict().DecodeString(parts[4])
	sum, err2 := base64.RawStdEncoding.Strict().DecodeString(parts[5])
	// The decoder skips line breaks, so a second spelling is told by its length.
	canonical := base64.RawStdEncoding.EncodedLen(len(salt)) == len(parts[4]) && base64.RawStdEncoding.EncodedLen(len(sum)) == len(parts[5])
	switch {
	case err1 != nil || err2 != nil || !canonical,
		q.m > maxM || q.t > maxT || q.p > maxP, q.t < 1 || q.p < 1 || q.m < 8*uint32(q.p),
		len(salt) < 8 || len(salt) > 64, len(sum) < 16 || len(sum) > 64:
		return q, nil, nil, ErrHash
	}
	return q, salt, sum, nil
}

func (q params) String() string { return fmt.Sprintf("m=%d,t=%d,p=%d", q.m, q.t, q.p) }
