package token_test

import (
	"testing"

	"github.com/counterfoil/counterfoil/internal/token"
)

// REF-09: a refresh token has one spelling. ParseRefresh refuses every other text, even one
// that differs from a good token in one character, or whose counter differs by one.
func FuzzParseRefresh(f *testing.F) {
	for _, by := range []string{"", "\n", "\r\n", "=", "A", "/", "+", "%", "cfr_", "\x00", "ü"} {
		f.Add("0123456789abcdef", uint64(1), uint16(78), uint16(1), by)
		f.Add("", uint64(1)<<63, uint16(4), uint16(0), by)
	}
	key := []byte("32 bytes that nobody else has ..")
	f.Fuzz(func(t *testing.T, grant string, counter uint64, at, cut uint16, by string) {
		made := token.Refresh{Counter: counter}
		copy(made.Grant[:], grant)
		good := made.Spell(key)
		if got, err := token.ParseRefresh(good, key); err != nil || got != made {
			t.Errorf("%q reads as %v, %v", good, got, err)
		}
		from := min(int(at), len(good))
		other := good[:from] + by + good[min(from+int(cut), len(good)):]
		for _, text := range []string{other, grant} {
			got, err := token.ParseRefresh(text, key)
			if err == nil && (text != good || got != made) {
				t.Errorf("%q was never issued, and reads as %v", text, got)
			}
			if err != nil && got != (token.Refresh{}) {
				t.Errorf("%q reads as %v beside %v", text, got, err)
			}
		}
		if got, err := token.ParseRefresh(good, []byte("another key")); err == nil {
			t.Errorf("%v under another key", got)
		}
	})
}
