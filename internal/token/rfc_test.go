package token_test

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/internal/token"
)

// rfcExamples are the examples of the RFCs: see testdata/rfc/README.md.
type rfcExamples struct {
	Signed []struct {
		Section string
		Jwk     map[string]string
		Compact string
	}
	Refused []struct{ Section, Why, Text string }
	Sets    []struct {
		Section string
		Usable  []string
		Skipped int
		Jwks    json.RawMessage
	}
}

func loadRFC(t *testing.T) (e rfcExamples) {
	t.Helper()
	data, err := os.ReadFile("testdata/rfc/examples.json")
	if err == nil {
		err = json.Unmarshal(data, &e)
	}
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// keyOf reads the key of an example with the kid "k", because the example has none.
func keyOf(t *testing.T, jwk map[string]string) token.Key {
	t.Helper()
	if jwk["kty"] == "oct" {
		secret, err := base64.RawURLEncoding.DecodeString(jwk["k"])
		if err != nil {
			t.Fatal(err)
		}
		k, err := token.NewKey("k", token.Alg(jwk["alg"]), secret)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	jwk["kid"] = "k"
	delete(jwk, "d")
	set, err := json.Marshal(map[string]any{"keys": []any{jwk}})
	if err != nil {
		t.Fatal(err)
	}
	keys, skipped, err := token.ParseJWKS(set)
	if err != nil || len(keys) != 1 {
		t.Fatal(skipped, err)
	}
	return keys[0]
}

// checkSignature expects a good signature. It also expects that VerifyJWS refuses the token:
// no example has both kid and typ.
func checkSignature(t *testing.T, section, compact string, k token.Key) {
	t.Helper()
	dot := strings.LastIndexByte(compact, '.')
	sig, err := token.Decode(compact[dot+1:])
	if err != nil {
		t.Fatal(section, err)
	}
	if !k.Verify([]byte(compact[:dot]), sig) {
		t.Errorf("%s does not verify", section)
	}
	sig[len(sig)-1] ^= 1
	if k.Verify([]byte(compact[:dot]), sig) {
		t.Errorf("%s verifies with another signature", section)
	}
	if _, _, err := token.VerifyJWS(compact, "JWT", func(string) (token.Key, bool) { return k, true }); err == nil {
		t.Errorf("%s is accepted as a token", section)
	}
}

func TestRFCSignatures(t *testing.T) {
	for _, e := range loadRFC(t).Signed {
		checkSignature(t, e.Section, e.Compact, keyOf(t, e.Jwk))
	}
	// Sections 4.1 to 4.4 of RFC 7520, as Wycheproof has them. Two of its keys have another alg
	// than the headers.
	found := 0
	for _, g := range load[jwsGroup](t, "json_web_signature_test").TestGroups {
		if g.Comment != "rfc7520" {
			continue
		}
		raw := g.Public
		if len(raw) == 0 {
			raw = g.Private
		}
		var jwk map[string]string
		if err := json.Unmarshal(raw, &jwk); err != nil {
			t.Fatal(err)
		}
		alg := map[string]string{"Figure13": "RS256", "Figure20": "PS384", "Figure27": "ES512", "Figure35": "HS256"}[g.Tests[0].Comment]
		jwk["alg"] = alg
		checkSignature(t, "RFC 7520 "+g.Tests[0].Comment, g.Tests[0].Jws.(string), keyOf(t, jwk))
		found++
	}
	if found < 4 {
		t.Errorf("%d examples of RFC 7520", found)
	}
}

// Forms that the RFCs allow and this package refuses (TOK-01, TOK-28, JWE-01).
func TestRFCRefused(t *testing.T) {
	secret := []byte(strings.Repeat("k", 32))
	key, err := token.NewKey("k", token.HS256, secret)
	if err != nil {
		t.Fatal(err)
	}
	opener, err := token.NewDirectKey("k", secret)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range loadRFC(t).Refused {
		asked := false
		if p, _, err := token.VerifyJWS(e.Text, "JWT", func(string) (token.Key, bool) { asked = true; return key, true }); err == nil || p != "" {
			t.Errorf("%s (%s) is accepted", e.Section, e.Why)
		}
		if p, err := token.DecryptJWE(e.Text, "JWT", func(string) (*token.Opener, bool) { asked = true; return opener, true }); err == nil || p != "" {
			t.Errorf("%s (%s) is opened", e.Section, e.Why)
		}
		if asked {
			t.Errorf("%s (%s): DecryptJWE asks for a key", e.Section, e.Why)
		}
	}
}

// ParseJWKS skips private and symmetric keys (KEY-06), and keys for encryption.
func TestRFCKeySets(t *testing.T) {
	for _, e := range loadRFC(t).Sets {
		keys, skipped, err := token.ParseJWKS(e.Jwks)
		if err != nil {
			t.Errorf("%s: %v", e.Section, err)
		}
		var usable []string
		for _, k := range keys {
			usable = append(usable, k.ID)
		}
		if !slices.Equal(usable, e.Usable) || len(skipped) != e.Skipped {
			t.Errorf("%s: usable %q, skipped %v", e.Section, usable, skipped)
		}
	}
}
