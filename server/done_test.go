package server_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/rights"
	"github.com/counterfoil/counterfoil/server"
	"github.com/counterfoil/counterfoil/source"
)

// own is a visitor who is signed in as alice since age.
func (b *bench) own(age time.Duration) *visitor {
	v := b.visitor()
	v.cookies[source.InsecureCookieName] = b.left(age, counterfoil.CarrierCookie).cookies[0].Value
	return v
}

// gone follows the redirect of the answer.
func (v *visitor) gone(status int, text string) *visitor {
	v.Helper()
	if v.page.Code != http.StatusSeeOther {
		v.Fatalf("the answer = %d %s, want a redirect", v.page.Code, v.page.Body)
	}
	return v.open(v.page.Header().Get("Location")).at(status, text)
}

const says = `<p class="done" role="status">`

// A form leads to a page that says what was done, once.
func TestPagesSayWhatWasDone(t *testing.T) {
	b := assemble(t, server.Config{URL: authURL, Registration: true})
	v := b.own(time.Minute)
	v.open("/").send("/logout", typed()).gone(http.StatusOK, says+"You are signed out.")
	if v.open("/"); strings.Contains(v.page.Body.String(), says) {
		t.Errorf("it is said twice: %s", v.page.Body)
	}

	v = b.own(time.Minute)
	b.own(time.Minute)
	v.open("/").send("/sessions/others", typed()).gone(http.StatusOK, says+"1 session was ended.")
	v.keep(v.form("/sessions/others", typed(), append(v.headers(), "Origin", v.url)...)) // from a page that was open before
	v.gone(http.StatusOK, says+"There were no other sessions.")
	for range 3 {
		b.own(time.Minute)
	}
	v.open("/").send("/sessions/others", typed()).gone(http.StatusOK, says+"3 sessions were ended.")

	other := b.left(time.Minute, counterfoil.CarrierBearer)
	revoke := func(sid string) *visitor {
		v.keep(v.form("/sessions/revoke", typed("sid", sid), append(v.headers(), "Origin", v.url)...))
		return v
	}
	revoke(other.Session.ID).gone(http.StatusOK, says+"1 session was ended.")
	revoke(other.Session.ID).gone(http.StatusOK, says+"That session had ended before.")
	revoke("ses_x").gone(http.StatusOK, says+"That session had ended before.")
	v.keep(v.form("/notices/dismiss", typed("id", "x"), append(v.headers(), "Origin", v.url)...))
	v.gone(http.StatusOK, says+"The notice was dismissed.")
	_, own, _ := strings.Cut(v.page.Body.String(), `name="sid" value="`)
	own, _, _ = strings.Cut(own, `"`)
	revoke(own).gone(http.StatusOK, says+"This session was ended. You are signed out here.").at(http.StatusOK, ">Sign in</a>")
	if len(v.cookies) > 0 {
		t.Errorf("the browser keeps %v", v.cookies)
	}

	v = b.own(time.Hour)
	v.open("/").link("Password").send("/password", typed("current", pass, "next", "an evening by the river"))
	v.sentTo("/").gone(http.StatusOK, says+"Your password was changed, and every other session was ended.").at(http.StatusOK, "Signed in as <bdi>alice")
}

// The form says which of the two passwords is wrong, and has the focus there.
func TestChangeOfAPasswordSaysWhatIsWrong(t *testing.T) {
	b := assemble(t, server.Config{URL: authURL})
	v := b.own(time.Hour).open("/password").at(http.StatusOK, "Current password")
	const focus = ` autofocus aria-invalid="true" aria-describedby="`
	v.send("/password", typed("current", "not hers at all", "next", "an evening by the river"))
	v.at(http.StatusUnauthorized, `<p class="error" id="current-problem" role="alert">The password was not changed. The current password is not right.<`)
	v.at(http.StatusUnauthorized, `autocomplete="current-password"`+focus+`current-problem" required`).at(http.StatusUnauthorized, "<title>Error: Change your password")
	v.send("/password", typed("current", pass, "next", "short"))
	v.at(http.StatusUnprocessableEntity, "That password is too short").at(http.StatusUnprocessableEntity, `minlength="15"`+focus+`next-problem next-hint" required`)
	v.send("/password", typed("current", pass, "next", "an evening by the river")).sentTo("/")

	// A password manager leads here, also somebody who is signed out.
	v = b.visitor().open("/.well-known/change-password")
	if v.page.Code != http.StatusFound || v.page.Header().Get("Location") != "/password" {
		t.Errorf("/.well-known/change-password = %d to %q", v.page.Code, v.page.Header().Get("Location"))
	}
	v.open("/password").gone(http.StatusOK, `action="/login"`).send("/login", typed("identifier", "alice", "password", "an evening by the river")).sentTo("/password")
	v.gone(http.StatusOK, "Current password")

	got, err := b.issuer.Login(t.Context(), login.Proof{Subject: "usr_elsewhere", At: time.Now()}, issuer.Request{Carrier: counterfoil.CarrierCookie})
	must(t, err)
	v = b.visitor()
	v.cookies[source.InsecureCookieName] = got.Access.Reveal()
	v.open("/password").at(http.StatusOK, "You have no password here")
	if v.open("/"); strings.Contains(v.page.Body.String(), "/password") {
		t.Errorf("the page leads to a form that is not theirs: %s", v.page.Body)
	}
}

// A sign-in that failed has the focus where there is something to mend.
func TestFocusAfterAMistake(t *testing.T) {
	b := assemble(t, server.Config{URL: authURL, Registration: true})
	field := func(v *visitor, id string) {
		t.Helper()
		body := v.page.Body.String()
		_, input, _ := strings.Cut(body, `<input id="`+id+`"`)
		input, _, _ = strings.Cut(input, ">")
		said := strings.Contains(input, ` autofocus aria-invalid="true" aria-describedby="`+id+`-problem`) && strings.Contains(body, `<p class="error" id="`+id+`-problem" role="alert">`)
		if id == "" { // it is about no field
			said = strings.Contains(body, `<p id="problem" class="problem" role="alert" tabindex="-1" autofocus>`)
		}
		if !said || strings.Count(body, "autofocus") != 1 || strings.Count(body, `role="alert"`) != 1+strings.Count(body, "hidden>This link") || !strings.Contains(body, "<title>Error: ") {
			t.Errorf("want the focus at %q: %s", id, body)
		}
	}
	v := b.visitor().open("/login")
	if strings.Contains(v.page.Body.String(), "autofocus") {
		t.Error("there is nothing to mend yet")
	}
	field(v.send("/login", typed("identifier", "alice", "password", "not hers at all")), "password")
	b.riddled()
	v.send("/login", typed("identifier", "alice", "password", pass)).at(http.StatusOK, "What is")
	field(v.send("/login/continue", typed("answer", "a sphinx")), "")
	field(v.open("/register").send("/register", typed("identifier", "bob", "password", "short")), "password")
	field(v.send("/register", typed("identifier", "alice", "password", "an evening by the river")), "identifier")
	field(v.open("/welcome").send("/welcome", typed("token", "cfi_x", "password", "an evening by the river")), "token")
	v = b.own(time.Hour).open("/")
	field(v.send("/session/step-up", typed("password", "not hers at all")), "password")
	field(v.open("/login?max_age=60").send("/session/step-up", typed("password", "not hers at all", "return_to", "/notes")), "password")
}

// Whose account was made, and who could not be signed in then, is not asked to make it again: the
// name would be taken.
func TestAccountIsMadeOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // no time passes, and with it no other attempt is allowed
		b := assemble(t, server.Config{URL: authURL, Registration: true, LoginsPerSecond: 1})
		v := b.visitor().open("/register?return_to=%2Fnotes").send("/register", typed("identifier", "bob", "password", "an evening by the river"))
		v.at(http.StatusTooManyRequests, says+"Your account was created.").at(http.StatusTooManyRequests, `action="/login"`).at(http.StatusTooManyRequests, `value="bob"`)
		v.at(http.StatusTooManyRequests, `name="return_to" value="/notes"`)
	})
}

// HDR-02: what a page says was done comes from this server alone: no parameter and no cookie can
// bring a text or a number to it that is none of its own.
func TestNobodyElseSaysWhatWasDone(t *testing.T) {
	b := assemble(t, server.Config{URL: authURL})
	for _, value := range []string{
		"x", "x.1", "others-ended", "others-ended.", "others-ended.x", "others-ended.-1", "others-ended.99999", "others-ended.1.2", "Call+0900.1", ".1", "session-ended.<b>",
	} {
		w := b.answer("GET", "/", "", "Cookie", "cf_done="+value)
		if w.Code != http.StatusOK || strings.Contains(w.Body.String(), says) {
			t.Errorf("the cookie %q: %d %s", value, w.Code, w.Body)
		}
	}
	if w := b.answer("GET", "/", "", "Cookie", "cf_done=session-ended.0; cf_done=others-ended.7"); strings.Contains(w.Body.String(), says) {
		t.Errorf("two cookies: %s", w.Body)
	}
	for _, path := range []string{"/", "/login"} {
		query := url.Values{}
		for _, name := range []string{"done", "message", "msg", "deed", "error", "cf_done"} {
			query.Set(name, "session-ended.0")
		}
		if w := b.answer("GET", path+"?"+query.Encode(), ""); strings.Contains(w.Body.String(), says) {
			t.Errorf("the query of %s: %s", path, w.Body)
		}
	}
	secure := assemble(t, server.Config{URL: "https://auth.test"})
	w := secure.form("/logout", typed(), "Origin", "https://auth.test")
	found := false
	for _, line := range w.Header().Values("Set-Cookie") {
		found = found || line == "__Host-Http-cf_done=signed-out.0; Path=/; Max-Age=60; Secure; HttpOnly; SameSite=Strict"
	}
	if !found {
		t.Errorf("the cookies of a logout: %q", w.Header().Values("Set-Cookie"))
	}
}

// An invitation that was used leads to the sign-in, and a new password too: a reload sends nothing
// again.
func TestWelcomeLeadsToTheSignIn(t *testing.T) {
	b := assemble(t, server.Config{URL: authURL})
	u, err := b.users.ByIdentifier(t.Context(), "alice")
	must(t, err)
	token, _, err := b.users.Invite(t.Context(), rights.Owner(), u.ID, audit.Act{})
	must(t, err)
	v := b.visitor().open("/welcome").send("/welcome", typed("token", token.Reveal(), "password", "an evening by the river"))
	v.sentTo("/login").gone(http.StatusOK, says+"Your password is set. Sign in with it.")
	v.open("/welcome").send("/welcome", typed("token", token.Reveal(), "password", "another evening by the river")).at(http.StatusGone, "was used")
}
