package token

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"strings"
)

const (
	algDirect    = "dir"
	algAgreement = "ECDH-ES"
	algWrapping  = "ECDH-ES+A256KW"
	encGCM       = "A256GCM"

	keySize = 32
	ivSize  = 12
	tagSize = 16
)

// errJWE is the only error for a JWE. It does not tell whether the key, the tag or the contents
// were wrong: an attacker could use that as a decryption oracle (JWE-10).
var errJWE = refuse("encrypted token")

// Opener is a decryption key. It is bound to one algorithm.
type Opener struct {
	id     string
	alg    string
	direct cipher.AEAD      // dir
	agree  *ecdh.PrivateKey // ECDH-ES and ECDH-ES+A256KW
}

// NewDirectKey returns a key for a program that encrypts tokens to itself (dir).
func NewDirectKey(id string, key []byte) (*Opener, error) {
	if err := checkID(id); err != nil {
		return nil, err
	}
	if len(key) != keySize {
		return nil, refuse("key size")
	}
	aead, err := newGCM(key)
	if err != nil {
		return nil, err
	}
	return &Opener{id: id, alg: algDirect, direct: aead}, nil
}

// NewAgreementKey returns the key of a recipient of ECDH-ES, on P-256 or X25519.
func NewAgreementKey(id string, private *ecdh.PrivateKey) (*Opener, error) {
	return newAgreement(id, algAgreement, private)
}

// NewWrappingKey returns the key of a recipient of ECDH-ES+A256KW, on P-256 or X25519.
func NewWrappingKey(id string, private *ecdh.PrivateKey) (*Opener, error) {
	return newAgreement(id, algWrapping, private)
}

func newAgreement(id, alg string, private *ecdh.PrivateKey) (*Opener, error) {
	if err := checkID(id); err != nil {
		return nil, err
	}
	if private == nil || curveName(private.Curve()) == "" {
		return nil, refuse("curve")
	}
	return &Opener{id: id, alg: alg, agree: private}, nil
}

// String returns no part of the key, so that printing an Opener reveals nothing.
func (o *Opener) String() string { return "token.Opener(" + o.id + ")" }

// GoString does the same for %#v.
func (o *Opener) GoString() string { return o.String() }

func curveName(c ecdh.Curve) string {
	switch c {
	case ecdh.P256():
		return "P-256"
	case ecdh.X25519():
		return "X25519"
	}
	return ""
}

func curveNamed(crv string) ecdh.Curve {
	switch crv {
	case "P-256":
		return ecdh.P256()
	case "X25519":
		return ecdh.X25519()
	}
	return nil
}

// EncryptDirect encrypts inner, a signed token, with a direct key. The IV is random, so the
// caller must replace the key before 2^32 uses (SP 800-38D section 8.3, JWE-11).
func EncryptDirect(o *Opener, typ string, inner string) (string, error) {
	if o == nil || o.direct == nil {
		return "", refuse("not a direct key")
	}
	return seal(o.direct, algDirect, o.id, "", "", typ, inner)
}

// seal returns a JWE. more has the header members that not every JWE has, as JSON.
func seal(aead cipher.AEAD, alg, id, more, key, typ, inner string) (string, error) {
	if !validType(typ) {
		return "", refuse("typ")
	}
	if ShapeOf(inner) != ShapeJWT {
		return "", refuse("the contents must be a signed token")
	}
	h := encode([]byte(`{"alg":"` + alg + `","enc":"` + encGCM + `","kid":"` + id + `","typ":"` + typ + `","cty":"JWT"` + more + `}`))
	iv := make([]byte, ivSize)
	rand.Read(iv)
	sealed := aead.Seal(nil, iv, []byte(inner), []byte(h)) // RFC 7516 section 5.1 step 14
	n := len(sealed) - tagSize
	t := strings.Join([]string{h, key, encode(iv), encode(sealed[:n]), encode(sealed[n:])}, ".")
	if len(t) > MaxSize {
		return "", refuse("token size")
	}
	return t, nil
}

func newGCM(key []byte) (cipher.AEAD, error) {
	b, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(b)
}

// JWE is an encrypted token. Its form was checked. Its contents are still encrypted.
type JWE struct {
	parts  [5]string
	typ    string
	header header
	cached bool // header is from the cache
}

// ParseJWE makes the checks that need no key, before any cryptography (JWE-01 to JWE-03). A
// program without the key asks the issuer to open the token; after these checks it does not
// send junk.
func ParseJWE(compact, typ string) (*JWE, error) {
	j := &JWE{typ: typ}
	var err error
	if j.parts, err = split(compact, 5); err != nil {
		return nil, errJWE
	}
	if j.header, j.cached, err = readHeader(j.parts[0], typ); err != nil {
		return nil, errJWE
	}
	h := &j.header
	supported := h.alg == algDirect || h.alg == algAgreement || h.alg == algWrapping
	if h.refused || !supported || h.enc != encGCM || !sameType(h.cty, "JWT") {
		return nil, errJWE
	}
	if len(j.parts[2]) != rawURL.EncodedLen(ivSize) || len(j.parts[4]) != rawURL.EncodedLen(tagSize) {
		return nil, errJWE
	}
	return j, nil
}

// KeyID returns the kid of the header: the id of the key that opens the token. It is not
// authenticated.
func (j *JWE) KeyID() string { return j.header.kid }

// Open returns the signed token inside. Encryption proves nothing about its maker, because
// anyone can encrypt to a public key. So the caller must pass the result to [VerifyJWS]
// (JWE-06). The result has the shape of a JWT, never of a JWE, so tokens nest once (JWE-08).
func (j *JWE) Open(o *Opener) (inner string, err error) {
	if o == nil || o.id != j.header.kid {
		return "", errJWE
	}
	return j.open(func() (cipher.AEAD, bool) { return o.contentKey(j.header, j.parts[1]) })
}

// open decrypts with the content key that contentKey returns.
func (j *JWE) open(contentKey func() (cipher.AEAD, bool)) (inner string, err error) {
	p := &j.parts
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	if s.iv, err = decode(s.iv[:0], p[2]); err != nil || len(s.iv) != ivSize {
		return "", errJWE
	}
	if s.input, err = decode(s.input[:0], p[3]); err != nil {
		return "", errJWE
	}
	n := len(s.input)
	if s.input, err = decode(s.input, p[4]); err != nil || len(s.input)-n != tagSize {
		return "", errJWE
	}
	// The part is empty unless the key is wrapped (RFC 7516 section 5.2 step 10).
	if (p[1] != "") != (j.header.alg == algWrapping) {
		return "", errJWE
	}
	aead, ok := contentKey()
	if !ok {
		return "", errJWE
	}
	s.header = append(s.header[:0], p[0]...)
	if s.payload, err = aead.Open(s.payload[:0], s.iv, s.input, s.header); err != nil {
		return "", errJWE
	}
	inner = string(s.payload)
	if _, err := split(inner, 3); err != nil {
		return "", errJWE
	}
	if !j.cached && j.header.alg == algDirect { // with the other algorithms each token has another header
		cacheHeader(p[0], j.typ, j.header)
	}
	return inner, nil
}

// contentKey returns the content key. It refuses a header with another algorithm than that of
// the key (TOK-02).
func (o *Opener) contentKey(h header, encrypted string) (cipher.AEAD, bool) {
	if h.alg != o.alg {
		return nil, false
	}
	if h.alg == algDirect {
		return o.direct, h.epk == nil
	}
	pub, ok := parseEPK(h.epk, o.agree.Curve())
	if !ok {
		return nil, false
	}
	z, err := o.agree.ECDH(pub) // fails for a low order X25519 point (JWE-04)
	if err != nil {
		return nil, false
	}
	return agreedKey(z, h, encrypted)
}

// agreedKey derives the content key from the shared secret z, or unwraps it with a key that it
// derives from z.
func agreedKey(z []byte, h header, encrypted string) (cipher.AEAD, bool) {
	apu, ok := partyInfo(h.apu)
	if !ok {
		return nil, false
	}
	apv, ok := partyInfo(h.apv)
	if !ok {
		return nil, false
	}
	if h.alg == algAgreement {
		aead, err := newGCM(concatKDF(z, encGCM, apu, apv, keySize))
		return aead, err == nil
	}
	wrapped, err := decode(nil, encrypted)
	if err != nil {
		return nil, false
	}
	key, err := unwrap(concatKDF(z, algWrapping, apu, apv, keySize), wrapped)
	if err != nil {
		return nil, false
	}
	aead, err := newGCM(key)
	return aead, err == nil
}

// parseEPK accepts only a point of the recipient's own curve. With other points an attacker
// could learn the private key bit by bit (CVE-2016-9121).
func parseEPK(o object, curve ecdh.Curve) (*ecdh.PublicKey, bool) {
	kty, crv := "OKP", curveName(curve)
	names := []string{"x"}
	var raw []byte
	if curve == ecdh.P256() {
		kty, names, raw = "EC", []string{"x", "y"}, []byte{4}
	}
	if o["kty"] != kty || o["crv"] != crv || o["d"] != nil {
		return nil, false
	}
	for _, name := range names {
		s, _ := o[name].(string)
		b, err := decode(nil, s)
		if err != nil || len(b) != 32 {
			return nil, false
		}
		raw = append(raw, b...)
	}
	pub, err := curve.NewPublicKey(raw)
	return pub, err == nil
}

func partyInfo(s string) ([]byte, bool) {
	b, err := decode(nil, s)
	return b, err == nil
}

// concatKDF is the one-round Concat KDF of RFC 7518 section 4.6.2, size <= 32 bytes.
func concatKDF(z []byte, alg string, apu, apv []byte, size int) []byte {
	var b bytes.Buffer
	b.Write([]byte{0, 0, 0, 1}) // round
	b.Write(z)
	for _, field := range [][]byte{[]byte(alg), apu, apv} {
		b.Write(binary.BigEndian.AppendUint32(nil, uint32(len(field))))
		b.Write(field)
	}
	b.Write(binary.BigEndian.AppendUint32(nil, uint32(size*8))) // SuppPubInfo
	sum := sha256.Sum256(b.Bytes())
	return sum[:size]
}
