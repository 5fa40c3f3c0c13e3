package inspect

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"flag"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write vectors.json")

const (
	now       = 1750000000
	vectorKey = "Kq0m5oQy1Gv3nB7cXz9TfWd2LhRp8JsU" // 32 bytes, in no list

	baseHeader = `{"alg":"ES256","kid":"k1","typ":"at+jwt"}`
	baseClaims = `{"iss":"https://issuer.example","sub":"u1","aud":"https://api.example","exp":1750000300,"iat":1749999900,"jti":"j1","client_id":"app"}`
	proof      = `{"alg":"ES256","typ":"dpop+jwt","jwk":{"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}}`
	p384       = `{"kty":"EC","crv":"P-384","x":"qofKIr6LBTeOscce8yCtdG4dO2KLp5uYWfdB4IJUKjhVAvJdv1UpbDpUXjhydgq3","y":"NhfeSpYmLG9dnpi_kpLcKfj0Hb0omhR86doxE7XwuMAKYLHOHX6BnXpDHXyQ6g5f"}`
)

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// signed returns a JWS with a signature of the length that alg has. HS256 is signed with a
// secret; nobody can verify the others.
func signed(header, claims string, secret ...string) string {
	input := b64(header) + "." + b64(claims)
	if strings.Contains(header, `"HS256"`) {
		m := hmac.New(sha256.New, []byte(append(secret, vectorKey)[0]))
		m.Write([]byte(input))
		return input + "." + b64(string(m.Sum(nil)))
	}
	return input + "." + b64(strings.Repeat("counterfoil vector ", 40)[:64])
}

// with is a base header or claims with members changed: "kid=" removes kid, `kid="x"` sets it.
func with(base string, edits ...string) string {
	d := json.NewDecoder(strings.NewReader(base))
	_, _ = d.Token()
	type member struct{ name, value string }
	var list []member
	for d.More() {
		name, _ := d.Token()
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			panic(err)
		}
		list = append(list, member{name.(string), string(value)})
	}
	for _, edit := range edits {
		name, value, _ := strings.Cut(edit, "=")
		found := false
		for i := range list {
			if list[i].name == name {
				list[i].value, found = value, true
			}
		}
		if !found {
			list = append(list, member{name, value})
		}
	}
	var parts []string
	for _, m := range list {
		if m.value != "" {
			name, _ := json.Marshal(m.name)
			parts = append(parts, string(name)+":"+m.value)
		}
	}
	return "{" + strings.Join(parts, ",") + "}"
}

// header and claims are base tokens with one part changed.
func header(edits ...string) string { return signed(with(baseHeader, edits...), baseClaims) }
func claims(edits ...string) string { return signed(baseHeader, with(baseClaims, edits...)) }

// jwe is an encrypted token that nobody can decrypt.
func jwe(header string) string {
	return b64(header) + "." + b64(strings.Repeat("k", 40)) + "." + b64("iv.iv.iv.iv.") + "." + b64("ciphertext") + "." + b64("tag.tag.tag.tag.")
}

func flattened(protected, unprotected string) string {
	parts := strings.Split(signed(protected, baseClaims), ".")
	return `{"protected":"` + parts[0] + `","header":` + unprotected + `,"payload":"` + parts[1] + `","signature":"` + parts[2] + `"}`
}

// sized is a token of n bytes at least, and few more.
func sized(n int) string {
	pad := 1
	for len(claims(`roles=["`+strings.Repeat("r", pad)+`"]`)) < n {
		pad++
	}
	return claims(`roles=["` + strings.Repeat("r", pad) + `"]`)
}

func vectors() []Vector {
	base := signed(baseHeader, baseClaims)
	hs := with(baseHeader, `alg="HS256"`)
	const encHeader = `{"alg":"ECDH-ES+A256KW","enc":"A256GCM","kid":"k1","typ":"at+jwt","cty":"JWT"}`
	const pbes2 = `{"alg":"PBES2-HS256+A128KW","enc":"A256GCM","kid":"k1","typ":"at+jwt","cty":"JWT","p2s":"c2FsdHNhbHQ","p2c":600000}`
	bound := claims(`cnf={"jkt":"0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}`)
	disclosure := b64(`["2GLC42sKQveCfGfryNRN9w","given_name","Alice"]`)
	sdHeader := with(baseHeader, `typ="dc+sd-jwt"`)
	sd := func(text string) string {
		sum := sha256.Sum256([]byte(text))
		return signed(sdHeader, with(`{"iss":"https://issuer.example","vct":"https://issuer.example/id"}`, `_sd=["`+base64.RawURLEncoding.EncodeToString(sum[:])+`"]`, `exp=1750000300`))
	}
	logout := with(baseClaims, "client_id=", `events={"http://schemas.openid.net/event/backchannel-logout":{}}`)
	logoutHeader := with(baseHeader, `typ="logout+jwt"`)
	proofClaims := `{"htm":"POST","htu":"https://api.example/orders","iat":1750000000,"jti":"p1"}`

	slashes := claims(`x="???>>>???>>>"`)

	v := func(rule, about, token, neighbour string) Vector {
		return Vector{Rule: rule, About: about, Token: token, Neighbour: neighbour, Now: now}
	}
	keyed := v("key-mismatch", "ES256 with a key on P-384", base, header(`alg="ES384"`))
	keyed.Key = json.RawMessage(p384)
	secretKey := v("key-mismatch", "ES256 with a secret", base, signed(hs, baseClaims))
	secretKey.Key = json.RawMessage(`{"kty":"oct","k":"` + b64(vectorKey) + `"}`)
	return []Vector{
		v("form", "two parts", strings.Join(strings.Split(base, ".")[:2], "."), base),
		v("form", "a sentence", "this is no token", base),
		v("base64url", "padding", base+"==", base),
		v("base64url", "a line break inside", strings.Replace(base, ".", "\n.", 1), base),
		v("base64url", "the other alphabet", strings.NewReplacer("-", "+", "_", "/").Replace(slashes), slashes),
		v("unused-bits", "another spelling of the signature", base[:len(base)-1]+"h", base),
		v("json", "bad UTF-8", claims("x=\"\xff\""), claims(`x="é"`)),
		v("json", "data behind the claims", signed(baseHeader, baseClaims+"{}"), signed(baseHeader, baseClaims+" ")),
		v("json", "half of a surrogate pair", claims(`x="\ud800"`), claims(`x="\ud83d\ude00"`)),
		v("duplicate-member", "two sub", signed(baseHeader, strings.Replace(baseClaims, "{", `{"sub":"root",`, 1)), base),
		v("duplicate-member", "two alg", signed(strings.Replace(baseHeader, "{", `{"alg":"none",`, 1), baseClaims), base),
		v("duplicate-member", "two sub, one with an escape", signed(baseHeader, strings.Replace(baseClaims, "{", `{"s\u0075b":"root",`, 1)), base),
		v("duplicate-member", "in an inner object", claims(`act={"sub":"a","sub":"b"}`), claims(`act={"sub":"a"}`)),
		v("case", "SUB", claims(`SUB="root"`), claims(`subject="root"`)),
		v("case", "a long s that folds to s", claims(`ſub="root"`), base),
		v("json-serialization", "flattened", flattened(baseHeader, `{"x":"y"}`), base),
		v("unprotected-alg", "alg in the unprotected header", flattened(with(baseHeader, "alg="), `{"alg":"ES256"}`), flattened(baseHeader, `{"x":"y"}`)),
		v("size-1k", "1025 bytes", sized(1025), sized(1020)),
		v("size-3k5", "3585 bytes", sized(3585), sized(3580)),

		v("alg-none", "none", b64(with(baseHeader, `alg="none"`))+"."+b64(baseClaims)+".", base),
		v("alg-none", "nOnE", b64(with(baseHeader, `alg="nOnE"`))+"."+b64(baseClaims)+".", base),
		v("alg-missing", "no alg", header("alg="), base),
		v("alg-missing", "alg is a list", header(`alg=["ES256"]`), base),
		v("alg-unknown", "lower case", header(`alg="es256"`), base),
		v("alg-unknown", "an invented one", header(`alg="ES257"`), base),
		v("alg-unknown", "encryption in a JWS", header(`alg="A256KW"`), base),
		v("alg-rare", "ES256K", header(`alg="ES256K"`), base),
		v("alg-eddsa", "EdDSA", header(`alg="EdDSA"`), header(`alg="Ed25519"`)),
		v("alg-symmetric", "HS256", signed(hs, baseClaims), base),
		v("signature-missing", "nothing behind the last dot", base[:strings.LastIndex(base, ".")+1], base),
		v("signature-length", "ES256 with 63 bytes", strings.TrimSuffix(base, base[len(base)-2:]), base),
		v("signature-length", "ES384 with 64 bytes", header(`alg="ES384"`), base),
		v("weak-secret", "secret", signed(hs, baseClaims, "secret"), signed(hs, baseClaims)),
		v("weak-secret", "an example of documentation", signed(hs, baseClaims, "your-256-bit-secret"), signed(hs, baseClaims)),
		v("weak-secret", "empty", signed(hs, baseClaims, ""), signed(hs, baseClaims)),
		v("hmac-audiences", "two audiences", signed(hs, with(baseClaims, `aud=["a","b"]`)), claims(`aud=["a","b"]`)),
		v("hmac-audiences", "one in a list", signed(hs, with(baseClaims, `aud=["a","b"]`)), signed(hs, with(baseClaims, `aud=["a"]`))),
		keyed, secretKey,

		v("header-type", "kid is a number", header(`kid=7`), header(`kid="7"`)),
		v("header-jku", "jku", header(`jku="https://keys.example/set"`), base),
		v("header-x5u", "x5u", header(`x5u="https://keys.example/cert"`), base),
		v("header-jwk", "jwk in an access token", header(`jwk={"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}`), signed(proof, proofClaims)),
		v("header-x5c", "x5c", header(`x5c=["MIIB"]`), header(`x5t#S256="47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"`)),
		v("private-key", "d in the jwk of a proof", signed(strings.Replace(proof, `"x"`, `"d":"AAAA","x"`, 1), proofClaims), signed(proof, proofClaims)),
		v("private-key", "k in cnf", claims(`cnf={"jwk":{"kty":"oct","k":"AAAA"}}`), claims(`cnf={"kid":"k"}`)),
		v("crit-unknown", "an extension nobody knows", header(`crit=["x"]`, `x=1`), header(`x=1`)),
		v("crit-form", "empty", header(`crit=[]`), base),
		v("crit-form", "a text", header(`crit="exp"`), base),
		v("crit-form", "a registered name", header(`crit=["alg"]`), base),
		v("crit-form", "a name that is not in the header", header(`crit=["x"]`), header(`crit=["x"]`, `x=1`)),
		v("b64-false", "b64", header(`b64=false`, `crit=["b64"]`), header(`b64=true`, `crit=["b64"]`)),
		v("zip", "zip", jwe(with(encHeader, `zip="DEF"`)), jwe(encHeader)),
		v("kid-missing", "no kid", header("kid="), base),
		v("kid-injection", "a path", header(`kid="../../dev/null"`), header(`kid="key/1"`)),
		v("kid-injection", "SQL", header(`kid="x' or 1=1--"`), header(`kid="x-or-1=1"`)),
		v("kid-injection", "a command", header(`kid="k|sleep 5"`), base),
		v("kid-injection", "an address", header(`kid="https://keys.example/k"`), header(`kid="did:example:1#k"`)),
		v("typ-missing", "no typ", header("typ="), base),
		v("typ-generic", "an access token with typ JWT", header(`typ="JWT"`), header(`typ="application/at+jwt"`)),
		v("typ-confusion", "an access token with nonce", claims(`nonce="n"`), base),
		v("typ-confusion", "a logout token with nonce", signed(logoutHeader, with(logout, `nonce="n"`)), signed(logoutHeader, logout)),
		v("nested-none", "inside a signed one", signed(with(baseHeader, `cty="JWT"`), b64(with(baseHeader, `alg="none"`))+"."+b64(baseClaims)+"."), signed(with(baseHeader, `cty="JWT"`), base)),
		v("encrypted-unsigned", "no cty", jwe(with(encHeader, "cty=")), jwe(encHeader)),
		v("x5t-sha1", "x5t", header(`x5t="2jmj7l5rSw0yVb_vlWAYkK_YBwk"`), base),

		v("enc-unknown", "an invented one", jwe(with(encHeader, `enc="A512GCM"`)), jwe(encHeader)),
		v("alg-rsa1_5", "RSA1_5", jwe(with(encHeader, `alg="RSA1_5"`)), jwe(with(encHeader, `alg="RSA-OAEP-256"`))),
		v("pbes2-rounds", "too many", jwe(with(pbes2, `p2c=1000001`)), jwe(pbes2)),
		v("pbes2-rounds", "too few", jwe(with(pbes2, `p2c=999`)), jwe(with(pbes2, `p2c=1000`))),

		v("claims-missing", "a list", signed(baseHeader, `["a"]`), base),
		v("iss-missing", "no iss", claims("iss="), base),
		v("aud-missing", "no aud", claims("aud="), base),
		v("exp-missing", "no exp", claims("exp="), base),
		v("claim-missing", "an access token without client_id", claims("client_id="), base),
		v("claim-missing", "a logout token without events", signed(logoutHeader, with(logout, "events=")), signed(logoutHeader, logout)),
		v("claim-type", "sub is a number", claims(`sub=7`), claims(`sub="7"`)),
		v("claim-type", "aud has a number", claims(`aud=["a",7]`), claims(`aud=["a","7"]`)),
		v("claim-type", "iss is empty", claims(`iss=""`), base),
		v("aud-any", "a star", claims(`aud="*"`), base),
		v("aud-any", "an empty list", claims(`aud=[]`), base),
		v("time-type", "exp is a text", claims(`exp="1750000300"`), base),
		v("time-type", "exp is null", claims(`exp=null`), base),
		v("time-fraction", "a fraction", claims(`exp=1750000300.5`), base),
		v("time-milliseconds", "milliseconds", claims(`exp=1750000300000`), base),
		v("time-range", "negative", claims(`nbf=-1`), claims(`nbf=1749999900`)),
		v("time-range", "beyond 64 bits", claims(`exp=1e300`), base),
		v("expired", "at exp", claims(`exp=1750000000`), claims(`exp=1750000001`)),
		v("nbf-future", "a minute", claims(`nbf=1750000061`), claims(`nbf=1750000000`)),
		v("iat-future", "over a minute", claims(`iat=1750000061`), claims(`iat=1750000060`)),
		v("nbf-after-exp", "nbf is exp", claims(`nbf=1750000300`), claims(`nbf=1750000000`)),
		v("exp-before-iat", "exp is iat", claims(`exp=1749999900`), base),
		v("lifetime", "15 minutes and a second", claims(`exp=1750000801`), claims(`exp=1750000800`)),
		v("iss-http", "http", claims(`iss="http://issuer.example"`), claims(`iss="http://127.0.0.1:8080"`)),
		v("sub-email", "an address", claims(`sub="alice@example.com"`), claims(`sub="alice"`)),
		v("personal-data", "email", claims(`email="alice@example.com"`), claims(`plan="pro"`)),
		v("personal-data", "an address under another name", claims(`owner="alice@example.com"`), claims(`owner="alice"`)),
		v("secret-claim", "a password", claims(`password="x"`), claims(`plan="x"`)),
		v("scope-list", "a list", claims(`scope=["a","b"]`), claims(`scope="a b"`)),
		v("not-revocable", "no jti, no sid", claims("jti="), base),
		v("cnf-form", "nothing known", claims(`cnf={"x":"y"}`), bound),
		v("cnf-form", "a text", claims(`cnf="k"`), bound),
		v("cnf-proof", "nobody says how it is used", bound, "DPoP "+bound),
		v("cnf-bearer", "Bearer", "Bearer "+bound, "DPoP "+bound),
		v("cnf-bearer", "the whole line", "Authorization: Bearer "+bound, "Bearer "+claims(`cnf={"x5t#S256":"47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"}`)),
		v("proof-form", "no htu", signed(proof, with(proofClaims, "htu=")), signed(proof, proofClaims)),
		v("proof-form", "no key", signed(with(proof, "jwk="), proofClaims), signed(proof, proofClaims)),
		v("proof-form", "signed with a secret", signed(with(proof, `alg="HS256"`), proofClaims), signed(proof, proofClaims)),
		v("disclosure", "another disclosure", sd(b64(`["a","b","c"]`))+"~"+disclosure+"~", sd(disclosure)+"~"+disclosure+"~"),
		v("disclosure", "twice", sd(disclosure)+"~"+disclosure+"~"+disclosure+"~", sd(disclosure)+"~"+disclosure+"~"),
	}
}

// vectors.json is what the table above makes. go test ./inspect -run TestVectorsFile -update
// writes it.
func TestVectorsFile(t *testing.T) {
	var want bytes.Buffer
	e := json.NewEncoder(&want)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(vectors()); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile("vectors.json", want.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if is, err := os.ReadFile("vectors.json"); err != nil || !bytes.Equal(is, want.Bytes()) {
		t.Errorf("vectors.json (%v) is not what the table makes: run this test with -update", err)
	}
}
