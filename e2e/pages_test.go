package e2e_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/rights"
	"github.com/counterfoil/counterfoil/server"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store/memory"
)

// embedded is a server in this process. A request to /as?NAME=VALUE sets that cookie, and leads
// to the account page. paths are what the browser has asked for.
func embedded(t *testing.T, with ...func(*server.Config)) (auth *server.Embedded, url string, paths func() string) {
	t.Helper()
	asked := new(output)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = asked.Write([]byte(r.RequestURI + " " + r.Referer() + "\n"))
		if r.URL.Path == "/as" {
			w.Header().Set("Set-Cookie", r.URL.RawQuery+"; Path=/; HttpOnly; SameSite=Lax")
			http.Redirect(w, r, "/", http.StatusSeeOther)
			return
		}
		auth.ServeHTTP(w, r)
	}))
	t.Cleanup(web.Close)
	c := server.Config{Store: memory.New(), URL: web.URL, InsecureHashes: true, Registration: true, MaxSessions: 250}
	for _, set := range with {
		set(&c)
	}
	auth, err := server.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = auth.Close() })
	return auth, web.URL, asked.String
}

// loginOf signs a user in by a cookie, as one who proved that long ago who they are, with that browser.
func loginOf(t *testing.T, auth *server.Embedded, user string, age time.Duration, agent string, roles ...string) *issuer.Issued {
	t.Helper()
	rev, err := auth.Issuer().SubjectRev(t.Context(), user)
	if err != nil {
		t.Fatal(err)
	}
	proof := login.Proof{Subject: user, Methods: []string{"pwd"}, At: auth.Clock().Now().Add(-age), SubjectRev: rev, Roles: roles}
	got, err := auth.Issuer().Login(t.Context(), proof, issuer.Request{Carrier: counterfoil.CarrierCookie, UserAgent: agent})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// LOGIN-12: the link of an invitation. With JavaScript the page takes the token out of the
// address and into the form; without, the person pastes the link. The server is not told the
// token before the form is sent.
func TestInvitationInABrowser(t *testing.T) {
	t.Parallel()
	for _, l := range looks {
		t.Run(l.name, func(t *testing.T) {
			auth, url, paths := embedded(t)
			_, invitation, _, err := auth.Users().CreateInvited(t.Context(), rights.Owner(), audit.Act{}, directory.User{Identifier: "wendy"})
			if err != nil {
				t.Fatal(err)
			}
			token := invitation.Reveal()
			link := url + "/welcome#" + token
			b := newAxedBrowser(t, l)
			b.do(chromedp.Navigate(link))
			b.until(`document.querySelector("#token")`)
			if l.script {
				b.until(`document.querySelector("#token").value === "` + token + `" && location.href === "` + url + `/welcome" && document.activeElement.id === "password"`)
				b.do(chromedp.Navigate(url + "/welcome")) // another link in the same page, which is not loaded again
				b.do(chromedp.Navigate(link))
				b.until(`document.querySelector("#token").value === "` + token + `" && !location.hash`)
			} else {
				b.inspect("welcome-empty-" + l.name)
				b.tabThrough("welcome")
				b.do(chromedp.SendKeys(chromedp.CSS("#token"), link))
			}
			b.inspect("welcome-" + l.name)
			b.do(chromedp.SendKeys(chromedp.CSS("#password"), "fifteen letters\r"))
			b.until(`location.pathname === "/login" && document.querySelector("[role=status]")?.textContent.includes("Your password is set")`)
			b.inspect("welcome-done-" + l.name)
			if asked := paths(); strings.Contains(asked, token) {
				t.Errorf("the browser put the token into a path or a Referer: %s", asked)
			}

			// The link again, in a new page: there is a password to sign in with.
			b.do(chromedp.Navigate("about:blank"), chromedp.Navigate(link))
			b.until(`document.querySelector("#token")`)
			if l.script { // it is said at once
				b.until(`!document.querySelector("#used").hidden`)
				b.expected()
				b.inspect("welcome-at-once-" + l.name)
				b.do(chromedp.Navigate(url + "/welcome#" + strings.Repeat("x", len(token)))) // in the same page
				b.until(`!document.querySelector("#void").hidden && document.querySelector("#used").hidden`)
				b.expected()
				b.inspect("welcome-void-" + l.name)
				b.do(chromedp.Navigate("about:blank"), chromedp.Navigate(link))
				b.until(`document.querySelector("#token")?.value === "` + token + `"`)
			} else {
				b.do(chromedp.SendKeys(chromedp.CSS("#token"), link))
			}
			b.do(chromedp.SendKeys(chromedp.CSS("#password"), "another evening at home\r"))
			b.until(`document.querySelector("[role=alert]")?.textContent.includes("was used") && document.querySelector("form[action='/login']")`)
			b.expected()
			b.inspect("welcome-used-" + l.name)
		})
	}
}

// ownPassword is one that a user may choose, as that of the demo is not.
const ownPassword = "four words of prose"

// SES-15: the account page of a login of an hour ago asks for the password, and leads to the
// list of all sessions and the end of the others.
func TestOldLoginInABrowser(t *testing.T) {
	t.Parallel()
	for _, l := range looks {
		t.Run(l.name, func(t *testing.T) {
			auth, url, _ := embedded(t)
			if err := auth.AddUser(t.Context(), "alice", ownPassword); err != nil {
				t.Fatal(err)
			}
			u, err := auth.Users().ByIdentifier(t.Context(), "alice")
			if err != nil {
				t.Fatal(err)
			}
			var old *issuer.Issued
			for range 3 {
				old = loginOf(t, auth, u.ID, time.Hour, "phone")
			}
			b := newAxedBrowser(t, l)
			b.do(chromedp.Navigate(url + "/as?" + source.InsecureCookieName + "=" + old.Access.Reveal()))
			b.until(`document.querySelector("form[action='/session/step-up']") && document.querySelectorAll(".sessions li").length === 1`)
			b.inspect("account-old-" + l.name)
			b.tabThrough("account of an old login")
			if l.script {
				b.showsLocalTime()
				b.showsPassword()
			}
			b.do(chromedp.SendKeys(chromedp.CSS("#password"), "not her password at all\r"))
			b.until(`document.querySelector("[role=alert]")?.textContent.includes("That password is not right") && document.activeElement.id === "password"`)
			b.expected()
			b.inspect("account-old-wrong-" + l.name)
			b.do(chromedp.Navigate(url + "/login?max_age=60&return_to=%2F"))
			b.until(`document.querySelector("h1").textContent === "Enter your password again"`)
			b.inspect("prove-" + l.name)
			b.tabThrough("prove")
			b.do(chromedp.Navigate(url + "/"))
			b.do(chromedp.SendKeys(chromedp.CSS("#password"), ownPassword+"\r"))
			b.until(`location.pathname === "/" && document.querySelectorAll(".sessions li").length === 3`)
			b.do(chromedp.Click(chromedp.CSS(`form[action="/sessions/others"] button`)))
			b.until(`document.querySelector("[role=status]")?.textContent === "2 sessions were ended."`)
		})
	}
}

// showsPassword checks that a click shows the password that was typed, and another hides it. A form that is sent hides
// it, so that no browser keeps it as text. It loads the page again.
func (b *browser) showsPassword() {
	b.t.Helper()
	const field, button = `document.querySelector("#password")`, `document.querySelector(".secret button")`
	state := func(kind, text, name string) string {
		return fmt.Sprintf(field+`.type === %q && `+field+`.value === "typed" && `+button+`.textContent === %q && `+button+`.getAttribute("aria-label") === %q`, kind, text, name)
	}
	b.fill("#password", "typed")
	b.until(state("password", "Show", "Show the password"))
	b.do(chromedp.Click(chromedp.CSS(".secret button")))
	b.until(state("text", "Hide", "Hide the password"))
	b.inspect("password-shown")
	b.do(chromedp.Click(chromedp.CSS(".secret button")))
	b.until(state("password", "Show", "Show the password"))
	b.do(chromedp.Click(chromedp.CSS(".secret button")))
	b.until(state("text", "Hide", "Hide the password"))
	b.do(chromedp.Evaluate[chromedp.Void](`(({ form }) => { form.addEventListener("submit", (e) => e.preventDefault()); form.requestSubmit(); })(` + field + `)`))
	b.until(state("password", "Show", "Show the password"))
	b.do(chromedp.Reload())
}

// showsLocalTime checks that the page shows each time in the zone of the reader, with UTC beside it. In one of the
// zones it is another day at any time. It loads the page again.
func (b *browser) showsLocalTime() {
	b.t.Helper()
	zone := func(name string) {
		if _, err := chromedp.Call(b.ctx, emulation.SetTimezoneOverride, emulation.SetTimezoneOverrideParams{TimezoneID: name}); err != nil {
			b.t.Fatal(err)
		}
		b.do(chromedp.Reload())
		b.until(`document.readyState === "complete" && document.querySelector("time")`)
	}
	for name, ahead := range map[string]time.Duration{"Asia/Kolkata": 5*time.Hour + 30*time.Minute, "Pacific/Kiritimati": 14 * time.Hour, "Pacific/Pago_Pago": -11 * time.Hour} {
		zone(name)
		var all [][2]string // in the attribute, and in words
		b.eval(`Promise.resolve(JSON.stringify([...document.querySelectorAll("time")].map((e) => [e.dateTime, e.textContent.replaceAll(/\s/g, " ")])))`, &all)
		for _, shown := range all {
			at, err := time.Parse(time.RFC3339, shown[0])
			if err != nil {
				b.t.Fatal(err)
			}
			local, utc := at.Add(ahead), at.Format("15:04 UTC")
			if local.Day() != at.Day() {
				utc = at.Format("2 Jan 2006, 15:04 UTC")
			}
			if want := local.Format("Jan 2, 2006, 3:04 PM") + " (" + utc + ")"; shown[1] != want {
				b.t.Errorf("%s shows %s as %q, want %q", name, shown[0], shown[1], want)
			}
		}
	}
	zone("")
}

// expected waits until the browser has reported the answer 4xx that the step before expects, and
// forgets it: the page may show the answer before the report comes.
func (b *browser) expected() {
	b.t.Helper()
	select {
	case <-b.problems:
		b.said() // all of it
	case <-time.After(hung):
		b.t.Error("the browser reports no answer 4xx")
	}
}
