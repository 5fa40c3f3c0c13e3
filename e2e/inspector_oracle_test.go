package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// sample is a token of make.mjs, or one for check.mjs.
type sample struct {
	Name     string  `json:"name"`
	Verb     string  `json:"verb"` // verify, decrypt
	Token    string  `json:"token"`
	Key      string  `json:"key"`
	Encoding string  `json:"encoding"`
	Good     bool    `json:"good"`
	Payload  *string `json:"payload"`
	SDJWT    bool    `json:"sdjwt"`
}

// samples are the tokens of jose and @sd-jwt/core: 200 good ones at least, and 60 broken ones.
func samples(ctx context.Context, t *testing.T, dir string) (set []sample) {
	t.Helper()
	cmd := exec.CommandContext(ctx, "node", "make.mjs")
	cmd.Dir = dir
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err == nil {
		err = json.Unmarshal(out, &set)
	}
	if err != nil {
		t.Fatalf("make.mjs: %v\n%s", err, &said)
	}
	return set
}

// The page accepts what jose and @sd-jwt/core make, reads the same in it, and refuses what is broken.
// Each token goes through the fields and buttons of its tab.
func TestInspectorReadsWhatOthersMake(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	set := samples(ctx, t, nodeModules(ctx, t, "inspector"))
	b := newBrowser(t, looks[0])
	b.do(chromedp.Navigate(inspectorFile(t)))
	data, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	var read []struct{ Content, Claims string }
	b.eval(fmt.Sprintf(`(async () => {
		const all = [], now = Date.now() / 1000;
		for (const c of %s) {
			const got = { content: "", claims: "" };
			try {
				if (c.verb === "verify") {
					const { token, claims } = await verify(c.token, { key: c.key, encoding: c.encoding, alg: "", typ: "", iss: "", aud: "" }, now);
					Object.assign(got, { content: token.payload?.plain, claims: JSON.stringify(claims) });
				} else got.content = readText((await decrypt(readToken(c.token), await readKeys(c.key, c.encoding))).plain).text;
			} catch (e) {
				if (!(e instanceof Refusal)) throw e;
			}
			all.push(got);
		}
		return JSON.stringify(all);
	})()`, data), &read)
	for i, c := range set {
		fields := map[string]string{"token": c.Token, "key": c.Key, "encoding": c.Encoding}
		said, _, _ := strings.Cut(b.tab(c.Verb, fields), "\n")
		want := "✘ Refused"
		if c.Good {
			want = map[string]string{"verify": "✔ Signature verified", "decrypt": "Decrypted, not verified"}[c.Verb]
		}
		if said != want {
			t.Errorf("%s: the page says %q, want %q", c.Name, said, want)
		}
		if strings.HasSuffix(c.Name, ", bound") { // whom it is for stands in the key binding
			for audience, want := range map[string]string{"https://api.example": "✔ Audience", "https://other.example": "✘ Audience"} {
				fields["aud"] = audience
				if said := b.tab(c.Verb, fields); !strings.Contains(said, want) {
					t.Errorf("%s, for %s: %s", c.Name, audience, said)
				}
			}
			b.tab(c.Verb, map[string]string{"aud": ""})
		}
		switch {
		case !c.Good:
			if read[i].Content != "" {
				t.Errorf("%s: the page read %q", c.Name, read[i].Content)
			}
		case c.SDJWT:
			var got, want any
			if json.Unmarshal([]byte(read[i].Claims), &got) != nil || json.Unmarshal([]byte(*c.Payload), &want) != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%s: the page read %s, want %s", c.Name, read[i].Claims, *c.Payload)
			}
		case read[i].Content != *c.Payload:
			t.Errorf("%s: the page read %.300q, want %.300q", c.Name, read[i].Content, *c.Payload)
		}
	}
}

// jose accepts what the page makes, with each algorithm, in both forms.
func TestOthersReadWhatInspectorMakes(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	dir := nodeModules(ctx, t, "inspector")
	b := newBrowser(t, looks[0])
	b.do(chromedp.Navigate(inspectorFile(t)))
	var made []sample
	b.eval(`(async () => {
		const all = [];
		let n = 0;
		const payload = () => JSON.stringify({ sub: "ä" + n++, exp: 4e9 });
		const own = async (key) => { const { keys } = await readKeys(key); return keys[0].jwk; };
		for (const form of ["compact", "json"]) {
			for (const alg of Object.keys(signing)) {
				const key = await newKey(alg), p = payload();
				all.push({ name: alg + " " + form, verb: "verify", token: await sign({ alg }, utf8.encode(p), await own(key), form), key, payload: p });
			}
			for (const alg of keyAlgs) for (const enc of contents) for (const zip of alg === "dir" ? [false, true] : [false]) {
				const key = await newKey(alg, enc), p = payload();
				const header = { alg, enc, ...(zip ? { zip: "DEF" } : {}), ...(alg.startsWith("PBES2") ? { p2c: 1500 } : {}), ...(alg.startsWith("ECDH") ? { apu: "QQ", apv: "Qg" } : {}) };
				all.push({ name: [alg, enc, zip, form].join(" "), verb: "decrypt", token: await encrypt(header, utf8.encode(p), await own(key), form), key, payload: p });
			}
		}
		for (const crv of ["P-384", "P-521", "X25519"]) for (const alg of ["ECDH-ES", "ECDH-ES+A192KW"]) {
			const jwk = await generated(crv === "X25519" ? { name: crv } : { name: "ECDH", namedCurve: crv }, ["deriveBits"]), p = payload();
			all.push({ name: alg + " " + crv, verb: "decrypt", token: await encrypt({ alg, enc: "A128GCM" }, utf8.encode(p), jwk), key: JSON.stringify(jwk), payload: p });
		}
		// jose wants to verify with a public key.
		for (const c of all) if (c.verb === "verify" && c.key.startsWith("{")) {
			const { keys: [{ jwk }] } = await readKeys(c.key);
			if (jwk.kty !== "oct") c.key = JSON.stringify(publicOf(jwk));
		}
		return JSON.stringify(all);
	})()`, &made)
	if len(made) < 200 {
		t.Errorf("the page made %d tokens", len(made))
	}
	input, err := json.Marshal(made)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, "node", "check.mjs")
	cmd.Dir, cmd.Stdin = dir, bytes.NewReader(input)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("check.mjs: %v\n%s", err, out)
	}
}
