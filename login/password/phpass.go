package password

import (
	"crypto/md5"
	"crypto/sha512"
	"fmt"
	stdhash "hash"
	"strings"
)

// phpDigits are the 64 digits that phpass writes numbers with.
const phpDigits = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// readPhpass reads $P$, a digit for the cost, eight characters of salt and 22 digits: MD5, some
// thousand times. WordPress before 6.8 has it, and other programs in PHP. WordPress hashes a
// changed password, see slashed; others hash it as it is. Both are compared, whatever password
// is typed, so that it always takes the same time.
func readPhpass(stored string) (kept, error) {
	salt, sum, digests, err := phpassParts(strings.TrimPrefix(stored, "$P$"), 22, 2)
	return kept{spelling: stored, effort: effort{Kind: "phpass", Units: 2 * digests}, matches: func(password string) bool {
		typed := equal(phpass(md5.New, password, salt, digests), sum)
		wordpress := equal(phpass(md5.New, slashed(password), salt, digests), sum)
		return typed || wordpress
	}, whole: trimmed}, err
}

// readDrupal reads $S$ of Drupal 7 to 9: the same with SHA-512, and 43 of its 86 digits.
func readDrupal(stored string) (kept, error) {
	salt, sum, digests, err := phpassParts(strings.TrimPrefix(stored, "$S$"), 43, 1)
	return kept{spelling: stored, effort: effort{Kind: "phpass-sha512", Units: digests}, matches: func(password string) bool {
		return equal(phpass(sha512.New, password, salt, digests)[:43], sum)
	}}, err
}

// phpassParts reads what comes after the name. times is how often all is computed.
func phpassParts(rest string, length, times int) (salt string, sum []byte, digests int, err error) {
	if len(rest) != 9+length || strings.Trim(rest, phpDigits) != "" {
		return "", nil, 0, ErrHash
	}
	cost := strings.IndexByte(phpDigits, rest[0])
	digests = 1 << min(cost, 30)
	if cost < 7 || times*digests > maxPhpass { // 7 is the lowest that phpass makes and accepts
		return "", nil, 0, fmt.Errorf("%w: phpass of 2^%d digests", ErrHash, cost)
	}
	return rest[1:9], []byte(rest[9:]), digests, nil
}

func phpass(digest func() stdhash.Hash, password, salt string, digests int) []byte {
	h, typed := digest(), []byte(password)
	sum := h.Sum(nil)[:0]
	h.Write([]byte(salt))
	for range digests + 1 { // the first is that of the salt
		h.Write(typed)
		sum = h.Sum(sum[:0])
		h.Reset()
		h.Write(sum)
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

// slashed is the password as WordPress hashes it: PHP's addslashes has been applied to what a
// form sent, and what is blank at the ends is cut off.
func slashed(password string) string { return strings.Trim(addSlashes.Replace(password), blanks) }

var addSlashes = strings.NewReplacer(`\`, `\\`, `'`, `\'`, `"`, `\"`, "\x00", `\0`)

const blanks = " \t\n\r\x00\x0b"

// trimmed reports whether WordPress cuts nothing off.
func trimmed(password string) bool { return strings.Trim(password, blanks) == password }
