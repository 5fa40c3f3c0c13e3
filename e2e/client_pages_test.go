package e2e_test

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/chromedp/chromedp"
)

// examples/spa, as a person uses it: sign in, read, prove again for what needs a fresh sign-in, and sign out in one tab,
// which the other tab shows.
func TestSinglePageApp(t *testing.T) {
	t.Parallel()
	binary := filepath.Join(t.TempDir(), "spa")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-C", "..", "-o", binary, "./examples/spa").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	cmd := exec.Command(binary, "-listen", "127.0.0.1:0", "-auth-listen", "127.0.0.1:0", "-fresh", "2s")
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	url, rest, _ := strings.Cut(line, ", ")
	_, password, _ := strings.Cut(rest, `"`)
	password = strings.TrimSuffix(strings.TrimSpace(password), `"`)

	one := newBrowser(t, looks[0])
	ctx, cancel := chromedp.NewContext(one.ctx)
	t.Cleanup(cancel)
	two := &browser{t: t, ctx: ctx}
	who := func(b *browser, text string) {
		t.Helper()
		b.until(`document.querySelector("#who").value.startsWith("` + text + `")`)
	}
	for _, b := range []*browser{one, two} {
		b.do(chromedp.Navigate(url))
		who(b, "Nobody")
	}
	if wrong, err := chromedp.Run(one.ctx, chromedp.Evaluate[string](rules)); err != nil || wrong != "" {
		t.Errorf("the page: %s, %v", wrong, err)
	}
	one.do(chromedp.Click(chromedp.CSS("#sign-in input")), chromedp.SendKeys(chromedp.CSS("#sign-in input"), "alice\tnot hers\r"))
	one.until(`document.querySelector("#news").value === "Login refused"`)
	one.do(chromedp.SendKeys(chromedp.CSS("#sign-in input"), "alice\t"+password+"\r"))
	who(one, "Signed in as usr_")
	who(two, "Signed in as usr_")
	two.do(chromedp.Click(chromedp.CSS("#read")))
	two.until(`document.querySelector("#news").value.endsWith("by bearer")`)

	// The sign-in becomes too old. On a busy machine the new one may, too.
	for deleted := false; !deleted; {
		one.do(chromedp.Click(chromedp.CSS("#delete")))
		one.until(`document.querySelector("#news").value !== ""`)
		if asks, err := chromedp.Run(one.ctx, chromedp.Evaluate[bool](`!document.querySelector("#prove").hidden`)); err != nil {
			t.Fatal(err)
		} else if !asks {
			continue
		}
		one.do(chromedp.SendKeys(chromedp.CSS("#prove input"), password+"\r"))
		one.until(`document.querySelector("#prove").hidden && document.querySelector("#news").value !== ""`)
		deleted, err = chromedp.Run(one.ctx, chromedp.Evaluate[bool](`document.querySelector("#news").value.startsWith("DELETE usr_")`))
		if err != nil {
			t.Fatal(err)
		}
	}
	two.do(chromedp.Click(chromedp.CSS("#sign-out")))
	for _, b := range []*browser{one, two} {
		who(b, "Nobody")
		b.until(`document.querySelector("#news").value === "You are signed out, in all tabs."`)
	}

	// Another device ends all sessions but its own. The page says so, and not what the API has answered.
	one.do(chromedp.SendKeys(chromedp.CSS("#sign-in input"), "alice\t"+password+"\r"))
	who(one, "Signed in as usr_")
	endOthers(t, url, password)
	one.do(chromedp.Click(chromedp.CSS("#read")))
	who(one, "Nobody")
	one.until(`document.querySelector("#news").value === "Your session was ended elsewhere. Sign in again."`)
}

// endOthers signs alice in at the auth server of examples/spa as another device, which ends all her other sessions.
func endOthers(t *testing.T, page, password string) {
	t.Helper()
	settings, err := http.Get(page + "/settings.js")
	if err != nil {
		t.Fatal(err)
	}
	defer settings.Body.Close()
	text, err := io.ReadAll(settings.Body)
	if err != nil {
		t.Fatal(err)
	}
	auth, device := &program{t: t, url: strings.Split(string(text), `"`)[1]}, &holder{}
	auth.post("/v1/login", map[string]any{"identifier": "alice", "password": password, "carrier": "bearer", "client": "spa"}, "", device)
	if answer, text, err := auth.send("DELETE", "/v1/sessions", nil, "Authorization", "Bearer "+device.Access); err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("DELETE /v1/sessions = %s, %v", text, err)
	}
}

// The adapters in examples/react and examples/vue, with the real libraries: a component of each shows who is signed in, in
// one page with one client, and in another tab. They have at most 30 lines.
func TestClientFrameworks(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	modules := filepath.Join(nodeModules(ctx, t, "client"), "node_modules")
	a := newApp(t)
	read := func(name string) string {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	adapter := func(name string) string {
		text := read("../examples/" + name + "/useSession.js")
		if n := strings.Count(text, "\n"); n > 30 {
			t.Errorf("the adapter for %s has %d lines", name, n)
		}
		return text
	}
	// React has modules of Node only, which import others by require.
	node := func(file string, imports ...string) string {
		text, names := "", ""
		for n, name := range imports {
			text += "import * as m" + string(rune('0'+n)) + " from \"" + name + "\";\n"
			names += "\"" + name + "\": m" + string(rune('0'+n)) + ".default,"
		}
		return text + "const module = { exports: {} }, require = (name) => ({" + names + "})[name];\n(function (module, exports) {\n" + read(filepath.Join(modules, file)) +
			"\n})(module, module.exports);\nexport default module.exports;\nexport const { createElement, useSyncExternalStore, createRoot } = module.exports;\n"
	}
	a.files = map[string]string{
		"/npm/react.js":     node("react/cjs/react.production.js"),
		"/npm/scheduler.js": node("scheduler/cjs/scheduler.production.js"),
		"/npm/react-dom.js": node("react-dom/cjs/react-dom.production.js", "react"),
		"/npm/client.js":    node("react-dom/cjs/react-dom-client.production.js", "react", "scheduler", "react-dom"),
		"/npm/vue.js":       read(filepath.Join(modules, "vue/dist/vue.runtime.esm-browser.prod.js")),
		"/use/react.js":     adapter("react"),
		"/use/vue.js":       adapter("vue"),
		"/frameworks.html":  frameworksPage,
	}
	one := newBrowser(t, looks[0])
	second, stop := chromedp.NewContext(one.ctx)
	t.Cleanup(stop)
	tabs := []*tab{{one, nil}, {&browser{t: t, ctx: second}, nil}}
	shows := func(text string) {
		t.Helper()
		for _, tab := range tabs {
			tab.until(`document.querySelector("#react").textContent === "` + text + `" && document.querySelector("#vue").textContent === "` + text + `"`)
		}
	}
	for _, tab := range tabs {
		tab.do(chromedp.Navigate(a.url + "/frameworks.html"))
	}
	shows("nobody")
	tabs[0].signIn()
	shows("bearer")
	a.promote("staff")
	tabs[1].js(`(await auth.fetch("/api/hello")).status`)
	shows("bearer staff")
	tabs[1].js(`await auth.signOut()`)
	shows("nobody")
	for _, tab := range tabs {
		for _, said := range tab.said() {
			if !strings.Contains(said, "status of 401") { // who asks before a sign-in
				t.Errorf("the console: %s", said)
			}
		}
	}
}

const frameworksPage = `<!doctype html><html lang="en"><meta charset="utf-8"><link rel="icon" href="data:,"><title>frameworks</title>
<script type="importmap">{ "imports": { "react": "/npm/react.js", "react-dom": "/npm/react-dom.js", "react-dom/client": "/npm/client.js", "scheduler": "/npm/scheduler.js", "vue": "/npm/vue.js" } }</script>
<div id="react"></div><div id="vue"></div>
<script type="module">
	import { createClient } from "/client.js";
	import { createElement } from "react";
	import { createRoot } from "react-dom/client";
	import { createApp, h } from "vue";
	import { useSession as reactSession } from "/use/react.js";
	import { useSession as vueSession } from "/use/vue.js";
	window.auth = createClient({ issuer: location.origin, carrier: "bearer" });
	const text = (s) => s === undefined ? "one moment" : s === null ? "nobody" : [s.carrier, ...s.roles ?? []].join(" ");
	createRoot(document.querySelector("#react")).render(createElement(() => text(reactSession(auth))));
	createApp({ setup() { const session = vueSession(auth); return () => h("span", text(session.value)); } }).mount("#vue");
</script></html>`
