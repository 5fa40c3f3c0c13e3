package bench

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// member is a member of a JSON object. Name and value are JSON text.
type member struct{ name, value string }

// membersOf reads the members of an object. A name may occur several times.
func membersOf(object string) (list []member, ok bool) {
	d := json.NewDecoder(strings.NewReader(object))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, false
	}
	for d.More() {
		before := d.InputOffset()
		if _, err := d.Token(); err != nil {
			return nil, false
		}
		name := strings.TrimLeft(object[before:d.InputOffset()], ", \t\r\n")
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, false
		}
		list = append(list, member{name, string(value)})
	}
	_, err := d.Token()
	return list, err == nil
}

func object(list []member) string {
	var b strings.Builder
	b.WriteByte('{')
	for n, m := range list {
		if n > 0 {
			b.WriteByte(',')
		}
		b.WriteString(m.name + ":" + m.value)
	}
	b.WriteByte('}')
	return b.String()
}

// Names and values that a reader may misread.
var (
	oddNames = []string{
		`"alg"`, `"kid"`, `"typ"`, `"cty"`, `"crit"`, `"b64"`, `"enc"`, `"zip"`, `"epk"`, `"jwk"`, `"jku"`, `"x5c"`, `"x5t"`, `"nonce"`, `"url"`,
		`"iss"`, `"sub"`, `"aud"`, `"exp"`, `"nbf"`, `"iat"`, `"jti"`, `"sid"`, `"rv"`, `"scope"`, `"roles"`, `"amr"`, `"acr"`, `"cnf"`, `"app"`, `"cv"`, `"auth_time"`, `"client_id"`,
		`"Exp"`, `"SUB"`, `"\u0065xp"`, `"\u212aid"`, `"\u017fub"`, `""`, `"a\u0000"`, `"sub "`, `"__proto__"`,
	}
	oddValues = []string{
		`null`, `true`, `false`, `0`, `-0`, `1`, `-1`, `1.0`, `1e3`, `1800000000`, `1800003000`, `1800003000.5`, `18000030e2`, `9007199254740991`, `9007199254740992`,
		`9223372036854775807`, `18446744073709551616`, `1e308`, `1e999`, `""`, `"a"`, `"ES256"`, `"HS256"`, `"none"`, `"at+jwt"`, `"AT+JWT"`, `"application/at+jwt"`, `"JWT"`,
		`"` + KeyID + `"`, `"` + Issuer + `"`, `"` + Audience + `"`, `["` + Audience + `"]`, `["` + Audience + `","a"]`, `[]`, `{}`, `[[]]`, `[null]`, `["exp"]`, `{"a":{"b":[1,{"c":null}]}}`,
		`"\ud83d\ude00"`, `"\ud800"`, "\"\xff\"", `"\u0000"`, `"caf\u00e9"`, "\"caf\u00e9\"", `"\/"`, `"2027-01-15T08:00:00Z"`,
	}
)

// restructure changes the members of an object. Each edit is three bytes.
func restructure(text string, edits []byte) string {
	list, ok := membersOf(text)
	if !ok {
		return text
	}
	for len(edits) >= 3 && len(list) > 0 && len(list) < 100 {
		op, at, with := edits[0], int(edits[1])%len(list), int(edits[2])
		edits = edits[3:]
		m := list[at]
		switch op % 8 {
		case 0: // a member twice
			list = append(list, m)
		case 1: // a member twice, with different values
			list = append(list, member{m.name, oddValues[with%len(oddValues)]})
		case 2:
			list[at].value = oddValues[with%len(oddValues)]
		case 3:
			list[at].name = oddNames[with%len(oddNames)]
		case 4:
			list = append([]member{{oddNames[with%len(oddNames)], oddValues[at*7%len(oddValues)]}}, list...)
		case 5: // one letter in the other case
			if n := with % len(m.name); m.name[n] >= 'a' && m.name[n] <= 'z' {
				list[at].name = m.name[:n] + strings.ToUpper(m.name[n:n+1]) + m.name[n+1:]
			}
		case 6: // one letter escaped
			if n := with % len(m.name); n > 0 && n < len(m.name)-1 && m.name[n] != '\\' && m.name[n-1] != '\\' {
				list[at].name = fmt.Sprintf(`%s\u%04x%s`, m.name[:n], m.name[n], m.name[n+1:])
			}
		case 7:
			list = append(list[:at], list[at+1:]...)
		}
	}
	return object(list)
}

// respell changes bytes of a text. Each edit is four bytes.
func respell(text string, edits []byte) string {
	b := []byte(text)
	for len(edits) >= 4 && len(b) > 0 {
		op, at, c := edits[0], (int(edits[1])<<8|int(edits[2]))%len(b), edits[3]
		edits = edits[4:]
		switch op % 4 {
		case 0:
			b[at] ^= c
		case 1:
			b[at] = c
		case 2:
			b = append(b[:at], append([]byte{c}, b[at:]...)...)
		case 3:
			b = append(b[:at], b[at+1:]...)
		}
	}
	return string(b)
}

func TestMutations(t *testing.T) {
	const in = `{"alg":"ES256", "kid":"k","typ":"at+jwt"}`
	for want, edits := range map[string][]byte{
		`{"alg":"ES256","kid":"k","typ":"at+jwt"}`:           {},
		`{"alg":"ES256","kid":"k","typ":"at+jwt","kid":"k"}`: {0, 1, 0},
		`{"alg":null,"kid":"k","typ":"at+jwt"}`:              {2, 0, 0},
		`{"alg":"ES256","Kid":"k","typ":"at+jwt"}`:           {5, 1, 1},
		`{"alg":"ES256","\u006bid":"k","typ":"at+jwt"}`:      {6, 1, 1},
		`{"alg":"ES256","kid":"k"}`:                          {7, 2, 0},
	} {
		if got := restructure(in, edits); got != want {
			t.Errorf("restructure(%v) = %s, want %s", edits, got, want)
		}
	}
	if got := respell("abc", []byte{2, 0, 1, '.', 0, 0, 0, 1}); !bytes.Equal([]byte(got), []byte("`.bc")) {
		t.Errorf("respell = %q", got)
	}
}
