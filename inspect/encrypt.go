package inspect

import (
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

// EncryptOptions say how a text is encrypted.
type EncryptOptions struct {
	Key         Key    // public, or a secret; for PBES2 the secret is a password
	Alg         string // empty: that of the key
	Enc         string // empty: A256GCM
	Type        string // typ; empty: none
	ContentType string // cty; empty: JWT if the text is a token
	ID          string // kid; empty: that of the key
	Rounds      int    // p2c of PBES2; 0: 600000
}

const defaultRounds = 600_000

// secretSizes are the lengths of the secrets that wrap keys, in bytes.
var secretSizes = map[string]int{"A128KW": 16, "A192KW": 24, "A256KW": 32, "A128GCMKW": 16, "A192GCMKW": 24, "A256GCMKW": 32}

// contentSizes are the lengths of content keys, in bytes, which dir takes as they are.
var contentSizes = map[string]int{"A128GCM": 16, "A192GCM": 24, "A256GCM": 32, "A128CBC-HS256": 32, "A192CBC-HS384": 48, "A256CBC-HS512": 64}

// Encrypt returns text as a compact JWE. It does not compress, and refuses RSA1_5.
func Encrypt(text []byte, o EncryptOptions) (string, error) {
	if len(text) == 0 || len(text) > MaxSize/2 {
		return "", fmt.Errorf("the text has %d bytes: want 1 to %d", len(text), MaxSize/2)
	}
	enc := first(o.Enc, string(jose.A256GCM))
	if !slices.Contains(contentAlgs, enc) {
		return "", fmt.Errorf("enc %s is not known here: want one of %s", quoted(enc), strings.Join(contentAlgs, ", "))
	}
	alg, err := o.Key.encrypts(o.Alg, enc)
	if err != nil {
		return "", err
	}
	options := &jose.EncrypterOptions{}
	if o.Type != "" {
		options.WithType(jose.ContentType(o.Type))
	}
	if m, err := parse(string(text)); o.ContentType == "" && err == nil && m.serialization == Compact {
		o.ContentType = "JWT"
	}
	if o.ContentType != "" {
		options.WithContentType(jose.ContentType(o.ContentType))
	}
	recipient := jose.Recipient{Algorithm: jose.KeyAlgorithm(alg), Key: publicHalf(o.Key.value), KeyID: first(o.ID, o.Key.ID)}
	if strings.HasPrefix(alg, "PBES2-") {
		if recipient.PBES2Count = o.Rounds; recipient.PBES2Count == 0 {
			recipient.PBES2Count = defaultRounds
		}
		if recipient.PBES2Count < 1000 || recipient.PBES2Count > maxRounds {
			return "", fmt.Errorf("%d rounds: want 1000 to %d", o.Rounds, maxRounds)
		}
	}
	e, err := jose.NewEncrypter(jose.ContentEncryption(enc), recipient, options)
	if err != nil {
		return "", fmt.Errorf("encrypt: %s", joseReason(err))
	}
	sealed, err := e.Encrypt(text)
	if err != nil {
		return "", fmt.Errorf("encrypt: %s", joseReason(err))
	}
	return sealed.CompactSerialize()
}

func joseReason(err error) string { return strings.TrimPrefix(err.Error(), "go-jose/go-jose: ") }

// encrypts returns the algorithm to encrypt with.
func (k Key) encrypts(alg, enc string) (string, error) {
	alg = first(alg, k.Alg, k.defaultKeyAlg(enc))
	switch {
	case alg == "RSA1_5":
		return "", errors.New("RSA1_5 is unsafe: its padding lets others decrypt with the help of a server; want RSA-OAEP-256")
	case slices.Contains(decryptOnly, alg):
		return "", fmt.Errorf("alg %s is for decryption only here; want RSA-OAEP-256", alg)
	case !slices.Contains(keyAlgs, alg):
		return "", fmt.Errorf("alg %s is not known here: want one of %s", quoted(alg), strings.Join(keyAlgs, ", "))
	}
	if why := k.unfitFor(alg, enc, "wrapKey", "encrypt", "deriveKey", "deriveBits"); why != "" {
		return "", fmt.Errorf("the key is not one for %s: %s", alg, why)
	}
	if _, ok := publicHalf(k.value).(*ecdh.PublicKey); ok {
		return "", errors.New("keys on X25519 are for decryption only here")
	}
	if secret, ok := k.value.([]byte); ok && slices.Contains(secrets, string(secret)) {
		return "", errors.New("everybody can guess the secret: it is in the list of words and examples")
	}
	return alg, nil
}

func (k Key) defaultKeyAlg(enc string) string {
	switch p := publicHalf(k.value).(type) {
	case *ecdsa.PublicKey:
		return string(jose.ECDH_ES_A256KW)
	case *rsa.PublicKey:
		return string(jose.RSA_OAEP_256)
	case []byte:
		if len(p) == contentSizes[enc] {
			return string(jose.DIRECT)
		}
		for alg, size := range secretSizes {
			if size == len(p) && strings.HasSuffix(alg, "GCMKW") {
				return alg
			}
		}
		return string(jose.PBES2_HS512_A256KW)
	}
	return string(jose.ECDH_ES_A256KW)
}

// unfitFor says why a key is not one for an algorithm of content keys; empty if it is.
func (k Key) unfitFor(alg, enc string, operations ...string) string {
	switch {
	case k.Use == "sig":
		return `its use is "sig"`
	case len(k.Operations) > 0 && !slices.ContainsFunc(operations, func(op string) bool { return slices.Contains(k.Operations, op) }):
		return "its key_ops have none of " + strings.Join(operations, ", ")
	case k.Alg != "" && k.Alg != alg:
		return "its alg is " + k.Alg
	}
	want := ""
	switch p := publicHalf(k.value).(type) {
	case []byte:
		switch n := secretSizes[alg]; {
		case alg == "dir" && len(p) != contentSizes[enc]:
			return fmt.Sprintf("dir with %s wants a secret of %d bytes, not %d", enc, contentSizes[enc], len(p))
		case n != 0 && n != len(p):
			return fmt.Sprintf("%s wants a secret of %d bytes, not %d", alg, n, len(p))
		case n == 0 && alg != "dir" && !strings.HasPrefix(alg, "PBES2-"):
			want = "a key pair"
		}
	case *rsa.PublicKey:
		if !strings.HasPrefix(alg, "RSA") {
			want = "another kind of key"
		}
	case *ecdsa.PublicKey, *ecdh.PublicKey:
		if !strings.HasPrefix(alg, "ECDH-ES") {
			want = "another kind of key"
		}
	default:
		want = "another kind of key"
	}
	if want == "" {
		return ""
	}
	return fmt.Sprintf("it is %s, and %s wants %s", k.Type, alg, want)
}

// Decrypted is what was in an encrypted token. Encryption proves nothing about its maker:
// everybody who has the public key can encrypt. So what is in it is to be verified.
type Decrypted struct {
	Header     json.RawMessage `json:"header"`
	Alg        string          `json:"alg"`
	Enc        string          `json:"enc"`
	Key        string          `json:"key,omitempty"` // kid of the key that opened it
	Thumbprint string          `json:"thumbprint,omitempty"`
	Text       []byte          `json:"text"` // in base64
	Skipped    []Skipped       `json:"skipped,omitempty"`
	Warnings   []string        `json:"warnings,omitempty"`
}

var (
	// ErrNotEncrypted is returned by [Decrypt] for a token that is not encrypted.
	ErrNotEncrypted = errors.New("it is not encrypted")

	// ErrUndecrypted is wrapped by the errors of [Decrypt] for a token that none of the keys opens.
	ErrUndecrypted = errors.New("it was not decrypted")
)

// Decrypt opens a JWE. It refuses PBES2 beyond a million rounds before the first of them, and
// what inflates to more than 250 KB. The answer is never nil for a JWE: it says which keys were
// skipped.
func Decrypt(text string, keys *Keys) (*Decrypted, error) {
	m, err := parse(text)
	if err != nil {
		return nil, err
	}
	if m.encrypted == nil {
		return nil, ErrNotEncrypted
	}
	e := m.encrypted
	d := &Decrypted{Skipped: slices.Clone(keys.Skipped), Enc: e.header().text("enc"), Alg: e.header().text("alg")}
	if raw, err := json.Marshal(e.header()); err == nil {
		d.Header = raw
	}
	if err := e.sane(); err != nil {
		return d, fmt.Errorf("%w: %w", ErrUndecrypted, err)
	}
	kid := e.header().text("kid")
	for i, key := range keys.List {
		place := key.ID
		if place == "" {
			place = fmt.Sprintf("key %d (%s)", i+1, key.Type)
		}
		why := key.opens(e)
		if why == "" && keys.set && len(e.recipients) == 1 && kid != "" && key.ID != "" && key.ID != kid {
			why = "the token names another kid"
		}
		if why == "" {
			if d.Text, err = key.open(m); err == nil {
				d.Key, d.Thumbprint = key.ID, key.Thumbprint
				d.warn(e)
				return d, nil
			}
			why = err.Error()
		}
		d.Skipped = append(d.Skipped, Skipped{place, why})
	}
	return d, fmt.Errorf("%w: no key opens it", ErrUndecrypted)
}

func (d *Decrypted) warn(e *encrypted) {
	h := e.header()
	if d.Alg == "RSA1_5" {
		d.Warnings = append(d.Warnings, "RSA1_5 is unsafe: its padding lets others decrypt with the help of a server")
	}
	if h.has("zip") {
		d.Warnings = append(d.Warnings, "it was compressed: the length of a compressed text tells about its contents")
	}
	if shortType(h.text("cty")) != "jwt" {
		d.Warnings = append(d.Warnings, "cty does not say that it contains a signed token: nobody knows who wrote it")
	}
}

// sane refuses what must not be tried: unknown algorithms, extensions, too many rounds.
func (e *encrypted) sane() error {
	rounds := 0.0
	for i := range e.recipients {
		h := e.recipient(i)
		alg, enc := h.text("alg"), h.text("enc")
		switch {
		case !slices.Contains(keyAlgs, alg):
			return fmt.Errorf("alg is %s, which is not known here", quoted(alg))
		case !slices.Contains(contentAlgs, enc):
			return fmt.Errorf("enc is %s, which is not known here", quoted(enc))
		case h.has("crit"):
			return errors.New("crit demands an extension that is not known here")
		case h.has("zip") && h.text("zip") != "DEF":
			return errors.New("zip is not DEF")
		case (alg == "dir" || alg == "ECDH-ES") != (e.keys[i] == 0): // RFC 7516 section 5.2 step 10
			return fmt.Errorf("the encrypted key has %d bytes, and alg is %s", e.keys[i], alg)
		}
		if strings.HasPrefix(alg, "PBES2-") {
			n, ok := h.number("p2c")
			if rounds += n; !ok || n < 1 || rounds > maxRounds {
				return fmt.Errorf("p2c is not 1 to %d rounds: more of them would occupy this machine for long", maxRounds)
			}
		}
	}
	return nil
}

// opens says why a key is not one for any recipient; empty if it may be.
func (k Key) opens(e *encrypted) (why string) {
	if !k.Private {
		return "it is the public half of a pair: decryption wants the private one"
	}
	for i := range e.recipients {
		h := e.recipient(i)
		if why = k.unfitFor(h.text("alg"), h.text("enc"), "unwrapKey", "decrypt", "deriveKey", "deriveBits"); why == "" {
			return ""
		}
	}
	return why
}

// open decrypts with one key. Its error does not tell what was wrong.
func (k Key) open(m *message) ([]byte, error) {
	algs := make([]jose.KeyAlgorithm, len(keyAlgs))
	for i, alg := range keyAlgs {
		algs[i] = jose.KeyAlgorithm(alg)
	}
	encs := make([]jose.ContentEncryption, len(contentAlgs))
	for i, enc := range contentAlgs {
		encs[i] = jose.ContentEncryption(enc)
	}
	parseAs := jose.ParseEncryptedJSON
	if m.serialization == Compact {
		parseAs = jose.ParseEncryptedCompact
	}
	j, err := parseAs(m.text, algs, encs)
	if err != nil {
		return nil, errors.New("its form is not that of RFC 7516")
	}
	_, _, text, err := j.DecryptMulti(k.decrypter(m.encrypted))
	switch {
	case err != nil && !errors.Is(err, jose.ErrCryptoFailure) && strings.Contains(err.Error(), "too large"),
		err == nil && m.encrypted.header().has("zip") && len(text) > maxInflated:
		return nil, fmt.Errorf("it inflates to more than %d KB", maxInflated/1000)
	case err != nil:
		return nil, errors.New("it does not open it")
	}
	return text, nil
}
