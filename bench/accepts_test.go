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

var update = flag.Bool("update", false, "write testdata/accepts.md anew")

// attempt is a token, and the key that all are told to trust. It is refused by
// Counterfoil unless good is set.
type attempt struct {
	name    string
	rule    string // of the security requirements; empty for good ones
	good    bool
	compact string

	alg    token.Alg // of public; empty: the common key
	public any
}

// TestWhoAcceptsWhat puts one list of tokens before Counterfoil's Verifier and the
// libraries, and holds the answers to testdata/accepts.md, which the
// documentation shows. What anybody of them accepts by design is not a fault of it:
// the table says where Counterfoil is stricter, and that it stays so.
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

// strictVerifier is the real Verifier with one key. What it refuses already when it
// is told to trust the key, it refuses.
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

// attempts makes the list. Everything that can be signed is: a thief of nothing but
// the reader's laxity could otherwise not be told from a forger.
func attempts(t *testing.T, c *Contender, now time.Time) []attempt {
	t.Helper()
	must := func(s string, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	header := fmt.Sprintf(`{"alg":"%s","kid":"%s","typ":"at+jwt"}`, c.Alg, KeyID)
	claims, err := Typical(now, 1).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	payload := string(claims)
	good := must(c.SignAny(header, payload))
	parts := strings.Split(good, ".")
	list := []attempt{{name: "a good token", good: true, compact: good}}
	add := func(rule, name, compact string) {
		list = append(list, attempt{name: name, rule: rule, compact: compact})
	}
	head := func(rule, name, h string) { add(rule, name, must(c.SignAny(h, payload))) }
	body := func(rule, name, p string) { add(rule, name, must(c.SignAny(header, p))) }
	// swap replaces what must be there.
	swap := func(in, old, new string) string {
		t.Helper()
		if !strings.Contains(in, old) {
			t.Fatalf("%s is not in %s", old, in)
		}
		return strings.Replace(in, old, new, 1)
	}
	with := func(member string) string { return swap(header, "}", ","+member+"}") }

	// The text of the token.
	add("TOK-09", "LF in the signature", good[:len(good)-5]+"\n"+good[len(good)-5:])
	add("TOK-09", "CR LF in the payload, signed", must(c.SignParts(parts[0], parts[1][:8]+"\r\n"+parts[1][8:])))
	add("TOK-09", "LF in the header, signed", must(c.SignParts(parts[0][:8]+"\n"+parts[0][8:], parts[1])))
	add("TOK-10", "unused bits set in the signature", otherSpelling(t, good))
	add("TOK-10", "unused bits set in the payload, signed", must(c.SignParts(parts[0], otherSpelling(t, b64(payload+strings.Repeat(" ", 3-len(payload)%3+1))))))
	add("TOK-09", "padding after the signature", good+"==")
	add("TOK-09", "padding after the payload, signed", must(c.SignParts(parts[0], base64.URLEncoding.EncodeToString([]byte(payload+strings.Repeat(" ", 3-len(payload)%3+1))))))
	add("TOK-09", "the alphabet of standard base64", plusOrSlash(t, c, header, payload))
	add("TOK-09", "LF after the token", good+"\n")
	add("TOK-09", "space before the token", " "+good)
	add("TOK-08", "a fourth part", good+".")
	add("TOK-28", "JSON serialization, flattened", fmt.Sprintf(`{"payload":"%s","protected":"%s","signature":"%s"}`, parts[1], parts[0], parts[2]))
	add("TOK-28", "JSON serialization, general", fmt.Sprintf(`{"payload":"%s","signatures":[{"protected":"%s","signature":"%s"}]}`, parts[1], parts[0], parts[2]))
	add("TOK-14", "9 KiB", must(c.SignAny(header, swap(payload, "{", `{"pad":"`+strings.Repeat("x", 9<<10)+`",`))))

	// The header.
	head("TOK-13", "bytes after the header's object", header+"x")
	head("TOK-13", "a second object after the header", header+"{}")
	head("TOK-13", "a BOM before the header", "\ufeff"+header)
	head("TOK-12", "Kid for kid", swap(header, `"kid"`, `"Kid"`))
	head("TOK-12", "Kelvin sign for the k of kid", swap(header, `"kid"`, "\"\u212aid\""))
	head("TOK-12", "ALG for alg", swap(header, `"alg"`, `"ALG"`))
	head("TOK-11", "alg twice", swap(header, `}`, `,"alg":"ES256"}`))
	head("TOK-11", "kid twice", swap(header, `}`, `,"kid":"`+KeyID+`"}`))
	head("TOK-18", "an unknown crit", with(`"crit":["x"],"x":1`))
	head("TOK-18", "an empty crit", with(`"crit":[]`))
	head("TOK-18", "crit b64, b64 true", with(`"crit":["b64"],"b64":true`))
	head("TOK-18", "b64 false without crit", with(`"b64":false`))
	head("TOK-19", "typ of another kind", swap(header, "at+jwt", "secevent+jwt"))
	head("TOK-19", "typ JWT", swap(header, "at+jwt", "JWT"))
	head("TOK-19", "no typ", swap(header, `,"typ":"at+jwt"`, ""))
	head("TOK-15", "jku", with(`"jku":"https://evil.example.com/jwks.json"`))
	head("TOK-15", "jwk", with(`"jwk":{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}`))
	head("TOK-16", "no kid", swap(header, `,"kid":"`+KeyID+`"`, ""))
	head("TOK-14", "a header of 2 KiB", with(`"pad":"`+strings.Repeat("x", 2<<10)+`"`))
	add("TOK-01", "alg none", b64(`{"alg":"none","kid":"`+KeyID+`","typ":"at+jwt"}`)+"."+parts[1]+".")

	list = append(list, claimAttempts(payload, now, swap, func(rule, name, p string) attempt {
		return attempt{name: name, rule: rule, compact: must(c.SignAny(header, p))}
	})...)
	body("TOK-13", "bytes after the claims' object", payload+"x")
	body("TOK-13", "a second object after the claims", payload+"{}")
	return append(list, keyAttempts(t, header, payload)...)
}

func claimAttempts(payload string, now time.Time, swap func(in, old, new string) string, signed func(rule, name, payload string) attempt) []attempt {
	exp := fmt.Sprintf(`"exp":%d`, now.Add(50*time.Minute).Unix())
	iat := fmt.Sprintf(`"iat":%d`, now.Unix())
	past := fmt.Sprintf(`"exp":%d`, now.Add(-time.Hour).Unix())
	with := func(member string) string { return swap(payload, "{", "{"+member+",") }
	return []attempt{
		signed("TOK-12", "Exp for exp", swap(payload, `"exp"`, `"Exp"`)),
		signed("TOK-12", "EXP for exp", swap(payload, `"exp"`, `"EXP"`)),
		signed("TOK-12", "an expired exp, EXP after it in the future", swap(payload, exp, past+","+strings.Replace(exp, "exp", "EXP", 1))),
		signed("TOK-12", "SUB for sub", swap(payload, `"sub"`, `"SUB"`)),
		signed("TOK-11", "sub twice", with(`"sub":"usr_root"`)),
		signed("TOK-11", "exp twice, the first one expired", swap(payload, exp, past+","+exp)),
		signed("TOK-11", "a member twice, deeper down", with(`"x":{"a":1,"a":2}`)),
		signed("TOK-22", "no exp", swap(payload, exp+",", "")),
		signed("TOK-22", "exp null", swap(payload, exp, `"exp":null`)),
		signed("TOK-22", "exp a string", swap(payload, exp, strings.Replace(exp, ":", `:"`, 1)+`"`)),
		signed("TOK-22", "exp with a fraction", swap(payload, exp, exp+".5")),
		signed("TOK-22", "exp 1e300", swap(payload, exp, `"exp":1e300`)),
		signed("TOK-24", "exp equal to now, leeway included", swap(payload, exp, fmt.Sprintf(`"exp":%d`, now.Add(-Leeway).Unix()))),
		signed("TOK-23", "exp in ten years", swap(payload, exp, fmt.Sprintf(`"exp":%d`, now.AddDate(10, 0, 0).Unix()))),
		signed("TOK-23", "nbf 9.3e18", with(`"nbf":9.3e18`)),
		signed("TOK-23", "iat in an hour", swap(payload, iat, fmt.Sprintf(`"iat":%d`, now.Add(time.Hour).Unix()))),
		signed("TOK-23", "no iat", swap(payload, iat+",", "")),
		signed("TOK-29", "no sub", swap(payload, `"sub":"usr_3k2j5h4g6f7d8s9a0q1w2e3r4t",`, "")),
		signed("TOK-29", "sub empty", swap(payload, `usr_3k2j5h4g6f7d8s9a0q1w2e3r4t`, "")),
		signed("TOK-29", "sub null", swap(payload, `"usr_3k2j5h4g6f7d8s9a0q1w2e3r4t"`, "null")),
		signed("TOK-31", "CR LF in sub", swap(payload, `usr_3k2j5h4g6f7d8s9a0q1w2e3r4t`, `alice\r\nX-Role: admin`)),
		signed("TOK-13", "a byte of sub that is not UTF-8", swap(payload, `usr_3k2j5h4g6f7d8s9a0q1w2e3r4t`, "alice\xff")),
		signed("TOK-13", "half a surrogate pair in sub", swap(payload, `usr_3k2j5h4g6f7d8s9a0q1w2e3r4t`, `alice\ud800`)),
		signed("TOK-13", "nine levels deep", with(`"x":`+strings.Repeat("[", 9)+strings.Repeat("]", 9))),
		signed("TOK-21", "aud with our name and a number", swap(payload, `"`+Audience+`"`, `["`+Audience+`",1]`)),
		signed("TOK-21", "no aud", swap(payload, `"aud":"`+Audience+`",`, "")),
		signed("TOK-21", "aud that only begins like ours", swap(payload, Audience, Audience+".evil.com")),
		signed("TOK-20", "iss with a slash at the end", swap(payload, Issuer, Issuer+"/")),
		signed("TOK-30", "roles not a list", swap(payload, `["staff"]`, `"staff"`)),
		signed("TOK-30", "cnf: only for the holder of a key (RFC 7800)", with(`"cnf":{"jkt":"0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}`)),
	}
}

// keyAttempts are good tokens of keys that nobody should trust.
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

// forgeE1 needs no private key: with e = 1 the padded hash is its own signature.
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

// otherSpelling sets a bit of the last character that no byte is made of.
func otherSpelling(t *testing.T, s string) string {
	t.Helper()
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	n := strings.IndexByte(alphabet, s[len(s)-1])
	if n%4 != 0 {
		t.Fatalf("no unused bits in %s", s)
	}
	return s[:len(s)-1] + string(alphabet[n+1])
}

// plusOrSlash signs until the signature has a character of which the alphabets differ.
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
