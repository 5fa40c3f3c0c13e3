package main

import (
	"bytes"
	"encoding/base64"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/inspect"
)

func jws(header, claims, signature string) string {
	e := base64.RawURLEncoding.EncodeToString
	return e([]byte(header)) + "." + e([]byte(claims)) + "." + e([]byte(signature))
}

func TestDecodedTextMovesNoCursor(t *testing.T) { // TOK-31
	raw := "{\"sub\":\"\\u001b[2J\",\"x\":\"\u009b2J\u202eabc\x7f\"}"
	hidden := base64.RawURLEncoding.EncodeToString([]byte("[\"salt\",\"\u202ename\",\"\u009b2J\"]"))
	for _, text := range []string{
		jws(`{"alg":"ES256"}`, raw, "x"),
		jws(`{"alg":"ES256","typ":"`+"\u009b2J"+`at+jwt"}`, raw, "x"),
		jws(`{"alg":"ES256"}`, raw, "x") + "~" + hidden + "~",
		jws(`{"typ":"dpop+jwt"}`, "{\"htm\":\"\u202e\",\"htu\":\"\u009b\"}", "x"),
	} {
		d, err := inspect.Decode(text, time.Unix(0, 0))
		if err != nil {
			t.Fatal(err)
		}
		v, err := inspect.Verify(text, inspect.VerifyOptions{Keys: inspect.Secret([]byte("x")), Issuer: "\u202e", Now: time.Unix(0, 0)})
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		printDecoded(&out, d, "")
		printVerified(&out, v)
		for _, r := range out.String() {
			if r != '\n' && (r < ' ' || r == 0x7f || r == 0x9b || r == 0x202e) {
				t.Errorf("%q is printed as it is: %q", r, out.String())
			}
		}
	}
	if name := "علی\u200cرضا 👩\u200d👧"; printable(name) != name {
		t.Errorf("%q is printed as %q", name, printable(name))
	}
}
