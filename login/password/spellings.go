package password

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
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
//   - Django: pbkdf2_sha256$…, pbkdf2_sha1$…, argon2$…, bcrypt$…, scrypt$…
//   - Werkzeug: pbkdf2:sha256:…$salt$hex, scrypt:N:r:p$salt$hex
//   - Firebase: $fbscrypt$v=1,n=…,r=…,p=1,ss=…,sk=…$salt$hash, see Firebase
//   - Keycloak: see Keycloak
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

func text64(salt string) string { return base64.RawStdEncoding.EncodeToString([]byte(salt)) }

// scryptOf is the PHC string of a hash whose N is written out.
func scryptOf(n, r, p, salt, sum string) (string, error) {
	v, err := strconv.ParseUint(n, 10, 32)
	if err != nil || bits.OnesCount64(v) != 1 {
		return "", fmt.Errorf("%w: scrypt of N=%s", ErrHash, n)
	}
	return fmt.Sprintf("$scrypt$ln=%d,r=%s,p=%s$%s$%s", bits.TrailingZeros64(v), r, p, text64(salt), sum), nil
}

// Keycloak returns the hash of a credential of type "password" as Keycloak exports it:
// two strings of JSON. It knows pbkdf2 (sha1), pbkdf2-sha256, pbkdf2-sha512 and argon2.
func Keycloak(credentialData, secretData string) (string, error) {
	var how struct {
		HashIterations       int
		Algorithm            string
		AdditionalParameters map[string][]string
	}
	var secret struct{ Value, Salt string }
	if json.Unmarshal([]byte(credentialData), &how) != nil || json.Unmarshal([]byte(secretData), &secret) != nil {
		return "", fmt.Errorf("%w: no credential of Keycloak", ErrHash)
	}
	rest := "$" + strings.TrimRight(secret.Salt, "=") + "$" + strings.TrimRight(secret.Value, "=")
	parameter := func(name string) string { return strings.Join(how.AdditionalParameters[name], ",") }
	switch how.Algorithm {
	case "pbkdf2":
		return Canonical(fmt.Sprint("$pbkdf2-sha1$i=", how.HashIterations, rest))
	case "pbkdf2-sha256", "pbkdf2-sha512":
		return Canonical(fmt.Sprint("$", how.Algorithm, "$i=", how.HashIterations, rest))
	case "argon2":
		if parameter("version") != "1.3" {
			return "", fmt.Errorf("%w: argon2 of version %q", ErrHash, parameter("version"))
		}
		return Canonical(fmt.Sprintf("$argon2%s$v=19$m=%s,t=%d,p=%s%s", parameter("type"), parameter("memory"), how.HashIterations, parameter("parallelism"), rest))
	}
	return "", fmt.Errorf("%w: algorithm %q of Keycloak is not known", ErrHash, how.Algorithm)
}

// FirebaseProject is the password hash parameters of a project, as its console and
// "firebase auth:export" show them. A thief of SignerKey and a hash can guess at the
// password; it is stored with each hash until its owner has signed in.
type FirebaseProject struct {
	Algorithm     string `json:"algorithm"` // SCRYPT
	SignerKey     string `json:"base64_signer_key"`
	SaltSeparator string `json:"base64_salt_separator"`
	Rounds        int    `json:"rounds"`
	MemCost       int    `json:"mem_cost"`
}

// Firebase returns the hash of a user of p, by its passwordHash and salt.
func (p FirebaseProject) Firebase(passwordHash, salt string) (string, error) {
	if p.Algorithm != "SCRYPT" {
		return "", fmt.Errorf("%w: algorithm %q of Firebase is not known", ErrHash, p.Algorithm)
	}
	standard := strings.NewReplacer("-", "+", "_", "/") // some exports are URL-safe
	return Canonical(fmt.Sprintf("$fbscrypt$v=1,n=%d,r=%d,p=1,ss=%s,sk=%s$%s$%s", p.MemCost, p.Rounds, p.SaltSeparator, p.SignerKey,
		strings.TrimRight(standard.Replace(salt), "="), strings.TrimRight(standard.Replace(passwordHash), "=")))
}
