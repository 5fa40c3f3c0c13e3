package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/counterfoil/counterfoil/inspect"
	"github.com/counterfoil/counterfoil/inspect/inspector"
)

// inspectorFile writes the inspector as the command prints it, and returns its file: URL.
func inspectorFile(t *testing.T) string {
	t.Helper()
	var out, said bytes.Buffer
	cmd := exec.CommandContext(t.Context(), binary, "token", "inspector")
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		t.Fatalf("token inspector: %v\n%s", err, &said)
	}
	if !bytes.Equal(out.Bytes(), inspector.HTML()) || said.String() != "SHA-256 "+inspector.Hash()+"\n" {
		t.Errorf("token inspector printed %d bytes and said %q", out.Len(), &said)
	}
	path := filepath.Join(t.TempDir(), "inspector.html")
	if err := os.WriteFile(path, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return "file://" + path
}

// tab fills the fields of a tab of the inspector, by the ends of their ids, presses its button if
// it has one, and returns the text of its output. Fields that are not named keep what they have.
func (b *browser) tab(name string, fields map[string]string) string {
	b.t.Helper()
	data, err := json.Marshal(fields)
	if err != nil {
		b.t.Fatal(err)
	}
	b.do(chromedp.Click(chromedp.CSS("#tab-" + name)))
	return b.script(fmt.Sprintf(`(async () => {
		const out = document.getElementById(%q);
		out.replaceChildren();
		for (const [id, value] of Object.entries(%s)) {
			const e = document.getElementById(%q + id);
			e.value = value;
			e.dispatchEvent(new Event("input"));
		}
		document.getElementById(%q)?.click();
		await new Promise((done) => {
			const ready = () => out.childElementCount && out.getAttribute("aria-busy") === "false" && (watch.disconnect(), done());
			const watch = new MutationObserver(ready);
			watch.observe(out, { childList: true, attributes: true });
			ready();
		});
		return out.innerText;
	})()`, name+"-out", data, name+"-", name+"-go"))
}

// script evaluates an expression of the page, which may be a promise of a text.
func (b *browser) script(expression string) string {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, hung)
	defer cancel()
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatalf("browser: %v\n%.300s", err, expression)
	}
	return text
}

// axeCore keeps what axeSource has read for the other tests.
var axeCore struct {
	sync.Mutex // guards the field below, and is held while axe-core is installed
	script     string
}

// axeSource is axe-core, a script that looks for faults of accessibility in a page.
func axeSource(t *testing.T) string {
	t.Helper()
	axeCore.Lock()
	defer axeCore.Unlock()
	if axeCore.script == "" {
		script, err := os.ReadFile(filepath.Join(nodeModules(t.Context(), t, "inspector"), "node_modules", "axe-core", "axe.min.js"))
		if err != nil {
			t.Fatal(err)
		}
		axeCore.script = string(script)
	}
	return axeCore.script
}

// axe fails the test if axe-core finds a fault in the page as it is now.
func (b *browser) axe(source, name string) {
	b.t.Helper()
	found := b.script(source + `; axe.run(document, { resultTypes: ["violations"] }).then(({ violations, passes }) =>
		passes.length === 0 ? "axe looked at nothing" : violations.map((v) => v.id + ": " + v.help + ": " + v.nodes.map((n) => n.html.slice(0, 200)).join(" | ")).join("\n"))`)
	if found != "" {
		b.t.Errorf("%s: %s", name, found)
	}
}

// Each tab of the inspector, with what it shows when it is used: the rules of every page, and axe
// (axe-core) finds nothing. With the keyboard alone: the tabs by arrows, Home and End, and each field
// and button by Tab.
func TestInspectorPages(t *testing.T) {
	t.Parallel()
	axe := axeSource(t)
	url := start(t).url + "/inspector"
	for _, l := range append([]look{{"phone-small-light", 360, false, true}, {"desktop-dark", 1280, true, true}}, looks...) {
		t.Run(l.name, func(t *testing.T) {
			b := newBrowser(t, l)
			b.do(chromedp.Navigate(url))
			b.inspect("inspector-" + l.name)
			if !l.script {
				return
			}
			look := func(name string) {
				t.Helper()
				b.inspect("inspector-" + name + "-" + l.name)
				b.axe(axe, name)
				b.script(`window.stops.shift().focus(); ""`) // the first one, and Tab goes on from there
				b.tabThrough(name)
			}
			b.do(chromedp.Evaluate[chromedp.Void](`document.querySelector("details").open = true`))
			look("about")
			b.do(chromedp.Evaluate[chromedp.Void](`document.querySelector("details").open = false; document.getElementById("tab-decode").focus()`))
			for _, step := range []struct{ key, tab string }{
				{kb.ArrowRight, "verify"}, {kb.ArrowLeft, "decode"}, {kb.ArrowLeft, "decrypt"}, {kb.ArrowRight, "decode"}, {kb.End, "decrypt"}, {kb.Home, "decode"},
			} {
				b.do(chromedp.KeyEvent(step.key))
				b.until(fmt.Sprintf(`document.activeElement.id === "tab-%s" && document.activeElement.ariaSelected === "true" && document.querySelectorAll("[role=tabpanel]:not([hidden])").length === 1 && !document.getElementById("panel-%[1]s").hidden`, step.tab))
			}

			b.tab("sign", map[string]string{"key": b.script(`newKey("ES256")`)})
			look("sign")
			token := b.script(`document.getElementById("sign-result").value`)
			key := b.script(`document.getElementById("sign-public").value`)
			b.tab("decode", map[string]string{"token": token})
			look("decode")
			b.tab("decode", map[string]string{"token": strings.Repeat(token, 20)})
			look("decode-none")
			wide := map[string]string{"token": token, "key": key, "typ": "at+jwt", "iss": "https://issuer.example", "aud": "https://api.example"}
			if text := b.tab("verify", wide); !strings.HasPrefix(text, "✔ Verified\n") {
				t.Errorf("all that was expected: %s", text)
			}
			look("verify")
			wide["aud"] = "https://other.example"
			if text := b.tab("verify", wide); !strings.HasPrefix(text, "✘ Refused\n") || !strings.Contains(text, "✘ Audience") || !strings.Contains(text, "✔ Signature") {
				t.Errorf("another audience: %s", text)
			}
			look("refused")
			secret := b.script(`newKey("A256KW")`)
			b.tab("encrypt", map[string]string{"key": secret, "alg": "A256KW", "text": token})
			look("encrypt")
			if text := b.tab("decrypt", map[string]string{"token": b.script(`document.getElementById("encrypt-result").value`), "key": secret}); !strings.HasPrefix(text, "Decrypted, not verified\n") || !strings.Contains(text, "Inside is a token") {
				t.Errorf("decrypted: %s", text)
			}
			look("decrypt")
		})
	}
}

// Each vector of the rules: the page finds the rule in the token, and not in the neighbour. Of both
// it finds all that the command finds.
func TestInspectorLint(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("../inspect/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []inspect.Vector
	if err := json.Unmarshal(data, &vectors); err != nil {
		t.Fatal(err)
	}
	b := newBrowser(t, looks[0])
	b.do(chromedp.Navigate(inspectorFile(t)))
	var got []struct{ Token, Neighbour []string }
	b.eval(fmt.Sprintf(`(async () => {
		const all = [], ids = async (text, v) => [...new Set((await lint(readToken(text), v.now, v.key)).map((f) => f.rule.id))];
		for (const v of %s) all.push({ token: await ids(v.token, v), neighbour: await ids(v.neighbour, v) });
		return JSON.stringify(all);
	})()`, data), &got)
	for i, v := range vectors {
		if there, not := got[i].Token, got[i].Neighbour; !slices.Contains(there, v.Rule) || slices.Contains(not, v.Rule) {
			t.Errorf("%s (%s): the page finds %q, and in the neighbour %q", v.Rule, v.About, there, not)
		}
		if v.Key != nil {
			continue // the command takes keys from files
		}
		for text, page := range map[string][]string{v.Token: got[i].Token, v.Neighbour: got[i].Neighbour} {
			var ids []string
			for _, f := range inspect.Lint(text, inspect.LintOptions{Now: time.Unix(v.Now, 0)}) {
				if !slices.Contains(ids, f.ID) {
					ids = append(ids, f.ID)
				}
			}
			if !slices.Equal(ids, page) {
				t.Errorf("%s (%s): the command finds %q, the page %q: %s", v.Rule, v.About, ids, page, text)
			}
		}
	}
}

// eval reads the JSON that an expression of the page is a promise of.
func (b *browser) eval(expression string, v any) {
	b.t.Helper()
	if text := b.script(expression); json.Unmarshal([]byte(text), v) != nil {
		b.t.Fatalf("%.300s = %.300s", expression, text)
	}
}

// What nobody signed is believed nowhere: not the unprotected header, and not the headers of other
// signatures.
func TestInspectorBelievesWhatIsSigned(t *testing.T) {
	t.Parallel()
	b := newBrowser(t, looks[0])
	b.do(chromedp.Navigate(inspectorFile(t)))
	var made struct{ Signed, Typed, Key, Own string }
	b.eval(`(async () => {
		const jwk = async (text) => (await readKeys(text)).keys[0].jwk;
		const key = await newKey("ES256"), own = await newKey("ES256"), payload = utf8.encode('{"sub":"a"}');
		return JSON.stringify({
			signed: await sign({ alg: "ES256" }, payload, await jwk(key), "json"), typed: await sign({ alg: "ES256", typ: "at+jwt" }, payload, await jwk(own), "json"),
			key: JSON.stringify(publicOf(await jwk(key))), own,
		});
	})()`, &made)
	var signed, typed struct {
		Payload   string          `json:"payload"`
		Protected string          `json:"protected"`
		Header    json.RawMessage `json:"header,omitempty"`
		Signature string          `json:"signature"`
	}
	if err := errors.Join(json.Unmarshal([]byte(made.Signed), &signed), json.Unmarshal([]byte(made.Typed), &typed)); err != nil {
		t.Fatal(err)
	}
	general, err := json.Marshal(map[string]any{"payload": signed.Payload, "signatures": []any{typed, signed}})
	if err != nil {
		t.Fatal(err)
	}
	signed.Header = json.RawMessage(`{"typ":"at+jwt"}`)
	flattened, err := json.Marshal(signed)
	if err != nil {
		t.Fatal(err)
	}
	for name, token := range map[string]string{"another signature": string(general), "the unprotected header": string(flattened)} {
		fields := map[string]string{"token": token, "key": made.Key, "typ": ""}
		if said := b.tab("verify", fields); !strings.HasPrefix(said, "✔ Signature verified") {
			t.Errorf("%s: %s", name, said)
		}
		fields["typ"] = "at+jwt"
		if said := b.tab("verify", fields); !strings.HasPrefix(said, "✘ Refused") || !strings.Contains(said, "Type (typ) is not there") {
			t.Errorf("typ in %s is believed: %s", name, said)
		}
	}
}
