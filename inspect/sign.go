package inspect

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/counterfoil/counterfoil/internal/token"
)

// SignOptions say how a token is signed.
type SignOptions struct {
	Key    Key             // private, or a secret
	Alg    string          // empty: that of the key
	Type   string          // typ; empty: none
	ID     string          // kid; empty: that of the key
	Header json.RawMessage // more members of the header, as a JSON object
}

// Sign returns a compact JWS with payload as it is. It refuses keys and secrets that are too
// weak for alg, a secret that everybody can guess, and a payload that looks like claims and is
// not one JSON object that all readers understand alike.
func Sign(payload []byte, o SignOptions) (string, error) {
	if len(payload) == 0 || len(payload) > MaxSize/2 {
		return "", fmt.Errorf("the payload has %d bytes: want 1 to %d", len(payload), MaxSize/2)
	}
	if payload[0] == '{' {
		if err := token.CheckJSON(payload); err != nil {
			return "", fmt.Errorf("the claims: %s", reason(err))
		}
	}
	alg, err := o.Key.signs(o.Alg)
	if err != nil {
		return "", err
	}
	header, err := headerOf(o.Header, member{"alg", alg}, member{"typ", o.Type}, member{"kid", first(o.ID, o.Key.ID)})
	if err != nil {
		return "", err
	}
	input := base64.RawURLEncoding.EncodeToString(header) + "." + base64.RawURLEncoding.EncodeToString(payload)
	sig, err := o.Key.sign(alg, []byte(input))
	if err != nil {
		return "", err
	}
	return input + "." + base64.RawURLEncoding.EncodeToString(sig), nil
}

func first(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

// signs returns the algorithm to sign with.
func (k Key) signs(alg string) (string, error) {
	if alg == "" {
		alg = first(k.Alg, k.defaultAlg())
	}
	switch {
	case strings.EqualFold(alg, "none"):
		return "", errors.New("alg none makes tokens that anybody can write")
	case !knownSignature(alg):
		return "", fmt.Errorf("alg %s is not known here: want one of %s", quoted(alg), strings.Join(SignatureAlgorithms(), ", "))
	case !k.Private:
		return "", fmt.Errorf("the key is the public half of a pair: signing wants the private one")
	case k.Use == "enc":
		return "", errors.New("use of the key is enc: a key for encryption must not sign")
	case k.misfit(alg) != "":
		return "", fmt.Errorf("the key is not one for %s: %s", alg, k.misfit(alg))
	}
	secret, ok := k.value.([]byte)
	switch {
	case !ok:
	case slices.Contains(secrets, string(secret)):
		return "", errors.New("everybody can guess the secret: it is in the list of words and examples")
	case len(secret) < signatureSizes[alg]:
		return "", fmt.Errorf("the secret has %d bytes: %s wants %d or more (RFC 7518 section 3.2)", len(secret), alg, signatureSizes[alg])
	}
	return alg, nil
}

// defaultAlg is the algorithm of a key that does not say one.
func (k Key) defaultAlg() string {
	switch p := publicHalf(k.value).(type) {
	case *ecdsa.PublicKey:
		return map[string]string{"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}[p.Curve.Params().Name]
	case ed25519.PublicKey:
		return "Ed25519"
	case *rsa.PublicKey:
		return "RS256"
	case []byte:
		return "HS256"
	}
	return ""
}

func (k Key) sign(alg string, input []byte) ([]byte, error) {
	if secret, ok := k.value.([]byte); ok {
		m := hmac.New(hmacs[alg], secret)
		m.Write(input)
		return m.Sum(nil), nil
	}
	signer, err := token.NewSigner("key", token.Alg(oneName(alg)), k.value)
	if err != nil {
		return nil, fmt.Errorf("it is no sound key: %s", reason(err))
	}
	return signer.Signature(input)
}

type member struct{ name, value string }

// headerOf returns a header: the given members first, without the empty ones, and more after
// them. A member that is in both is refused.
func headerOf(more json.RawMessage, given ...member) ([]byte, error) {
	extra := object{}
	if len(more) > 0 {
		if err := token.CheckJSON(more); err != nil {
			return nil, fmt.Errorf("the header: %s", reason(err))
		}
		var err error
		if extra, err = readObject(more); err != nil {
			return nil, fmt.Errorf("the header: %w", err)
		}
	}
	out := []byte("{")
	for _, m := range given {
		if m.value == "" {
			continue
		}
		if extra.has(m.name) {
			return nil, fmt.Errorf("the header must not have %s: it is given beside it", m.name)
		}
		value, err := json.Marshal(m.value)
		if err != nil {
			return nil, err
		}
		out = fmt.Appendf(out, "%q:%s,", m.name, value)
	}
	for _, name := range slices.Sorted(maps.Keys(extra)) {
		quotedName, err := json.Marshal(name)
		if err != nil {
			return nil, err
		}
		out = fmt.Appendf(out, "%s:%s,", quotedName, extra[name])
	}
	return append(out[:len(out)-1], '}'), nil
}
