package token_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	. "github.com/counterfoil/counterfoil/internal/token"
)

// KEY-06: the JWK of a key has no private member, for every kind of key.
func TestJWKSRoundTrip(t *testing.T) {
	var keys []Key
	for i, alg := range []Alg{ES256, ES384, ES512, Ed25519, RS256, PS512} {
		k := signer(t, alg).Key()
		k.ID = fmt.Sprintf("k%d", i)
		keys = append(keys, k)
	}
	b, err := MarshalJWKS(keys)
	if err != nil {
		t.Fatal(err)
	}
	var raw struct{ Keys []map[string]string }
	if err := json.Unmarshal(b, &raw); err != nil {
		t.Fatal(err)
	}
	for _, j := range raw.Keys {
		for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "k"} {
			if _, ok := j[private]; ok {
				t.Errorf("KEY-06: %s is in the JWK of %s", private, j["alg"])
			}
		}
	}
	got, skipped, err := ParseJWKS(b)
	if err != nil || len(skipped) != 0 || len(got) != len(keys) {
		t.Fatalf("ParseJWKS = %v, %v, %v", got, skipped, err)
	}
	again, _ := MarshalJWKS(got)
	if string(again) != string(b) {
		t.Errorf("read back = %s, want %s", again, b)
	}
	if _, err := signer(t, HS256).Key().JWK(); !errors.Is(err, ErrInvalid) {
		t.Errorf("KEY-06: JWK of a secret = %v, want ErrInvalid", err)
	}
}

// KEY-01, KEY-12, KEY-15, TOK-04
func TestJWKSBadKeys(t *testing.T) {
	const x, y = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"
	const good = `{"kty":"EC","crv":"P-256","kid":"g","x":"` + x + `","y":"` + y + `"}`
	for name, j := range map[string]string{
		"oct":        `{"kty":"oct","kid":"a","alg":"HS256","k":"` + x + `"}`,
		"private":    `{"kty":"EC","crv":"P-256","kid":"a","d":"` + x + `","x":"` + x + `","y":"` + y + `"}`,
		"off curve":  `{"kty":"EC","crv":"P-256","kid":"a","x":"` + x + `","y":"` + x + `"}`,
		"alg curve":  `{"kty":"EC","crv":"P-256","alg":"ES384","kid":"a","x":"` + x + `","y":"` + y + `"}`,
		"no y":       `{"kty":"EC","crv":"P-256","kid":"a","x":"` + x + `"}`,
		"EdDSA":      `{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","kid":"a","x":"` + x + `"}`,
		"OKP short":  `{"kty":"OKP","crv":"Ed25519","kid":"a","x":"AAAA"}`,
		"RSA no alg": `{"kty":"RSA","kid":"a","n":"` + strings.Repeat("_", 342) + `w","e":"AQAB"}`,
		"RSA 1024":   `{"kty":"RSA","alg":"PS256","kid":"a","n":"` + strings.Repeat("_", 172) + `","e":"AQAB"}`,
		"enc":        strings.Replace(good, `"kid":"g"`, `"kid":"a","use":"enc"`, 1),
		"no kid":     strings.Replace(good, `"kid":"g",`, ``, 1),
		"number":     `1`,
		"ML-DSA":     `{"kty":"AKP","alg":"ML-DSA-44","kid":"a","pub":"` + x + `"}`,
		"new kty":    `{"kty":"XYZ","kid":"a","x":{"y":[1]}}`,
		"no kty":     `{"kid":"a","alg":"ES256","crv":"P-256","x":"` + x + `","y":"` + y + `"}`,
		"new crv":    `{"kty":"EC","crv":"secp256k1","alg":"ES256K","kid":"a","x":"` + x + `","y":"` + y + `"}`,
	} {
		keys, skipped, err := ParseJWKS([]byte(`{"keys":[` + j + `,` + good + `]}`))
		if err != nil || len(keys) != 1 || len(skipped) != 1 || keys[0].Alg != ES256 {
			t.Errorf("KEY-01 %s: ParseJWKS = %v, %v, %v, want the good key alone", name, keys, skipped, err)
		}
	}
	for name, s := range map[string]string{
		"KEY-12 twice": `{"keys":[` + good + `,` + good + `]}`,
		"65 keys":      `{"keys":[` + strings.Repeat("1,", 64) + `1]}`,
		"size":         `{"keys":[]}` + strings.Repeat(" ", 256<<10),
		"no keys":      `{}`,
	} {
		if keys, _, err := ParseJWKS([]byte(s)); !errors.Is(err, ErrInvalid) || keys != nil {
			t.Errorf("%s: ParseJWKS = %v, %v, want ErrInvalid", name, keys, err)
		}
	}
}

func FuzzParseJWKS(f *testing.F) {
	b, _ := MarshalJWKS([]Key{signer(f, ES256).Key()})
	f.Add(b)
	for _, g := range load[jwsGroup](f, "json_web_key_test").TestGroups {
		f.Add([]byte(g.Public))
		f.Add([]byte(`{"keys":[` + string(g.Public) + `]}`))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		keys, _, err := ParseJWKS(b)
		if err != nil && keys != nil {
			t.Errorf("keys %v beside error %v", keys, err)
		}
		if err == nil {
			if _, err := MarshalJWKS(keys); err != nil {
				t.Error(err)
			}
		}
	})
}
