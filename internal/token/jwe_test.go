package token_test

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	. "github.com/counterfoil/counterfoil/internal/token"
)

func openers(t testing.TB) (direct, p256, x *Opener) {
	t.Helper()
	a, _ := ecdh.P256().GenerateKey(rand.Reader)
	b, _ := ecdh.X25519().GenerateKey(rand.Reader)
	var errs [3]error
	direct, errs[0] = NewDirectKey("e1", make([]byte, 32))
	p256, errs[1] = NewAgreementKey("e1", a)
	x, errs[2] = NewAgreementKey("e1", b)
	if errs != [3]error{} {
		t.Fatal(errs)
	}
	return direct, p256, x
}

func open(o *Opener) func(string) (*Opener, bool) {
	return func(kid string) (*Opener, bool) { return o, kid == "e1" }
}

// derive is the Derive of one maker of tokens.
func derive(label string) []byte {
	sum := sha256.Sum256([]byte("maker" + label))
	return sum[:]
}

// encrypt returns a JWE that o opens.
func encrypt(t testing.TB, o *Opener, typ string) string {
	t.Helper()
	r, err := o.Recipient()
	if err != nil {
		t.Fatal(err)
	}
	tok, err := EncryptTo(r, derive, typ, "a.b.c")
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

func TestJWERoundTrip(t *testing.T) {
	private, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	direct, p256, x := openers(t)
	d, err0 := EncryptDirect(direct, "cf+jwt", "a.b.c")
	wrapping, err1 := NewWrappingKey("e1", private)
	if err := errors.Join(err0, err1); err != nil {
		t.Fatal(err)
	}
	all := []*Opener{direct, p256, x, wrapping}
	for i, tok := range []string{d, encrypt(t, p256, "cf+jwt"), encrypt(t, x, "cf+jwt"), encrypt(t, wrapping, "cf+jwt")} {
		for j, o := range all { // TOK-02: each key opens its own algorithm only
			got, err := DecryptJWE(tok, "cf+jwt", open(o))
			if (err == nil) != (i == j) || i == j && got != "a.b.c" {
				t.Errorf("DecryptJWE(%d, key %d) = %q, %v", i, j, got, err)
			}
		}
		if _, err := DecryptJWE(tok, "other", open(all[i])); err == nil { // JWE-12
			t.Error("typ of another purpose was taken")
		}
	}
	if _, err := EncryptDirect(direct, "cf+jwt", d); err == nil {
		t.Error("JWE-08: a JWE was nested")
	}
}

// JWE-01, JWE-02, JWE-03, JWE-04, JWE-05, JWE-06, JWE-08, JWE-09, and JWE-10: every refusal is
// the same error.
func TestJWERefused(t *testing.T) {
	direct, p256, x := openers(t)
	block, _ := aes.NewCipher(make([]byte, 32))
	gcm, _ := cipher.NewGCM(block)
	iv := make([]byte, 12)
	seal := func(h, ek, inner string) string {
		h = b64(h)
		ct := string(gcm.Seal(nil, iv, []byte(inner), []byte(h)))
		n := len(ct) - 16
		return strings.Join([]string{h, ek, b64(string(iv)), b64(ct[:n]), b64(ct[n:])}, ".")
	}
	const rest = `"kid":"e1","typ":"cf+jwt","cty":"JWT"`
	const ok = `{"alg":"dir","enc":"A256GCM",` + rest
	if _, err := DecryptJWE(seal(ok+"}", "", "a.b.c"), "cf+jwt", open(direct)); err != nil {
		t.Fatal(err)
	}
	good := seal(ok+"}", "", "a.b.c")
	p := strings.Split(good, ".")
	zero := b64(string(make([]byte, 32)))
	cases := map[string]string{
		"JWE-02 p2c":       seal(ok+`,"p2c":2147483647}`, "", "a.b.c"),
		"JWE-03 zip":       seal(ok+`,"zip":"DEF"}`, "", "a.b.c"),
		"TOK-18 crit":      seal(ok+`,"crit":["x"]}`, "", "a.b.c"),
		"JWE-05 short tag": strings.Join([]string{p[0], p[1], p[2], p[3], p[4][:16]}, "."),
		"JWE-05 short iv":  strings.Join([]string{p[0], p[1], "AAAA", p[3], p[4]}, "."),
		"JWE-05 no tag":    strings.Join([]string{p[0], p[1], p[2], p[3], ""}, "."),
		"JWE-06 claims":    seal(ok+"}", "", `{"sub":"s"}`),
		"JWE-06 no cty":    seal(`{"alg":"dir","enc":"A256GCM","kid":"e1","typ":"cf+jwt"}`, "", "a.b.c"),
		"JWE-08 nested":    seal(ok+"}", "", good),
		"JWE-09 key":       seal(ok+"}", "AAAA", "a.b.c"),
		"JWE-04 X25519 0":  seal(`{"alg":"ECDH-ES","enc":"A256GCM",`+rest+`,"epk":{"kty":"OKP","crv":"X25519","x":"`+zero+`"}}`, "", "a.b.c"),
		"JWE-04 off curve": seal(`{"alg":"ECDH-ES","enc":"A256GCM",`+rest+`,"epk":{"kty":"EC","crv":"P-256","x":"`+zero+`","y":"`+zero+`"}}`, "", "a.b.c"),
		"JWE-04 no epk":    seal(`{"alg":"ECDH-ES","enc":"A256GCM",`+rest+`}`, "", "a.b.c"),
		"empty":            "....",
	}
	for _, alg := range []string{"RSA1_5", "RSA-OAEP", "PBES2-HS256+A128KW", "A256KW", "A256GCMKW", "ECDH-ES+A256KW", "none", ""} {
		cases["JWE-01 "+alg] = seal(`{"alg":"`+alg+`","enc":"A256GCM",`+rest+`}`, "", "a.b.c")
	}
	for _, enc := range []string{"A128CBC-HS256", "A256CBC-HS512", "A128GCM", ""} {
		cases["JWE-01 "+enc] = seal(`{"alg":"dir","enc":"`+enc+`",`+rest+`}`, "", "a.b.c")
	}
	for name, tok := range cases {
		for _, o := range []*Opener{direct, p256, x} {
			inner, err := DecryptJWE(tok, "cf+jwt", open(o))
			if err == nil || inner != "" || err.Error() != "invalid token: encrypted token" {
				t.Errorf("%s: DecryptJWE = %q, %v, want the one error", name, inner, err)
			}
		}
	}
}

// JWE-09: a wrapped key of another size or with other contents is refused with the same error.
func TestWrappedKeyRefused(t *testing.T) {
	private, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	o, err := NewWrappingKey("e1", private)
	if err != nil {
		t.Fatal(err)
	}
	good := encrypt(t, o, "t")
	p := strings.Split(good, ".")
	for _, key := range []string{"", "AAAA", p[1][:42], p[1] + "AAAA", b64(string(make([]byte, 40)))} {
		tok := strings.Join([]string{p[0], key, p[2], p[3], p[4]}, ".")
		if inner, err := DecryptJWE(tok, "t", open(o)); err == nil || inner != "" {
			t.Errorf("JWE-09: DecryptJWE with the key %q = %q, %v", key, inner, err)
		}
	}
}

// RFC 3394 section 4.6.
func TestWrap(t *testing.T) {
	kek, _ := hex.DecodeString("000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F")
	key, _ := hex.DecodeString("00112233445566778899AABBCCDDEEFF000102030405060708090A0B0C0D0E0F")
	const want = "28c9f404c4b810f4cbccb35cfb87f8263f5786e2d80ed326cbc7f0e71a99f43bfb988b9b7a02dd21"
	got, err := Wrap(kek, key)
	if err != nil || hex.EncodeToString(got) != want {
		t.Errorf("Wrap = %x, %v, want %s", got, err, want)
	}
	if back, err := Unwrap(kek, got); err != nil || string(back) != string(key) {
		t.Errorf("Unwrap = %x, %v", back, err)
	}
}

// RFC 7518 appendix C.
func TestConcatKDF(t *testing.T) {
	a, err := ecdh.P256().NewPrivateKey(unb64("0_NxaRPUMQoAJt50Gz8YiTr8gRTwyEaCumd-MToTmIo"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := ecdh.P256().NewPublicKey(append(append([]byte{4},
		unb64("weNJy2HscCSM6AEDTDg04biOvhFhyyWvOHQfeF_PxMQ")...), unb64("e8lnCO-AlStT-NJVX-crhB7QRYhiix03illJOVAOyck")...))
	if err != nil {
		t.Fatal(err)
	}
	z, _ := a.ECDH(b)
	if got := b64(string(ConcatKDF(z, "A128GCM", []byte("Alice"), []byte("Bob"), 16))); got != "VqqN6vgjbSBcIijNcacQGg" {
		t.Errorf("ConcatKDF = %s", got)
	}
}

func FuzzDecryptJWE(f *testing.F) {
	direct, p256, _ := openers(f)
	a, _ := EncryptDirect(direct, "t", "a.b.c")
	f.Add(a)
	f.Add(encrypt(f, p256, "t"))
	for _, g := range load[struct{ Tests []struct{ Jwe string } }](f, "json_web_encryption_test").TestGroups {
		for _, v := range g.Tests {
			f.Add(v.Jwe)
		}
	}
	f.Fuzz(func(t *testing.T, tok string) {
		for _, o := range []*Opener{direct, p256} {
			if inner, err := ReopenJWE(tok, "t", derive); err != nil && inner != "" || err == nil && ShapeOf(inner) != ShapeJWT {
				t.Errorf("ReopenJWE = %q, %v", inner, err)
			}
			if inner, err := DecryptJWE(tok, "t", open(o)); err != nil && inner != "" || err == nil && ShapeOf(inner) != ShapeJWT {
				t.Errorf("DecryptJWE = %q, %v", inner, err)
			}
		}
	})
}
