package token_test

import (
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"testing"

	. "github.com/counterfoil/counterfoil/internal/token"
)

// KEY-01: NewKey refuses a key of small order, under which everybody can sign. It also refuses
// bytes that are not a point of the curve, and a second encoding of a point.
func TestEdwardsPoint(t *testing.T) {
	const zeros, ones = "000000000000000000000000000000000000000000000000000000000000", "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
	forged := make([]byte, ed25519.SignatureSize) // R is the neutral element, S is 0: nobody signed
	forged[0] = 1
	for name, c := range map[string]struct {
		key  string
		fits bool // forged is valid for some of 256 messages
	}{
		"order 1":           {"01" + zeros + "00", true},
		"order 1, x < 0":    {"01" + zeros + "80", true},
		"order 2":           {"ec" + ones + "7f", true},
		"order 4":           {"00" + zeros + "00", true},
		"order 4, x < 0":    {"00" + zeros + "80", true},
		"order 8":           {"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05", true},
		"order 8, x < 0":    {"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85", true},
		"order 8, other y":  {"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a", true},
		"0 spelled as p":    {"ed" + ones + "7f", true},
		"1 spelled as p+1":  {"ee" + ones + "7f", true},
		"3 spelled as p+3":  {"f0" + ones + "7f", false},
		"not on the curve":  {"02" + zeros + "00", false},
		"not on it, x < 0":  {"02" + zeros + "80", false},
		"the largest of 32": {"ff" + ones + "ff", false},
	} {
		key, err := hex.DecodeString(c.key)
		if err != nil {
			t.Fatal(err)
		}
		fits := false
		for n := range 256 {
			fits = fits || ed25519.Verify(key, fmt.Append(nil, n), forged)
		}
		if fits != c.fits {
			t.Errorf("%s: forged signature fits: %v, want %v", name, fits, c.fits)
		}
		if _, err := NewKey("k", Ed25519, ed25519.PublicKey(key)); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: NewKey = %v, want ErrInvalid", name, err)
		}
	}
	for range 64 {
		key, _, err := ed25519.GenerateKey(nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := NewKey("k", Ed25519, key); err != nil {
			t.Errorf("NewKey(%x) = %v", key, err)
		}
	}
}
