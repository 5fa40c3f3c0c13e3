package password

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/bits"
	"regexp"
	"strconv"
	"strings"
)

// Canonical returns the spelling that is kept of a hash from elsewhere, or says why it
// cannot be used. It knows
//
//   - bcrypt: $2a$, $2b$, $2y$
//   - argon2id and argon2i: $argon2id$v=19$m=…,t=…,p=…$salt$hash
//   - scrypt: $scrypt$ln=…,r=…,p=…$salt$hash
//   - PBKDF2: $pbkdf2-sha256$i=…$salt$hash, sha1 and sha512 too; passlib's
//     $pbkdf2-sha256$29000$salt$hash, and $pbkdf2$ for sha1
//   - Django: pbkdf2_sha256$…, pbkdf2_sha1$…, argon2$…, bcrypt$…, bcrypt_sha256$…, scrypt$…
//   - Werkzeug: pbkdf2:sha256:…$salt$hex, scrypt:N:r:p$salt$hex
//   - WordPress: $P$… and $H$… of phpass, $wp$2y$…; Drupal: $S$…; Nextcloud: 1|…, 2|…, 3|…
//   - ASP.NET Identity: versions 2 and 3, in base64
//   - Spring Security: {bcrypt}…, {argon2}…, {scrypt}…, {pbkdf2}…, and those with @SpringSecurity_v5_8
//   - better-auth and Lucia: salt:hex of scrypt
//   - Firebase: $fbscrypt$v=1,n=…,r=…,p=1,ss=…,sk=…$salt$hash, see Firebase
//   - Keycloak: see KeycloakCredential
func Canonical(foreign string) (string, error) {
	k, err := adopt(foreign)
	return k.spelling, err
}

// adopt reads a hash in any spelling.
func adopt(foreign string) (kept, error) {
	if len(foreign) > 1024 {
		return kept{}, ErrHash
	}
	for _, s := range spellings {
		if m := s.expression.FindStringSubmatch(foreign); m != nil {
			respelled, err := s.respell(m[1:])
			if err != nil {
				return kept{}, err
			}
			return read(respelled)
		}
	}
	k, err := read(padding.ReplaceAllString(foreign, "$1"))
	if k.spelling == "" && err == ErrHash {
		return kept{}, fmt.Errorf("%w: it is of no kind that is known", ErrHash)
	}
	return k, err
}

// padding is what some write after base64 where PHC strings have none.
var padding = regexp.MustCompile(`={1,2}(\$|$)`)

// spelling is a way that another program writes a hash.
type spelling struct {
	expression *regexp.Regexp
	respell    func(m []string) (string, error)
}

var spellings = []spelling{
	{regexp.MustCompile(`^\$H\$([./0-9A-Za-z]{31})$`), func(m []string) (string, error) { // phpBB
		return "$P$" + m[0], nil
	}},
	{regexp.MustCompile(`^[123]\|(\$(?:2[aby]|argon2id?)\$.*)$`), func(m []string) (string, error) { // Nextcloud, ownCloud
		return m[0], nil
	}},
	{regexp.MustCompile(`^(A[A-P][A-Za-z0-9+/]{64}==)$`), func(m []string) (string, error) { // ASP.NET Identity 2
		data, err := base64.StdEncoding.DecodeString(m[0])
		if err != nil || data[0] != 0 {
			return "", ErrHash
		}
		return spell("$pbkdf2-sha1$", "i=1000", data[1:17], data[17:]), nil
	}},
	{regexp.MustCompile(`^(AQAAAA[A-Za-z0-9+/]+={0,2})$`), func(m []string) (string, error) { // ASP.NET Identity 3
		return aspNet(m[0])
	}},
	{regexp.MustCompile(`^(\{[^}]*\})(.*)$`), func(m []string) (string, error) { // Spring Security
		return spring(m[0], m[1])
	}},
	{regexp.MustCompile(`^\$([0-9a-f]{5,6})\$([A-Za-z0-9+/]+={0,2})\$([A-Za-z0-9+/]+={0,2})$`), func(m []string) (string, error) {
		return springScrypt(m[0], m[1], m[2])
	}},
	{regexp.MustCompile(`^(?:s2:)?([0-9A-Za-z]{8,64}):([0-9a-f]{128})$`), func(m []string) (string, error) { // better-auth, Lucia
		sum, err := hex.DecodeString(m[1])
		return spell("$scrypt-nfkc$", "ln=14,r=16,p=1", []byte(m[0]), sum), err
	}},
	{regexp.MustCompile(`^\$pbkdf2(-sha256|-sha512|)\$(\d+)\$([A-Za-z0-9./]+)\$([A-Za-z0-9./]+)$`), func(m []string) (string, error) { // passlib
		digest := strings.TrimPrefix(m[0], "-")
		if digest == "" {
			digest = "sha1"
		}
		plus := strings.NewReplacer(".", "+")
		return "$pbkdf2-" + digest + "$i=" + m[1] + "$" + plus.Replace(m[2]) + "$" + plus.Replace(m[3]), nil
	}},
	{regexp.MustCompile(`^(\$pbkdf2-sha(?:1|256|512)\$i=\d+),l=\d+(\$.*)$`), func(m []string) (string, error) {
		return padding.ReplaceAllString(m[0]+m[1], "$1"), nil
	}},
	{regexp.MustCompile(`^\$fbscrypt\$(v=1,n=\d+,r=\d+,p=\d+,ss=[A-Za-z0-9+/]*)=*(,sk=[A-Za-z0-9+/]+)=*(\$[A-Za-z0-9+/]+)=*(\$[A-Za-z0-9+/]+)=*$`), func(m []string) (string, error) {
		return "$fbscrypt$" + strings.Join(m, ""), nil
	}},
	{regexp.MustCompile(`^pbkdf2_(sha1|sha256)\$(\d+)\$([^$]+)\$([A-Za-z0-9+/=]+)$`), func(m []string) (string, error) { // Django
		return "$pbkdf2-" + m[0] + "$i=" + m[1] + "$" + text64(m[2]) + "$" + strings.TrimRight(m[3], "="), nil
	}},
	{regexp.MustCompile(`^(?:argon2|bcrypt)(\$.*)$`), func(m []string) (string, error) { // Django
		return m[0], nil
	}},
	{regexp.MustCompile(`^scrypt\$(\d+)\$([^$]+)\$(\d+)\$(\d+)\$([A-Za-z0-9+/=]+)$`), func(m []string) (string, error) { // Django
		return scryptOf(m[0], m[2], m[3], m[1], strings.TrimRight(m[4], "="))
	}},
	{regexp.MustCompile(`^pbkdf2:(sha1|sha256|sha512):(\d+)\$([^$]+)\$([0-9a-f]+)$`), func(m []string) (string, error) { // Werkzeug
		sum, err := hex.DecodeString(m[3])
		return "$pbkdf2-" + m[0] + "$i=" + m[1] + "$" + text64(m[2]) + "$" + base64.RawStdEncoding.EncodeToString(sum), err
	}},
	{regexp.MustCompile(`^scrypt:(\d+):(\d+):(\d+)\$([^$]+)\$([0-9a-f]+)$`), func(m []string) (string, error) { // Werkzeug
		sum, err := hex.DecodeString(m[4])
		if err != nil {
			return "", ErrHash
		}
		return scryptOf(m[0], m[1], m[2], m[3], base64.RawStdEncoding.EncodeToString(sum))
	}},
}

// aspNet reads a hash of version 3: after a byte for the version three numbers of four bytes (the
// function, the iterations, the length of the salt), then salt and sum.
func aspNet(text string) (string, error) {
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(data) < 13 {
		return "", ErrHash
	}
	number := func(at int) uint32 { return binary.BigEndian.Uint32(data[at:]) }
	function, iterations, salt, rest := number(1), number(5), number(9), data[13:]
	digests := []string{"sha1", "sha256", "sha512"}
	if function >= uint32(len(digests)) || uint64(salt) > uint64(len(rest)) {
		return "", ErrHash
	}
	return spell("$pbkdf2-"+digests[function]+"$", fmt.Sprint("i=", iterations), rest[:salt], rest[salt:]), nil
}

// spring reads a hash with the name of its encoder in braces. The costs of {pbkdf2} are not
// in the hash: they are those of Spring's factory of encoders, without a secret.
func spring(encoder, rest string) (string, error) {
	encoder, latest := strings.CutSuffix(encoder, "@SpringSecurity_v5_8}")
	switch strings.TrimSuffix(encoder, "}") {
	case "{bcrypt", "{argon2":
		return padding.ReplaceAllString(rest, "$1"), nil
	case "{scrypt":
		parts := strings.Split(rest, "$")
		if len(parts) != 4 || parts[0] != "" {
			return "", ErrHash
		}
		return springScrypt(parts[1], parts[2], parts[3])
	case "{pbkdf2":
		data, err := hex.DecodeString(rest)
		if err != nil {
			data, err = base64.StdEncoding.DecodeString(rest)
		}
		digest, cost, salt := "sha1", "i=185000", 8
		if latest {
			digest, cost, salt = "sha256", "i=310000", 16
		}
		if err != nil || len(data) != salt+32 {
			return "", ErrHash
		}
		return spell("$pbkdf2-"+digest+"$", cost, data[:salt], data[salt:]), nil
	case "{noop":
		return "", fmt.Errorf("%w: {noop} is the password itself", ErrHash)
	}
	return "", fmt.Errorf("%w: Spring's encoder in braces is none of bcrypt, argon2, scrypt and pbkdf2", ErrHash)
}

// springScrypt reads what Spring writes as $e0801$salt$sum: ln, and a byte each for r and p.
func springScrypt(cost, salt, sum string) (string, error) {
	n, err := strconv.ParseUint(cost, 16, 32)
	if err != nil {
		return "", ErrHash
	}
	return fmt.Sprintf("$scrypt$ln=%d,r=%d,p=%d$%s$%s", n>>16, n>>8&0xff, n&0xff, strings.TrimRight(salt, "="), strings.TrimRight(sum, "=")), nil
}

func text64(salt string) string { return base64.RawStdEncoding.EncodeToString([]byte(salt)) }

// scryptOf is the PHC string of a hash whose N is written out.
func scryptOf(n, r, p, salt, sum string) (string, error) {
	v, err := strconv.ParseUint(n, 10, 32)
	if err != nil || bits.OnesCount64(v) != 1 {
		return "", fmt.Errorf("%w: scrypt of N=%s", ErrHash, n)
	}
	return fmt.Sprintf("$scrypt$ln=%d,r=%s,p=%s$%s$%s", bits.TrailingZeros64(v), r, p, text64(salt), sum), nil
}
