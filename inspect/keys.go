package inspect

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	maxKeyFile = 256 << 10
	maxKeys    = 128
)

// Key is a key as somebody gave it: a public or private key, or a secret.
type Key struct {
	ID          string            // kid; empty if it has none
	Alg         string            // empty if the key does not say
	Use         string            // sig, enc or empty
	Operations  []string          // key_ops
	Type        string            // for people: "EC P-256", "RSA 2048 bits", "secret of 32 bytes"
	Thumbprint  string            // RFC 7638 with SHA-256; empty for a secret, which it would help to guess
	Certificate *x509.Certificate // that the key was read from
	Private     bool              // also of a secret

	value any // *ecdsa, *rsa, ed25519 or *ecdh key, or []byte
}

// Described is a key without the key: what a person needs to know about it.
type Described struct {
	ID         string   `json:"kid,omitempty"`
	Type       string   `json:"type"`
	Alg        string   `json:"alg,omitempty"`
	Use        string   `json:"use,omitempty"`
	Operations []string `json:"key_ops,omitempty"`
	Thumbprint string   `json:"thumbprint,omitempty"` // RFC 7638 with SHA-256; a secret has none
	Private    bool     `json:"private"`
}

// Describe returns the keys without the keys.
func (k *Keys) Describe() (list []Described) {
	for _, key := range k.List {
		list = append(list, Described{key.ID, key.Type, key.Alg, key.Use, key.Operations, key.Thumbprint, key.Private})
	}
	return list
}

// String returns no part of the key, so that printing a Key reveals nothing.
func (k Key) String() string { return "inspect.Key(" + k.Type + ")" }

// GoString does the same for %#v.
func (k Key) GoString() string { return k.String() }

// Skipped is a key that was not used, and why.
type Skipped struct {
	Key    string `json:"key"` // its kid, or its place, as in "key 2"
	Reason string `json:"reason"`
}

// Keys is what one file of keys has.
type Keys struct {
	List    []Key
	Skipped []Skipped

	set bool // it is a JWK Set: a kid tells which key is meant
}

// Secret returns the keys that are one secret.
func Secret(secret []byte) *Keys {
	return &Keys{List: []Key{secretKey(secret)}}
}

func secretKey(secret []byte) Key {
	return Key{Type: fmt.Sprintf("secret of %d bytes", len(secret)), Private: true, value: slices.Clone(secret)}
}

// ParseKeys reads a JWK, a JWK Set, PEM (keys and certificates), or a certificate in DER. It
// takes key sets as they are in the wild: without alg, with each kid or none. Keys of kinds that
// are not known are in Skipped, with the reason.
func ParseKeys(data []byte) (*Keys, error) {
	if len(data) > maxKeyFile {
		return nil, fmt.Errorf("the keys have more than %d KB", maxKeyFile>>10)
	}
	text := bytes.TrimSpace(data)
	switch {
	case bytes.HasPrefix(text, []byte("{")):
		return parseJSONKeys(text)
	case bytes.Contains(text, []byte("-----BEGIN ")):
		return parsePEM(text)
	}
	if c, err := x509.ParseCertificate(data); err == nil {
		k := &Keys{}
		k.add("the certificate", c.PublicKey, c)
		return k, k.none()
	}
	return nil, errors.New("this is no key: want a JWK, a JWK Set, PEM or a certificate")
}

// none is the error if no key is usable.
func (k *Keys) none() error {
	if len(k.List) > 0 {
		return nil
	}
	var reasons []string
	for _, s := range k.Skipped {
		reasons = append(reasons, s.Key+": "+s.Reason)
	}
	if reasons == nil {
		reasons = append(reasons, "it is empty")
	}
	return fmt.Errorf("no key is usable: %s", strings.Join(reasons, "; "))
}

func parseJSONKeys(data []byte) (*Keys, error) {
	o, err := readObject(data)
	if err != nil {
		return nil, errors.New("the key is not a JSON object")
	}
	k := &Keys{}
	if !o.has("keys") {
		k.addJWK("the key", data)
		return k, k.none()
	}
	k.set = true
	var list []json.RawMessage
	if err := json.Unmarshal(o["keys"], &list); err != nil || len(list) > maxKeys {
		return nil, fmt.Errorf("keys of the JWK Set is no list of at most %d keys", maxKeys)
	}
	for i, jwk := range list {
		k.addJWK(fmt.Sprintf("key %d", i+1), jwk)
	}
	return k, k.none()
}

// addJWK reads one JWK (RFC 7517).
func (k *Keys) addJWK(place string, data []byte) {
	key, err := parseJWK(data)
	if key.ID != "" {
		place = key.ID
	}
	if err != nil {
		k.Skipped = append(k.Skipped, Skipped{place, err.Error()})
		return
	}
	k.List = append(k.List, key)
}

func parseJWK(data []byte) (Key, error) {
	o, err := readObject(data)
	if err != nil {
		return Key{}, errors.New("it is not a JSON object")
	}
	key := Key{ID: o.text("kid"), Alg: o.text("alg"), Use: o.text("use")}
	if o.has("key_ops") {
		if err := json.Unmarshal(o["key_ops"], &key.Operations); err != nil {
			return key, errors.New("key_ops is no list of texts")
		}
	}
	kty, crv := o.text("kty"), o.text("crv")
	switch {
	case kty == "":
		return key, errors.New("it has no kty")
	case kty == "AKP":
		return key, fmt.Errorf("kty AKP (%s): signatures of ML-DSA are not known here", key.Alg)
	case kty == "OKP" && crv == "X25519":
		return key, key.agreement(o)
	case kty == "EC" && !slices.Contains([]string{"P-256", "P-384", "P-521"}, crv),
		kty == "OKP" && crv != "Ed25519",
		!slices.Contains([]string{"EC", "OKP", "RSA", "oct"}, kty):
		return key, fmt.Errorf("kty %s, crv %q is not known here", kty, crv)
	}
	// Only what makes the key is passed on: certificates and the like beside it are of no use here.
	members := object{}
	for _, name := range []string{"kty", "crv", "x", "y", "d", "n", "e", "p", "q", "dp", "dq", "qi", "k"} {
		if o.has(name) {
			members[name] = o[name]
		}
	}
	only, err := json.Marshal(members)
	if err != nil {
		return key, errors.New("it is not a JSON object")
	}
	var jwk jose.JSONWebKey
	if err := jwk.UnmarshalJSON(only); err != nil {
		return key, fmt.Errorf("it is no sound %s key: %s", kty, strings.TrimPrefix(err.Error(), "go-jose/go-jose: "))
	}
	return key, key.set(jwk.Key)
}

// agreement reads a key on X25519 (RFC 8037), which is for encryption only.
func (k *Key) agreement(o object) error {
	if raw, err := base64.RawURLEncoding.DecodeString(o.text("d")); o.has("d") && err == nil {
		private, err := ecdh.X25519().NewPrivateKey(raw)
		if err != nil {
			return errors.New("it is no sound key on X25519")
		}
		return k.set(private)
	}
	raw, err := base64.RawURLEncoding.DecodeString(o.text("x"))
	if err != nil {
		return errors.New("it is no sound key on X25519")
	}
	public, err := ecdh.X25519().NewPublicKey(raw)
	if err != nil {
		return errors.New("it is no sound key on X25519")
	}
	return k.set(public)
}

// set fills k with a key in Go's form.
func (k *Key) set(value any) error {
	switch p := value.(type) {
	case *ecdsa.PublicKey:
		k.Type = "EC " + p.Curve.Params().Name
	case *ecdsa.PrivateKey:
		k.Type, k.Private = "EC "+p.Curve.Params().Name, true
	case *rsa.PublicKey:
		k.Type = fmt.Sprintf("RSA %d bits", p.N.BitLen())
	case *rsa.PrivateKey:
		k.Type, k.Private = fmt.Sprintf("RSA %d bits", p.N.BitLen()), true
	case ed25519.PublicKey:
		k.Type = "Ed25519"
	case ed25519.PrivateKey:
		k.Type, k.Private = "Ed25519", true
	case *ecdh.PublicKey:
		k.Type = fmt.Sprint(p.Curve())
	case *ecdh.PrivateKey:
		k.Type, k.Private = fmt.Sprint(p.Curve()), true
	case []byte:
		id, alg, use, ops := k.ID, k.Alg, k.Use, k.Operations
		*k = secretKey(p)
		k.ID, k.Alg, k.Use, k.Operations = id, alg, use, ops
		return nil
	default:
		return fmt.Errorf("keys of type %T are not known here", value)
	}
	k.value = value
	k.Thumbprint = thumbprint(value)
	return nil
}

// thumbprint is the JWK SHA-256 thumbprint (RFC 7638) of the public half of a key.
func thumbprint(value any) string {
	switch p := publicHalf(value).(type) {
	case *ecdh.PublicKey: // go-jose does not know X25519; RFC 8037 section 2: crv, kty, x
		sum := crypto.SHA256.New()
		fmt.Fprintf(sum, `{"crv":%q,"kty":"OKP","x":%q}`, fmt.Sprint(p.Curve()), base64.RawURLEncoding.EncodeToString(p.Bytes()))
		return base64.RawURLEncoding.EncodeToString(sum.Sum(nil))
	default:
		jwk := jose.JSONWebKey{Key: p}
		sum, err := jwk.Thumbprint(crypto.SHA256)
		if err != nil {
			return ""
		}
		return base64.RawURLEncoding.EncodeToString(sum)
	}
}

// publicHalf is the public key of a private one, and each other key as it is.
func publicHalf(value any) any {
	switch p := value.(type) {
	case *ecdsa.PrivateKey:
		return &p.PublicKey
	case *rsa.PrivateKey:
		return &p.PublicKey
	case ed25519.PrivateKey:
		return p.Public()
	case *ecdh.PrivateKey:
		return p.PublicKey()
	}
	return value
}

func (k *Keys) add(place string, value any, c *x509.Certificate) {
	key := Key{Certificate: c}
	if err := key.set(value); err != nil {
		k.Skipped = append(k.Skipped, Skipped{place, err.Error()})
		return
	}
	k.List = append(k.List, key)
}

// parsePEM reads each block of a PEM file.
func parsePEM(data []byte) (*Keys, error) {
	k := &Keys{}
	for n := 1; n <= maxKeys; n++ {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			break
		}
		place := fmt.Sprintf("block %d (%s)", n, block.Type)
		var value any
		var c *x509.Certificate
		var err error
		switch block.Type {
		case "CERTIFICATE":
			if c, err = x509.ParseCertificate(block.Bytes); err == nil {
				value = c.PublicKey
			}
		case "PUBLIC KEY":
			value, err = x509.ParsePKIXPublicKey(block.Bytes)
		case "RSA PUBLIC KEY":
			value, err = x509.ParsePKCS1PublicKey(block.Bytes)
		case "PRIVATE KEY":
			value, err = x509.ParsePKCS8PrivateKey(block.Bytes)
		case "RSA PRIVATE KEY":
			value, err = x509.ParsePKCS1PrivateKey(block.Bytes)
		case "EC PRIVATE KEY":
			value, err = x509.ParseECPrivateKey(block.Bytes)
		case "EC PARAMETERS": // openssl ecparam writes them before the key
			continue
		case "ENCRYPTED PRIVATE KEY":
			err = errors.New("it is encrypted with a passphrase; openssl pkey decrypts it")
		default:
			err = errors.New("this kind of block is not known here")
		}
		if err != nil {
			k.Skipped = append(k.Skipped, Skipped{place, err.Error()})
			continue
		}
		k.add(place, value, c)
	}
	k.leafOnly()
	return k, k.none()
}

// leafOnly skips the certificates behind the first one: in a chain that one is the signer's.
func (k *Keys) leafOnly() {
	seen := false
	k.List = slices.DeleteFunc(k.List, func(key Key) bool {
		if key.Certificate == nil {
			return false
		}
		if seen {
			k.Skipped = append(k.Skipped, Skipped{"certificate of " + key.Certificate.Subject.String(), "only the first certificate of a chain is the signer's"})
			return true
		}
		seen = true
		return false
	})
}

// expired says what is wrong with the certificate at a time; empty if nothing is.
func (k Key) expired(now time.Time) string {
	switch c := k.Certificate; {
	case c == nil:
	case now.After(c.NotAfter):
		return "the certificate expired at " + c.NotAfter.UTC().Format(time.RFC3339)
	case now.Before(c.NotBefore):
		return "the certificate is not good before " + c.NotBefore.UTC().Format(time.RFC3339)
	}
	return ""
}
