package main

import (
	"encoding/base64"
	"slices"
	"strings"
	"testing"
	"time"
)

func jws(header, claims, signature string) string {
	e := base64.RawURLEncoding.EncodeToString
	return e([]byte(header)) + "." + e([]byte(claims)) + "." + e([]byte(signature))
}

const (
	goodHeader = `{"alg":"ES256","kid":"k1","typ":"at+jwt"}`
	goodClaims = `{"iss":"https://a.test","sub":"u","aud":"https://a.test","exp":1300,"iat":1000,"jti":"j","client_id":"app","sid":"s","rv":"1.2"}`
)

func TestLint(t *testing.T) {
	with := func(claim string) string {
		return jws(goodHeader, strings.Replace(goodClaims, "{", "{"+claim+",", 1), "x")
	}
	for name, c := range map[string]struct {
		token string
		want  string // level/rule of each finding
	}{
		"good":              {jws(goodHeader, goodClaims, "x"), ""},
		"alg none":          {jws(`{"alg":"nOnE","kid":"k","typ":"at+jwt"}`, goodClaims, ""), "error/alg error/signature"},
		"HS256":             {jws(`{"alg":"HS256","kid":"k","typ":"at+jwt"}`, goodClaims, "x"), "warning/alg"},
		"EdDSA":             {jws(`{"alg":"EdDSA","kid":"k","typ":"at+jwt"}`, goodClaims, "x"), "error/alg"},
		"no typ, no kid":    {jws(`{"alg":"ES256"}`, goodClaims, "x"), "error/kid error/typ"},
		"jku":               {jws(`{"alg":"ES256","kid":"k1","typ":"at+jwt","jku":"https://evil.test"}`, goodClaims, "x"), "error/jku"},
		"crit":              {jws(`{"alg":"ES256","kid":"k1","typ":"at+jwt","crit":["x"]}`, goodClaims, "x"), "error/crit"},
		"two alg":           {jws(`{"alg":"ES256","alg":"none","kid":"k1","typ":"at+jwt"}`, goodClaims, "x"), "error/json"},
		"trailing bits":     {jws(goodHeader, goodClaims, "xxxx") + "", ""},
		"line break":        {strings.Replace(jws(goodHeader, goodClaims, "xxxx"), ".", "\n.", 1), "error/base64"},
		"padding":           {jws(goodHeader, goodClaims, "x") + "==", "error/base64"},
		"two parts":         {"a.b", "error/shape"},
		"JSON":              {`{"payload":""}`, "error/serialization"},
		"huge":              {strings.Repeat("a", 9000), "error/size"},
		"expired":           {jws(goodHeader, strings.Replace(goodClaims, "1300", "1050", 1), "x"), "warning/exp"},
		"lives too long":    {jws(goodHeader, strings.Replace(goodClaims, "1300", "9000", 1), "x"), "warning/lifetime"},
		"exp is text":       {jws(goodHeader, strings.Replace(goodClaims, "1300", `"1300"`, 1), "x"), "error/exp"},
		"mail address":      {with(`"email":"a@b.test"`), "warning/privacy"},
		"another case":      {with(`"SUB":"root"`), "error/case"},
		"Kelvin":            {with(`"ſub":"root"`), "error/case"},
		"cannot be revoked": {jws(goodHeader, strings.Replace(goodClaims, `,"rv":"1.2"`, "", 1), "x"), "warning/rv"},
	} {
		var got []string
		for _, f := range lint(c.token, time.Unix(1100, 0)) {
			got = append(got, f.Level+"/"+f.Rule)
		}
		slices.Sort(got)
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: lint = %q, want %q", name, got, c.want)
		}
	}
}

func TestDecodedTextMovesNoCursor(t *testing.T) { // TOK-31
	raw := "{\"sub\":\"\\u001b[2J\",\"x\":\"\u009b2J\u202eabc\x7f\"}"
	d, err := decode(jws(goodHeader, raw, "x"))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range indented(d.Claims) {
		if r != '\n' && (r < ' ' || r == 0x7f || r == 0x9b || r == 0x202e) {
			t.Errorf("%q is printed as it is", r)
		}
	}
	if name := "علی\u200cرضا 👩\u200d👧"; printable(name) != name {
		t.Errorf("%q is printed as %q", name, printable(name))
	}
}
