package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/clients"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/internal/secret"
	"github.com/counterfoil/counterfoil/monitor"
	"github.com/counterfoil/counterfoil/rights"
	"github.com/counterfoil/counterfoil/server"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store"
)

// Names that a page must have room for.
const (
	longName  = "Wolfeschlegelsteinhausenbergerdorff-Featherstonehaugh von und zu Llanfairpwllgwyngyll"
	rightName = "محمد بن عبد الله الأندلسي"
)

// asRole is the credential of a new user with that role, who signed in just now.
func asRole(t *testing.T, auth *server.Embedded, role string) string {
	t.Helper()
	u, _, _, err := auth.Users().CreateInvited(t.Context(), rights.Owner(), audit.Act{}, directory.User{Identifier: role + "@example.org", Name: "The " + role, Roles: []string{role}})
	if err != nil {
		t.Fatal(err)
	}
	return loginOf(t, auth, u.ID, 0, "", role).Access.Reveal()
}

// dress makes the page look as on that device.
func (b *browser) dress(l look) {
	b.t.Helper()
	scheme := "light"
	if l.dark {
		scheme = "dark"
	}
	b.do(chromedp.EmulateViewport(l.width, 800))
	features := []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}
	if _, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: features}); err != nil {
		b.t.Fatal(err)
	}
}

// picture keeps a picture of the whole page, if the flag says so.
func (b *browser) picture(name string) {
	b.t.Helper()
	if *screenshots == "" {
		return
	}
	whole := true
	data, err := chromedp.Call(b.ctx, page.CaptureScreenshot, page.CaptureScreenshotParams{CaptureBeyondViewport: &whole})
	if err == nil {
		err = os.WriteFile(fmt.Sprintf("%s/%s.png", *screenshots, name), data.Data, 0o644)
	}
	if err != nil {
		b.t.Error(err)
	}
}

// Every page of the console, empty, with long names, names from right to left and 200 sessions, and what its forms show once: it keeps the rules of
// every page at the width of a desk and of a phone, light and dark, and enlarged to 200 %, and axe finds nothing. No page leads
// to one of the console that was not looked at, and none has more than 60 KiB. It prints when the slowest page showed something first, how long the browser
// waited for the server, and how large the largest page is.
func TestConsoleInABrowser(t *testing.T) {
	t.Parallel()
	var kept store.Store
	auth, url, _ := embedded(t, watched(t), func(c *server.Config) { kept = c.Store })
	letters := deadLetters(t, auth, kept)
	boss := asRole(t, auth, "admin")
	const agent = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
	var long, right directory.User
	for n, name := range []string{longName, rightName, "Ann", "Bo", ""} {
		u, _, _, err := auth.Users().CreateInvited(t.Context(), rights.Owner(), audit.Act{By: audit.ByLocal}, directory.User{Identifier: fmt.Sprintf("user%d.with.a.long.address@department.example.org", n), Name: name, Roles: []string{"staff", "reports"}})
		if err != nil {
			t.Fatal(err)
		}
		switch n {
		case 0:
			long = u
		case 1:
			right = u
		}
		for range 40 {
			loginOf(t, auth, u.ID, 0, agent, "staff")
		}
	}
	for _, agent := range []string{agent, "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1"} {
		loginOf(t, auth, long.ID, 0, agent, "staff")
	}
	err := auth.Issuer().Clients().Set(t.Context(), rights.Owner(), "shop", audit.Act{}, func(c *clients.Client) {
		*c = clients.Client{Name: "The shop", Origins: []string{"https://shop.example", "https://www.with-a-long-name.shop.example"}, Scopes: []string{"read", "write"}, Carriers: []counterfoil.Carrier{counterfoil.CarrierCookie, counterfoil.CarrierBearer}}
	})
	if err != nil {
		t.Fatal(err)
	}
	key, _, err := auth.Users().NewKey(t.Context(), rights.Owner(), audit.Act{}, directory.APIKey{Client: "reports", Scopes: []string{"introspect", "revocation:read"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range []struct {
		scope source.Scope
		id    string
	}{{source.ScopeToken, "tok_of_nobody"}, {source.ScopeClient, "shop"}} {
		act := audit.Act{By: audit.BySubject(long.ID), Reason: "a telephone was lost on the way to work"}
		if _, err := auth.Issuer().Revoke(t.Context(), one.scope, one.id, act); err != nil {
			t.Fatal(err)
		}
	}
	c := &consoleLooks{b: newBrowser(t, look{"", 1280, false, true}), axe: axeSource(t), few: true, seen: map[string]bool{}, leads: map[string]string{}}
	emptyConsole(t, c)
	fullConsole(t, c)
	b := c.b
	b.do(chromedp.Navigate(url + "/as?" + source.InsecureCookieName + "=" + boss))
	leaver, _, _, err := auth.Users().CreateInvited(t.Context(), rights.Owner(), audit.Act{}, directory.User{Identifier: "leaver@example.org"})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		loginOf(t, auth, leaver.ID, 0, agent)
	}
	for _, done := range []struct{ name, path, field, text, button, shows string }{
		{"shown-invitation", "/admin/new/user", "#identifier", "invited.with.a.long.address@department.example.org", "Create user", "#link"},
		{"shown-apikey", "/admin/new/apikey", "#client", "reports", "Make the key", "#key"},
		{"verified", "/admin/audit/verify", "", "", "Check", ".facts.panel"},
		{"revoked", "/admin/revoke/found?user=" + leaver.ID, "#confirm", "3 sessions", "Revoke them all", ".facts.panel"},
	} {
		b.do(chromedp.Navigate(url + done.path))
		b.until(`document.querySelector("main form button")`)
		if done.field != "" {
			b.fill(done.field, done.text)
		}
		b.press(done.button)
		b.until(`document.querySelector("main ` + done.shows + `")`)
		c.see(done.name)
	}
	note := c.watching(url)
	c.few = false
	user := "/admin/users/" + long.ID
	rows, _, err := auth.Issuer().Sessions(t.Context(), long.ID, "", 2)
	if err != nil {
		t.Fatal(err)
	}
	for name, path := range map[string]string{
		"overview": "/admin", "users": "/admin/users", "user": user, "clients": "/admin/clients", "client": "/admin/clients/shop", "apikeys": "/admin/apikeys",
		"keys": "/admin/keys", "log": "/admin/log", "sessions": "/admin/sessions", "sessions-empty": "/admin/sessions?device=nothing", "sessions-refused": "/admin/sessions?address=here", "sessions-address": "/admin/sessions?address=192.0.2.1", "outbox": "/admin/outbox", "settings": "/admin/settings", "monitor": "/admin/monitor", "check": "/admin/monitor/checks/shop", "check-empty": "/admin/monitor/checks/backup", "users-empty": "/admin/users?q=nobody", "audit": "/admin/audit", "audit-empty": "/admin/audit?subject=nobody", "audit-refused": "/admin/audit?action=sleep", "problem": "/admin/users/nobody",
		"form-user": "/admin/new/user", "form-client": "/admin/clients/shop/edit", "form-apikey": "/admin/new/apikey", "form-several": "/admin/revoke/sessions?sid-" + rows[0].ID + "=on&sid-" + rows[1].ID + "=on", "form-found": "/admin/revoke/found?user=" + long.ID, "form-delete-key": "/admin/apikeys/" + key.ID + "/delete",
	} {
		b.do(chromedp.Navigate(url + path))
		c.see(name)
	}
	c.few = true
	for name, path := range map[string]string{
		"user-right": "/admin/users/" + right.ID, "form-rotate": "/admin/keys/rotate", "form-revoke-key": "/admin/keys/" + auth.Issuer().SigningKeys()[0].ID + "/revoke", "form-verify": "/admin/audit/verify", "form-undos": user + "/undos", "form-end": user + "/end", "form-delete-user": user + "/delete", "form-delete-client": "/admin/clients/shop/delete",
		"form-edit": user + "/edit", "form-invite": user + "/invite", "form-new-client": "/admin/new/client", "form-end-client": "/admin/clients/shop/end", "form-end-session": "/admin/sessions/" + rows[0].ID + "/end", "form-unmute": "/admin/monitor/checks/shop/unmute",
		"form-note": note, "outbox-waiting": "/admin/outbox?state=waiting",
	} {
		b.do(chromedp.Navigate(url + path))
		c.see(name)
	}
	c.done(url, letters, long.ID, leaver.ID)
	for to, from := range c.leads {
		if !c.seen[to] {
			t.Errorf("%s leads to %s, which no step of this test looks at", from, to)
		}
	}
	t.Logf("first contentful paint: %.0f ms at most, of %s, for which the browser waited %.0f ms for the server; at most it waited %.0f ms; the largest page has %d bytes", c.paint, c.slowest, c.waited, c.longest, c.largest)
}

// emptyConsole looks at the pages of a server to which nothing has happened.
func emptyConsole(t *testing.T, c *consoleLooks) {
	t.Helper()
	auth, url, _ := embedded(t)
	c.b.do(chromedp.Navigate(url + "/as?" + source.InsecureCookieName + "=" + asRole(t, auth, "admin")))
	for _, empty := range []struct{ name, path, says string }{
		{"overview-empty", "/admin", "Nothing was revoked since this node started."},
		{"clients-empty", "/admin/clients", "default"}, // is always there
		{"apikeys-empty", "/admin/apikeys", "There are no API keys."},
		{"log-empty", "/admin/log", "Nothing was revoked yet."},
	} {
		c.b.do(chromedp.Navigate(url + empty.path))
		c.b.until(fmt.Sprintf(`document.querySelector("main")?.innerText.includes(%q)`, empty.says))
		c.see(empty.name)
	}
}

// fullConsole looks at lists that have more than a page.
func fullConsole(t *testing.T, c *consoleLooks) {
	t.Helper()
	auth, url, _ := embedded(t, watched(t), func(c *server.Config) {
		for n := range 60 {
			check := *c.Monitor.Checks[0]
			check.Name, check.Title = fmt.Sprintf("branch-%02d", n), fmt.Sprintf("The shop of branch %02d with a long name", n)
			c.Monitor.Checks = append(c.Monitor.Checks, &check)
		}
	})
	c.b.do(chromedp.Navigate(url + "/as?" + source.InsecureCookieName + "=" + asRole(t, auth, "admin")))
	act := audit.Act{By: audit.ByLocal}
	for n := range 60 {
		id := fmt.Sprintf("branch-%02d", n)
		err := auth.Issuer().Clients().Set(t.Context(), rights.Owner(), id, act, func(c *clients.Client) {
			*c = clients.Client{Name: "Branch with a long name " + id, Origins: []string{"https://" + id + ".shop.example", "https://www." + id + ".with-a-long-name.shop.example"}}
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := auth.Users().NewKey(t.Context(), rights.Owner(), act, directory.APIKey{Client: id, Scopes: []string{directory.ScopeFeed, directory.ScopeIntrospect}}); err != nil {
			t.Fatal(err)
		}
	}
	for name, path := range map[string]string{"clients-many": "/admin/clients", "apikeys-many": "/admin/apikeys", "monitor-many": "/admin/monitor"} {
		c.b.do(chromedp.Navigate(url + path))
		c.b.until(`document.querySelectorAll("main table.rows tbody tr").length === 50`)
		c.see(name)
		c.b.do(chromedp.Click(chromedp.CSS(".pages a")))
		c.b.until(`document.querySelectorAll("main table.rows tbody tr").length < 20`)
		c.see(name + "-last")
	}
}

// consoleLooks looks at pages of the console as each device shows them.
type consoleLooks struct {
	b   *browser
	axe string
	few bool // axe looks on one device only: the pages have the parts of others, with other words

	seen  map[string]bool   // addresses of the console that were looked at, with * for an id
	leads map[string]string // those that a page leads to, and the page

	paint, waited float64 // ms until the slowest page showed something first, and of these, until the server began to answer
	slowest       string  // that page
	longest       float64 // ms that any page waited for the server
	largest       int     // bytes of the largest page
}

// see looks at the page that the browser shows.
func (c *consoleLooks) see(name string) {
	b, t := c.b, c.b.t
	t.Helper()
	dark := map[string]bool{"overview": true, "user": true, "form-client": true, "audit-refused": true, "check": true} // pages that have every component together
	b.until(`document.readyState === "complete"`)
	_ = b.said() // an answer of 4xx is told on the console
	var addresses []string
	b.eval(`Promise.resolve(JSON.stringify([location.pathname, ...[...document.querySelectorAll("a[href^='/admin']")].map((a) => a.pathname)]))`, &addresses)
	for n, address := range addresses {
		if address = anyID.ReplaceAllString(address, "$1/*"); n == 0 {
			c.seen[address] = true
		} else {
			c.leads[address] = name
		}
	}
	b.until(`performance.getEntriesByName("first-contentful-paint").length`)
	var ms [2]float64 // until the first paint, and until the answer of the server began
	b.eval(`Promise.resolve(JSON.stringify((({requestStart, responseStart}) => [performance.getEntriesByName("first-contentful-paint")[0].startTime, responseStart - requestStart])(performance.getEntriesByType("navigation")[0])))`, &ms)
	c.longest = max(c.longest, ms[1])
	c.largest = max(c.largest, b.sized(name))
	if ms[0] > c.paint {
		c.paint, c.waited, c.slowest = ms[0], ms[1], name
	}
	for n, l := range []look{{"desktop-light", 1280, false, true}, {"desktop-dark", 1280, true, true}, {"phone-light", 390, false, true}, {"phone-dark", 390, true, true}, {"zoom-200", 640, false, true}} {
		b.dress(l)
		at := "console-" + name + "-" + l.name
		if wrong := b.script(`Promise.resolve(` + rules + `)`); wrong != "" {
			t.Errorf("%s: %s", at, wrong)
		}
		if name == "check" {
			var apart []float64 // 1: one of the marks that say what the colours mean has a margin
			b.eval(`Promise.resolve(JSON.stringify([...document.querySelectorAll(".key")].map(key => getComputedStyle(key).marginTop === "0px" ? 0 : 1)))`, &apart)
			if slices.Contains(apart, 1) || len(apart) != 4 {
				t.Errorf("%s: a mark is not on its line: %v", at, apart)
			}
		}
		if name == "user" {
			var high [2]float64 // the list of 42 sessions, and the page
			b.eval(`Promise.resolve(JSON.stringify([document.querySelector(".sessions").offsetHeight, document.documentElement.scrollHeight]))`, &high)
			if high[0] > 900 || high[1] > 8*800 {
				t.Errorf("%s: the sessions are %.0f px high, and the page %.0f", at, high[0], high[1])
			}
		}
		switch n {
		case 0:
			b.axe(c.axe, at)
		case 4:
			if !c.few {
				b.axe("", at) // the page has it already
			}
		case 3:
			if dark[name] {
				b.axe("", at)
			}
		}
		b.picture(at)
	}
}

// watched has a server watch two checks. One has a day of results, with an hour in which it was down, and 90 days.
func watched(t *testing.T) func(*server.Config) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "monitor.yaml")
	for name, text := range map[string]string{"shop.id": strings.Repeat("0", 32), "backup.id": strings.Repeat("1", 32), "hook.secret": webhookSecret} {
		if err := os.WriteFile(filepath.Join(filepath.Dir(file), name), []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f, err := monitor.Parse(file, []byte(`
inside: [127.0.0.1]
channels: [{name: ops, webhook: 'http://127.0.0.1:1/', secret_file: hook.secret, only: [down, up]}]
checks:
  - {name: shop, title: The shop with a long name that wraps on a telephone, push: shop.id, every: 24h}
  - {name: backup, push: backup.id, every: 24h}
`))
	if err != nil {
		t.Fatal(err)
	}
	return func(c *server.Config) {
		c.Monitor = f
		now := time.Now().UTC()
		var batch store.Batch
		put := func(kind store.Kind, at, value string) {
			batch.Put = append(batch.Put, store.Record{Key: store.Key{Kind: kind, ID: "shop/" + at}, Owner: "shop", Value: []byte(value)})
		}
		years := map[string][]string{}
		for n := range 90 {
			day := now.AddDate(0, 0, -n)
			years[day.Format("2006")] = append(years[day.Format("2006")], fmt.Sprintf(`"%s":[86400,1440,%d,900,%d]`, day.Format("01-02"), 1440*(100+n%17), n%30/29*600))
		}
		for year, days := range years {
			put("monitoryear", year, `{"days":{`+strings.Join(days, ",")+`}}`)
		}
		for n := range 2 {
			var parts []string
			for part := range 288 {
				parts = append(parts, fmt.Sprintf("[300,5,%d,900,%d]", 5*(150+part%29), part/12%24/23*300))
			}
			put("monitorday", now.AddDate(0, 0, -n).Format(time.DateOnly), `{"buckets":[`+strings.Join(parts, ",")+`]}`)
		}
		if _, err := c.Store.Commit(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
	}
}

// apart is a tab of another person or device: it shares no cookie with b.
func (b *browser) apart() *browser { return b.beside(chromedp.WithNewBrowserContext()) }

// beside is another tab of the same person.
func (b *browser) beside(options ...chromedp.ContextOption) *browser {
	b.t.Helper()
	ctx, cancel := chromedp.NewContext(b.ctx, options...)
	b.t.Cleanup(cancel)
	other := &browser{t: b.t, ctx: ctx, problems: make(chan string, 1)}
	other.do(chromedp.EmulateViewport(1280, 800))
	return other
}

// signIn fills in the form of the sign-in.
func (b *browser) signIn(name, password string) {
	b.t.Helper()
	b.until(`document.querySelector("#identifier")`)
	b.fill("#identifier", name)
	b.fill("#password", password)
	b.do(chromedp.KeyEvent("\r"))
}

// press presses the button or follows the link with that text.
func (b *browser) press(text string) {
	b.t.Helper()
	find := fmt.Sprintf(`[...document.querySelectorAll("main a, main button, nav a")].find((e) => e.textContent.trim() === %q)`, text)
	b.until(find)
	b.do(chromedp.Evaluate[chromedp.Void](find + `.click()`))
}

// Who opens the link of the first administrator makes a user, who signs in on two devices. The console shows both. The one that the
// administrator revokes is refused, and the other goes on.
func TestConsoleWalk(t *testing.T) {
	t.Parallel()
	auth, url, _ := embedded(t)
	first, _, err := auth.FirstAdministrator(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	const password, chosen = "an administrator's own words", "a user's own words, four"
	boss := newBrowser(t, look{"", 1280, false, true})
	choose := func(b *browser, link, name, password string) {
		b.do(chromedp.Navigate(link))
		b.until(`location.href.endsWith("/welcome") && document.querySelector("#token").value !== ""`) // the script has taken the token
		if name != "" {
			b.until(`document.activeElement.id === "identifier" && document.title.startsWith("Become the first administrator")`)
			b.fill("#identifier", name)
		}
		b.fill("#password", password)
		b.do(chromedp.KeyEvent("\r"))
		b.until(`location.pathname === "/login"`)
	}
	choose(boss, first.Reveal(), "root@example.org", password)
	boss.signIn("root@example.org", password) // the page of the sign-in leads to the console
	boss.until(`location.pathname === "/admin" && document.querySelector("h1")?.textContent === "Overview"`)
	showsLiveNumbers(t, boss, auth)
	boss.press("Users")
	boss.press("New user")
	boss.until(`document.querySelector("#identifier")`)
	boss.fill("#identifier", "wendy@example.org")
	boss.fill("#name", "Wendy")
	boss.press("Create user")
	boss.until(`document.querySelector("#link")`)
	link := boss.script(`Promise.resolve(document.querySelector("#link").value)`)

	devices := []*browser{boss.apart(), boss.apart()}
	choose(devices[0], link, "", chosen)
	for _, d := range devices {
		d.do(chromedp.Navigate(url + "/"))
		d.press("Sign in")
		d.signIn("wendy@example.org", chosen)
		d.until(`location.pathname === "/" && document.querySelector("main button")`)
	}
	boss.press("To Wendy")
	const rows = `document.querySelectorAll("a[href$='/end'][aria-label]")`
	boss.until(rows + `.length === 2`)
	boss.picture("console-two-devices")
	log := boss.beside()
	log.do(chromedp.Navigate(url + "/admin/log"))
	log.until(`document.querySelector(".live [role=status]")?.textContent.startsWith("Connected")`)
	sid := boss.script(`Promise.resolve(` + rows + `[0].getAttribute("href").split("/").at(-2))`)
	boss.do(chromedp.Evaluate[chromedp.Void](rows + `[0].click()`))
	boss.press("Revoke the session")
	boss.until(`document.querySelector("[role=status]")?.textContent.includes("revoked") && ` + rows + `.length === 1`)
	boss.picture("console-one-device")
	log.until(fmt.Sprintf(`[...document.querySelectorAll(".live li")].some((li) => li.textContent.includes(%q) && li.textContent.includes("of wendy@example.org by root@example.org") && li.textContent.includes("confirmed by every verifier"))`, sid))
	log.picture("console-live")
	alive := 0
	for _, d := range devices {
		d.do(chromedp.Navigate(url + "/v1/session"))
		if said := d.text(); strings.Contains(said, sid) {
			t.Errorf("a revoked device is told %s", said)
		} else if strings.Contains(said, `"ses_`) {
			alive++
		}
	}
	if alive != 1 {
		t.Errorf("%d devices go on, want 1", alive)
	}
}

// showsLiveNumbers checks that the overview counts and draws a login elsewhere, without a reload.
func showsLiveNumbers(t *testing.T, b *browser, auth *server.Embedded) {
	t.Helper()
	const logins, plots = `document.querySelectorAll(".tiles dd")[1].textContent`, `document.querySelector(".plots").textContent`
	var before int
	b.eval(`Promise.resolve((window.loaded = "once", window.plots = `+plots+`, `+logins+`))`, &before)
	root, err := auth.Users().ByIdentifier(t.Context(), "root@example.org")
	if err != nil {
		t.Fatal(err)
	}
	loginOf(t, auth, root.ID, 0, agent)
	b.until(fmt.Sprintf(`window.loaded === "once" && %s === "%d" && %s !== window.plots`, logins, before+1, plots))
}

// A form that needs a fresher login comes back filled in after the password, with a script by itself and without
// one by a button. No address that the browser asks for has what was typed.
func TestConsoleKeepsAForm(t *testing.T) {
	t.Parallel()
	for _, l := range looks {
		t.Run(l.name, func(t *testing.T) {
			auth, url, paths := embedded(t)
			u, err := auth.Users().Register(t.Context(), rights.Owner(), audit.Act{}, "root@example.org", "Root", secret.New(ownPassword), []string{"admin"})
			if err != nil {
				t.Fatal(err)
			}
			b := newAxedBrowser(t, l)
			b.do(chromedp.Navigate(url + "/as?" + source.InsecureCookieName + "=" + loginOf(t, auth, u.ID, time.Hour, "", "admin").Access.Reveal()))
			b.do(chromedp.Navigate(url + "/admin/users"))
			b.do(chromedp.Navigate(url + "/admin/new/user"))
			b.fill("#identifier", "wendy@example.org")
			b.fill("#name", "Wendy")
			b.press("Create user")
			b.until(`document.querySelector("h1").textContent === "Enter your password again" && document.querySelector("#password")`)
			b.expected()
			b.inspect("console-prove-" + l.name)
			b.do(chromedp.SendKeys(chromedp.CSS("#password"), ownPassword+"\r"))
			if !l.script {
				b.until(`document.querySelector("h1").textContent === "It is you"`)
				b.inspect("console-resume-" + l.name)
				b.press("Back to the form")
			}
			b.until(`location.pathname === "/admin/new/user" && document.querySelector("[role=status]")?.textContent.startsWith("It is you.") && document.querySelector("#name").value === "Wendy"`)
			b.inspect("console-kept-" + l.name)
			b.press("Create user")
			b.until(`document.querySelector("#link")`)
			if asked := paths(); strings.Contains(asked, "kept") || strings.Contains(asked, "endy") {
				t.Errorf("the browser has asked for %s", asked)
			}
		})
	}
}
