package keyring

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/json"
	"errors"
)

// sealed is the record at rest. AES-256-GCM with a random nonce: the record
// is written a few times a month, far from the 2^32 uses that a key may have.
type sealed struct {
	V    int    `json:"v"`
	Data []byte `json:"sealed"`
}

var sealContext = []byte("counterfoil keyring v1")

func aead(key [32]byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

func seal(key [32]byte, plain []byte) ([]byte, error) {
	a, err := aead(key)
	if err != nil {
		return nil, err
	}
	return json.Marshal(sealed{V: 1, Data: a.Seal(nil, nil, plain, sealContext)})
}

func open(key [32]byte, value []byte) ([]byte, error) {
	var s sealed
	if err := json.Unmarshal(value, &s); err != nil || s.V != 1 {
		return nil, errors.New("keyring: record is not a sealed keyring")
	}
	a, err := aead(key)
	if err != nil {
		return nil, err
	}
	plain, err := a.Open(nil, nil, s.Data, sealContext)
	if err != nil {
		return nil, ErrSealed
	}
	return plain, nil
}
