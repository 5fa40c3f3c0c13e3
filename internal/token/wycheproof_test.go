package token_test

import (
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/internal/token"
)

type vectors[T any] struct {
	NumberOfTests int
	TestGroups    []T
}

func load[T any](t testing.TB, name string) vectors[T] {
	t.Helper()
	data, err := os.ReadFile("testdata/wycheproof/" + name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	var v vectors[T]
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	if v.NumberOfTests == 0 {
		t.Fatal("no vectors")
	}
	return v
}

type jwsGroup struct {
	Comment         string
	Private, Public json.RawMessage
	Tests           []struct {
		TcID            int
		Comment, Result string
		Jws             any // a string, or an object: the JSON serialization
	}
}

// keysOf reads the keys of a group as a verifier gets them: symmetric keys from the
// configuration, other keys from a key set without private members.
func keysOf(t *testing.T, g jwsGroup) map[string]token.Key {
	t.Helper()
	raw := g.Public
	if len(raw) == 0 {
		raw = g.Private
	}
	var set struct{ Keys []map[string]any }
	if json.Unmarshal(raw, &set) != nil || set.Keys == nil {
		var one map[string]any
		if err := json.Unmarshal(raw, &one); err != nil {
			t.Fatal(err)
		}
		set.Keys = []map[string]any{one}
	}
	keys := make(map[string]token.Key)
	symmetric := 0
	var public []map[string]any
	for _, jwk := range set.Keys {
		if jwk["kty"] != "oct" {
			for _, private := range []string{"d", "p", "q", "dp", "dq", "qi"} {
				delete(jwk, private)
			}
			public = append(public, jwk)
			continue
		}
		symmetric++
		k, _ := jwk["k"].(string)
		alg, _ := jwk["alg"].(string)
		kid, _ := jwk["kid"].(string)
		secret, err := base64.RawURLEncoding.DecodeString(k)
		if err != nil || jwk["use"] == "enc" {
			continue
		}
		if key, err := token.NewKey(kid, token.Alg(alg), secret); err == nil {
			keys[kid] = key
		}
	}
	if symmetric > 0 && len(public) > 0 {
		return nil // TOK-03: the keyring refuses the whole set
	}
	if len(public) == 0 {
		return keys
	}
	data, err := json.Marshal(map[string]any{"keys": public})
	if err != nil {
		t.Fatal(err)
	}
	parsed, _, err := token.ParseJWKS(data)
	if err != nil {
		return nil // KEY-12: ParseJWKS refuses a set with two keys of one id
	}
	for _, k := range parsed {
		keys[k.ID] = k
	}
	return keys
}

// unsupported has the valid vectors that this package refuses on purpose, by their comment.
var unsupported = map[string]string{
	"emptyPayload":                      "a token has claims",
	"Figure13":                          "kid has an @ (TOK-16)",
	"Figure20":                          "kid has an @ (TOK-16)",
	"Figure27":                          "kid has an @ (TOK-16)",
	"InvalidCharacterInsertedInHeader":  "one token has one spelling (TOK-09)",
	"InvalidCharacterInsertedInPayload": "one token has one spelling (TOK-09)",
}

// mislabelled has vectors that are labelled invalid, although they have the same bytes as a
// valid one (base64/ValidMac): their padding got lost.
var mislabelled = map[string]bool{"invalidBase64Padding": true, "invalidBase64PaddingInPayload": true}

// TOK-07: VerifyJWS refuses every invalid vector. It accepts every valid one, except those in
// unsupported.
func TestWycheproofJWS(t *testing.T) {
	for _, name := range []string{"json_web_signature_test", "json_web_key_test", "json_web_crypto_test"} {
		accepted, refused := 0, 0
		for _, g := range load[jwsGroup](t, name).TestGroups {
			keys := keysOf(t, g)
			for _, v := range g.Tests {
				if v.Jws == nil {
					continue // a JWE: see TestWycheproofJWE
				}
				compact, ok := v.Jws.(string)
				if !ok {
					data, err := json.Marshal(v.Jws)
					if err != nil {
						t.Fatal(err)
					}
					compact = string(data) // TOK-28
				}
				_, _, err := token.VerifyUntyped(compact, func(kid string) (token.Key, bool) { k, ok := keys[kid]; return k, ok })
				switch {
				case err == nil && (v.Result == "valid" || mislabelled[v.Comment]):
					accepted++
				case err == nil:
					t.Errorf("%s %d (%s, %s): accepted, want a refusal", name, v.TcID, g.Comment, v.Comment)
				case v.Result == "valid" && unsupported[v.Comment] == "":
					t.Errorf("%s %d (%s/%s): %v, want accepted: %.90s", name, v.TcID, g.Comment, v.Comment, err, compact)
				default:
					refused++
				}
			}
		}
		t.Logf("%s: %d accepted, %d refused", name, accepted, refused)
	}
}

// TOK-05: ECDSA signatures in the form of a JWS.
func TestWycheproofECDSA(t *testing.T) {
	type group struct {
		PublicKey struct{ Uncompressed string }
		Tests     []struct {
			TcID                      int
			Comment, Msg, Sig, Result string
		}
	}
	for _, c := range []struct {
		alg   token.Alg
		curve elliptic.Curve
		name  string
	}{
		{token.ES256, elliptic.P256(), "ecdsa_secp256r1_sha256_p1363_test"},
		{token.ES384, elliptic.P384(), "ecdsa_secp384r1_sha384_p1363_test"},
		{token.ES512, elliptic.P521(), "ecdsa_secp521r1_sha512_p1363_test"},
	} {
		t.Run(string(c.alg), func(t *testing.T) {
			t.Parallel()
			for _, g := range load[group](t, c.name).TestGroups {
				public, err := ecdsa.ParseUncompressedPublicKey(c.curve, unhex(t, g.PublicKey.Uncompressed))
				if err != nil {
					t.Fatal(err)
				}
				k, err := token.NewKey("k", c.alg, public)
				if err != nil {
					t.Fatal(err)
				}
				for _, v := range g.Tests {
					if got := k.Verify(unhex(t, v.Msg), unhex(t, v.Sig)); got != (v.Result == "valid") {
						t.Errorf("%d (%s): %v, want %s", v.TcID, v.Comment, got, v.Result)
					}
				}
			}
		})
	}
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestWycheproofEd25519(t *testing.T) {
	type group struct {
		PublicKey struct{ Pk string }
		Tests     []struct {
			TcID                      int
			Comment, Msg, Sig, Result string
		}
	}
	for _, g := range load[group](t, "ed25519_test").TestGroups {
		k, err := token.NewKey("k", token.Ed25519, ed25519.PublicKey(unhex(t, g.PublicKey.Pk)))
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range g.Tests {
			if got := k.Verify(unhex(t, v.Msg), unhex(t, v.Sig)); got != (v.Result == "valid") {
				t.Errorf("%d (%s): %v, want %s", v.TcID, v.Comment, got, v.Result)
			}
		}
	}
}

// JWE-04: the shared secret of a sender's key and ours. A point of another curve, a point that
// is not on the curve and a point of low order are refused. A point on the twist of Curve25519
// ("acceptable") is accepted (RFC 7748 section 5).
func TestWycheproofECDH(t *testing.T) {
	type group struct {
		Tests []struct {
			TcID                    int
			Comment, Result, Shared string
			Flags                   []string
			Public                  json.RawMessage
			Private                 struct{ D string }
		}
	}
	for name, curve := range map[string]ecdh.Curve{"ecdh_secp256r1_webcrypto_test": ecdh.P256(), "x25519_jwk_test": ecdh.X25519()} {
		for _, g := range load[group](t, name).TestGroups {
			for _, v := range g.Tests {
				d, err := base64.RawURLEncoding.DecodeString(v.Private.D)
				if err != nil {
					t.Fatal(err)
				}
				private, err := curve.NewPrivateKey(d)
				if err != nil {
					t.Fatalf("%s %d: %v", name, v.TcID, err)
				}
				shared, ok := token.Agree(private, v.Public)
				if good := v.Result != "invalid" && !slices.Contains(v.Flags, "ZeroSharedSecret"); ok != good || ok && hex.EncodeToString(shared) != v.Shared {
					t.Errorf("%s %d (%s, %s): %x, %v, want %s", name, v.TcID, v.Comment, v.Result, shared, ok, v.Shared)
				}
			}
		}
	}
}

// ECDH-ES+A256KW: only content keys of 256 bits are accepted.
func TestWycheproofKeyWrap(t *testing.T) {
	type group struct {
		KeySize int
		Tests   []struct {
			TcID                          int
			Comment, Key, Msg, Ct, Result string
		}
	}
	tried := 0
	for _, g := range load[group](t, "aes_wrap_test").TestGroups {
		for _, v := range g.Tests {
			if g.KeySize != 256 {
				continue
			}
			key, err := token.Unwrap(unhex(t, v.Key), unhex(t, v.Ct))
			if good := v.Result == "valid" && len(v.Msg) == 2*32; (err == nil) != good || good && hex.EncodeToString(key) != v.Msg {
				t.Errorf("%d (%s, %s): %x, %v, want %s", v.TcID, v.Comment, v.Result, key, err, v.Msg)
			} else if good {
				tried++
			}
		}
	}
	if tried == 0 {
		t.Error("no valid vector was tried")
	}
}

// JWE-01, JWE-05: no vector contains a signed token, so DecryptJWE refuses every vector, without
// a panic, even with the right key. The vectors of our algorithms decrypt with that key.
func TestWycheproofJWE(t *testing.T) {
	type group struct {
		Private struct{ Kty, Crv, D string }
		Tests   []struct {
			TcID                     int
			Comment, Jwe, Pt, Result string
		}
	}
	direct, err := token.NewDirectKey("k", []byte(strings.Repeat("k", 32)))
	if err != nil {
		t.Fatal(err)
	}
	decrypted := 0
	for _, g := range load[group](t, "json_web_encryption_test").TestGroups {
		openers := []*token.Opener{direct}
		if g.Private.Crv == "P-256" {
			d, err := base64.RawURLEncoding.DecodeString(g.Private.D)
			if err != nil {
				t.Fatal(err)
			}
			private, err := ecdh.P256().NewPrivateKey(d)
			if err != nil {
				t.Fatal(err)
			}
			for _, opener := range []func(string, *ecdh.PrivateKey) (*token.Opener, error){token.NewAgreementKey, token.NewWrappingKey} {
				o, err := opener("k", private)
				if err != nil {
					t.Fatal(err)
				}
				openers = append(openers, o)
			}
		}
		for _, v := range g.Tests {
			for _, o := range openers {
				inner, err := token.DecryptJWE(v.Jwe, "at+jwt", func(string) (*token.Opener, bool) { return o, true })
				if err == nil || inner != "" {
					t.Errorf("%d (%s): opened", v.TcID, v.Comment)
				}
				text, ok := token.Decrypt(o, v.Jwe)
				if ok && (v.Result != "valid" || hex.EncodeToString(text) != v.Pt) {
					t.Errorf("%d (%s, %s): decrypted to %x", v.TcID, v.Comment, v.Result, text)
				}
				if ok {
					decrypted++
				}
			}
		}
	}
	if decrypted != 2 { // ECDH-ES and ECDH-ES+A256KW, each with A256GCM
		t.Errorf("%d vectors were decrypted, want 2", decrypted)
	}
}
