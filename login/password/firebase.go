package password

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// FirebaseProject is the password hash parameters of a project, as its console and
// "firebase auth:export" show them. A thief of SignerKey and a hash can guess at the
// password; it is stored with each hash until its owner has signed in.
type FirebaseProject struct {
	Algorithm     string // SCRYPT
	SignerKey     string // base64
	SaltSeparator string // base64
	Rounds        int
	MemCost       int
}

// setting is a line of the parameters as Firebase's console shows them: name: value,
var setting = regexp.MustCompile(`(?m)^[ \t]*"?([a-z0-9_]+)"?[ \t]*[:=][ \t]*"?([A-Za-z0-9+/=_-]*)"?[ \t]*,?[ \t]*\r?$`)

// ReadFirebaseProject reads the parameters of a project: the text that the console shows, which
// begins with hash_config, or JSON of the same members. It fails if one is missing.
func ReadFirebaseProject(text string) (p FirebaseProject, err error) {
	there := map[string]string{}
	for _, m := range setting.FindAllStringSubmatch(strings.NewReplacer("{", "{\n", "}", "\n}", ",", ",\n").Replace(text), -1) {
		there[m[1]] = m[2]
	}
	for _, name := range []string{"algorithm", "base64_signer_key", "base64_salt_separator", "rounds", "mem_cost"} {
		if _, ok := there[name]; !ok {
			return p, fmt.Errorf("password hash parameters of a Firebase project have a line %q, which is missing", name+": …")
		}
	}
	rounds, err1 := strconv.Atoi(there["rounds"])
	memCost, err2 := strconv.Atoi(there["mem_cost"])
	if err1 != nil || err2 != nil {
		return p, errors.New("rounds and mem_cost of a Firebase project are numbers")
	}
	return FirebaseProject{there["algorithm"], there["base64_signer_key"], there["base64_salt_separator"], rounds, memCost}, nil
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
