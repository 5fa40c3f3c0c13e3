package password

import (
	"encoding/json"
	"fmt"
	"strings"
)

// KeycloakCredential is a credential as Keycloak exports it.
type KeycloakCredential struct {
	Type      string `json:"type,omitempty"`      // "password" for those that Hash reads
	Value     string `json:"value,omitempty"`     // the password in clear, in a file that somebody wrote
	Temporary bool   `json:"temporary,omitempty"` // the user must choose another one

	// Since Keycloak 8: two texts of JSON.
	CredentialData string `json:"credentialData,omitempty"`
	SecretData     string `json:"secretData,omitempty"`

	// Before.
	Algorithm         string `json:"algorithm,omitempty"`
	HashIterations    int    `json:"hashIterations,omitempty"`
	HashedSaltedValue string `json:"hashedSaltedValue,omitempty"`
	Salt              string `json:"salt,omitempty"`
}

// Hash returns the hash of the credential, or ErrHash. It knows pbkdf2 (sha1), pbkdf2-sha256,
// pbkdf2-sha512, argon2, and bcrypt of an extension.
func (c KeycloakCredential) Hash() (string, error) {
	var how struct {
		HashIterations       int
		Algorithm            string
		AdditionalParameters map[string][]string
	}
	var secret struct{ Value, Salt string }
	if c.HashedSaltedValue != "" {
		how.HashIterations, how.Algorithm = c.HashIterations, c.Algorithm
		if how.Algorithm == "" {
			how.Algorithm = "pbkdf2" // Keycloak 1 knew no other
		}
		secret.Value, secret.Salt = c.HashedSaltedValue, c.Salt
	} else if json.Unmarshal([]byte(c.CredentialData), &how) != nil || json.Unmarshal([]byte(c.SecretData), &secret) != nil {
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
	case "bcrypt":
		return Canonical(secret.Value)
	}
	return "", fmt.Errorf("%w: algorithm %q of Keycloak is not known", ErrHash, how.Algorithm)
}
