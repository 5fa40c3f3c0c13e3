package keyring_test

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/internal/token"
	"github.com/counterfoil/counterfoil/keyring"
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/memory"
)

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	b[0] = 0 // never text
	return b
}

func TestCheckSecret(t *testing.T) { // KEY-02
	const text = "Zq8vT1mWkY3xR7nB5cJ2hL9sD4fG6pA0uE-iO_yQwXtV" // 44 characters
	for name, c := range map[string]struct {
		secret string
		want   string
	}{
		"random bytes":         {string(random(32)), ""},
		"one too few":          {string(random(31)), "fewer than 32"},
		"long text":            {text, ""},
		"text of 42":           {text[:42], "fewer than 43"},
		"text and a line end":  {text + "\n", "line end"},
		"text and a mark":      {"\ufeff" + text, "byte order mark"},
		"bytes and a line end": {string(random(32)) + "\n", ""},
		"changeme":             {"changeme", "fewer than 32"},
		"jwt.io's":             {"a-string-secret-at-least-256-bits-long", "fewer than 43"},
		"a manual's":           {"your-256-bit-secret-your-256-bit-secret-your-256-bit-secret", "a word"},
		"in capitals":          {text + "SECRET", "a word"},
		"one byte, repeated":   {strings.Repeat("\x00", 64), "repeats"},
		"a word, repeated":     {strings.Repeat("kangaroo", 8), "repeats"},
		"hexadecimal, random":  {"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", ""},
		"base64 of random":     {base64.StdEncoding.EncodeToString(random(48)), ""},
		"base64 of hex":        {base64.StdEncoding.EncodeToString([]byte(hex.EncodeToString(random(32)))), ""},

		// What others publish, most of it refused by a rule for all of its kind.
		"Nacos":                {base64.StdEncoding.EncodeToString([]byte("SecretKey012345678901234567890123456789012345678901234567890123456789")), "base64 holds a word"},
		"ThingsBoard":          {"dGhpbmdzYm9hcmREZWZhdWx0U2lnbmluZ0tleQ==", "fewer than 43"},
		"Supabase":             {"super-secret-jwt-token-with-at-least-32-characters-long", "a word"},
		"Spring's key in hex":  {"404E635266556A586E3272357538782F413F4428472B4B6250645367566B5970", "base64 is text of fewer than 43"},
		"text in base64":       {base64.RawURLEncoding.EncodeToString([]byte("kangaroos jump over the lazy dog, twice")), "fewer than 43"},
		"RFC 7515 as bytes":    {string(decoded("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow")), "known to everybody"},
		"FastAPI, twice":       {strings.Repeat("09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7", 2), "known to everybody"},
		"Django's new project": {"django-insecure-" + text, "a word"},
		"in Portuguese":        {"meu-segredo-" + text, "a word"},
	} {
		err := keyring.CheckSecret([]byte(c.secret))
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: CheckSecret = %v, want %q", name, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), c.secret) {
			t.Errorf("%s: the error holds the secret", name)
		}
	}
}

// Each is refused for being published, also with something around it, and no other rule would do.
func TestPublishedSecrets(t *testing.T) { // KEY-02
	for _, known := range keyring.Published {
		for _, secret := range []string{known + "Zq8vT1mWkY3xR7nB5cJ2", "Zq8vT1mWkY3xR7nB5cJ2" + known} {
			if err := keyring.CheckSecret([]byte(secret)); err == nil || !strings.Contains(err.Error(), "known to everybody") {
				t.Errorf("%s: %v", known, err)
			}
		}
		if raw := decoded(known); len(raw) >= 32 {
			if err := keyring.CheckSecret(raw); err == nil {
				t.Errorf("%s, decoded, is taken", known)
			}
		}
	}
}

// decoded returns the bytes that text in base64 or hexadecimal digits stands for, or none.
func decoded(text string) []byte {
	if raw, err := hex.DecodeString(text); err == nil {
		return raw
	}
	raw, err := base64.RawURLEncoding.DecodeString(strings.NewReplacer("+", "-", "/", "_", "=", "").Replace(text))
	if err != nil {
		return nil
	}
	return raw
}

// A configured secret stays until another is configured; what the old one signed
// verifies for as long as it can be alive.
func TestConfiguredSecret(t *testing.T) {
	c := &clock{time.Now()}
	s := memory.New()
	first, second := random(40), random(40)
	open := func(secret []byte) (*keyring.Keyring, error) {
		return keyring.Open(t.Context(), keyring.Options{Store: s, SealKey: [32]byte{1}, Alg: token.HS256, Secret: secret, Now: c.Now})
	}
	k, err := open(first)
	if err != nil {
		t.Fatal(err)
	}
	kid := k.Signer().Key().ID
	c.now = c.now.Add(90 * 24 * time.Hour)
	if err := k.Tick(t.Context()); err != nil || len(k.Keys()) != 1 || k.Signer().Key().ID != kid {
		t.Errorf("after 90 days: %v, %v, want the one key", k.Keys(), err)
	}
	if _, err := k.Rotate(t.Context()); !errors.Is(err, keyring.ErrConfigured) {
		t.Errorf("Rotate = %v, want ErrConfigured", err)
	}
	if err := k.Revoke(t.Context(), kid); !errors.Is(err, keyring.ErrConfigured) {
		t.Errorf("Revoke = %v, want ErrConfigured: nothing could sign after it", err)
	}
	if k, err = open(second); err != nil || k.Signer().Key().ID != kid || len(k.Keys()) != 2 {
		t.Fatalf("with another secret: %v, want both keys and the first signing", err)
	}
	if k, err = open(first); err != nil || k.Signer().Key().ID != kid || len(k.Keys()) != 1 {
		t.Errorf("back to the first secret: %v, %v, want it alone, signing", k.Keys(), err)
	}
	if k, err = open(second); err != nil {
		t.Fatal(err)
	}
	c.now = c.now.Add(25 * time.Hour)
	if now := k.Signer().Key().ID; now == kid {
		t.Error("the second secret does not sign a day later")
	}
	if _, ok := k.Find(kid); !ok {
		t.Error("the first secret no longer verifies when the second begins to sign")
	}
	if err := k.Revoke(t.Context(), kid); err != nil {
		t.Errorf("Revoke(first) = %v", err)
	}
	if _, err := open(first); !errors.Is(err, keyring.ErrConfigured) {
		t.Errorf("a revoked secret, configured again: %v, want ErrConfigured", err)
	}
	r, err := store.One(t.Context(), s, store.Key{Kind: "keyring", ID: "keyring"})
	if err != nil || bytes.Contains(r.Value, first) || bytes.Contains(r.Value, second) {
		t.Errorf("the record holds a secret as it is (%v)", err)
	}
	if _, err := keyring.Open(t.Context(), keyring.Options{Store: memory.New(), SealKey: [32]byte{1}, Secret: first}); err == nil {
		t.Error("a secret for ES256 was taken")
	}
	if _, err := keyring.Open(t.Context(), keyring.Options{Store: memory.New(), SealKey: [32]byte{1}, Alg: token.HS256, Secret: []byte("changeme")}); err == nil {
		t.Error("changeme was taken")
	}
}
