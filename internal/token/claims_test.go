package token_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	. "github.com/counterfoil/counterfoil/internal/token"
)

func TestClaimsRoundTrip(t *testing.T) {
	c := &Claims{Issuer: "https://i", Subject: "s<é>", Client: "c", ID: "j", SID: "x", ACR: "1", RV: "r",
		Audience: []string{"a", "b"}, Roles: []string{"r1"}, Scopes: []string{"read", "write"}, Methods: []string{"pwd"},
		Expires: 3, IssuedAt: 1, NotBefore: 1, AuthTime: 1, ClaimsVersion: 7, Attributes: map[string]string{"k": "v"}, Actor: "a", ActorSession: "y", ActorClient: "z"}
	for range 2 {
		b, err := c.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParseClaims(string(b))
		if err != nil || !reflect.DeepEqual(got, c) {
			t.Errorf("ParseClaims(%s) = %+v, %v", b, got, err)
		}
		c.Audience = c.Audience[:1]
	}
	b, err := (&Claims{Issuer: "i", Subject: "s", Expires: 1}).Marshal()
	if want := `{"iss":"i","sub":"s","exp":1}`; err != nil || string(b) != want {
		t.Errorf("Marshal = %s, %v, want %s", b, err, want)
	}
	for _, c := range []Claims{ // TOK-31
		{}, {Issuer: "i", Subject: "a\r\nb", Expires: 1}, {Issuer: "i", Subject: "\xff", Expires: 1}, {Issuer: "i", Subject: "s", Expires: -1},
		{Issuer: "i", Subject: "s", Expires: 1, Scopes: []string{"a b"}}, {Issuer: "i", Subject: strings.Repeat("s", 1025), Expires: 1},
		{Issuer: "i", Subject: "s", Expires: 1, ActorClient: "c"}, {Issuer: "i", Subject: "s", Expires: 1, Actor: "a"},
	} {
		if b, err := c.Marshal(); !errors.Is(err, ErrInvalid) || b != nil {
			t.Errorf("Marshal(%+v) = %s, %v, want ErrInvalid", c, b, err)
		}
	}
}

// TOK-11, TOK-12, TOK-13, TOK-20, TOK-21, TOK-22, TOK-23, TOK-30, TOK-31
func TestClaimsRefused(t *testing.T) {
	const base = `"iss":"i","sub":"s"`
	const full = `{"exp":1,` + base
	many := ""
	for i := range 64 {
		many += `,"x` + strings.Repeat("y", i) + `":1`
	}
	for name, s := range map[string]string{
		"TOK-11 sub":       full + `,"sub":"t"}`,
		"TOK-11 deep":      full + `,"x":{"y":[{"z":1,"z":2}]}}`,
		"TOK-12 Exp":       `{"Exp":1,` + base + `}`,
		"TOK-12 SUB":       `{"exp":1,"iss":"i","SUB":"s"}`,
		"TOK-13 utf8":      full + ",\"x\":\"a\xff\"}",
		"TOK-13 surrogate": full + `,"x":"\udc00\ud800"}`,
		"TOK-13 two":       full + `}{}`,
		"TOK-13 BOM":       "\ufeff" + full + `}`,
		"TOK-13 depth":     full + `,"x":` + strings.Repeat("[", 8) + strings.Repeat("]", 8) + `}`,
		"TOK-13 members":   full + many + `}`,
		"TOK-13 10000":     strings.Repeat(`{"a":`, 1600),
		"TOK-20 iss":       `{"exp":1,"sub":"s"}`,
		"TOK-21 empty":     full + `,"aud":[]}`,
		"TOK-21 string":    full + `,"aud":""}`,
		"TOK-21 nested":    full + `,"aud":[["a"]]}`,
		"TOK-21 number":    full + `,"aud":1}`,
		"TOK-21 null":      full + `,"aud":null}`,
		"TOK-22 string":    `{"exp":"1",` + base + `}`,
		"TOK-22 negative":  `{"exp":-1,` + base + `}`,
		"TOK-22 zero":      `{"exp":0,` + base + `}`,
		"TOK-22 fraction":  `{"exp":1.5,` + base + `}`,
		"TOK-22 exponent":  `{"exp":1e3,` + base + `}`,
		"TOK-22 1e999":     `{"exp":1e999,` + base + `}`,
		"TOK-22 NaN":       `{"exp":NaN,` + base + `}`,
		"TOK-22 2^53":      `{"exp":9007199254740992,` + base + `}`,
		"TOK-22 octal":     `{"exp":01,` + base + `}`,
		"TOK-22 null":      `{"exp":null,` + base + `}`,
		"TOK-23 nbf":       full + `,"nbf":9300000000000000000}`,
		"TOK-23 iat":       full + `,"iat":"1"}`,
		"TOK-30 scope":     full + `,"scope":["a"]}`,
		"TOK-30 spaces":    full + `,"scope":"a  b"}`,
		"TOK-30 sid":       full + `,"sid":1}`,
		"TOK-30 amr":       full + `,"amr":"pwd"}`,
		"TOK-30 cnf":       full + `,"cnf":"x"}`,
		"OAUTH-08 bound":   full + `,"cnf":{"jkt":"x"}}`,
		"TOK-30 app":       full + `,"app":{"a":1}}`,
		"TOK-31 CRLF":      `{"exp":1,"iss":"i","sub":"a\r\nb"}`,
		"TOK-31 long":      full + `,"jti":"` + strings.Repeat("a", 1025) + `"}`,
		"not an object":    `[]`,
		"empty":            ``,
		"comma":            full + `,}`,
	} {
		if c, err := ParseClaims(s); !errors.Is(err, ErrInvalid) || c != nil {
			t.Errorf("%s: ParseClaims = %+v, %v, want ErrInvalid", name, c, err)
		}
	}
	if _, err := ParseClaims((full + `,"x":{"y":[1,null,true,"\ud83d\ude00"]}}`)); err != nil {
		t.Errorf("unknown members: %v", err)
	}
}

// A short cut reads claims of printable ASCII without a backslash. A tab behind them is the long way: both have one
// verdict about every byte in every place.
func TestClaimsBothWays(t *testing.T) {
	const base = `{"exp":1,"iss":"i~","sub":"s","aud":["a","b"],"scope":"r w","cv":12,"app":{"k":"v"},"x":[1.5e3,{"y z":null}]}`
	for i := range base {
		for c := range 256 {
			text := base[:i] + string([]byte{byte(c)}) + base[i+1:]
			short, err := ParseClaims(text)
			long, other := ParseClaims(text + "\t")
			if (err == nil) != (other == nil) || !reflect.DeepEqual(short, long) {
				t.Errorf("%q = %+v, %v and with a tab behind it %+v, %v", text, short, err, long, other)
			}
		}
	}
}

func FuzzParseClaims(f *testing.F) {
	f.Add([]byte(`{"exp":1,"iss":"i","sub":"s","scope":"a b","app":{"k":"v"},"x":[1.5e3,"\u00e9\ud83d\ude00"]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if CheckJSON(b) == nil {
			if err := json.Unmarshal(b, new(any)); err != nil {
				t.Errorf("CheckJSON accepts %q, encoding/json: %v", b, err)
			}
		}
		c, err := ParseClaims(string(b))
		if (err == nil) != (c != nil) {
			t.Fatalf("claims %v beside error %v", c, err)
		}
		if err != nil {
			return
		}
		out, err := c.Marshal()
		if err != nil {
			return // escapes can make the text longer than MaxSize
		}
		if again, err := ParseClaims(string(out)); err != nil || !reflect.DeepEqual(again, c) {
			t.Errorf("%s read back = %+v, %v, want %+v", out, again, err, c)
		}
	})
}

func TestOpaque(t *testing.T) {
	a := NewOpaque()
	if _, err := ParseOpaque(a); err != nil || a == NewOpaque() || ShapeOf(a) != ShapeOpaque {
		t.Errorf("NewOpaque = %q, %v", a, err)
	}
	for _, bad := range []string{"", a[1:], a + "A", a[:42] + "\n", a[:42] + "B", a[:42] + "="} { // TOK-09, TOK-10
		if _, err := ParseOpaque(bad); !errors.Is(err, ErrInvalid) {
			t.Errorf("ParseOpaque(%q) = %v, want ErrInvalid", bad, err)
		}
	}
	for s, want := range map[string]Shape{"": ShapeUnknown, "a.b": ShapeUnknown, "..": ShapeJWT, "....": ShapeJWE, "...": ShapeUnknown} {
		if got := ShapeOf(s); got != want {
			t.Errorf("ShapeOf(%q) = %v, want %v", s, got, want)
		}
	}
}

// SES-03: encoding the bytes that ParseOpaque returns gives the same text.
func FuzzParseOpaque(f *testing.F) {
	f.Add(NewOpaque())
	f.Add(strings.Repeat("A", 42) + "B")
	f.Add(strings.Repeat("A", 41) + "\r\n")
	f.Fuzz(func(t *testing.T, s string) {
		b, err := ParseOpaque(s)
		if err == nil && (base64.RawURLEncoding.EncodeToString(b[:]) != s || ShapeOf(s) != ShapeOpaque) {
			t.Errorf("%q is read as %x", s, b)
		}
		if err != nil && b != [32]byte{} {
			t.Errorf("%x beside %v", b, err)
		}
	})
}
