package inspect

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"
)

// jwkOf is a public key as a JWK, with more members.
func jwkOf(t *testing.T, k Key, more string) string {
	t.Helper()
	switch p := publicHalf(k.value).(type) {
	case *ecdsa.PublicKey:
		raw, err := p.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		n := (len(raw) - 1) / 2
		return `{"kty":"EC","crv":"` + p.Curve.Params().Name + `","x":"` + b64(string(raw[1:1+n])) + `","y":"` + b64(string(raw[1+n:])) + `"` + more + `}`
	case ed25519.PublicKey:
		return `{"kty":"OKP","crv":"Ed25519","x":"` + b64(string(p)) + `"` + more + `}`
	}
	t.Fatalf("%s has no JWK here", k.Type)
	return ""
}

// Key sets as issuers publish them: without alg, with any kid or none, with keys that are not
// known beside the one that is meant. Each key that was not used has a reason.
func TestKeySetsInTheWild(t *testing.T) {
	keys := testKeys(t)
	ec, other, ed := keys["P-256"].List[0], keys["P-384"].List[0], keys["Ed25519"].List[0]
	token := func(key Key, alg, kid, claims string) string {
		t.Helper()
		text, err := Sign([]byte(claims), SignOptions{Key: key, Alg: alg, Type: "JWT", ID: kid})
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	const akp = `{"kty":"AKP","alg":"ML-DSA-65","kid":"pq","pub":"AAAA"}`
	const odd = "https://issuer.example/keys#1 (old)/+="
	fraction := with(baseClaims, `exp=1750000300.25`)
	for name, c := range map[string]struct {
		set, token string
		valid      bool
		skipped    string // a reason that is given
	}{
		"no alg, no kid":           {`{"keys":[` + jwkOf(t, ec, "") + `]}`, token(ec, "", "", baseClaims), true, ""},
		"kid in the token only":    {`{"keys":[` + jwkOf(t, ec, "") + `]}`, token(ec, "", "k1", baseClaims), true, ""},
		"kid in the set only":      {`{"keys":[` + jwkOf(t, ec, `,"kid":"k1"`) + `]}`, token(ec, "", "", baseClaims), true, ""},
		"any kid":                  {`{"keys":[` + jwkOf(t, ec, `,"kid":"`+odd+`"`) + `]}`, token(ec, "", odd, baseClaims), true, ""},
		"another kid":              {`{"keys":[` + jwkOf(t, ec, `,"kid":"k2"`) + `]}`, token(ec, "", "k1", baseClaims), false, "names another kid"},
		"another kid, a lone key":  {jwkOf(t, ec, `,"kid":"k2"`), token(ec, "", "k1", baseClaims), true, ""},
		"EdDSA":                    {`{"keys":[` + jwkOf(t, ed, `,"alg":"EdDSA"`) + `]}`, token(ed, "Ed25519", "", baseClaims), true, ""},
		"Ed25519":                  {`{"keys":[` + jwkOf(t, ed, `,"alg":"Ed25519"`) + `]}`, token(ed, "EdDSA", "", baseClaims), true, ""},
		"ML-DSA beside it":         {`{"keys":[` + akp + "," + jwkOf(t, ec, "") + `]}`, token(ec, "", "", baseClaims), true, "ML-DSA"},
		"secp256k1 beside it":      {`{"keys":[{"kty":"EC","crv":"secp256k1","x":"AAAA","y":"AAAA"},` + jwkOf(t, ec, "") + `]}`, token(ec, "", "", baseClaims), true, "secp256k1"},
		"another curve beside it":  {`{"keys":[` + jwkOf(t, other, "") + "," + jwkOf(t, ec, "") + `]}`, token(ec, "", "", baseClaims), true, "wants a key on P-256"},
		"for encryption":           {`{"keys":[` + jwkOf(t, ec, `,"use":"enc"`) + `]}`, token(ec, "", "", baseClaims), false, `use is "enc"`},
		"for other operations":     {`{"keys":[` + jwkOf(t, ec, `,"key_ops":["deriveKey"]`) + `]}`, token(ec, "", "", baseClaims), false, "key_ops"},
		"alg of another":           {`{"keys":[` + jwkOf(t, ec, `,"alg":"ES384"`) + `]}`, token(ec, "", "", baseClaims), false, "alg is ES384"},
		"two keys with one kid":    {`{"keys":[` + jwkOf(t, other, `,"kid":"k1"`) + "," + jwkOf(t, ec, `,"kid":"k1"`) + `]}`, token(ec, "", "k1", baseClaims), true, ""},
		"a fraction of a second":   {`{"keys":[` + jwkOf(t, ec, "") + `]}`, token(ec, "", "", fraction), true, ""},
		"exp is a text":            {`{"keys":[` + jwkOf(t, ec, "") + `]}`, token(ec, "", "", with(baseClaims, `exp="1750000300"`)), false, ""},
		"a point beside the curve": {`{"keys":[` + strings.Replace(jwkOf(t, ec, ""), `"y":"`, `"y":"A`, 1) + "," + jwkOf(t, ec, "") + `]}`, token(ec, "", "", baseClaims), true, "no sound EC key"},
	} {
		k, err := ParseKeys([]byte(c.set))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		v, err := Verify(c.token, VerifyOptions{Keys: k, Now: time.Unix(now, 0)})
		if err != nil || v.Valid != c.valid {
			t.Errorf("%s: Verify = %+v, %v", name, v, err)
			continue
		}
		if c.skipped != "" && !slices.ContainsFunc(v.Skipped, func(s Skipped) bool { return strings.Contains(s.Reason, c.skipped) }) {
			t.Errorf("%s: skipped %+v, want one for %q", name, v.Skipped, c.skipped)
		}
	}
}

// A set without a usable key says why for each.
func TestNoUsableKey(t *testing.T) {
	_, err := ParseKeys([]byte(`{"keys":[{"kty":"AKP","alg":"ML-DSA-44","kid":"pq"},{"kid":"x"},7]}`))
	if err == nil || !strings.Contains(err.Error(), "pq: kty AKP") || !strings.Contains(err.Error(), "x: it has no kty") || !strings.Contains(err.Error(), "key 3: it is not") {
		t.Errorf("ParseKeys = %v", err)
	}
	if _, err := ParseKeys([]byte("hunter2")); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("ParseKeys = %v", err)
	}
}

func TestCertificate(t *testing.T) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "signer"}, NotBefore: time.Unix(now-10, 0), NotAfter: time.Unix(now+10, 0)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	var key Key
	if err := key.set(private); err != nil {
		t.Fatal(err)
	}
	text, err := Sign([]byte(`{"sub":"u"}`), SignOptions{Key: key})
	if err != nil {
		t.Fatal(err)
	}
	for name, file := range map[string][]byte{"PEM": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), "DER": der} {
		k, err := ParseKeys(file)
		if err != nil {
			t.Fatal(err)
		}
		for at, valid := range map[int64]bool{now: true, now - 11: false, now + 11: false} {
			if v, err := Verify(text, VerifyOptions{Keys: k, Now: time.Unix(at, 0)}); err != nil || v.Valid != valid {
				t.Errorf("%s at %d: Verify = %+v, %v", name, at, v, err)
			}
		}
	}
}

// If the signature is not good, nothing else counts as passed.
func TestUnsignedIsNotBelieved(t *testing.T) {
	v, err := Verify(signed(baseHeader, baseClaims), VerifyOptions{Keys: testKeys(t)["P-256"], Issuer: "https://issuer.example", Now: time.Unix(now, 0)})
	if err != nil || v.Valid {
		t.Fatalf("Verify = %+v, %v", v, err)
	}
	for _, c := range v.Checks {
		if c.Outcome == Passed && c.Name != "form" {
			t.Errorf("%+v", c)
		}
	}
}

func TestDPoPProof(t *testing.T) {
	key := testKeys(t)["P-256"].List[0]
	make := func(header, claims string) string {
		t.Helper()
		text, err := Sign([]byte(claims), SignOptions{Key: key, Type: "dpop+jwt", Header: json.RawMessage(header)})
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	const claims = `{"htm":"GET","htu":"https://a.test/x","iat":1750000000,"jti":"p"}`
	good := make(`{"jwk":`+jwkOf(t, key, "")+`}`, claims)
	own, ok := ProofKey(good)
	if !ok {
		t.Fatal("the proof brings no key")
	}
	v, err := Verify(good, VerifyOptions{Keys: own, Now: time.Unix(now, 0)})
	if err != nil || !v.Valid || v.Thumbprint != key.Thumbprint {
		t.Errorf("Verify = %+v, %v", v, err)
	}
	d, err := Decode(good, time.Unix(now, 0))
	if err != nil || d.Proof == nil || d.Proof.Thumbprint != key.Thumbprint || d.Proof.Method != "GET" {
		t.Errorf("Decode = %+v, %v", d, err)
	}
	if _, ok := ProofKey(header(`jwk=` + jwkOf(t, key, ""))); ok {
		t.Error("an access token brings its key")
	}
	lacks := make(`{"jwk":`+jwkOf(t, key, "")+`}`, strings.Replace(claims, `"htm":"GET",`, "", 1))
	if v, err := Verify(lacks, VerifyOptions{Keys: own, Now: time.Unix(now, 0)}); err != nil || v.Valid {
		t.Errorf("without htm: Verify = %+v, %v", v, err)
	}
}

// Each kind is recognised by typ, and by its claims.
func TestKinds(t *testing.T) {
	for text, want := range map[string]string{
		signed(baseHeader, baseClaims):                                  "access-token",
		header(`typ="application/at+jwt"`):                              "access-token",
		signed(`{"alg":"ES256"}`, `{"nonce":"n"}`):                      "id-token",
		signed(`{"alg":"ES256"}`, `{"events":{"`+logoutEvent+`":{}}}`):  "logout-token",
		signed(`{"alg":"ES256"}`, `{"events":{"x":{}}}`):                "security-event",
		signed(`{"alg":"ES256"}`, `{"htm":"GET","htu":"x"}`):            "dpop-proof",
		signed(`{"alg":"ES256","typ":"statuslist+jwt"}`, `{}`):          "status-list",
		signed(`{"alg":"ES256"}`, `{"_sd":[]}`):                         "sd-jwt",
		signed(`{"alg":"ES256","typ":"example+sd-jwt"}`, `{}`) + "~":    "sd-jwt",
		signed(`{"alg":"ES256","typ":"kb+jwt"}`, `{}`):                  "key-binding",
		signed(`{"alg":"ES256"}`, `{"iss":"a","sub":"a","aud":"b"}`):    "client-assertion",
		header(`typ="counterfoil-assertion+jwt"`):                       "assertion",
		signed(`{"alg":"ES256"}`, `{}`):                                 "jwt",
		jwe(`{"alg":"dir","enc":"A256GCM","typ":"at+jwt"}`):             "access-token",
		jwe(`{"alg":"dir","enc":"A256GCM"}`):                            "encrypted",
		"cfr_Zm9vYmFyZm9vYmFyZm9vYmFy":                                  "refresh-token",
		"cfk_Zm9vYmFyZm9vYmFyZm9vYmFy":                                  "api-key",
		"cfz_Zm9vYmFyZm9vYmFyZm9vYmFy":                                  "credential",
		"Bearer Zm9vYmFyZm9vYmFyZm9vYmFyZm9vYmFyZm9vYmFyZm9":            "opaque-id",
		signed(`{"alg":"ES256","cty":"JWT"}`, header("typ=")) + "":      "jwt",
		flattened(baseHeader, `{"x":"y"}`):                              "access-token",
		strings.Replace(signed(baseHeader, baseClaims), ".", "\n.", -1): "access-token",
	} {
		d, err := Decode(text, time.Unix(now, 0))
		if err != nil || d.Kind != want {
			t.Errorf("%.60s: Decode = %+v, %v, want %s", text, d, err, want)
		}
	}
}

// An SD-JWT with a key binding is for the audience and the nonce of the binding (RFC 9901 section
// 7.3).
func TestKeyBinding(t *testing.T) {
	keys := testKeys(t)
	issuer, holder := keys["P-256"].List[0], keys["Ed25519"].List[0]
	sign := func(key Key, typ, claims string) string {
		t.Helper()
		text, err := Sign([]byte(claims), SignOptions{Key: key, Type: typ})
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	disclosure := b64(`["salt","name","Alice"]`)
	issued := sign(issuer, "dc+sd-jwt", `{"iss":"https://issuer.example","_sd":["`+digestOf("sha-256", disclosure)+`"],"cnf":{"jwk":`+jwkOf(t, holder, "")+`}}`) + "~" + disclosure + "~"
	binding := func(key Key, of string) string {
		return sign(key, "kb+jwt", `{"iat":1750000000,"aud":"https://shop.example","nonce":"n","sd_hash":"`+digestOf("sha-256", of)+`"}`)
	}
	for name, c := range map[string]struct {
		text, audience, nonce string
		valid                 bool
	}{
		"bound":               {issued + binding(holder, issued), "https://shop.example", "n", true},
		"nobody asked":        {issued + binding(holder, issued), "", "", true},
		"another audience":    {issued + binding(holder, issued), "https://other.example", "n", false},
		"another nonce":       {issued + binding(holder, issued), "https://shop.example", "m", false},
		"another key":         {issued + binding(keys["P-384"].List[0], issued), "", "", false},
		"other disclosures":   {issued + binding(holder, strings.Replace(issued, disclosure+"~", "", 1)), "", "", false},
		"a nonce, no binding": {issued, "", "n", false},
		"no binding":          {issued, "", "", true},
		"an access token":     {issued + sign(holder, "at+jwt", baseClaims), "", "", false},
	} {
		v, err := Verify(c.text, VerifyOptions{Keys: keys["P-256"], Audience: c.audience, Nonce: c.nonce, Now: time.Unix(now, 0)})
		if err != nil || v.Valid != c.valid {
			t.Errorf("%s: Verify = %+v, %v", name, v, err)
			continue
		}
		if v.Valid && !strings.Contains(string(v.Claims), `"name":"Alice"`) || !v.Valid && v.Disclosed != nil {
			t.Errorf("%s: claims %s, disclosures %+v", name, v.Claims, v.Disclosed)
		}
	}
}

// A disclosed claim must not stand beside one of the same name.
func TestDisclosedTwice(t *testing.T) {
	key := testKeys(t)["P-256"]
	disclosure := b64(`["salt","sub","root"]`)
	text, err := Sign([]byte(`{"sub":"u","_sd":["`+digestOf("sha-256", disclosure)+`"]}`), SignOptions{Key: key.List[0], Type: "dc+sd-jwt"})
	if err != nil {
		t.Fatal(err)
	}
	if v, err := Verify(text+"~"+disclosure+"~", VerifyOptions{Keys: key, Now: time.Unix(now, 0)}); err != nil || v.Valid {
		t.Errorf("Verify = %+v, %v", v, err)
	}
}

// typ is that of the protected header: anybody can add an unprotected one.
func TestUnprotectedTypeIsNotBelieved(t *testing.T) {
	key := testKeys(t)["P-256"]
	text, err := Sign([]byte(baseClaims), SignOptions{Key: key.List[0]})
	if err != nil {
		t.Fatal(err)
	}
	p := strings.Split(text, ".")
	flat := `{"protected":"` + p[0] + `","header":{"typ":"at+jwt"},"payload":"` + p[1] + `","signature":"` + p[2] + `"}`
	for want, valid := range map[string]bool{"": true, "at+jwt": false} {
		v, err := Verify(flat, VerifyOptions{Keys: key, Type: want, Now: time.Unix(now, 0)})
		if err != nil || v.Valid != valid {
			t.Errorf("typ %q: Verify = %+v, %v", want, v, err)
		}
	}
}
