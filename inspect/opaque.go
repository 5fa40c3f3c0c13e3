package inspect

import (
	"crypto"
	"crypto/aes"
	"crypto/ecdh"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"slices"

	"github.com/go-jose/go-jose/v4"
	josecipher "github.com/go-jose/go-jose/v4/cipher"
)

// decrypter returns the key as go-jose takes it, with what go-jose does not know beside it:
// ECDH-ES on X25519 (RFC 8037 section 3.2), which Counterfoil encrypts with, and RSA-OAEP with
// SHA-384 and SHA-512.
func (k Key) decrypter(e *encrypted) any {
	switch p := k.value.(type) {
	case *ecdh.PrivateKey:
		return x25519{p}
	case *rsa.PrivateKey:
		for i := range e.recipients {
			if slices.Contains(decryptOnly, e.recipient(i).text("alg")) {
				return oaep{p}
			}
		}
	}
	return k.value
}

var errKey = errors.New("the key does not open it")

// oaep opens content keys with each RSA-OAEP.
type oaep struct{ key *rsa.PrivateKey }

var oaepHashes = map[string]crypto.Hash{"RSA-OAEP": crypto.SHA1, "RSA-OAEP-256": crypto.SHA256, "RSA-OAEP-384": crypto.SHA384, "RSA-OAEP-512": crypto.SHA512}

// DecryptKey opens the content key of one recipient.
func (o oaep) DecryptKey(sealed []byte, h jose.Header) ([]byte, error) {
	hash, ok := oaepHashes[h.Algorithm]
	if !ok {
		return nil, errKey
	}
	return rsa.DecryptOAEP(hash.New(), rand.Reader, o.key, sealed, nil)
}

// x25519 agrees on the content key, or on the key that wraps it.
type x25519 struct{ key *ecdh.PrivateKey }

var (
	wrapSizes = map[string]int{"ECDH-ES+A128KW": 16, "ECDH-ES+A192KW": 24, "ECDH-ES+A256KW": 32}
	errPoint  = errors.New("epk is no point on X25519")
)

// DecryptKey opens the content key of one recipient (RFC 7518 section 4.6).
func (x x25519) DecryptKey(sealed []byte, h jose.Header) ([]byte, error) {
	raw, err := json.Marshal(h.ExtraHeaders)
	if err != nil {
		return nil, err
	}
	header, err := readObject(raw)
	if err != nil {
		return nil, err
	}
	epk, err := parseJWK(header["epk"])
	if err != nil {
		return nil, errPoint
	}
	public, ok := epk.value.(*ecdh.PublicKey)
	if !ok || epk.Private {
		return nil, errPoint
	}
	z, err := x.key.ECDH(public) // fails for a point of low order
	if err != nil {
		return nil, errPoint
	}
	name, size := header.text("enc"), contentSizes[header.text("enc")]
	if n := wrapSizes[h.Algorithm]; n != 0 {
		name, size = h.Algorithm, n
	} else if h.Algorithm != "ECDH-ES" || len(sealed) > 0 || size == 0 {
		return nil, errKey
	}
	apu, err1 := base64.RawURLEncoding.DecodeString(header.text("apu"))
	apv, err2 := base64.RawURLEncoding.DecodeString(header.text("apv"))
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	kdf := josecipher.NewConcatKDF(crypto.SHA256, z, prefixed([]byte(name)), prefixed(apu), prefixed(apv),
		binary.BigEndian.AppendUint32(nil, uint32(size*8)), nil)
	key := make([]byte, size)
	if _, err := kdf.Read(key); err != nil || h.Algorithm == "ECDH-ES" {
		return key, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return josecipher.KeyUnwrap(block, sealed)
}

// prefixed puts the length of b before b.
func prefixed(b []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...)
}
