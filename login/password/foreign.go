package password

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	stdhash "hash"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
	"golang.org/x/crypto/scrypt"
	"golang.org/x/text/unicode/norm"
)

// Hashes that other programs made are kept as one spelling each, read here at every
// login until the first that succeeds makes an argon2id hash of the password. What
// they may ask for is capped here, so at import and at every check (LOGIN-05). Each
// cap is about a second of one core, or 256 MiB.
const (
	maxBcryptCost = 14
	maxScrypt     = 256 << 20 // bytes: 128·N·r
	maxScryptP    = 16
	maxScryptWork = 512 << 20 // bytes: 128·N·r·p
	maxPBKDF2     = 2_000_000 // iterations, times the blocks of output
	maxPhpass     = 1 << 18   // digests, each of up to 2112 bytes
)

// kept is a stored hash as it was read.
type kept struct {
	spelling string // the one that is stored
	effort   effort // what a comparison costs
	matches  func(password string) bool
	argon    params // of an argon2id hash; zero for all others

	// whole reports whether a password counts as it is typed. nil: every one does.
	whole func(password string) bool
}

// outdated reports whether password, which matched, is to be hashed anew. One that was cut off
// or changed before it was compared stays as it is: a slip in what does not count would become
// part of the password.
func (k kept) outdated(policy params, password string) bool {
	return k.argon.below(policy) && (k.whole == nil || k.whole(password))
}

// read reads a stored hash. Whatever else it is is ErrHash.
func read(stored string) (kept, error) {
	for prefix, parse := range map[string]func(string) (kept, error){
		"$argon2id$": readArgon2id, "$argon2i$": readArgon2i,
		"$2a$": readBcrypt, "$2b$": readBcrypt, "$2y$": readBcrypt,
		"$P$": readPhpass, "$S$": readDrupal,
		"$wp$": readWordPress, "bcrypt_sha256$$": readDjangoBcrypt, "$bcrypt-sha256$": readPasslibBcrypt,
		"$scrypt$": readScrypt, "$scrypt-nfkc$": readNormalised, "$fbscrypt$": readFirebase,
		"$pbkdf2-sha1$": readPBKDF2, "$pbkdf2-sha256$": readPBKDF2, "$pbkdf2-sha512$": readPBKDF2,
	} {
		if strings.HasPrefix(stored, prefix) {
			k, err := parse(stored)
			if err == nil && k.spelling != stored {
				err = ErrHash // what is stored has one spelling
			}
			return k, err
		}
	}
	return kept{}, ErrHash
}

func readArgon2id(stored string) (kept, error) {
	q, salt, sum, err := parse(stored)
	return kept{spelling: stored, effort: argonEffort("argon2id", q), argon: q, matches: func(password string) bool {
		return equal(argon2.IDKey([]byte(password), salt, q.t, q.m, q.p, uint32(len(sum))), sum)
	}}, err
}

// readArgon2i also reads hashes of one or two passes, which old versions of PHP and Django made.
// Against guesses three are better (RFC 9106, 4), and still better is ours at the next login.
func readArgon2i(stored string) (kept, error) {
	q, salt, sum, err := parse("$argon2id$" + strings.TrimPrefix(stored, "$argon2i$"))
	return kept{spelling: stored, effort: argonEffort("argon2i", q), matches: func(password string) bool {
		return equal(argon2.Key([]byte(password), salt, q.t, q.m, q.p, uint32(len(sum))), sum)
	}}, err
}

// bcryptReads is how many bytes of a password bcrypt looks at.
const bcryptReads = 72

// readBcrypt reads the 60 characters.
func readBcrypt(stored string) (kept, error) {
	cost, err := bcrypt.Cost([]byte(stored))
	if err != nil || len(stored) != 60 {
		return kept{}, ErrHash
	}
	if cost > maxBcryptCost {
		return kept{}, fmt.Errorf("%w: bcrypt cost %d is more than %d", ErrHash, cost, maxBcryptCost)
	}
	return kept{spelling: stored, effort: effort{Kind: "bcrypt", Units: 1 << cost}, matches: func(password string) bool {
		return bcrypt.CompareHashAndPassword([]byte(stored), []byte(password[:min(len(password), bcryptReads)])) == nil
	}, whole: func(password string) bool { return len(password) <= bcryptReads }}, nil
}

// work is what a scrypt hash asks for.
type work struct{ ln, r, p int }

func (w work) check() error {
	if w.ln < 1 || w.ln > 24 || w.r < 1 || w.r > 64 || w.p < 1 || w.p > maxScryptP ||
		128<<w.ln*w.r > maxScrypt || 128<<w.ln*w.r*w.p > maxScryptWork {
		return fmt.Errorf("%w: scrypt of N=2^%d r=%d p=%d", ErrHash, w.ln, w.r, w.p)
	}
	return nil
}

// readScrypt reads $scrypt$ln=…,r=…,p=…$salt$sum, as passlib writes it.
func readScrypt(stored string) (kept, error) {
	cost, salt, sum, err := split(stored, "$scrypt$")
	var w work
	if err != nil || scan(cost, "ln=%d,r=%d,p=%d", &w.ln, &w.r, &w.p) != nil {
		return kept{}, ErrHash
	}
	return kept{spelling: spell("$scrypt$", fmt.Sprintf("ln=%d,r=%d,p=%d", w.ln, w.r, w.p), salt, sum), effort: w.effort(), matches: func(password string) bool {
		got, err := scrypt.Key([]byte(password), salt, 1<<w.ln, w.r, w.p, len(sum))
		return err == nil && equal(got, sum)
	}}, w.check()
}

// readNormalised reads $scrypt-nfkc$ln=…,r=…,p=…$salt$sum: scrypt of the password in the
// normalisation form NFKC, as better-auth and Lucia compute it.
func readNormalised(stored string) (kept, error) {
	k, err := readScrypt("$scrypt$" + strings.TrimPrefix(stored, "$scrypt-nfkc$"))
	as := k.matches
	k.spelling = strings.Replace(k.spelling, "$scrypt$", "$scrypt-nfkc$", 1)
	k.matches = func(password string) bool { return as(norm.NFKC.String(password)) }
	k.whole = norm.NFKC.IsNormalString
	return k, err
}

// readFirebase reads Firebase's variant: scrypt makes a key, and what is kept is the
// project's signer key, encrypted with it by AES-256 in counter mode.
func readFirebase(stored string) (kept, error) {
	cost, salt, sum, err := split(stored, "$fbscrypt$")
	if err != nil {
		return kept{}, err
	}
	var w work
	var separator, signer string
	if scan(cost, "v=1,n=%d,r=%d,p=%d,ss=%s", &w.ln, &w.r, &w.p, &separator) != nil {
		return kept{}, ErrHash
	}
	separator, signer, _ = strings.Cut(separator, ",sk=")
	between, err1 := base64.RawStdEncoding.Strict().DecodeString(separator)
	key, err2 := base64.RawStdEncoding.Strict().DecodeString(signer)
	if err1 != nil || err2 != nil || len(between) > 64 || len(key) != len(sum) {
		return kept{}, ErrHash
	}
	spelling := spell("$fbscrypt$", fmt.Sprintf("v=1,n=%d,r=%d,p=%d,ss=%s,sk=%s", w.ln, w.r, w.p, separator, signer), salt, sum)
	return kept{spelling: spelling, effort: w.effort(), matches: func(password string) bool {
		derived, err := scrypt.Key([]byte(password), append(salt[:len(salt):len(salt)], between...), 1<<w.ln, w.r, w.p, 32)
		if err != nil {
			return false
		}
		block, err := aes.NewCipher(derived)
		if err != nil {
			return false
		}
		got := make([]byte, len(key))
		cipher.NewCTR(block, make([]byte, aes.BlockSize)).XORKeyStream(got, key)
		return equal(got, sum)
	}}, w.check()
}

var digests = map[string]func() stdhash.Hash{"sha1": sha1.New, "sha256": sha256.New, "sha512": sha512.New}

// readPBKDF2 reads $pbkdf2-sha256$i=…$salt$sum.
func readPBKDF2(stored string) (kept, error) {
	name, _, _ := strings.Cut(strings.TrimPrefix(stored, "$pbkdf2-"), "$")
	digest := digests[name]
	cost, salt, sum, err := split(stored, "$pbkdf2-"+name+"$")
	iterations := 0
	if err != nil || scan(cost, "i=%d", &iterations) != nil {
		return kept{}, ErrHash
	}
	size := digest().Size()
	blocks := (len(sum) + size - 1) / size
	if iterations < 1 || iterations > maxPBKDF2/blocks { // a product could overflow, and be small
		return kept{}, fmt.Errorf("%w: %d iterations of PBKDF2 for %d blocks", ErrHash, iterations, blocks)
	}
	return kept{spelling: spell("$pbkdf2-"+name+"$", fmt.Sprint("i=", iterations), salt, sum), effort: effort{Kind: "pbkdf2-" + name, Units: iterations * blocks}, matches: func(password string) bool {
		got, err := pbkdf2.Key(digest, password, salt, iterations, len(sum))
		return err == nil && equal(got, sum)
	}}, nil
}

func equal(a, b []byte) bool { return subtle.ConstantTimeCompare(a, b) == 1 }

// split reads the parts of prefix, cost, $salt$sum.
func split(stored, prefix string) (cost string, salt, sum []byte, err error) {
	parts := strings.Split(strings.TrimPrefix(stored, prefix), "$")
	if len(parts) != 3 {
		return "", nil, nil, ErrHash
	}
	salt, err1 := base64.RawStdEncoding.Strict().DecodeString(parts[1])
	sum, err2 := base64.RawStdEncoding.Strict().DecodeString(parts[2])
	if err1 != nil || err2 != nil || len(salt) < 8 || len(salt) > 64 || len(sum) < 16 || len(sum) > 64 {
		return "", nil, nil, ErrHash
	}
	return parts[0], salt, sum, nil
}

func spell(prefix, cost string, salt, sum []byte) string {
	return prefix + cost + "$" + base64.RawStdEncoding.EncodeToString(salt) + "$" + base64.RawStdEncoding.EncodeToString(sum)
}

// scan is Sscanf with numbers that are nothing but digits.
func scan(text, format string, into ...any) error {
	if _, err := fmt.Sscanf(text, format, into...); err != nil {
		return err
	}
	for _, v := range into {
		if n, ok := v.(*int); ok && (*n < 0 || !strings.Contains(","+text+",", "="+strconv.Itoa(*n)+",")) {
			return ErrHash
		}
	}
	return nil
}
