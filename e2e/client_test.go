package e2e_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/clients"
	"github.com/counterfoil/counterfoil/rights"
)

// REF-03, REF-09: 20 tabs refresh once when their token expires. A tab that dies or freezes in the
// middle of it, and an outage, sign nobody out; a sign-out and a revocation reach all.
func TestClientInTwentyTabs(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	tabs := a.tabs(20, "carrier=bearer")
	tabs[0].signIn()
	a.all(tabs, `(await auth.session()).carrier`, "bearer")
	if n := a.counted(); n != 0 {
		t.Errorf("19 tabs learned who is signed in by %d refreshes, want 0: another tab had the token", n)
	}
	for round := range 2 {
		if n := len(each(tabs, `sleep(600_000)`)); n != 20 { // the clocks jump: all tokens are over
			t.Fatal(n)
		}
		a.all(tabs, `await hello()`, "200 bearer")
		n := a.counted()
		t.Logf("round %d: %d tabs, %d refresh", round, len(tabs), n)
		if n != 1 {
			t.Errorf("%d refreshes for one expiry, want 1", n)
		}
	}
	if got := tabs[0].js(`[document.cookie, ...Object.keys(localStorage), ...Object.keys(sessionStorage)].join()`); got != "" {
		t.Errorf("a script can read %q", got)
	}

	// A tab is killed while the server has its refresh.
	victim, rest := tabs[19], tabs[:19]
	each(tabs, `sleep(600_000)`)
	release := a.hold()
	go func() { _, _ = victim.eval(`await hello()`) }()
	<-a.arrived
	victim.close()
	done := make(chan []string)
	go func() { done <- each(rest, `await hello()`) }()
	<-a.arrived // another tab has the lock, and asks
	release()
	for n, got := range <-done {
		if !strings.HasPrefix(got, "200 bearer") {
			t.Errorf("tab %d after another was killed: %s", n, got)
		}
	}
	t.Logf("a tab was killed: %d refreshes reached the server", a.counted())

	// A tab freezes while it has the lock.
	frozen, rest := rest[18], rest[:18]
	each(append(rest, frozen), `sleep(600_000)`)
	release = a.hold()
	go func() { _, _ = frozen.eval(`await hello()`) }()
	<-a.arrived
	frozen.lifecycle(page.SetWebLifecycleStateStateFrozen)
	asked := time.Now()
	go func() { done <- each(rest, `await hello()`) }()
	<-a.arrived
	t.Logf("a tab was frozen: another one asked after %v", time.Since(asked).Round(time.Millisecond))
	release()
	for n, got := range <-done {
		if !strings.HasPrefix(got, "200 bearer") {
			t.Errorf("tab %d beside a frozen one: %s", n, got)
		}
	}
	frozen.lifecycle(page.SetWebLifecycleStateStateActive)
	rest = append(rest, frozen)
	a.all(rest, `await hello()`, "200 bearer")
	t.Logf("a tab was frozen: %d refreshes reached the server", a.counted())

	// An outage, with a token that is over.
	each(rest, `sleep(600_000)`)
	a.outage.Store(true)
	a.all(rest, `await hello()`, "503")
	a.all(rest, `(await auth.session()).carrier`, "bearer")
	a.outage.Store(false)
	a.all(rest, `await hello()`, "200 bearer")

	// Changed roles: refreshed silently, and all tabs know.
	a.counted()
	a.promote("staff")
	if got := rest[3].js(`await hello()`); !strings.HasPrefix(got, "200 bearer [staff]") {
		t.Errorf("with another role: %s", got)
	}
	rest[3].until(heard("stale"))
	for _, tab := range slices.Concat(rest[:3], rest[4:]) {
		tab.until(`events.some((e) => e.name === "change" && e.detail.roles?.join() === "staff")`)
	}
	if n := a.counted(); n != 1 {
		t.Errorf("%d refreshes for changed roles, want 1", n)
	}

	// Revoked: one tab finds out, and all are told.
	a.revoke("alice")
	if got := rest[5].js(`await hello()`); !strings.HasPrefix(got, "401") {
		t.Errorf("revoked: %s", got)
	}
	for _, tab := range rest {
		tab.until(heard("revoked"))
	}
	a.all(rest, `await auth.session()`, "null")

	// Signed out in one tab.
	rest[0].signIn()
	a.all(rest, `(await auth.session()).carrier`, "bearer")
	rest[7].js(`await auth.signOut()`)
	var ended float64
	for n, tab := range append([]*tab{rest[7]}, rest...) {
		if n != 8 {
			tab.until(heard("signed-out"))
		}
		var at float64
		if err := json.Unmarshal([]byte(tab.js(`last.at`)), &at); err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			ended = at
		}
		if n == len(rest) {
			t.Logf("signed out in one tab: the last tab was told %v ms later", at-ended)
		}
	}
	a.all(rest, `await hello()`, "401")
}

// lifecycle freezes a tab, or lets it go on.
func (t *tab) lifecycle(state page.SetWebLifecycleStateState) {
	t.t.Helper()
	if _, err := chromedp.Call(t.ctx, page.SetWebLifecycleState, page.SetWebLifecycleStateParams{State: state}); err != nil {
		t.t.Fatal(err)
	}
}

// Every carrier, in a page with a second step: sign in, refresh, step up, change the password, be revoked, be
// in an outage, sign out. With Web Locks, and where there are none.
func TestClientWithEachCarrier(t *testing.T) {
	t.Parallel()
	a := newApp(t, word("heron"))
	tabs := a.tabs(2, "carrier=cookie")
	one, two := tabs[0], tabs[1]
	var user, password string
	answered := func(call string) string { return `(await auth.answer(await ` + call + `, { answer: "heron" }))` }
	signIn := func() {
		t.Helper()
		one.is(answered(`auth.signIn({ identifier: "`+user+`", password: "`+password+`" })`)+`.subject`, "usr_")
	}
	for n, c := range []struct{ carrier, query string }{
		{"cookie", ""}, {"jwt-cookie", ""}, {"jwt-cookie", "&locks"}, {"jwe-cookie", ""}, {"bearer", "&locks"}, {"jwe", ""},
	} {
		user, password = fmt.Sprint("walker-", n), ownPassword // the limits on guessing are those of an account
		if err := a.auth.AddUser(t.Context(), user, password); err != nil {
			t.Fatal(err)
		}
		for _, tab := range tabs {
			tab.do(chromedp.Navigate(a.url + "/app/?carrier=" + c.carrier + c.query))
			tab.until("window.hello")
		}
		name := c.carrier + c.query
		a.all(tabs, `await auth.session()`, "null")
		one.is(`await hello()`, "401")
		signIn()
		a.all(tabs, `(await auth.session({ fresh: true })).carrier`, c.carrier)
		a.all(tabs, `await hello({ body: "hi" })`, "200 "+c.carrier+" [] hi")

		a.counted()
		each(tabs, `sleep(600_000)`)
		a.all(tabs, `await hello()`, "200 "+c.carrier)
		if n := a.counted(); n > 1 && c.query == "" || n > 2 || n == 0 && c.carrier != "cookie" {
			t.Errorf("%s: %d refreshes for one expiry", name, n)
		}

		one.is(`await auth.stepUp({ password: "not hers" }).catch((e) => [e.name, e.problem.type])`, "ProblemError,urn:counterfoil:problem:login-refused")
		one.is(answered(`auth.stepUp({ password: "`+password+`" })`)+`.carrier`, c.carrier)
		a.all(tabs, `await hello()`, "200 "+c.carrier)
		a.bare.Store(c.carrier == "cookie") // the CSRF token says instead that a page of ours asks
		next := fmt.Sprintf("a night at station %d", n)
		one.is(`(await auth.changePassword({ current: "`+password+`", next: "`+next+`" })).carrier`, c.carrier)
		password = next
		a.bare.Store(false)
		a.all(tabs, `await hello()`, "200 "+c.carrier)

		a.revoke(user)
		two.is(`await hello()`, "401")
		for _, tab := range tabs {
			tab.until(heard("revoked"))
		}

		signIn()
		a.outage.Store(true)
		one.is(`await auth.signOut().catch((e) => [e.name, e.problem.type])`, "ProblemError,urn:counterfoil:problem:unavailable")
		a.outage.Store(false)
		a.all(tabs, `await hello()`, "200 "+c.carrier)
		a.bare.Store(c.carrier == "cookie")
		two.is(`await auth.signOut()`, "undefined")
		a.bare.Store(false)
		for _, tab := range tabs {
			tab.until(heard("signed-out"))
		}
		a.all(tabs, `await hello()`, "401")
		if got := one.js(`[document.cookie, ...Object.keys(localStorage)].join()`); got != "" {
			t.Errorf("%s: a script can read %q", name, got)
		}
	}
}

// What fetch sends where: a token goes to no origin that is not named, not by a redirect either. What it
// sends again, and what ends it.
func TestClientFetch(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Access-Control-Allow-Origin", a.url)
		h.Set("Access-Control-Allow-Headers", "Authorization")
		if r.Method == http.MethodOptions {
			return
		}
		a.mu.Lock()
		a.elsewhere = append(a.elsewhere, r.URL.Path+" "+r.Header.Get("Authorization"))
		a.mu.Unlock()
	}))
	t.Cleanup(elsewhere.Close)
	got := func() string {
		a.mu.Lock()
		defer a.mu.Unlock()
		defer func() { a.elsewhere = nil }()
		return strings.Join(a.elsewhere, ",")
	}
	one := a.tabs(1, "carrier=bearer")[0]
	one.signIn()
	one.is(`await auth.fetch("`+elsewhere.URL+`/x").catch((e) => e.message)`, elsewhere.URL+" is neither the issuer's origin")
	one.is(`await auth.fetch("/api/away?`+elsewhere.URL+`/x").catch((e) => e.name)`, "TypeError")
	if sent := got(); sent != "" {
		t.Errorf("an origin that is not named got %q", sent)
	}

	for _, c := range []struct {
		call string
		want string
		left int32 // of three refusals
	}{
		{`(await auth.fetch("/api/flaky?unavailable")).status`, "503", 0},
		{`(await auth.fetch("/api/flaky?unavailable", { method: "POST" })).status`, "503", 2},
		{`(await auth.fetch("/api/flaky?verifier-stale", { method: "POST" })).status`, "503", 0},
	} {
		a.flaky.Store(3)
		one.is(c.call, c.want)
		if left := a.flaky.Load(); left != c.left {
			t.Errorf("%s: %d refusals were left, want %d", c.call, left, c.left)
		}
	}
	a.flaky.Store(2)
	one.is(`(await auth.fetch("/api/flaky?busy", { method: "PUT", body: "again" })).status`, "200")

	// A request that needs a fresh login ends nothing, and says what would do.
	one.is(`(await auth.fetch("/api/fresh")).status`, "401")
	one.until(heard("step-up"))
	one.is(`[last.detail.type, last.detail.max_age, await hello()]`, "urn:counterfoil:problem:step-up,0,200 bearer")

	// A body is sent again, once the roles are the new ones.
	a.promote("staff")
	one.is(`await hello({ body: new Blob(["once more"]) })`, "200 bearer [staff] once more")

	// A program ends its request, and not the refresh that others wait for.
	one.js(`sleep(600_000)`)
	release := a.hold()
	one.js(`(() => { window.stop = new AbortController(); window.ended = hello({ signal: stop.signal }).catch((e) => e.name); window.other = hello(); })()`)
	<-a.arrived
	one.js(`stop.abort()`)
	one.is(`await ended`, "AbortError")
	release()
	one.is(`await other`, "200 bearer")
	one.is(`await hello({ signal: AbortSignal.abort() }).catch((e) => e.name)`, "AbortError")

	// An origin that is named gets the token, and no cookie.
	one.do(chromedp.Navigate(a.url + "/app/?carrier=bearer&origin=" + elsewhere.URL))
	one.until("window.hello")
	one.is(`(await auth.fetch("`+elsewhere.URL+`/y")).status`, "200")
	if sent := got(); !strings.HasPrefix(sent, "/y Bearer ey") {
		t.Errorf("an origin that is named got %q", sent)
	}

	// The page is shown again: after a sleep, and from the cache of pages that one went back to.
	a.counted()
	one.js(`[sleep(600_000), document.dispatchEvent(new Event("visibilitychange"))]`)
	one.until(`document.visibilityState === "visible"`)
	for n := 0; n == 0; n = a.counted() {
		one.is(`await auth.session()`, "[object Object]")
	}
	a.revoke("alice")
	one.js(`window.dispatchEvent(new PageTransitionEvent("pageshow", { persisted: true }))`)
	one.until(heard("revoked"))

	// CSRF-10: a token of another session is refused, and the client asks for its own.
	one.do(chromedp.Navigate(a.url + "/app/?carrier=cookie"))
	one.until("window.hello")
	one.signIn()
	gone := `(await auth.fetch("/v1/notices/none", { method: "DELETE" })).status`
	one.is(gone, "404")
	one.js(`await fetch("/v1/login", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ identifier: "alice", password: "` + ownPassword + `", carrier: "cookie" }) })`)
	one.is(gone, "404")
}

// A page of another origin of the issuer's site, and a page of another site, which keeps its refresh token in
// the memory of its tabs.
func TestClientOfAnotherOrigin(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	page := func(host string) string {
		listener, err := net.Listen("tcp", host+":0")
		if err != nil {
			t.Fatal(err)
		}
		web := &httptest.Server{Listener: listener, Config: &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			_, _ = io.WriteString(w, appPage)
		})}}
		web.Start()
		t.Cleanup(web.Close)
		return web.URL
	}
	sibling, stranger := page("127.0.0.1"), page("127.0.0.2")
	if err := a.auth.Issuer().Clients().Set(t.Context(), rights.Owner(), clients.Default, audit.Act{}, func(c *clients.Client) { c.Origins = []string{sibling, stranger} }); err != nil {
		t.Fatal(err)
	}
	tabs := a.tabs(2, "carrier=cookie")
	one, two := tabs[0], tabs[1]
	open := func(tab *tab, origin, carrier string) {
		tab.do(chromedp.Navigate(origin + "/?carrier=" + carrier + "&issuer=" + a.url))
		tab.until("window.hello")
	}
	who := `(await (await auth.fetch("` + a.url + `/v1/session")).json()).carrier`
	for _, carrier := range []string{"cookie", "jwt-cookie", "bearer"} {
		open(one, sibling, carrier)
		one.signIn()
		open(one, sibling, carrier) // a reload signs nobody out
		one.is(who, carrier)
		one.js(`sleep(600_000)`)
		one.is(who, carrier)
		one.is(`await auth.signOut()`, "undefined")
		one.is(`await auth.session()`, "null")
	}

	open(one, stranger, "cookie")
	one.is(`await auth.signIn({ identifier: "alice", password: "`+ownPassword+`" }).catch((e) => e.problem.detail)`, "a browser keeps no cookie")
	open(one, stranger, "bearer")
	one.signIn()
	for range 3 {
		one.js(`sleep(600_000)`)
		one.is(who, "bearer")
	}
	open(two, stranger, "bearer")
	two.is(who, "bearer") // the other tab has told it
	open(one, stranger, "bearer")
	one.is(who, "bearer") // a reload, while there is another tab
	a.counted()
	each(tabs, `sleep(600_000)`)
	a.all(tabs, who, "bearer")
	if n := a.counted(); n != 1 {
		t.Errorf("%d refreshes for one expiry, want 1", n)
	}
	one.is(`await auth.signOut()`, "undefined")
	two.until(heard("signed-out"))
}
