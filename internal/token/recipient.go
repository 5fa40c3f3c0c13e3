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

// Recipient is the public key of a client that opens the tokens that we encrypt. It is on
// P-256 or X25519, and bound to ECDH-ES or to ECDH-ES+A256KW (JWE-01).
type Recipient struct {
	id, alg string
	public  *ecdh.PublicKey
}

// ID returns the kid of the tokens that are encrypted to this key.
func (r *Recipient) ID() string { return r.id }

// Recipient returns the public half of o. A direct key has none: that is an error.
func (o *Opener) Recipient() (*Recipient, error) {
	if o.agree == nil {
		return nil, errors.New("a direct key has no public half")
	}
	return &Recipient{o.id, o.alg, o.agree.PublicKey()}, nil
}

// ParseRecipient reads a public JWK (RFC 7517, RFC 7518 section 6.2, RFC 8037). It requires
// kid, use and alg. It ignores unknown members (RFC 7517 section 4). It refuses private
// members: a private key that was sent is no longer private. The errors are for the sender of
// the JWK, and quote nothing of it.
func ParseRecipient(data []byte) (*Recipient, error) {
	o, err := parseObject(string(data))
	if err != nil {
		return nil, errors.New("it is not a JWK, a JSON object")
	}
	for _, name := range privateMembers {
		if _, ok := o[name]; ok {
			return nil, errors.New("it has the private key: make a new pair, and send its public key alone")
		}
	}
	text := func(name string) string { s, _ := o[name].(string); return s }
	id, alg := text("kid"), text("alg")
	switch {
	case checkID(id) != nil:
		return nil, errors.New("kid is required: 1 to 64 letters, digits, hyphens and underscores")
	case text("use") != "enc":
		return nil, errors.New(`use must be "enc": a key for signatures must not be used for encryption`)
	case alg != algAgreement && alg != algWrapping:
		return nil, errors.New("alg must be ECDH-ES or ECDH-ES+A256KW")
	}
	if v, ok := o["key_ops"]; ok { // a public key needs none (RFC 7518 section 4.6); any other operation is another purpose
		if ops, ok := v.([]any); !ok || slices.ContainsFunc(ops, func(op any) bool { return op != "deriveKey" && op != "deriveBits" }) {
			return nil, errors.New("key_ops may have deriveKey and deriveBits only")
		}
	}
	curve := curveNamed(text("crv"))
	if curve == nil {
		return nil, errors.New("crv must be P-256 (kty EC) or X25519 (kty OKP)")
	}
	public, ok := parseEPK(o, curve)
	if !ok || lowOrder(public) {
		return nil, errors.New("the coordinates are not a point of the curve at full length, or kty is not that of the curve")
	}
	return &Recipient{id, alg, public}, nil
}

// lowOrder reports whether p has a low order. The shared secret of every agreement with such
// a point is known to everybody, so the agreement fails (JWE-04).
func lowOrder(p *ecdh.PublicKey) bool {
	private, err := p.Curve().GenerateKey(rand.Reader)
	if err == nil {
		_, err = private.ECDH(p)
	}
	return err != nil
}

// JWK returns a JWK that [ParseRecipient] reads back. It has no private members (KEY-06).
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

// Derive returns 32 secret bytes for a label. The same label always gives the same bytes. No
// one else can compute them.
type Derive func(label string) []byte

// EncryptTo encrypts inner, a signed token, to r. It uses a key pair for this one token (RFC
// 7518 section 4.6). With ECDH-ES+A256KW it wraps a random content key with the shared secret
// (RFC 3394).
//
// EncryptTo derives the key pair from a random salt. The header has the salt as apu and the
// recipient as apv. So the maker of the token can open it again ([JWE.Reopen]) and stores
// nothing for that. This works even if the recipient has another key by then.
func EncryptTo(r *Recipient, derive Derive, typ, inner string) (string, error) {
	salt := make([]byte, saltSize)
	rand.Read(salt)
	ephemeral, err := ephemeralKey(derive, r.alg, salt, r.public)
	if err != nil { // one of 2^32 secrets is not a scalar of P-256
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

// ephemeralKey derives the key pair of one token. The label contains the recipient. An
// attacker may send us a salt of ours with a point of the attacker: ephemeralKey then derives
// another pair, so the attacker learns nothing about the first.
func ephemeralKey(derive Derive, alg string, salt []byte, to *ecdh.PublicKey) (*ecdh.PrivateKey, error) {
	label := "jwe epk " + alg + " " + curveName(to.Curve()) + " " + encode(salt) + " " + encode(compress(to))
	return to.Curve().NewPrivateKey(derive(label))
}

// Reopen is [JWE.Open] for the maker of a token that is encrypted to a client's key. The
// caller must pass the result to [VerifyJWS]: the owner of the client's private key can
// encrypt other contents under a header of ours.
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
			return nil, false // we did not make this token
		}
		z, err := ephemeral.ECDH(to)
		if err != nil {
			return nil, false
		}
		return agreedKey(z, h, encrypted)
	})
}

// compress returns a point of P-256 in the compressed form of SEC 1 section 2.3.3, and a point
// of X25519 unchanged.
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
