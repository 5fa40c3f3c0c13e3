package token

import (
	"crypto/aes"
	"crypto/subtle"
	"encoding/binary"
)

// wrapIV is the initial value. If unwrap finds it, the key was right (RFC 3394 section
// 2.2.3.1).
const wrapIV = 0xA6A6A6A6A6A6A6A6

const wrappedSize = keySize + 8

// wrap encrypts a content key with a key encryption key (RFC 3394 section 2.2.1).
// Both are keySize bytes long.
func wrap(kek, key []byte) ([]byte, error) {
	block, err := aes.NewCipher(kek)
	if err != nil {
		return nil, err
	}
	out := append(binary.BigEndian.AppendUint64(nil, wrapIV), key...)
	var b [aes.BlockSize]byte
	for t := range uint64(6 * keySize / 8) {
		r := out[8*(1+t%(keySize/8)):][:8]
		copy(b[:8], out[:8])
		copy(b[8:], r)
		block.Encrypt(b[:], b[:])
		binary.BigEndian.PutUint64(out, binary.BigEndian.Uint64(b[:8])^(t+1))
		copy(r, b[8:])
	}
	return out, nil
}

// unwrap is the inverse of wrap (RFC 3394 section 2.2.2).
func unwrap(kek, wrapped []byte) ([]byte, error) {
	if len(wrapped) != wrappedSize {
		return nil, errJWE
	}
	block, err := aes.NewCipher(kek)
	if err != nil {
		return nil, errJWE
	}
	out := append([]byte(nil), wrapped...)
	var b [aes.BlockSize]byte
	for t := uint64(6 * keySize / 8); t > 0; t-- {
		r := out[8*(1+(t-1)%(keySize/8)):][:8]
		binary.BigEndian.PutUint64(b[:8], binary.BigEndian.Uint64(out)^t)
		copy(b[8:], r)
		block.Decrypt(b[:], b[:])
		copy(out, b[:8])
		copy(r, b[8:])
	}
	if subtle.ConstantTimeCompare(out[:8], binary.BigEndian.AppendUint64(nil, wrapIV)) != 1 {
		return nil, errJWE
	}
	return out[8:], nil
}
