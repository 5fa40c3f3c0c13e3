package inspect

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// testKeys are one key of each kind, as PEM. The secrets are of the length that is asked for.
func testKeys(t *testing.T) map[string]*Keys {
	t.Helper()
	made := map[string]*Keys{}
	add := func(name string, private any, err error) {
		if err != nil {
			t.Fatal(err)
		}
		der, err := x509.MarshalPKCS8PrivateKey(private)
		if err != nil {
			t.Fatal(err)
		}
		k, err := ParseKeys(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
		if err != nil {
			t.Fatal(err)
		}
		made[name] = k
	}
	for _, c := range []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		key, err := ecdsa.GenerateKey(c, rand.Reader)
		add(c.Params().Name, key, err)
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	add("RSA", key, err)
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	add("Ed25519", ed, err)
	for _, n := range []int{16, 24, 32, 48, 64} {
		secret := make([]byte, n)
		rand.Read(secret)
		made["secret "+strings.Repeat("x", n)] = Secret(secret)
	}
	return made
}

// keyFor is the key that is made for an algorithm.
func keyFor(keys map[string]*Keys, alg, enc string) *Keys {
	size := contentSizes[enc]
	if n := secretSizes[alg]; n != 0 {
		size = n
	}
	switch {
	case strings.HasPrefix(alg, "HS"):
		return keys["secret "+strings.Repeat("x", 64)]
	case strings.HasPrefix(alg, "RS"), strings.HasPrefix(alg, "PS"):
		return keys["RSA"]
	case alg == "ES384":
		return keys["P-384"]
	case alg == "ES512":
		return keys["P-521"]
	case alg == "ES256", strings.HasPrefix(alg, "ECDH"):
		return keys["P-256"]
	case alg == "Ed25519", alg == "EdDSA":
		return keys["Ed25519"]
	case strings.HasPrefix(alg, "PBES2"):
		size = 32
	}
	return keys["secret "+strings.Repeat("x", size)]
}

// What is signed with each algorithm is verified with its key, and with no other.
func TestSignVerify(t *testing.T) {
	keys := testKeys(t)
	for _, alg := range SignatureAlgorithms() {
		own := keyFor(keys, alg, "")
		text, err := Sign([]byte(baseClaims), SignOptions{Key: own.List[0], Alg: alg, Type: "at+jwt", ID: "k1"})
		if err != nil {
			t.Errorf("%s: %v", alg, err)
			continue
		}
		o := VerifyOptions{Keys: own, Issuer: "https://issuer.example", Audience: "https://api.example", Type: "at+jwt", Now: time.Unix(now, 0)}
		if v, err := Verify(text, o); err != nil || !v.Valid || string(v.Claims) != baseClaims {
			t.Errorf("%s: Verify = %+v, %v", alg, v, err)
		}
		for name, other := range keys {
			if other == own {
				continue
			}
			o.Keys = other
			if v, err := Verify(text, o); err != nil || v.Valid || v.Claims != nil {
				t.Errorf("%s with %s: Verify = %+v, %v", alg, name, v, err)
			}
		}
		broken := text[:len(text)-4] + "AAAA"
		o.Keys = own
		if v, err := Verify(broken, o); err == nil && v.Valid {
			t.Errorf("%s: a broken signature is good", alg)
		}
	}
}

func TestEncryptDecrypt(t *testing.T) {
	keys := testKeys(t)
	inner := signed(baseHeader, baseClaims)
	for _, alg := range KeyAlgorithms() {
		for _, enc := range ContentAlgorithms() {
			own := keyFor(keys, alg, enc)
			o := EncryptOptions{Key: own.List[0], Alg: alg, Enc: enc, ID: "k1", Rounds: 1000}
			text, err := Encrypt([]byte(inner), o)
			if alg == "RSA1_5" || slices.Contains(decryptOnly, alg) {
				if err == nil {
					t.Errorf("it encrypts with %s", alg)
				}
				continue
			}
			if err != nil {
				t.Errorf("%s, %s: %v", alg, enc, err)
				continue
			}
			d, err := Decrypt(text, own)
			if err != nil || string(d.Text) != inner || d.Alg != alg || d.Enc != enc {
				t.Errorf("%s, %s: Decrypt = %+v, %v", alg, enc, d, err)
			}
		}
	}
}

// A weak secret is not signed with, and neither is a public key taken for one.
func TestSignRefuses(t *testing.T) {
	keys := testKeys(t)
	public := keys["P-256"].List[0]
	if err := public.set(publicHalf(public.value)); err != nil {
		t.Fatal(err)
	}
	public.Private = false
	for name, o := range map[string]SignOptions{
		"none":             {Key: keys["P-256"].List[0], Alg: "none"},
		"a short secret":   {Key: Secret([]byte("short")).List[0]},
		"a known secret":   {Key: Secret([]byte("a-valid-string-secret-that-is-at-least-512-bits-long-which-is-very-long")).List[0]},
		"a public key":     {Key: public},
		"alg of another":   {Key: keys["P-256"].List[0], Alg: "ES384"},
		"HS256 with RSA":   {Key: keys["RSA"].List[0], Alg: "HS256"},
		"two alg":          {Key: keys["P-256"].List[0], Header: json.RawMessage(`{"alg":"none"}`)},
		"header is a list": {Key: keys["P-256"].List[0], Header: json.RawMessage(`[]`)},
	} {
		if text, err := Sign([]byte(baseClaims), o); err == nil {
			t.Errorf("%s: signed %s", name, text)
		}
	}
	if _, err := Sign([]byte(`{"sub":"a","sub":"b"}`), SignOptions{Key: keys["P-256"].List[0]}); err == nil {
		t.Error("it signs claims with two sub")
	}
}

// JWE-02, JWE-03: too many rounds are refused before the first, and a bomb does not inflate.
func TestDecryptRefuses(t *testing.T) {
	head := `{"alg":"PBES2-HS256+A128KW","enc":"A256GCM","p2s":"c2FsdHNhbHQ","p2c":1000001}`
	_, err := Decrypt(jwe(head), Secret([]byte("correct horse")))
	if err == nil || !strings.Contains(err.Error(), "rounds") {
		t.Errorf("a million and one rounds: %v", err)
	}
	recipient := `{"header":{"alg":"PBES2-HS256+A128KW","p2s":"c2FsdHNhbHQ","p2c":600000},"encrypted_key":"AAAA"}`
	general := `{"protected":"` + b64(`{"enc":"A256GCM"}`) + `","recipients":[` + recipient + "," + recipient + `],"iv":"AAAA","ciphertext":"AAAA","tag":"AAAA"}`
	if _, err := Decrypt(general, Secret([]byte("correct horse"))); err == nil || !strings.Contains(err.Error(), "rounds") {
		t.Errorf("two recipients with 600000 rounds each: %v", err)
	}
}

// RFC 7516 section 5.2 step 10: dir has no encrypted key, and A128KW has one.
func TestDecryptWantsTheKeyOfItsAlgorithm(t *testing.T) {
	secret := Secret([]byte("0123456789abcdeF"))
	for _, alg := range []string{"dir", "A128KW"} {
		text, err := Encrypt([]byte("text"), EncryptOptions{Key: secret.List[0], Alg: alg, Enc: "A128GCM"})
		if err != nil {
			t.Fatal(err)
		}
		parts := strings.Split(text, ".")
		if parts[1] = ""; alg == "dir" {
			parts[1] = "AAAA"
		}
		if d, err := Decrypt(strings.Join(parts, "."), secret); !errors.Is(err, ErrUndecrypted) || d.Text != nil {
			t.Errorf("%s: Decrypt = %+v, %v", alg, d, err)
		}
	}
}

func TestThumbprint(t *testing.T) { // RFC 7638 section 3.1, RFC 8037 appendix A.3
	for jwk, want := range map[string]string{
		rfc7638Key: "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs",
		`{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`: "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k",
	} {
		k, err := ParseKeys([]byte(jwk))
		if err != nil || k.List[0].Thumbprint != want {
			t.Errorf("%s: %+v, %v", jwk, k, err)
		}
	}
}

const rfc7638Key = `{"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"AQAB","alg":"RS256","kid":"2011-04-29"}`

// RSA1_5 is decrypted, and called unsafe.
func TestDecryptWithUnsafePadding(t *testing.T) {
	keys := testKeys(t)
	e, err := jose.NewEncrypter(jose.A128GCM, jose.Recipient{Algorithm: jose.RSA1_5, Key: publicHalf(keys["RSA"].List[0].value)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := e.Encrypt([]byte("text"))
	if err != nil {
		t.Fatal(err)
	}
	compact, err := sealed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	d, err := Decrypt(compact, keys["RSA"])
	if err != nil || string(d.Text) != "text" || len(d.Warnings) == 0 || !strings.Contains(d.Warnings[0], "unsafe") {
		t.Errorf("Decrypt = %+v, %v", d, err)
	}
}
