package e2e_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/counterfoil/counterfoil/internal/testsvc"
)

// The page of docs/tutorials/spa.md, which is at another origin than the auth server: it signs in, asks its API,
// is still signed in after a reload, and is told when its session was ended.
func TestTutorialPage(t *testing.T) {
	t.Parallel()
	p, at, spa := start(t), testsvc.FreeAddress(t), filepath.Join(t.TempDir(), "spa")
	p.set("default", `{"origins":["http://`+at+`"]}`, "Authorization", "Bearer "+p.admin)
	var made struct{ Key string }
	p.post("/v1/admin/apikeys", map[string]any{"client": "spa", "scopes": []string{"revocation:read", "introspect"}}, p.admin, &made)
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-C", "..", "-o", spa, "./examples/tutorial/spa").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	cmd := exec.CommandContext(t.Context(), spa, "-listen", at, "-issuer", p.url)
	cmd.Env = append(os.Environ(), "COUNTERFOIL_API_KEY="+made.Key)
	listen(t, cmd, at)

	b := newBrowser(t, looks[0])
	b.do(chromedp.Navigate("http://" + at + "/"))
	b.until(`document.querySelector("#who").textContent === "Nobody is signed in."`)
	b.said()
	b.do(chromedp.SendKeys(chromedp.CSS("[name=identifier]"), "alice"), chromedp.SendKeys(chromedp.CSS("[name=password]"), demoPassword+"\r"))
	b.until(`document.querySelector("#who").textContent.startsWith("Signed in as usr_")`)
	b.do(chromedp.Navigate("http://" + at + "/"))
	b.until(`document.querySelector("#who").textContent.startsWith("Signed in as usr_")`)
	b.do(chromedp.Click(chromedp.CSS("#hello")))
	b.until(`/^hello usr_.*, by bearer/.test(document.querySelector("#out").value)`)
	who, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](`document.querySelector("#who").textContent.replace("Signed in as ", "")`))
	if err != nil {
		t.Fatal(err)
	}
	if kept, err := chromedp.Run(b.ctx, chromedp.Evaluate[int](`localStorage.length + sessionStorage.length + document.cookie.length`)); err != nil || kept != 0 {
		t.Errorf("a script finds %d things, %v", kept, err)
	}

	p.post("/v1/admin/revocations", map[string]any{"scope": "subject", "id": who}, p.admin, nil)
	b.until(`document.querySelector("#hello").click() || document.querySelector("#news").textContent === "Your session was ended elsewhere." && document.querySelector("#who").textContent === "Nobody is signed in."`)
}
