package e2e_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/clients"
	"github.com/counterfoil/counterfoil/rights"
)

// HDR-03: after a sign-in the browser is where the visitor was, on a page of another origin: the
// Content-Security-Policy of the form lets it go there. And whatever the server accepts leads
// the browser to an origin that is listed: the browser's own parser of URLs says so.
func TestSignInLeadsBackInABrowser(t *testing.T) {
	t.Parallel()
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write([]byte(`<!doctype html><html lang="en"><link rel="icon" href="data:,"><title>Notes</title><h1>Notes</h1>`))
	}))
	t.Cleanup(app.Close)
	auth, own, _ := embedded(t)
	if err := auth.AddUser(t.Context(), "alice", ownPassword); err != nil {
		t.Fatal(err)
	}
	list := func(origins ...string) {
		t.Helper()
		err := auth.Issuer().Clients().Set(t.Context(), rights.Owner(), clients.Default, audit.Act{}, func(c *clients.Client) { c.Origins = origins })
		if err != nil {
			t.Fatal(err)
		}
	}
	list(app.URL)
	b := newBrowser(t, looks[0])
	const where = "/notes?page=2&text=%22#end"
	b.do(chromedp.Navigate(own + "/login?return_to=" + url.QueryEscape(app.URL+where)))
	b.do(chromedp.SendKeys(chromedp.CSS("#identifier"), "alice"), chromedp.SendKeys(chromedp.CSS("#password"), "not hers at all\r"))
	b.until(`document.querySelector("[role=alert]")`)
	b.expected()
	b.do(chromedp.SendKeys(chromedp.CSS("#password"), ownPassword+"\r"))
	b.until(`location.href === "` + app.URL + where + `"`)
	// And once more, by a link alone; and to prove it again.
	b.do(chromedp.Navigate(own + "/login?return_to=" + url.QueryEscape(app.URL+where)))
	b.until(`location.href === "` + app.URL + where + `"`)
	b.do(chromedp.Navigate(own + "/login?max_age=0&return_to=" + url.QueryEscape(app.URL+where)))
	b.until(`document.querySelector("form[action='/session/step-up']")`)
	b.do(chromedp.SendKeys(chromedp.CSS("#password"), ownPassword+"\r"))
	b.until(`location.href === "` + app.URL + where + `"`)

	data, err := os.ReadFile("../internal/urls/testdata/return_to.json")
	if err != nil {
		t.Fatal(err)
	}
	var spellings struct {
		Origins  []string
		Accepted map[string]string
		Refused  []string
	}
	if err := json.Unmarshal(data, &spellings); err != nil {
		t.Fatal(err)
	}
	listed := slices.DeleteFunc(slices.Clone(spellings.Origins), func(o string) bool { return o == "capacitor://localhost" })
	list(listed...)
	b.do(chromedp.Navigate(own + "/login"))
	away := 0
	for _, text := range slices.Concat(spellings.Refused, slices.Collect(maps.Keys(spellings.Accepted))) {
		quoted, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		origin, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](`(() => { try { return new URL(`+string(quoted)+`, location.href).origin } catch { return "" } })()`))
		if err != nil {
			t.Fatal(err)
		}
		here := origin == own || slices.Contains(listed, origin)
		if !here {
			away++
		}
		res, err := http.Get(own + "/login?return_to=" + url.QueryEscape(text))
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if accepted := res.StatusCode == http.StatusOK && text != ""; accepted && !here {
			t.Errorf("%q is accepted, and leads the browser to %q", text, origin)
		}
	}
	if away < 40 {
		t.Errorf("only %d spellings lead the browser elsewhere", away)
	}
}
