package bench

import (
	"bytes"
	"crypto/rsa"
	"encoding/base64"
	"flag"
	"fmt"
	"math/big"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/internal/token"
)

var update = flag.Bool("update", false, "rewrite testdata/accepts.md")

// attempt is a token, and the key that all contenders must trust. Counterfoil must refuse
// the token unless good is true.
type attempt struct {
	name    string
	rule    string // id in the security requirements; empty for good tokens
	good    bool
	compact string

	alg    token.Alg // algorithm of public; empty: the common key
	public any
}

// TestWhoAcceptsWhat gives one list of tokens to Counterfoil's Verifier and to the libraries.
// It compares the answers with testdata/accepts.md, which the documentation shows. A library
// that accepts a token by design has no fault. The table shows where Counterfoil is stricter,
// and the test checks that it stays so.
func TestWhoAcceptsWhat(t *testing.T) {
	now := time.Now().Truncate(time.Second)
	clock := func() time.Time { return now }
	c, err := NewContender(token.ES256)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	fmt.Fprintf(&out, "| token | rule | %s | %s | %s | %s | %s |\n|---|---|---|---|---|---|---|\n", Ours, GolangJWT, JWX, JWXKey, GoJOSE)
	for _, a := range attempts(t, c, now) {
		if a.public == nil {
			a.alg, a.public = c.Alg, Public(c.Private)
		}
		fmt.Fprintf(&out, "| %s | %s |", a.name, a.rule)
		for n, p := range append([]Peer{strictVerifier(t, a, clock)}, Libraries(a.alg, a.public, clock)...) {
			answer := "refuses"
			if _, err := p.Verify(a.compact); err == nil {
				answer = "**accepts**"
			}
			if n == 0 && (answer == "refuses") == a.good {
				t.Errorf("%s: %s %s", a.name, p.Name, answer)
			}
			fmt.Fprintf(&out, " %s |", answer)
		}
		out.WriteByte('\n')
	}
	const golden = "testdata/accepts.md"
	if *update {
		if err := os.WriteFile(golden, out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(out.Bytes(), want) {
		t.Errorf("the answers have changed (see -update):\n%s", out.Bytes())
	}
}

// strictVerifier is the real Verifier with one key. If the Verifier refuses the key itself,
// the peer refuses every token.
func strictVerifier(t *testing.T, a attempt, clock func() time.Time) Peer {
	t.Helper()
	refuse := func(err error) Peer { return Peer{Ours, func(string) (string, error) { return "", err }} }
	key, err := token.NewKey(KeyID, a.alg, a.public)
	if err != nil {
		return refuse(err)
	}
	v, err := NewVerifier(t.Context(), counterfoil.Options{Now: clock}, 0, key)
	if err != nil {
		return refuse(err)
	}
	t.Cleanup(v.Close)
	return Whole(v)
}

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// attempts makes the list. Every token that can be signed has a good signature. Otherwise a
// reader could refuse it for the signature alone.
func attempts(t *testing.T, c *Contender, now time.Time) []attempt {
	t.Helper()
	claims, err := Typical(now, 1).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	l := &attemptList{t: t, c: c, header: fmt.Sprintf(`{"alg":"%s","kid":"%s","typ":"at+jwt"}`, c.Alg, KeyID), payload: string(claims)}
	good := l.sign(l.header, l.payload)
	l.all = []attempt{{name: "a good token", good: true, compact: good}}
	l.addTexts(good)
	l.addHeaders(good)
	l.addClaims(now)
	return append(l.all, keyAttempts(t, l.header, l.payload)...)
}

type attemptList struct {
	t               *testing.T
	c               *Contender
	header, payload string // of a good token
	all             []attempt
}

func (l *attemptList) add(rule, name, compact string) {
	l.all = append(l.all, attempt{name: name, rule: rule, compact: compact})
}

// head adds a signed token with another header. claims adds a signed token with other claims.
func (l *attemptList) head(rule, name, header string) { l.add(rule, name, l.sign(header, l.payload)) }
func (l *attemptList) claims(rule, name, payload string) {
	l.add(rule, name, l.sign(l.header, payload))
}

func (l *attemptList) sign(header, payload string) string {
	return l.signParts(b64(header), b64(payload))
}

func (l *attemptList) signParts(header, payload string) string {
	l.t.Helper()
	s, err := l.c.SignParts(header, payload)
	if err != nil {
		l.t.Fatal(err)
	}
	return s
}

// swap replaces old by new. The test fails if old does not occur.
func (l *attemptList) swap(in, old, new string) string {
	l.t.Helper()
	if !strings.Contains(in, old) {
		l.t.Fatalf("%s is not in %s", old, in)
	}
	return strings.Replace(in, old, new, 1)
}

func (l *attemptList) addTexts(good string) {
	parts := strings.Split(good, ".")
	padded := l.payload + strings.Repeat(" ", 3-len(l.payload)%3+1) // its base64 has unused bits
	l.add("TOK-09", "LF in the signature", good[:len(good)-5]+"\n"+good[len(good)-5:])
	l.add("TOK-09", "CR LF in the payload, signed", l.signParts(parts[0], parts[1][:8]+"\r\n"+parts[1][8:]))
	l.add("TOK-09", "LF in the header, signed", l.signParts(parts[0][:8]+"\n"+parts[0][8:], parts[1]))
	l.add("TOK-10", "unused bits set in the signature", otherSpelling(l.t, good))
	l.add("TOK-10", "unused bits set in the payload, signed", l.signParts(parts[0], otherSpelling(l.t, b64(padded))))
	l.add("TOK-09", "padding after the signature", good+"==")
	l.add("TOK-09", "padding after the payload, signed", l.signParts(parts[0], base64.URLEncoding.EncodeToString([]byte(padded))))
	l.add("TOK-09", "the alphabet of standard base64", plusOrSlash(l.t, l.c, l.header, l.payload))
	l.add("TOK-09", "LF after the token", good+"\n")
	l.add("TOK-09", "space before the token", " "+good)
	l.add("TOK-08", "a fourth part", good+".")
	l.add("TOK-28", "JSON serialization, flattened", fmt.Sprintf(`{"payload":"%s","protected":"%s","signature":"%s"}`, parts[1], parts[0], parts[2]))
	l.add("TOK-28", "JSON serialization, general", fmt.Sprintf(`{"payload":"%s","signatures":[{"protected":"%s","signature":"%s"}]}`, parts[1], parts[0], parts[2]))
	l.add("TOK-14", "9 KiB", l.sign(l.header, l.swap(l.payload, "{", `{"pad":"`+strings.Repeat("x", 9<<10)+`",`)))
}

func (l *attemptList) addHeaders(good string) {
	with := func(member string) string { return l.swap(l.header, "}", ","+member+"}") }
	l.head("TOK-13", "bytes after the header's object", l.header+"x")
	l.head("TOK-13", "a second object after the header", l.header+"{}")
	l.head("TOK-13", "a BOM before the header", "\ufeff"+l.header)
	l.head("TOK-12", "Kid for kid", l.swap(l.header, `"kid"`, `"Kid"`))
	l.head("TOK-12", "Kelvin sign for the k of kid", l.swap(l.header, `"kid"`, "\"\u212aid\""))
	l.head("TOK-12", "ALG for alg", l.swap(l.header, `"alg"`, `"ALG"`))
	l.head("TOK-11", "alg twice", l.swap(l.header, `}`, `,"alg":"ES256"}`))
	l.head("TOK-11", "kid twice", l.swap(l.header, `}`, `,"kid":"`+KeyID+`"}`))
	l.head("TOK-18", "an unknown crit", with(`"crit":["x"],"x":1`))
	l.head("TOK-18", "an empty crit", with(`"crit":[]`))
	l.head("TOK-18", "crit b64, b64 true", with(`"crit":["b64"],"b64":true`))
	l.head("TOK-18", "b64 false without crit", with(`"b64":false`))
	l.head("TOK-19", "typ of another kind", l.swap(l.header, "at+jwt", "secevent+jwt"))
	l.head("TOK-19", "typ JWT", l.swap(l.header, "at+jwt", "JWT"))
	l.head("TOK-19", "no typ", l.swap(l.header, `,"typ":"at+jwt"`, ""))
	l.head("TOK-15", "jku", with(`"jku":"https://evil.example.com/jwks.json"`))
	l.head("TOK-15", "jwk", with(`"jwk":{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}`))
	l.head("TOK-16", "no kid", l.swap(l.header, `,"kid":"`+KeyID+`"`, ""))
	l.head("TOK-14", "a header of 2 KiB", with(`"pad":"`+strings.Repeat("x", 2<<10)+`"`))
	l.add("TOK-01", "alg none", b64(`{"alg":"none","kid":"`+KeyID+`","typ":"at+jwt"}`)+"."+strings.Split(good, ".")[1]+".")
}

func (l *attemptList) addClaims(now time.Time) {
	exp := fmt.Sprintf(`"exp":%d`, now.Add(50*time.Minute).Unix())
	iat := fmt.Sprintf(`"iat":%d`, now.Unix())
	past := fmt.Sprintf(`"exp":%d`, now.Add(-time.Hour).Unix())
	with := func(member string) string { return l.swap(l.payload, "{", "{"+member+",") }
	l.claims("TOK-12", "Exp for exp", l.swap(l.payload, `"exp"`, `"Exp"`))
	l.claims("TOK-12", "EXP for exp", l.swap(l.payload, `"exp"`, `"EXP"`))
	l.claims("TOK-12", "an expired exp, EXP after it in the future", l.swap(l.payload, exp, past+","+strings.Replace(exp, "exp", "EXP", 1)))
	l.claims("TOK-12", "SUB for sub", l.swap(l.payload, `"sub"`, `"SUB"`))
	l.claims("TOK-11", "sub twice", with(`"sub":"usr_root"`))
	l.claims("TOK-11", "exp twice, the first one expired", l.swap(l.payload, exp, past+","+exp))
	l.claims("TOK-11", "a member twice, deeper down", with(`"x":{"a":1,"a":2}`))
	l.claims("TOK-22", "no exp", l.swap(l.payload, exp+",", ""))
	l.claims("TOK-22", "exp null", l.swap(l.payload, exp, `"exp":null`))
	l.claims("TOK-22", "exp a string", l.swap(l.payload, exp, strings.Replace(exp, ":", `:"`, 1)+`"`))
	l.claims("TOK-22", "exp with a fraction", l.swap(l.payload, exp, exp+".5"))
	l.claims("TOK-22", "exp 1e300", l.swap(l.payload, exp, `"exp":1e300`))
	l.claims("TOK-24", "exp equal to now, leeway included", l.swap(l.payload, exp, fmt.Sprintf(`"exp":%d`, now.Add(-Leeway).Unix())))
	l.claims("TOK-23", "exp in ten years", l.swap(l.payload, exp, fmt.Sprintf(`"exp":%d`, now.AddDate(10, 0, 0).Unix())))
	l.claims("TOK-23", "nbf 9.3e18", with(`"nbf":9.3e18`))
	l.claims("TOK-23", "iat in an hour", l.swap(l.payload, iat, fmt.Sprintf(`"iat":%d`, now.Add(time.Hour).Unix())))
	l.claims("TOK-23", "no iat", l.swap(l.payload, iat+",", ""))
	l.claims("TOK-29", "no sub", l.swap(l.payload, `"sub":"usr_3k2j5h4g6f7d8s9a0q1w2e3r4t",`, ""))
	l.claims("TOK-29", "sub empty", l.swap(l.payload, `usr_3k2j5h4g6f7d8s9a0q1w2e3r4t`, ""))
	l.claims("TOK-29", "sub null", l.swap(l.payload, `"usr_3k2j5h4g6f7d8s9a0q1w2e3r4t"`, "null"))
	l.claims("TOK-31", "CR LF in sub", l.swap(l.payload, `usr_3k2j5h4g6f7d8s9a0q1w2e3r4t`, `alice\r\nX-Role: admin`))
	l.claims("TOK-13", "a byte of sub that is not UTF-8", l.swap(l.payload, `usr_3k2j5h4g6f7d8s9a0q1w2e3r4t`, "alice\xff"))
	l.claims("TOK-13", "half a surrogate pair in sub", l.swap(l.payload, `usr_3k2j5h4g6f7d8s9a0q1w2e3r4t`, `alice\ud800`))
	l.claims("TOK-13", "nine levels deep", with(`"x":`+strings.Repeat("[", 9)+strings.Repeat("]", 9)))
	l.claims("TOK-21", "aud with our name and a number", l.swap(l.payload, `"`+Audience+`"`, `["`+Audience+`",1]`))
	l.claims("TOK-21", "no aud", l.swap(l.payload, `"aud":"`+Audience+`",`, ""))
	l.claims("TOK-21", "aud that only begins like ours", l.swap(l.payload, Audience, Audience+".evil.com"))
	l.claims("TOK-20", "iss with a slash at the end", l.swap(l.payload, Issuer, Issuer+"/"))
	l.claims("TOK-30", "roles not a list", l.swap(l.payload, `["staff"]`, `"staff"`))
	l.claims("TOK-30", "cnf: only for the holder of a key (RFC 7800)", with(`"cnf":{"jkt":"0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}`))
	l.claims("TOK-13", "bytes after the claims' object", l.payload+"x")
	l.claims("TOK-13", "a second object after the claims", l.payload+"{}")
}

// keyAttempts returns tokens with good signatures by keys that nobody should trust.
func keyAttempts(t *testing.T, header, payload string) []attempt {
	t.Helper()
	sign := func(alg token.Alg, private any) string {
		t.Helper()
		c := &Contender{Alg: alg, Private: private}
		s, err := c.SignAny(strings.Replace(header, "ES256", string(alg), 1), payload)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	short := []byte("secret")
	return []attempt{
		{name: "an RSA key with e = 1", rule: "KEY-01", compact: forgeE1(t, header, payload), alg: token.RS256, public: &rsa.PublicKey{N: modulus(t), E: 1}},
		{name: "an HMAC secret of 6 bytes (RFC 7518 3.2)", rule: "KEY-01", compact: sign(token.HS256, short), alg: token.HS256, public: short},
	}
}

func modulus(t *testing.T) *big.Int {
	t.Helper()
	private, err := token.GenerateKey(token.RS256)
	if err != nil {
		t.Fatal(err)
	}
	return private.(*rsa.PrivateKey).N
}

// forgeE1 forges a signature without a private key: with e = 1 the signature is the padded
// hash.
func forgeE1(t *testing.T, header, payload string) string {
	t.Helper()
	input := b64(strings.Replace(header, "ES256", "RS256", 1)) + "." + b64(payload)
	prefix := []byte{0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20}
	digest := append(prefix, sum(token.RS256, []byte(input))...)
	const size = 3072 / 8
	em := append([]byte{0, 1}, bytes.Repeat([]byte{0xff}, size-3-len(digest))...)
	em = append(append(em, 0), digest...)
	return input + "." + base64.RawURLEncoding.EncodeToString(em)
}

// otherSpelling sets an unused bit of the last character.
func otherSpelling(t *testing.T, s string) string {
	t.Helper()
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	n := strings.IndexByte(alphabet, s[len(s)-1])
	if n%4 != 0 {
		t.Fatalf("no unused bits in %s", s)
	}
	return s[:len(s)-1] + string(alphabet[n+1])
}

// plusOrSlash signs until the signature has a character that differs between the alphabets of
// base64 and base64url.
func plusOrSlash(t *testing.T, c *Contender, header, payload string) string {
	t.Helper()
	for {
		s, err := c.SignAny(header, payload)
		if err != nil {
			t.Fatal(err)
		}
		dot := strings.LastIndexByte(s, '.')
		if other := strings.NewReplacer("-", "+", "_", "/").Replace(s[dot:]); other != s[dot:] {
			return s[:dot] + other
		}
	}
}
