package counterfoil

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"sync"
)

// tag stands for a credential that is remembered: its text and its transport. The text is not
// kept.
//
// A tag is a GMAC (NIST SP 800-38D) under a key that the verifier makes at random and never
// shows, with a fixed nonce for each transport. To use a nonce twice is the end of GMAC as a
// proof to others, since who sees two tags of one nonce can find the key of the hash. Nobody
// sees a tag here: it is compared, and not written anywhere. So it is a keyed hash from a universal family
// (GHASH), and the bound below holds for any two texts that do not depend on the key.
//
// Two different texts of at most n bytes have one tag only if the key of GHASH, 128 random
// bits, is a root of a polynomial of degree ⌈n/16⌉ + 1 that the two texts give. It has no more
// roots than that. So the probability is at most (⌈n/16⌉ + 1) / 2^128: 2^-122 for 600 bytes,
// 2^-118 for the 8 KiB that a credential may have. (The key of GHASH is a block that AES
// encrypts. That it is not random would show how to tell AES from a random permutation.)
// A verifier with a million copies, who is asked a million times a second for a hundred years,
// compares at most 2^72 pairs, and only those whose hashes of 32 bits are the same. So one wrong
// answer has a probability below 2^-46. What an attacker learns is that a text was refused,
// which says that its tag is none of those, and rules out as many keys as a polynomial has roots.
type tag [2]uint64

// tagger makes tags.
type tagger struct {
	aead cipher.AEAD // nil: in a process that may use nothing beyond FIPS 140, HMAC-SHA-256 is
	key  [16]byte
	pool sync.Pool // of *tagging, so that a tag allocates nothing
}

type tagging struct {
	text  []byte
	nonce [12]byte
	sum   [sha256.Size]byte
	mac   hash.Hash
}

func newTagger() *tagger {
	t := new(tagger)
	_, _ = rand.Read(t.key[:]) // it never fails
	if block, err := aes.NewCipher(t.key[:]); err == nil {
		t.aead, _ = cipher.NewGCM(block) // an error: the nonces are not random, which FIPS 140 demands
	}
	t.pool.New = func() any {
		if t.aead != nil {
			return new(tagging)
		}
		return &tagging{mac: hmac.New(sha256.New, t.key[:])}
	}
	return t
}

func (t *tagger) of(c credential) tag {
	m := t.pool.Get().(*tagging)
	m.text = append(m.text[:0], c.value...)
	var sum []byte
	if t.aead != nil {
		m.nonce[0] = byte(c.transport)
		sum = t.aead.Seal(m.sum[:0], m.nonce[:], nil, m.text)
	} else {
		m.mac.Reset()
		m.mac.Write(append(m.text, byte(c.transport)))
		sum = m.mac.Sum(m.sum[:0])
	}
	out := tag{binary.LittleEndian.Uint64(sum), binary.LittleEndian.Uint64(sum[8:])}
	t.pool.Put(m)
	return out
}
