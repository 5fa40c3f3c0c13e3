package e2e_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/counterfoil/counterfoil/internal/testsvc"
)

// examples/node-ssr: a person signs in on the page of the auth server and is back, a revoked one is out with
// the next request, and an outage signs nobody out.
func TestNodeServerRendered(t *testing.T) {
	t.Parallel()
	p, at := start(t), testsvc.FreeAddress(t)
	app := "http://" + at
	p.set("default", `{"origins":["`+app+`"]}`, "Authorization", "Bearer "+p.admin)
	cmd := exec.CommandContext(t.Context(), testsvc.Program(t, "node"), "../examples/node-ssr/app.mjs")
	cmd.Env = append(os.Environ(), "ISSUER="+p.url, "ORIGIN="+app)
	listen(t, cmd, at)

	b := newBrowser(t, looks[0])
	signIn := func() {
		t.Helper()
		b.until(`location.origin === "` + p.url + `" && document.querySelector("#identifier")`)
		b.do(chromedp.SendKeys(chromedp.CSS("#identifier"), "alice"), chromedp.SendKeys(chromedp.CSS("#password"), demoPassword+"\r"))
	}
	b.do(chromedp.Navigate(app + "/?from=mail"))
	signIn()
	b.until(`location.href === "` + app + `/?from=mail" && document.querySelector("#who").textContent.startsWith("usr_")`)
	who, err := chromedp.Run(b.ctx, chromedp.Text(chromedp.CSS("#who")))
	if err != nil {
		t.Fatal(err)
	}
	b.do(chromedp.SendKeys(chromedp.CSS("[name=note]"), "buy <milk>\r"))
	b.until(`document.querySelector("#note")?.textContent === "buy <milk>"`)
	b.do(chromedp.Navigate(app + "/admin"))
	b.until(`document.body.textContent === "For administrators alone."`)

	// The auth server hangs, and then goes on.
	if err := p.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	b.do(chromedp.Navigate(app + "/"))
	b.until(`document.body.textContent.startsWith("One moment")`)
	if err := p.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	b.do(chromedp.Navigate(app + "/"))
	b.until(`document.querySelector("#who").textContent === "` + who + `"`)

	p.post("/v1/admin/revocations", map[string]any{"scope": "subject", "id": who}, p.admin, nil)
	b.do(chromedp.Navigate(app + "/"))
	signIn()
	b.until(`document.querySelector("#who")?.textContent === "` + who + `"`)
	b.do(chromedp.Click(chromedp.CSS("#out")))
	b.until(`document.body.textContent.startsWith("You are signed out")`)
	b.do(chromedp.Navigate(p.url + "/")) // there, too
	b.until(`document.body.textContent.includes("You are not signed in")`)

	// A form of another page of this host, which the cookie comes with.
	for _, from := range []string{p.url, "null", ""} {
		out, err := exec.CommandContext(t.Context(), testsvc.Program(t, "curl"), "-s", "-o", "/dev/null", "-w", "%{http_code}", "-d", "note=x", "-H", "Origin: "+from, app+"/note").Output()
		if err != nil || strings.TrimSpace(string(out)) != "403" {
			t.Errorf("a form from %q = %s, %v", from, out, err)
		}
	}
}

// What a proxy in front of the auth server answers is no word about who is signed in: examples/node-ssr neither
// says that somebody is signed out, nor follows it elsewhere.
func TestNodeBehindAProxy(t *testing.T) {
	t.Parallel()
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("another server is asked %s %s", r.Method, r.URL)
	}))
	defer other.Close()
	for _, status := range []int{http.StatusUnauthorized, http.StatusTemporaryRedirect} {
		proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", other.URL+r.URL.Path)
			w.WriteHeader(status)
		}))
		defer proxy.Close()
		at := testsvc.FreeAddress(t)
		app := "http://" + at
		cmd := exec.CommandContext(t.Context(), testsvc.Program(t, "node"), "../examples/node-ssr/app.mjs")
		cmd.Env = append(os.Environ(), "ISSUER="+proxy.URL, "ORIGIN="+app)
		listen(t, cmd, at)
		for _, path := range []string{"/", "/sign-out"} {
			method := map[string]string{"/": "GET", "/sign-out": "POST"}[path]
			r, err := http.NewRequestWithContext(t.Context(), method, app+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header = http.Header{"Cookie": {"cf=somebody"}, "Origin": {app}}
			res, err := http.DefaultTransport.RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			if res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Set-Cookie") != "" {
				t.Errorf("%s %s behind a proxy that answers %d = %d", method, path, status, res.StatusCode)
			}
		}
	}
}
