package token_test

import (
	"crypto/ecdh"
	"crypto/rand"
	"encoding/json"
	"maps"
	"strings"
	"testing"

	. "github.com/counterfoil/counterfoil/internal/token"
)

func recipients(t testing.TB) (all []*Opener) {
	t.Helper()
	for _, curve := range []ecdh.Curve{ecdh.P256(), ecdh.X25519()} {
		private, err := curve.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		a, err1 := NewAgreementKey("e1", private)
		b, err2 := NewWrappingKey("e1", private)
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		all = append(all, a, b)
	}
	return all
}

// The maker of a token opens it again without the private key. Another maker does not. Nobody
// opens a token that was changed.
func TestReopenJWE(t *testing.T) {
	for n, o := range recipients(t) {
		tok := encrypt(t, o, "t")
		if got, err := ReopenJWE(tok, "t", derive); err != nil || got != "a.b.c" {
			t.Errorf("%d: ReopenJWE = %q, %v", n, got, err)
		}
		if _, err := ReopenJWE(tok, "other", derive); err == nil {
			t.Errorf("%d: ReopenJWE accepts another typ", n)
		}
		if _, err := ReopenJWE(tok, "t", func(label string) []byte { return derive("not " + label) }); err == nil {
			t.Errorf("%d: ReopenJWE opens a token of another maker", n)
		}
		if other := encrypt(t, o, "t"); strings.Split(other, ".")[0] == strings.Split(tok, ".")[0] {
			t.Errorf("%d: two tokens have one header, and so one key", n)
		}
		parts := strings.Split(tok, ".")
		for i, part := range parts {
			if part == "" {
				continue
			}
			changed := []byte(part)
			for at := range changed {
				was := changed[at]
				if changed[at] = 'A'; was == 'A' {
					changed[at] = 'B'
				}
				parts[i] = string(changed)
				tampered := strings.Join(parts, ".")
				if _, err := ReopenJWE(tampered, "t", derive); err == nil {
					t.Fatalf("%d: ReopenJWE opened %s", n, tampered)
				}
				if _, err := DecryptJWE(tampered, "t", open(o)); err == nil {
					t.Fatalf("%d: DecryptJWE opened %s", n, tampered)
				}
				changed[at] = was
			}
			parts[i] = part
		}
	}
}

func TestRecipient(t *testing.T) {
	for n, o := range recipients(t) {
		r, err := o.Recipient()
		if err != nil {
			t.Fatal(err)
		}
		jwk, err := r.JWK()
		if err != nil {
			t.Fatal(err)
		}
		back, err := ParseRecipient(jwk)
		if err != nil {
			t.Fatalf("%d: ParseRecipient(%s) = %v", n, jwk, err)
		}
		if again, err := back.JWK(); err != nil || string(again) != string(jwk) {
			t.Errorf("%d: JWK = %s, %v, want %s", n, again, err, jwk)
		}
	}
}

// JWE-01, JWE-04, KEY-06, KEY-13.
func TestRecipientRefused(t *testing.T) {
	all := recipients(t)
	p256, x := publicMembers(t, all[0]), publicMembers(t, all[2])
	zero := b64(string(make([]byte, 32)))
	for name, c := range map[string]struct {
		of    map[string]any
		with  map[string]any
		wants string
	}{
		"no kid":          {p256, map[string]any{"kid": nil}, "kid"},
		"kid of others":   {p256, map[string]any{"kid": "a b"}, "kid"},
		"no use":          {p256, map[string]any{"use": nil}, "use"},
		"signs":           {p256, map[string]any{"use": "sig"}, "use"},
		"no alg":          {p256, map[string]any{"alg": nil}, "alg"},
		"alg of signing":  {p256, map[string]any{"alg": "ES256"}, "alg"},
		"JWE-01 alg":      {p256, map[string]any{"alg": "ECDH-ES+A128KW"}, "alg"},
		"dir":             {p256, map[string]any{"alg": "dir"}, "alg"},
		"key_ops":         {p256, map[string]any{"key_ops": []any{"deriveKey", "sign"}}, "key_ops"},
		"private":         {p256, map[string]any{"d": zero}, "private"},
		"private X25519":  {x, map[string]any{"d": ""}, "private"},
		"symmetric":       {p256, map[string]any{"k": zero}, "private"},
		"signing curve":   {x, map[string]any{"crv": "Ed25519"}, "crv"},
		"other curve":     {p256, map[string]any{"crv": "P-384"}, "crv"},
		"other kty":       {p256, map[string]any{"kty": "OKP"}, "point"},
		"off the curve":   {p256, map[string]any{"y": zero}, "point"},
		"short":           {p256, map[string]any{"x": "AAAA"}, "point"},
		"JWE-04 infinity": {x, map[string]any{"x": zero}, "point"},
		"JWE-04 order 1":  {x, map[string]any{"x": b64("\x01" + strings.Repeat("\x00", 31))}, "point"},
	} {
		m := maps.Clone(c.of)
		for member, value := range c.with {
			if m[member] = value; value == nil {
				delete(m, member)
			}
		}
		jwk, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ParseRecipient(jwk); err == nil || !strings.Contains(err.Error(), c.wants) {
			t.Errorf("%s: ParseRecipient = %v, want an error with %q", name, err, c.wants)
		}
	}
	for _, text := range []string{"", "null", `"key"`, "[]", `{"kid":"a","kid":"b"}`} {
		if _, err := ParseRecipient([]byte(text)); err == nil {
			t.Errorf("ParseRecipient(%q) = nil", text)
		}
	}
	good, _ := json.Marshal(p256)
	if _, err := ParseRecipient([]byte(strings.Replace(string(good), "{", `{"ext":true,"key_ops":[],`, 1))); err != nil {
		t.Errorf("RFC 7517 section 4: ParseRecipient with unknown members = %v", err)
	}
}

// publicMembers returns the members of the public JWK of o.
func publicMembers(t *testing.T, o *Opener) (m map[string]any) {
	t.Helper()
	r, _ := o.Recipient()
	jwk, _ := r.JWK()
	if err := json.Unmarshal(jwk, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// Every JWK that parses is written in one form, which parses to the same recipient.
func FuzzParseRecipient(f *testing.F) {
	for _, o := range recipients(f) {
		r, _ := o.Recipient()
		jwk, _ := r.JWK()
		f.Add(string(jwk))
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := ParseRecipient([]byte(text))
		if err != nil {
			return
		}
		once, err := r.JWK()
		if err != nil {
			t.Fatal(err)
		}
		back, err := ParseRecipient(once)
		if err != nil {
			t.Fatalf("ParseRecipient(%s) = %v", once, err)
		}
		if twice, err := back.JWK(); err != nil || string(twice) != string(once) {
			t.Errorf("JWK = %s, %v, want %s", twice, err, once)
		}
	})
}
