package password

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"strings"

	"golang.org/x/crypto/bcrypt"
)

// phpDigits are the 64 digits that phpass writes numbers with.
const phpDigits = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// readPhpass reads $P$, a digit for the cost, eight characters of salt and 22 digits: MD5, some
// thousand times. WordPress before 6.8 has it, and other programs in PHP. WordPress hashes a
// changed password, see slashed; others hash it as it is. Both are compared, whatever password
// is typed, so that it always takes the same time.
func readPhpass(stored string) (kept, error) {
	rest := strings.TrimPrefix(stored, "$P$")
	if len(rest) != 31 || strings.Trim(rest, phpDigits) != "" {
		return kept{}, ErrHash
	}
	cost := strings.IndexByte(phpDigits, rest[0])
	digests := 2 << min(cost, 30)
	if cost < 7 || digests > maxPhpass { // 7 is the lowest that phpass makes and accepts
		return kept{}, fmt.Errorf("%w: phpass of 2^%d digests", ErrHash, cost)
	}
	salt, sum := rest[1:9], []byte(rest[9:])
	return kept{spelling: stored, effort: effort{Kind: "phpass", Units: digests}, matches: func(password string) bool {
		typed := equal(phpass(password, salt, 1<<cost), sum)
		wordpress := equal(phpass(slashed(password), salt, 1<<cost), sum)
		return typed || wordpress
	}, whole: trimmed}, nil
}

func phpass(password, salt string, digests int) []byte {
	sum := md5.Sum([]byte(salt + password))
	text := append(sum[:], password...)
	for range digests {
		sum = md5.Sum(text)
		copy(text, sum[:])
	}
	// Three bytes are four digits, the lowest first.
	var out []byte
	for n := 0; n < len(sum); n += 3 {
		group := sum[n:min(n+3, len(sum))]
		value := 0
		for i, b := range group {
			value |= int(b) << (8 * i)
		}
		for range len(group) + 1 {
			out = append(out, phpDigits[value&63])
			value >>= 6
		}
	}
	return out
}

// readWordPress reads $wp$2y$…, which WordPress has since 6.8: bcrypt of a digest.
func readWordPress(stored string) (kept, error) {
	k, err := readBcrypt(strings.TrimPrefix(stored, "$wp"))
	if err != nil {
		return kept{}, err
	}
	inner := []byte(k.spelling)
	return kept{spelling: stored, effort: k.effort, matches: func(password string) bool {
		mac := hmac.New(sha512.New384, []byte("wp-sha384"))
		mac.Write([]byte(slashed(password)))
		return bcrypt.CompareHashAndPassword(inner, []byte(base64.StdEncoding.EncodeToString(mac.Sum(nil)))) == nil
	}, whole: trimmed}, nil
}

// slashed is the password as WordPress hashes it: PHP's addslashes has been applied to what a
// form sent, and what is blank at the ends is cut off.
func slashed(password string) string { return strings.Trim(addSlashes.Replace(password), blanks) }

var addSlashes = strings.NewReplacer(`\`, `\\`, `'`, `\'`, `"`, `\"`, "\x00", `\0`)

const blanks = " \t\n\r\x00\x0b"

// trimmed reports whether WordPress cuts nothing off.
func trimmed(password string) bool { return strings.Trim(password, blanks) == password }
