// Package fastverify checks signatures of ES256 and Ed25519 by tables of the multiples of each key. It is for services
// that see many tokens for the first time, and takes about half the time of the standard library or less. Begin with
// [Tables].
//
// The package has its own arithmetic of signatures, on the points of filippo.io/nistec and filippo.io/edwards25519,
// whose authors also wrote those of the standard library. Who does not import it does not depend on it. It has no
// secrets: the key, the token and the signature are known to who sends the token, so its time may depend on them.
package fastverify

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"weak"

	"github.com/counterfoil/counterfoil/internal/token"
)

// maxTables is how many keys have a table at a time. One takes 0.8 MB (ES256) or 1.3 MB (Ed25519). An issuer has
// two or three keys.
const maxTables = 8

// Tables returns what is set as counterfoil.Options.Signatures. Several verifiers may share it. The table of
// a key is made when its first signature is checked, which takes some milliseconds in a goroutine, and is freed when no
// verifier has the key any more. Until it is made, for keys of other algorithms, and beyond eight keys, the standard
// library checks.
func Tables() *token.Signatures {
	k := &known{maker: maker}
	return token.NewSignatures(k.of)
}

// table checks signatures of one key.
type table interface{ verify(input, sig []byte) bool }

// known has the keys that were asked for last, as long as somebody has their checks.
type known struct {
	maker func(alg token.Alg, public any) (id string, create func() (table, error))

	mu   sync.Mutex          // guards keys
	keys []weak.Pointer[key] // the oldest first
}

type key struct {
	id    string
	make  func() (table, error)
	once  sync.Once
	mu    sync.Mutex            // guards gone, and is held to set table
	gone  bool                  // another key has its place
	table atomic.Pointer[table] // nil: not made
}

func (k *known) of(alg token.Alg, public any) token.CheckSignature {
	id, create := k.maker(alg, public)
	if create == nil {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.keys = slices.DeleteFunc(k.keys, func(p weak.Pointer[key]) bool { return p.Value() == nil })
	for _, p := range k.keys {
		if known := p.Value(); known != nil && known.id == id {
			return known.check
		}
	}
	if len(k.keys) == maxTables {
		if oldest := k.keys[0].Value(); oldest != nil {
			oldest.drop()
		}
		k.keys = slices.Delete(k.keys, 0, 1)
	}
	one := &key{id: id, make: create}
	k.keys = append(k.keys, weak.Make(one))
	return one.check
}

// maker returns what tells a key from others, and how its table is made; nil: it has none.
func maker(alg token.Alg, public any) (id string, create func() (table, error)) {
	switch p := public.(type) {
	case *ecdsa.PublicKey:
		// Without the assembly of these processors the tables are slower than the standard library.
		if alg != token.ES256 || runtime.GOARCH != "amd64" && runtime.GOARCH != "arm64" {
			return "", nil
		}
		point, err := p.Bytes()
		if err != nil {
			return "", nil
		}
		return string(alg) + string(point), func() (table, error) { return newES256(point) }
	case ed25519.PublicKey:
		if alg != token.Ed25519 {
			return "", nil
		}
		return string(alg) + string(p), func() (table, error) { return newEd25519(p) }
	}
	return "", nil
}

func (k *key) check(input, sig []byte) (valid, known bool) {
	t := k.table.Load()
	if t == nil {
		k.once.Do(func() { go k.fill() })
		return false, false
	}
	return (*t).verify(input, sig), true
}

// fill makes the table. A key without one is left to the standard library.
func (k *key) fill() {
	t, err := k.make()
	if err != nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.gone {
		k.table.Store(&t)
	}
}

func (k *key) drop() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.gone = true
	k.table.Store(nil)
}
