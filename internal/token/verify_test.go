package token_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"errors"
	"math/big"
	"slices"
	"strings"
	"sync"
	"testing"

	. "github.com/counterfoil/counterfoil/internal/token"
)

var allAlgs = []Alg{ES256, ES384, ES512, Ed25519, RS256, RS384, RS512, PS256, PS384, PS512, HS256, HS384, HS512}

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

func unb64(s string) []byte {
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

func only(k Key) func(string) (Key, bool) {
	return func(kid string) (Key, bool) { return k, kid == k.ID }
}

// rsaKey is generated once, because that is slow.
var rsaKey = sync.OnceValue(func() any {
	k, err := GenerateKey(RS256)
	if err != nil {
		panic(err)
	}
	return k
})

func signer(t testing.TB, alg Alg) *Signer {
	t.Helper()
	var priv any
	var err error
	if strings.HasPrefix(string(alg), "RS") || strings.HasPrefix(string(alg), "PS") {
		priv = rsaKey()
	} else if priv, err = GenerateKey(alg); err != nil {
		t.Fatal(err)
	}
	s, err := NewSigner("k1", alg, priv)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func mustSign(t testing.TB, s *Signer) string {
	t.Helper()
	tok, err := s.Sign("at+jwt", []byte(`{"iss":"i","sub":"s","exp":1}`))
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

func refused(t *testing.T, name, tok string, k Key) {
	t.Helper()
	p, kid, err := VerifyJWS(tok, "at+jwt", only(k))
	if !errors.Is(err, ErrInvalid) || p != "" || kid != "" {
		t.Errorf("%s: VerifyJWS = %q, %q, %v, want ErrInvalid", name, p, kid, err)
	}
}

func TestRoundTrip(t *testing.T) {
	if !slices.Equal(slices.Sorted(slices.Values(allAlgs)), Algorithms()) {
		t.Errorf("allAlgs are %q, want %q", allAlgs, Algorithms())
	}
	for _, alg := range allAlgs {
		s := signer(t, alg)
		tok := mustSign(t, s)
		p, kid, err := VerifyJWS(tok, "application/AT+JWT", only(s.Key()))
		if err != nil || kid != "k1" || string(p) != `{"iss":"i","sub":"s","exp":1}` {
			t.Errorf("%s: VerifyJWS = %s, %s, %v", alg, p, kid, err)
		}
		h := string(unb64(tok[:strings.IndexByte(tok, '.')]))
		if want := `{"alg":"` + string(alg) + `","kid":"k1","typ":"at+jwt"}`; h != want {
			t.Errorf("header = %s, want %s", h, want)
		}
	}
	if _, err := signer(t, ES256).Sign("at+jwt", make([]byte, MaxSize)); err == nil {
		t.Error("Sign wrote a token above MaxSize")
	}
}

// TOK-01, TOK-11, TOK-12, TOK-13, TOK-15, TOK-16, TOK-18, TOK-19: each header is signed with the
// right key, so that only the header can be the reason for the refusal.
func TestHeaderRefused(t *testing.T) {
	k, sign := headerSigner(t)
	for _, good := range []string{
		`{"alg":"Ed25519","kid":"k1","typ":"at+jwt"}`,
		`{"typ":"application/at+jwt","kid":"k1","alg":"Ed25519","x":"y","cty":"JSON"}`,
	} {
		if _, _, err := VerifyJWS(sign(good), "at+jwt", only(k)); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	const base = `"kid":"k1","typ":"at+jwt"`
	const full = `{"alg":"Ed25519",` + base
	for name, h := range map[string]string{
		"TOK-01 none":      `{"alg":"none",` + base + `}`,
		"TOK-01 NONE":      `{"alg":"NONE",` + base + `}`,
		"TOK-01 empty":     `{"alg":"",` + base + `}`,
		"TOK-01 absent":    `{` + base + `}`,
		"TOK-01 null":      `{"alg":null,` + base + `}`,
		"TOK-01 array":     `{"alg":["Ed25519"],` + base + `}`,
		"TOK-01 case":      `{"alg":"ed25519",` + base + `}`,
		"TOK-04 EdDSA":     `{"alg":"EdDSA",` + base + `}`,
		"TOK-11 twice":     full + `,"alg":"none"}`,
		"TOK-11 escaped":   full + `,"\u0061lg":"none"}`,
		"TOK-12 ALG":       `{"ALG":"Ed25519",` + base + `}`,
		"TOK-12 Kelvin":    "{\"alg\":\"Ed25519\",\"\u212aid\":\"k1\",\"typ\":\"at+jwt\"}",
		"TOK-13 utf8":      full + ",\"x\":\"\xff\"}",
		"TOK-13 surrogate": full + `,"x":"\ud800"}`,
		"TOK-13 BOM":       "\ufeff" + full + `}`,
		"TOK-13 trailing":  full + `}{}`,
		"TOK-14 header":    full + `,"x":"` + strings.Repeat("a", MaxHeaderSize) + `"}`,
		"TOK-15 jku":       full + `,"jku":"https://a"}`,
		"TOK-15 x5u":       full + `,"x5u":"https://a"}`,
		"TOK-15 jwk":       full + `,"jwk":{"kty":"OKP"}}`,
		"TOK-15 x5c":       full + `,"x5c":[]}`,
		"TOK-16 path":      `{"alg":"Ed25519","kid":"../../dev/null","typ":"at+jwt"}`,
		"TOK-16 absent":    `{"alg":"Ed25519","typ":"at+jwt"}`,
		"TOK-16 array":     `{"alg":"Ed25519","kid":["k1"],"typ":"at+jwt"}`,
		"TOK-16 long":      `{"alg":"Ed25519","kid":"` + strings.Repeat("k", 65) + `","typ":"at+jwt"}`,
		"TOK-16 unknown":   `{"alg":"Ed25519","kid":"k2","typ":"at+jwt"}`,
		"TOK-18 crit":      full + `,"crit":["x"]}`,
		"TOK-18 empty":     full + `,"crit":[]}`,
		"TOK-18 b64":       full + `,"b64":false}`,
		"TOK-18 both":      full + `,"crit":["b64"],"b64":false}`,
		"TOK-19 JWT":       `{"alg":"Ed25519","kid":"k1","typ":"JWT"}`,
		"TOK-19 absent":    `{"alg":"Ed25519","kid":"k1"}`,
		"TOK-19 prefix":    `{"alg":"Ed25519","kid":"k1","typ":"x/at+jwt"}`,
		"number member":    full + `,"x":1}`,
	} {
		refused(t, name, sign(h), k)
	}
	if _, _, err := VerifyJWS(sign(full+"}"), "", only(k)); err == nil {
		t.Error("TOK-19: an empty typ matched")
	}
}

// headerSigner returns a key, and a function that signs a token with any header.
func headerSigner(t *testing.T) (k Key, sign func(header string) string) {
	t.Helper()
	_, priv, _ := ed25519.GenerateKey(nil)
	k, err := NewKey("k1", Ed25519, priv.Public())
	if err != nil {
		t.Fatal(err)
	}
	return k, func(header string) string {
		in := b64(header) + "." + b64(`{"a":1}`)
		return in + "." + b64(string(ed25519.Sign(priv, []byte(in))))
	}
}

// TOK-02: a public key, in any encoding, does not verify an HMAC.
func TestAlgConfusion(t *testing.T) {
	priv, _ := GenerateKey(ES256)
	pub := &priv.(*ecdsa.PrivateKey).PublicKey
	k, err := NewKey("k1", ES256, pub)
	if err != nil {
		t.Fatal(err)
	}
	der, _ := x509.MarshalPKIXPublicKey(pub)
	j, _ := k.JWK()
	for _, secret := range [][]byte{der, j, append(j, '\n')} {
		s, err := NewSigner("k1", HS256, secret)
		if err != nil {
			t.Fatal(err)
		}
		refused(t, "TOK-02", mustSign(t, s), k)
	}
	k2 := signer(t, HS256).Key()
	k2.Alg = ES256 // a Key cannot be rebound
	refused(t, "TOK-02 rebound", mustSign(t, signer(t, ES256)), k2)
	if _, err := NewKey("k1", ES384, pub); err == nil {
		t.Error("TOK-04: ES384 took a P-256 key")
	}
}

// TOK-05
func TestECDSASignatureForm(t *testing.T) {
	s := signer(t, ES256)
	tok := mustSign(t, s)
	in, sig, _ := strings.Cut(tok[strings.IndexByte(tok, '.')+1:], ".")
	in = tok[:strings.IndexByte(tok, '.')+1] + in
	raw := unb64(sig)
	der, _ := asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(raw[:32]), new(big.Int).SetBytes(raw[32:])})
	n := elliptic.P256().Params().N.Bytes()
	zero := make([]byte, 32)
	for name, b := range map[string][]byte{
		"zero": make([]byte, 64), "r=0": append(bytes.Clone(zero), raw[32:]...), "s=0": append(bytes.Clone(raw[:32]), zero...),
		"s=n": append(bytes.Clone(raw[:32]), n...), "der": der, "63": raw[:63], "65": append(bytes.Clone(raw), 0), "none": nil,
	} {
		refused(t, "TOK-05 "+name, in+"."+b64(string(b)), s.Key())
	}
}

// TOK-08, TOK-09, TOK-10, TOK-14
func TestCompactForm(t *testing.T) {
	s := signer(t, Ed25519)
	tok := mustSign(t, s)
	for _, c := range []string{"\n", "\r", " ", "=", "+", "/", "%2e", "\x00", "é"} {
		for _, at := range []int{0, 5, strings.IndexByte(tok, '.'), len(tok)} {
			refused(t, "TOK-09", tok[:at]+c+tok[at:], s.Key())
		}
	}
	for _, bad := range []string{"", ".", "..", "...", tok + ".", "." + tok, tok + "." + tok, `{"payload":""}`, tok + strings.Repeat("A", MaxSize)} {
		refused(t, "TOK-08", bad, s.Key())
	}
	// 64 bytes leave four unused bits in the last character.
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, tok[len(tok)-1])
	refused(t, "TOK-10", tok[:len(tok)-1]+string(alphabet[last+1]), s.Key())
	dots := strings.Repeat(".", 1<<20)
	if n := testing.AllocsPerRun(10, func() { VerifyJWS(dots, "at+jwt", only(s.Key())) }); n > 10 {
		t.Errorf("TOK-08: %v allocations for a megabyte of dots", n)
	}
}

// RFC 7515 A.3 and RFC 8037 A.4; their headers lack kid and typ.
func TestPublishedSignatures(t *testing.T) {
	es, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append(append([]byte{4},
		unb64("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU")...), unb64("x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0")...))
	if err != nil {
		t.Fatal(err)
	}
	k1, err1 := NewKey("k", ES256, es)
	k2, err2 := NewKey("k", Ed25519, ed25519.PublicKey(unb64("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")))
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	if !k1.Verify([]byte("eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"),
		unb64("DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q")) {
		t.Error("RFC 7515 A.3 does not verify")
	}
	if !k2.Verify([]byte("eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc"),
		unb64("hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg")) {
		t.Error("RFC 8037 A.4 does not verify")
	}
}

func FuzzVerifyJWS(f *testing.F) {
	s := signer(f, HS256)
	good := mustSign(f, s)
	f.Add(good)
	f.Add("..")
	for _, g := range load[jwsGroup](f, "json_web_signature_test").TestGroups {
		for _, v := range g.Tests {
			if compact, ok := v.Jws.(string); ok {
				f.Add(compact)
			}
		}
	}
	anyKid := func(kid string) (Key, bool) { k := s.Key(); k.ID = kid; return k, true }
	f.Fuzz(func(t *testing.T, tok string) {
		p, _, err := VerifyJWS(tok, "at+jwt", anyKid)
		if (err == nil) != (p != "") {
			t.Errorf("payload %q beside error %v", p, err)
		}
		if err == nil && tok != good {
			t.Errorf("%q was never signed", tok)
		}
	})
}

// KEY-01
func TestRSALimits(t *testing.T) {
	n := rsaKey().(*rsa.PrivateKey).N
	for name, p := range map[string]*rsa.PublicKey{
		"e=1": {N: n, E: 1}, "e=3": {N: n, E: 3}, "even": {N: n, E: 65538}, "1024": {N: new(big.Int).Rsh(n, 2048), E: 65537},
		"9000": {N: new(big.Int).Lsh(n, 6000), E: 65537}, "nil": nil,
	} {
		if _, err := NewKey("k", PS256, p); !errors.Is(err, ErrInvalid) {
			t.Errorf("KEY-01 %s: NewKey = %v, want ErrInvalid", name, err)
		}
	}
	if _, err := NewKey("k", HS256, make([]byte, 31)); err == nil {
		t.Error("a secret of 31 bytes was taken")
	}
}

// TOK-09, TOK-10: decode accepts the canonical spelling, and no other.
func TestOneSpelling(t *testing.T) {
	for size := range 20 { // more than two of the eights of characters that are read at a time
		raw := make([]byte, size)
		rand.Read(raw)
		text := base64.RawURLEncoding.EncodeToString(raw)
		if got, err := Decode(text); err != nil || !bytes.Equal(got, raw) {
			t.Fatalf("Decode(%q) = %x, %v, want %x", text, got, err, raw)
		}
		for i := range text { // every other byte in every place
			for c := range 256 {
				other := text[:i] + string([]byte{byte(c)}) + text[i+1:]
				if got, err := Decode(other); err == nil && base64.RawURLEncoding.EncodeToString(got) != other {
					t.Fatalf("Decode(%q) = %x, whose canonical spelling is another text", other, got)
				}
			}
		}
	}
	for _, bad := range []string{"A", "AAAAA", "AA=", "AA==", "AAA=", "AA\n", "A\r\nA", "AA A", "é"} {
		if got, err := Decode(bad); !errors.Is(err, ErrInvalid) || got != nil {
			t.Errorf("Decode(%q) = %x, %v, want ErrInvalid", bad, got, err)
		}
	}
}

// TOK-19: a cached header belongs to the kind of token for which it was accepted.
func TestCachedHeaderKeepsItsKind(t *testing.T) {
	s := signer(t, ES256)
	tok := mustSign(t, s)
	for range 2 {
		if _, _, err := VerifyJWS(tok, "at+jwt", only(s.Key())); err != nil {
			t.Fatal(err)
		}
		if _, _, err := VerifyJWS(tok, "logout+jwt", only(s.Key())); !errors.Is(err, ErrInvalid) {
			t.Errorf("VerifyJWS as another kind = %v, want ErrInvalid", err)
		}
	}
	refused(t, "TOK-01", tok, signer(t, Ed25519).Key()) // cached header, another key with the same kid
}
