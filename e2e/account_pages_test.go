package e2e_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/clients"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/rights"
	"github.com/counterfoil/counterfoil/server"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store/memory"
)

const agent = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36"

// Every page for people in every state keeps the rules of every page, and axe finds nothing: empty, with
// a mistake, with a name that is long or written from right to left, with 200 sessions, while somebody else acts; on a desktop, on a
// phone, and enlarged to 200 %. No page has more than 60 KiB.
func TestEveryStateOfThePages(t *testing.T) {
	t.Parallel()
	axe := axeSource(t)
	auth, url, _ := embedded(t)
	held := func(name string, sessions int, age time.Duration) string {
		t.Helper()
		if err := auth.AddUser(t.Context(), name, ownPassword); err != nil {
			t.Fatal(err)
		}
		u, err := auth.Users().ByIdentifier(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		var last *issuer.Issued
		for range sessions {
			last = loginOf(t, auth, u.ID, age, agent)
		}
		if name == "alice" {
			if err := auth.Issuer().Clients().Set(t.Context(), rights.Owner(), "reports", audit.Act{}, func(*clients.Client) {}); err != nil {
				t.Fatal(err)
			}
			if _, err := auth.Issuer().AddGrant(t.Context(), last.Session.ID, issuer.Request{Client: "reports", Carrier: counterfoil.CarrierBearer}); err != nil {
				t.Fatal(err)
			}
		}
		return "/as?" + source.InsecureCookieName + "=" + last.Access.Reveal()
	}
	long := strings.Repeat("wolfeschlegelsteinhausenbergerdorff", 7)
	people := []struct{ name, as string }{
		{"many", held("alice", 200, 0)}, {"long", held(long, 1, 0)}, {"rtl", held("ליאור-ישראלי", 1, 0)}, {"old", held("olga", 2, time.Hour)},
		{"acting", acting(t, auth, long)},
	}
	const send = `(() => { const form = document.querySelector("form.fields"); form.noValidate = true; for (const e of form.querySelectorAll("input:not([type=hidden]):not([readonly])")) e.value = "x"; form.requestSubmit(); })()`
	for _, l := range []look{{"desktop-light", 1280, false, true}, {"phone-dark", 390, true, true}, {"zoom-200", 640, false, true}} {
		// One after the other: a parallel one would begin after all other tests, when the sign-ins are old.
		t.Run(l.name, func(t *testing.T) {
			b := newBrowser(t, l)
			see := func(name, path string) {
				t.Helper()
				b.do(chromedp.Navigate(url + path))
				b.until(`document.readyState === "complete" && document.querySelector("main")`)
				b.said() // an answer 4xx is expected
				b.inspect("state-" + name + "-" + l.name)
				b.axe(axe, name)
				b.sized(name)
			}
			mistake := func(name, path string) {
				t.Helper()
				b.do(chromedp.Navigate(url+path), chromedp.Evaluate[chromedp.Void](send))
				b.until(`document.readyState === "complete" && document.title.startsWith("Error: ") && document.activeElement !== document.body`)
				b.said()
				b.inspect("state-" + name + "-wrong-" + l.name)
				b.axe(axe, name+" with a mistake")
			}
			for _, path := range []string{"/login", "/register", "/welcome"} {
				see(path[1:], path)
				mistake(path[1:], path)
			}
			see("signed-out", "/")
			see("miss", "/nothing")
			see("bad-link", "/login?return_to=x")
			for _, p := range people {
				b.do(chromedp.Navigate(url + p.as))
				for _, path := range []string{"/", "/activity", "/apps", "/password", "/login"} {
					if l.width != 1280 && p.name != "many" && path != "/" && path != "/login" {
						continue
					}
					see(p.name+strings.ReplaceAll(path, "/", "-"), path)
				}
				switch p.name {
				case "many":
					b.do(chromedp.Navigate(url + "/"))
					next := b.script(`document.querySelector(".pages a").getAttribute("href")`)
					see("many-next", next)
					mistake("password", "/password")
				case "old":
					mistake("old", "/")
				}
			}
		})
	}
}

// acting is where a browser gets a session of the user for an administrator.
func acting(t *testing.T, auth *server.Embedded, user string) string {
	t.Helper()
	if err := auth.AddUser(t.Context(), "boss", ownPassword, "admin"); err != nil {
		t.Fatal(err)
	}
	boss, err := auth.Users().ByIdentifier(t.Context(), "boss")
	if err != nil {
		t.Fatal(err)
	}
	own := loginOf(t, auth, boss.ID, 0, "", boss.Roles...)
	u, err := auth.Users().ByIdentifier(t.Context(), user)
	if err != nil {
		t.Fatal(err)
	}
	got, err := auth.Users().Impersonate(t.Context(), rights.Owner(), own.Session, u.ID, issuer.Request{Carrier: counterfoil.CarrierCookie, Act: audit.Act{Reason: "axe"}})
	if err != nil {
		t.Fatal(err)
	}
	return "/as?" + source.InsecureCookieName + "=" + got.Access.Reveal()
}

// A browser or a proxy in front takes Fetch Metadata away: the pages still sign in and out, since their
// forms name their origin. A link of the pages to another origin tells it nothing, not even where it came
// from (CSRF-01).
func TestFormsNameTheirOrigin(t *testing.T) {
	t.Parallel()
	other := new(output)
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(other, "%q %q\n", r.Header["Referer"], r.Header["Origin"])
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte("<title>elsewhere</title>"))
	}))
	t.Cleanup(elsewhere.Close)
	var auth *server.Embedded
	origins := new(output)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for name := range r.Header {
			if strings.HasPrefix(name, "Sec-") {
				r.Header.Del(name)
			}
		}
		if r.Method == http.MethodPost {
			_, _ = fmt.Fprintln(origins, r.URL.Path, r.Header.Get("Origin"))
		}
		auth.ServeHTTP(w, r)
	}))
	t.Cleanup(web.Close)
	auth, err := server.Open(t.Context(), server.Config{
		Store: memory.New(), URL: web.URL, InsecureHashes: true, Brand: server.Brand{Links: []server.BrandLink{{Text: "Elsewhere", URL: elsewhere.URL}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = auth.Close() })
	if err := auth.AddUser(t.Context(), "alice", ownPassword); err != nil {
		t.Fatal(err)
	}
	b := newBrowser(t, looks[0])
	b.do(chromedp.Navigate(web.URL + "/login?return_to=%2F%3Fsecret"))
	b.do(chromedp.SendKeys(chromedp.CSS("#identifier"), "alice"), chromedp.SendKeys(chromedp.CSS("#password"), ownPassword+"\r"))
	b.until(`document.body.textContent.includes("Signed in as alice")`)
	b.do(chromedp.Click(chromedp.CSS(".bottom a")))
	b.until(`document.title === "elsewhere"`)
	b.do(chromedp.Navigate(web.URL + "/"))
	b.do(chromedp.Click(chromedp.CSS("form[action='/language'] button")))
	b.until(`document.documentElement.lang === "de" && location.pathname === "/"`)
	b.do(chromedp.Click(chromedp.CSS("form[action='/logout'] button")))
	b.until(`document.body.textContent.includes("Sie sind abgemeldet.")`)
	if got, want := origins.String(), "/login "+web.URL+"\n/language "+web.URL+"\n/logout "+web.URL+"\n"; got != want {
		t.Errorf("forms came from\n%swant\n%s", got, want)
	}
	if got := other.String(); !strings.HasPrefix(got, "[] []\n") {
		t.Errorf("the other origin was told %s", got)
	}
}
