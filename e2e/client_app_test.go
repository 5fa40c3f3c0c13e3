package e2e_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/rights"
	"github.com/counterfoil/counterfoil/server"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store/memory"
)

// app is a page with the browser client, an API and an auth server on one origin, all real. It
// counts the refreshes that reach the server, and can hold them or answer 503 before it.
type app struct {
	t      *testing.T
	auth   *server.Embedded
	url    string
	outage atomic.Bool
	bare   atomic.Bool // requests lose what says where they come from, as behind some proxies
	flaky  atomic.Int32
	files  map[string]string // more of the page, by path

	mu        sync.Mutex
	refreshes int
	elsewhere []string      // what another origin got
	held      chan struct{} // a refresh waits until it is closed; nil: none does
	arrived   chan struct{} // gets a value for each refresh that waits
}

// appPage keeps what the client says in events. sleep has the clocks of the page jump, as those of a
// machine do that was asleep.
const appPage = `<!doctype html><html lang="en"><meta charset="utf-8"><link rel="icon" href="data:,"><title>app</title>
<script>
	const query = new URLSearchParams(location.search), events = [], now = Date.now;
	let slept = 0;
	Date.now = () => now() + slept;
	const sleep = (ms) => { slept += ms; };
	if (query.has("locks")) Object.defineProperty(navigator, "locks", { value: undefined });
</script>
<script type="module">
	const issuer = query.get("issuer") ?? location.origin;
	const { createClient } = await import(issuer + "/client.js");
	window.auth = createClient({ issuer, carrier: query.get("carrier"), origins: query.getAll("origin") });
	for (const name of ["change", "signed-out", "revoked", "step-up", "stale"]) {
		auth.on(name, (detail) => events.push({ name, detail, at: now() }));
	}
	window.hello = async (init) => {
		const answer = await auth.fetch("/api/hello", { method: "POST", ...init });
		return answer.status + " " + (await answer.text()).slice(0, 200);
	};
</script></html>`

func newApp(t *testing.T, methods ...login.Method) *app {
	t.Helper()
	a := &app{t: t, arrived: make(chan struct{}, 100)}
	var check, fresh http.Handler
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/app/":
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			_, _ = io.WriteString(w, appPage)
		case a.files[r.URL.Path] != "":
			http.ServeContent(w, r, r.URL.Path, time.Time{}, strings.NewReader(a.files[r.URL.Path]))
		case r.URL.Path == "/api/away":
			http.Redirect(w, r, r.URL.RawQuery, http.StatusTemporaryRedirect)
		case r.URL.Path == "/api/flaky" && a.flaky.Add(-1) >= 0:
			w.Header().Set("Retry-After", "0")
			(&source.Problem{Status: 503, Type: r.URL.RawQuery, Title: "Not now"}).ServeHTTP(w, r)
		case a.outage.Load():
			w.Header().Set("Retry-After", "0")
			(&source.Problem{Status: 503, Type: "unavailable", Title: "Temporarily unavailable"}).ServeHTTP(w, r)
		case r.URL.Path == "/api/fresh":
			fresh.ServeHTTP(w, r)
		case strings.HasPrefix(r.URL.Path, "/api/"):
			check.ServeHTTP(w, r)
		default:
			if a.bare.Load() {
				for _, name := range []string{"Origin", "Sec-Fetch-Site", "Sec-Fetch-Mode", "Sec-Fetch-Dest"} {
					r.Header.Del(name)
				}
			}
			if r.URL.Path == "/v1/refresh" {
				a.refresh()
			}
			a.auth.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(web.Close)
	var err error
	a.url = web.URL
	if a.auth, err = server.Open(t.Context(), server.Config{Store: memory.New(), URL: web.URL, Methods: methods, InsecureHashes: true}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.auth.Close() })
	if err := a.auth.AddUser(t.Context(), "alice", ownPassword); err != nil {
		t.Fatal(err)
	}
	hello := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, _ := counterfoil.FromContext(r.Context())
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %s", s.Carrier, s.Roles, body)
	})
	check, fresh = a.auth.Verifier().Require(hello), a.auth.Verifier().Require(hello, counterfoil.Fresh(time.Nanosecond))
	return a
}

// refresh counts one, and waits if they are held.
func (a *app) refresh() {
	a.mu.Lock()
	a.refreshes++
	held := a.held
	a.mu.Unlock()
	if held != nil {
		a.arrived <- struct{}{}
		<-held
	}
}

// hold has the refreshes from now on wait until the function that it returns is called.
func (a *app) hold() (release func()) {
	held := make(chan struct{})
	a.mu.Lock()
	a.held = held
	a.mu.Unlock()
	release = sync.OnceFunc(func() {
		a.mu.Lock()
		a.held = nil
		a.mu.Unlock()
		close(held)
	})
	a.t.Cleanup(release)
	return release
}

// counted returns how many refreshes there were since the last look.
func (a *app) counted() (n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	n, a.refreshes = a.refreshes, 0
	return n
}

// revoke ends all sessions of a user, and returns when the API knows it.
func (a *app) revoke(name string) {
	a.t.Helper()
	user, err := a.auth.Users().ByIdentifier(a.t.Context(), name)
	if err != nil {
		a.t.Fatal(err)
	}
	receipt, err := a.auth.Issuer().Revoke(a.t.Context(), source.ScopeSubject, user.ID, audit.Act{})
	if err == nil {
		err = a.auth.Verifier().WaitFor(a.t.Context(), receipt.At)
	}
	if err != nil {
		a.t.Fatal(err)
	}
}

// promote gives alice a role, and returns when the API knows it.
func (a *app) promote(role string) {
	a.t.Helper()
	alice, err := a.auth.Users().ByIdentifier(a.t.Context(), "alice")
	if err == nil {
		_, err = a.auth.Users().Update(a.t.Context(), rights.Owner(), alice.ID, audit.Act{}, func(u *directory.User) error {
			u.Roles = []string{role}
			return nil
		})
	}
	var head counterfoil.Cursor
	if err == nil {
		head, err = a.auth.Issuer().Head(a.t.Context())
	}
	if err == nil {
		err = a.auth.Verifier().WaitFor(a.t.Context(), head)
	}
	if err != nil {
		a.t.Fatal(err)
	}
}

// tab is one tab of a browser.
type tab struct {
	*browser
	close func()
}

// tabs opens n tabs of one browser at a page of the app.
func (a *app) tabs(n int, query string) (all []*tab) {
	a.t.Helper()
	first := newBrowser(a.t, looks[0])
	all = append(all, &tab{first, func() { _ = chromedp.Cancel(first.ctx) }})
	for range n - 1 {
		ctx, cancel := chromedp.NewContext(first.ctx)
		a.t.Cleanup(cancel)
		all = append(all, &tab{&browser{t: a.t, ctx: ctx}, cancel})
	}
	var wg sync.WaitGroup
	for _, tab := range all {
		wg.Go(func() {
			if err := chromedp.Do(tab.ctx, chromedp.Navigate(a.url+"/app/?"+query)); err != nil {
				a.t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, tab := range all {
		tab.until("window.hello")
	}
	return all
}

// js returns what a promise of the page gives.
func (t *tab) js(expression string) string {
	t.t.Helper()
	got, err := t.eval(expression)
	if err != nil {
		t.t.Fatalf("%s: %v", expression, err)
	}
	return got
}

func (t *tab) eval(expression string) (string, error) {
	ctx, cancel := context.WithTimeout(t.ctx, hung)
	defer cancel()
	return chromedp.Run(ctx, chromedp.Evaluate[string]("(async () => String("+expression+"))().catch(String)", chromedp.EvalAwaitPromise))
}

// each evaluates an expression in all tabs at once.
func each(tabs []*tab, expression string) []string {
	got := make([]string, len(tabs))
	var wg sync.WaitGroup
	for n, tab := range tabs {
		wg.Go(func() {
			var err error
			if got[n], err = tab.eval(expression); err != nil {
				got[n] = err.Error()
			}
		})
	}
	wg.Wait()
	return got
}

func (a *app) all(tabs []*tab, expression, want string) {
	a.t.Helper()
	for n, got := range each(tabs, expression) {
		if !strings.HasPrefix(got, want) {
			a.t.Errorf("tab %d: %s = %s, want %s", n, expression, got, want)
		}
	}
}

func (t *tab) signIn() {
	t.t.Helper()
	if got := t.js(`(await auth.signIn({ identifier: "alice", password: "` + ownPassword + `" })).subject`); !strings.HasPrefix(got, "usr_") {
		t.t.Fatalf("signed in: %s", got)
	}
}

// is fails the test if a promise of the page gives something that does not begin with want.
func (t *tab) is(expression, want string) {
	t.t.Helper()
	if got := t.js(expression); !strings.HasPrefix(got, want) {
		t.t.Errorf("%s = %s, want %s", expression, got, want)
	}
}

// heard is true in a tab once its client has said an event, after which it is forgotten.
func heard(name string) string {
	return `(() => { const n = events.findIndex((e) => e.name === "` + name + `"); if (n < 0) return false; window.last = events.splice(0, n + 1).pop(); return true; })()`
}
