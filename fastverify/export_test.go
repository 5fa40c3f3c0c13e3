package fastverify

import (
	"runtime"
	"slices"
	"sync"
	"weak"

	"github.com/counterfoil/counterfoil/internal/token"
)

// Now is Tables whose tables are made at once.
func Now() *token.Signatures {
	return token.NewSignatures(func(alg token.Alg, public any) token.CheckSignature {
		_, create := maker(alg, public)
		if create == nil {
			return nil
		}
		t, err := create()
		if err != nil {
			return nil
		}
		return func(input, sig []byte) (bool, bool) { return t.verify(input, sig), true }
	})
}

// Counted is Tables, and counts the tables that were made, and those of them that a collection of garbage leaves.
func Counted() (s *token.Signatures, count func() (made, kept int)) {
	var mu sync.Mutex // guards all below
	made := 0
	var ecdsa []weak.Pointer[es256]
	var edwards []weak.Pointer[edTable]
	k := &known{maker: func(alg token.Alg, public any) (string, func() (table, error)) {
		id, create := maker(alg, public)
		if create == nil {
			return id, nil
		}
		return id, func() (table, error) {
			t, err := create()
			mu.Lock()
			defer mu.Unlock()
			made++
			switch t := t.(type) {
			case *es256:
				ecdsa = append(ecdsa, weak.Make(t))
			case *edTable:
				edwards = append(edwards, weak.Make(t))
			}
			return t, err
		}
	}}
	return token.NewSignatures(k.of), func() (int, int) {
		runtime.GC()
		mu.Lock()
		defer mu.Unlock()
		ecdsa = slices.DeleteFunc(ecdsa, func(p weak.Pointer[es256]) bool { return p.Value() == nil })
		edwards = slices.DeleteFunc(edwards, func(p weak.Pointer[edTable]) bool { return p.Value() == nil })
		return made, len(ecdsa) + len(edwards)
	}
}
