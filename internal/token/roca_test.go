package token_test

import (
	"crypto/rand"
	"crypto/rsa"
	"testing"

	"github.com/counterfoil/counterfoil/internal/token"
)

// KEY-01: NewKey accepts sound keys.
func TestSoundRSAKeys(t *testing.T) {
	for range 3 {
		k, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := token.NewKey("k", token.RS256, &k.PublicKey); err != nil {
			t.Errorf("NewKey = %v", err)
		}
	}
}
