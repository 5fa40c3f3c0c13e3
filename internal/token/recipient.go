package token

import (
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"slices"
)

// Recipient is the public key of somebody who opens tokens that we make, on P-256 or
// X25519, bound to ECDH-ES or to ECDH-ES+A256KW (JWE-01).
type Recipient struct {
	id, alg string
	public  *ecdh.PublicKey
}

// ID is the kid that tokens to this key have.
func (r *Recipient) ID() string { return r.id }

// Recipient returns the public half of a key that is not a direct one.
func (o *Opener) Recipient() (*Recipient, error) {
	if o.agree == nil {
		return nil, errors.New("a direct key has no public half")
	}
	return &Recipient{o.id, o.alg, o.agree.PublicKey()}, nil
}

// ParseRecipient reads a public JWK (RFC 7517, RFC 7518 section 6.2, RFC 8037) whose kid,
// use and alg say what it is for. What else it has is not looked at (RFC 7517 section
// 4), but for private members: a key that came with them is no longer private. Errors
// are for whoever sent it, and quote nothing of it.
func ParseRecipient(data []byte) (*Recipient, error) {
	o, err := parseObject(string(data))
	if err != nil {
		return nil, errors.New("it is not a JWK, a JSON object")
	}
	for _, name := range privateMembers {
		if _, ok := o[name]; ok {
			return nil, errors.New("it holds the private part: send the public key alone, of a new pair, since this one has been sent")
		}
	}
	text := func(name string) string { s, _ := o[name].(string); return s }
	id, alg := text("kid"), text("alg")
	switch {
	case checkID(id) != nil:
		return nil, errors.New("kid is required: 1 to 64 letters, digits, hyphens and underscores")
	case text("use") != "enc":
		return nil, errors.New(`use must be "enc": a key that signs is no key to encrypt to`)
	case alg != algAgreement && alg != algWrapping:
		return nil, errors.New("alg must be ECDH-ES or ECDH-ES+A256KW")
	}
	if v, ok := o["key_ops"]; ok { // of the public key none is needed (RFC 7518 section 4.6), and signing is another purpose
		if ops, ok := v.([]any); !ok || slices.ContainsFunc(ops, func(op any) bool { return op != "deriveKey" && op != "deriveBits" }) {
			return nil, errors.New("key_ops may hold deriveKey and deriveBits alone")
		}
	}
	curve := curveNamed(text("crv"))
	if curve == nil {
		return nil, errors.New("crv must be P-256 (kty EC) or X25519 (kty OKP)")
	}
	public, ok := parseEPK(o, curve)
	if !ok || lowOrder(public) {
		return nil, errors.New("it is not a point of its curve, of full length, with the kty of that curve")
	}
	return &Recipient{id, alg, public}, nil
}

// lowOrder reports whether every agreement with p would fail, being known to
// everybody (JWE-04).
func lowOrder(p *ecdh.PublicKey) bool {
	private, err := p.Curve().GenerateKey(rand.Reader)
	if err == nil {
		_, err = private.ECDH(p)
	}
	return err != nil
}

// JWK returns what ParseRecipient reads back. It has no private members (KEY-06).
func (r *Recipient) JWK() ([]byte, error) {
	j := publicJWK(r.public)
	j.Kid, j.Use, j.Alg = r.id, "enc", r.alg
	return json.Marshal(j)
}

func publicJWK(p *ecdh.PublicKey) jwk {
	raw := p.Bytes()
	if p.Curve() == ecdh.P256() { // 4 || x || y
		return jwk{Kty: "EC", Crv: "P-256", X: encode(raw[1:33]), Y: encode(raw[33:])}
	}
	return jwk{Kty: "OKP", Crv: "X25519", X: encode(raw)}
}

// Derive gives 32 secret bytes for a label: for one always the same, and to nobody
// else any of them.
type Derive func(label string) []byte

// EncryptTo encrypts inner, a signed token, to r by a key pair made for this one token
// (RFC 7518 section 4.6), and wraps a random content key with what was agreed if r
// asks for that (RFC 3394).
//
// The pair is derived from a random salt, and salt and recipient are in the header, as
// apu and apv. So whoever made a token can open it again ([JWE.Reopen]) and has kept
// nothing, also when the recipient has another key by now.
func EncryptTo(r *Recipient, derive Derive, typ, inner string) (string, error) {
	salt := make([]byte, saltSize)
	rand.Read(salt)
	ephemeral, err := ephemeralKey(derive, r.alg, salt, r.public)
	if err != nil { // 2^-32 of all secrets are no scalar of P-256
		rand.Read(salt)
		if ephemeral, err = ephemeralKey(derive, r.alg, salt, r.public); err != nil {
			return "", refuse("secret")
		}
	}
	z, err := ephemeral.ECDH(r.public)
	if err != nil {
		return "", refuse("recipient")
	}
	epk, err := json.Marshal(publicJWK(ephemeral.PublicKey()))
	if err != nil {
		return "", err
	}
	apv := compress(r.public)
	more := `,"epk":` + string(epk) + `,"apu":"` + encode(salt) + `","apv":"` + encode(apv) + `"`
	if r.alg == algAgreement {
		aead, err := newGCM(concatKDF(z, encGCM, salt, apv, keySize))
		if err != nil {
			return "", err
		}
		return seal(aead, r.alg, r.id, more, "", typ, inner)
	}
	key := make([]byte, keySize)
	rand.Read(key)
	wrapped, err := wrap(concatKDF(z, algWrapping, salt, apv, keySize), key)
	if err != nil {
		return "", err
	}
	aead, err := newGCM(key)
	if err != nil {
		return "", err
	}
	return seal(aead, r.alg, r.id, more, encode(wrapped), typ, inner)
}

const saltSize = 16

// ephemeralKey derives the key pair of one token. The label holds the recipient: who
// shows us a salt of ours with a point of his own meets another pair, and learns
// nothing of this one.
func ephemeralKey(derive Derive, alg string, salt []byte, to *ecdh.PublicKey) (*ecdh.PrivateKey, error) {
	label := "jwe epk " + alg + " " + curveName(to.Curve()) + " " + encode(salt) + " " + encode(compress(to))
	return to.Curve().NewPrivateKey(derive(label))
}

// Reopen is Open for the maker of a token to somebody else's key. What it returns must go
// through VerifyJWS all the same: the owner of the recipient's private key can put other
// contents under a header of ours.
func (j *JWE) Reopen(derive Derive) (inner string, err error) {
	return j.open(func() (cipher.AEAD, bool) {
		h, encrypted := j.header, j.parts[1]
		crv, _ := h.epk["crv"].(string)
		curve := curveNamed(crv)
		if h.alg == algDirect || curve == nil {
			return nil, false
		}
		epk, ok := parseEPK(h.epk, curve)
		if !ok {
			return nil, false
		}
		salt, ok := partyInfo(h.apu)
		if !ok || len(salt) != saltSize {
			return nil, false
		}
		apv, _ := partyInfo(h.apv)
		to, ok := decompress(apv, curve)
		if !ok {
			return nil, false
		}
		ephemeral, err := ephemeralKey(derive, h.alg, salt, to)
		if err != nil || !ephemeral.PublicKey().Equal(epk) {
			return nil, false // somebody else made it
		}
		z, err := ephemeral.ECDH(to)
		if err != nil {
			return nil, false
		}
		return agreedKey(z, h, encrypted)
	})
}

// compress writes a point as SEC 1 section 2.3.3 does, X25519 as it is.
func compress(p *ecdh.PublicKey) []byte {
	raw := p.Bytes()
	if p.Curve() != ecdh.P256() {
		return raw
	}
	return append([]byte{2 | raw[64]&1}, raw[1:33]...)
}

func decompress(data []byte, curve ecdh.Curve) (*ecdh.PublicKey, bool) {
	if curve == ecdh.P256() {
		x, y := elliptic.UnmarshalCompressed(elliptic.P256(), data)
		if x == nil {
			return nil, false
		}
		data = make([]byte, 65)
		data[0] = 4
		x.FillBytes(data[1:33])
		y.FillBytes(data[33:])
	}
	p, err := curve.NewPublicKey(data)
	return p, err == nil
}
