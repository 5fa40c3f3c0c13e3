package server_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/accounts"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/internal/api"
	"github.com/counterfoil/counterfoil/internal/secret"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/rights"
	"github.com/counterfoil/counterfoil/server"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store"
)

// An administrator by cookie gets the cookie of the user in its place, sees who acts, opens no
// account with it, and signs out of it. The user is told, sees the session with its actor, and ends
// it. An API key impersonates nobody.
func TestImpersonation(t *testing.T) {
	b := newBench(t)
	boss := b.session("boss", issuer.Request{}, "admin").Access.Reveal()
	alice := b.login("cookie")
	u, err := b.users.ByIdentifier(t.Context(), "alice")
	must(t, err)
	path := "/v1/admin/users/" + u.ID + "/impersonation"
	const ask = `{"reason":"ticket 7","carrier":"cookie"}`
	cookie := func(value string) []string { return []string{"Cookie", "cf=" + value, "Origin", b.url} }
	if res, body := b.call("POST", path, ask, "Authorization", "Bearer "+b.key); res.StatusCode != http.StatusForbidden {
		t.Errorf("by an API key = %d %s", res.StatusCode, body)
	}
	begin := func() issued {
		t.Helper()
		res, body := b.call("POST", path, ask, cookie(boss)...)
		var got issued
		must(t, json.Unmarshal([]byte(body), &got))
		if got.cookies = res.Cookies(); res.StatusCode != http.StatusCreated || got.cookies == nil || got.Access != "" {
			t.Fatalf("impersonation = %d %s, cookies %v", res.StatusCode, body, got.cookies)
		}
		return got
	}
	acting := begin()
	mine := []string{"Cookie", acting.cookieHeader(), "Origin", b.url}
	if res, body := b.call("GET", "/v1/session", "", mine...); res.StatusCode != http.StatusOK || !strings.Contains(body, `"actor":"boss"`) || !strings.Contains(body, `"amr":["impersonation"]`) {
		t.Errorf("its session = %d %s", res.StatusCode, body)
	}
	for _, c := range [][3]string{
		{"GET", "/v1/sessions", ""}, {"DELETE", "/v1/sessions", ""}, {"GET", "/v1/admin/users", ""}, {"DELETE", "/v1/sessions/" + alice.Session.ID, ""},
		{"POST", "/v1/password", `{"current":"` + pass + `","next":"another long afternoon"}`}, {"POST", "/v1/session/step-up", `{"password":"` + pass + `"}`},
	} {
		if res, body := b.call(c[0], c[1], c[2], append(mine, "X-Requested-With", "x")...); res.StatusCode != http.StatusForbidden {
			t.Errorf("%s %s by an impersonation = %d %s", c[0], c[1], res.StatusCode, body)
		}
	}
	own := []string{"Cookie", alice.cookieHeader(), "Origin", b.url}
	_, body := b.call("GET", "/v1/sessions", "", own...)
	for _, want := range []string{`"kind":"impersonation"`, `"reason":"ticket 7"`, `"actor":"boss"`, acting.Session.ID} {
		if !strings.Contains(body, want) {
			t.Errorf("the user's sessions lack %s: %s", want, body)
		}
	}
	if _, page := b.call("GET", "/", "", own...); !strings.Contains(page, "an administrator, used your account") || !strings.Contains(page, "ticket 7") {
		t.Errorf("the account page says %s", page)
	}
	if res, body := b.call("DELETE", "/v1/sessions/"+acting.Session.ID, "", own...); res.StatusCode >= 300 || b.status(acting) != http.StatusUnauthorized {
		t.Errorf("the user ends it = %d %s", res.StatusCode, body)
	}
	acting = begin()
	if res, body := b.call("POST", "/v1/logout", "", "Cookie", acting.cookieHeader(), "Origin", b.url); res.StatusCode != http.StatusNoContent || b.status(acting) != http.StatusUnauthorized {
		t.Errorf("the administrator stops = %d %s", res.StatusCode, body)
	}
	_, trail := b.call("GET", "/v1/admin/audit?action=impersonation,logout&subject="+u.ID, "", "Authorization", "Bearer "+b.key)
	if strings.Count(trail, `"by":"subject:boss"`) != 3 {
		t.Errorf("the trail has %s", trail)
	}
	token := b.session("boss", issuer.Request{Client: "console", Carrier: counterfoil.CarrierBearer}, "admin").Access.Reveal()
	if res, body := b.call("POST", path, ask, "Authorization", "Bearer "+token); res.StatusCode != http.StatusCreated || len(res.Cookies()) > 0 || !strings.Contains(body, `"access_token"`) {
		t.Errorf("asked for with a token = %d %s, cookies %v", res.StatusCode, body, res.Cookies())
	}
}

// The console has an administrator act as a user: with a reason, by the name of the user, after a login that is
// fresh, and by the call that it shows. The lists of sessions say whose it is.
func TestConsoleImpersonates(t *testing.T) {
	b, _, _, id := furnished(t)
	v, here := b.console(2*time.Hour, "admin"), "/admin/users/"+id
	form, api := here+"/impersonate", "/v1/admin/users/"+id+"/impersonation"
	v.open(here).link("Impersonate").at(http.StatusOK, "The user reads it").send(form, typed("reason", "it's 7", "confirm", "mall")).at(http.StatusUnprocessableEntity, "type exactly: mallory")
	v.send(form, typed("reason", "it's 7", "confirm", "mallory")).at(http.StatusUnauthorized, "Enter your password again")
	v.send("/session/step-up", typed("password", pass)).send(form, typed()).at(http.StatusOK, "Nothing was done yet").at(http.StatusOK, `value="it&#39;s 7"`)
	calls := v.curls()
	if want := (shown{"POST", api, `{"reason":"it's 7","carrier":"cookie"}`, true}); len(calls) != 1 || calls[0] != want {
		t.Fatalf("the form shows %+v, want %+v", calls, want)
	}
	token := b.session("boss", issuer.Request{Client: "console", Carrier: counterfoil.CarrierBearer}, "admin").Access.Reveal()
	if w := b.answer("POST", api, calls[0].body, "Authorization", "Bearer "+token, "Content-Type", "application/json"); w.Code != http.StatusCreated {
		t.Errorf("the command that is shown = %d %s", w.Code, w.Body)
	}
	v.send(form, typed("reason", " ", "confirm", "mallory")).at(http.StatusBadRequest, `id="reason-problem"`)
	before := v.cookies[source.InsecureCookieName]
	v.send(form, typed("reason", "it's 7", "confirm", "mallory")).at(http.StatusCreated, "You act as")
	if made := v.curls(); len(made) != 1 || made[0] != calls[0] {
		t.Errorf("the answer shows %+v", made)
	}
	if w := b.answer("GET", "/v1/session", "", v.headers()...); v.cookies[source.InsecureCookieName] == before || !strings.Contains(w.Body.String(), `"subject":"`+id+`"`) {
		t.Fatalf("the browser has %s", w.Body)
	}
	const tag = ` <span class="tag">impersonation by <bdi>Staff</bdi></span>`
	auditor := b.console(time.Minute, "auditor").open(here).at(http.StatusOK, tag)
	auditor.open("/admin/sessions?user="+id).at(http.StatusOK, tag)
	user := b.visitor()
	user.cookies[source.InsecureCookieName] = b.session(id, issuer.Request{Carrier: counterfoil.CarrierCookie}).Access.Reveal()
	user.open("/").at(http.StatusOK, ` <span class="tag">an administrator: <bdi>Staff</bdi></span>`)
	v.send("/logout", typed()).gone(http.StatusOK, says+"You no longer act as somebody else. Your own session has ended, too: sign in to go on.")
	if _, err := b.issuer.Current(t.Context(), before); !errors.Is(err, counterfoil.ErrInvalidToken) {
		t.Errorf("the session that the browser cannot go back to: %v", err)
	}
	if rows, _, err := b.issuer.Sessions(t.Context(), id, "", 0); err != nil || len(rows) != 3 { // the first one, the user's, and that of the command
		t.Errorf("sessions %+v, %v", rows, err)
	}

	// Whom nobody impersonates has no such button. The API refuses.
	v = b.console(time.Minute, "admin")
	for name, roles := range map[string][]string{"support": {accounts.RoleSupport}, "asleep": nil} {
		u, err := b.users.Register(t.Context(), rights.Owner(), audit.Act{}, name, "", secret.New(pass), roles)
		must(t, err)
		if name == "asleep" {
			_, err = b.users.Update(t.Context(), rights.Owner(), u.ID, audit.Act{}, func(u *directory.User) error { u.Status = directory.Disabled; return nil })
			must(t, err)
		}
		if v.open("/admin/users/"+u.ID).at(http.StatusOK, "Delete"); strings.Contains(v.page.Body.String(), "Impersonate") {
			t.Errorf("%s: %s", name, v.page.Body)
		}
		path := "/admin/users/" + u.ID + "/impersonate"
		v.open(path).send(path, typed("reason", "x", "confirm", name)).at(http.StatusForbidden, "Nothing was done.")
	}
}

// While the visitor's session is an impersonation, pages say who acts as whom and until when, in the language
// of the visitor, and have the way out. They say it of no other session.
func TestImpersonationBanner(t *testing.T) {
	b := assemble(t, server.Config{URL: "http://127.0.0.1:8080", Registration: true})
	boss, err := b.users.Register(t.Context(), rights.Owner(), audit.Act{}, "boss", hostile, secret.New(pass), []string{accounts.RoleAdmin})
	must(t, err)
	u, err := b.users.ByIdentifier(t.Context(), "alice")
	must(t, err)
	own := b.session(boss.ID, issuer.Request{Carrier: counterfoil.CarrierCookie}, accounts.RoleAdmin)
	w := b.answer("POST", "/v1/admin/users/"+u.ID+"/impersonation", `{"reason":"x","carrier":"cookie"}`, "Cookie", source.InsecureCookieName+"="+own.Access.Reveal(), "Origin", b.url, "Content-Type", "application/json")
	if w.Code != http.StatusCreated {
		t.Fatalf("impersonation = %d %s", w.Code, w.Body)
	}
	v := b.visitor()
	v.keep(w)
	rows, _, err := b.issuer.Sessions(t.Context(), u.ID, "", 0)
	must(t, err)
	until := `<time datetime="` + rows[0].AbsoluteExpires.UTC().Format(time.RFC3339) + `">`
	const banner = `<aside class="banner"`
	for path, status := range map[string]int{
		"/": http.StatusForbidden, "/activity": http.StatusForbidden, "/apps": http.StatusForbidden, "/password": http.StatusForbidden, "/login?return_to=/notes": http.StatusForbidden,
		"/login": http.StatusOK, "/register": http.StatusOK, "/welcome": http.StatusOK, "/choose": http.StatusOK, "/admin": http.StatusForbidden, "/admin/users": http.StatusForbidden, "/nothing": http.StatusNotFound,
	} {
		for language, says := range map[string][]string{"en": {" acts as <bdi>alice</bdi> here, until "}, "de": {" handelt hier als <bdi>alice</bdi>, höchstens bis "}} {
			w := b.answer("GET", path, "", append(v.headers(), "Accept-Language", language)...)
			if strings.HasPrefix(path, "/admin") || path == "/choose" {
				says = []string{" acts as <bdi>alice</bdi> here, until "} // in English alone
			}
			for _, want := range append(says, banner, until, "&lt;", `<form method="post" action="/logout">`) {
				if body := w.Body.String(); w.Code != status || strings.Count(body, banner) != 1 || !strings.Contains(body, want) || strings.Contains(body, hostile) {
					t.Errorf("%s, %s = %d, without %s: %s", path, language, w.Code, want, body)
				}
			}
		}
	}
	v.open("/").at(http.StatusForbidden, "You act as <bdi>alice</bdi>, and see in the apps what <bdi>alice</bdi> sees.")
	v.open("/login").send("/login", typed("identifier", "alice", "password", "not hers at all")).at(http.StatusUnauthorized, banner)
	for name, other := range map[string]*visitor{"alice": b.own(time.Minute), "nobody": b.visitor(), "an administrator": b.console(time.Minute, "admin")} {
		for _, path := range []string{"/", "/login", "/register", "/welcome", "/admin", "/nothing", "/login?return_to=x"} {
			if other.open(path); strings.Contains(other.page.Body.String(), banner) {
				t.Errorf("%s at %s: %s", name, path, other.page.Body)
			}
		}
	}
	v.open("/").send("/logout", typed()).gone(http.StatusOK, says+"You no longer act as somebody else.")
	if strings.Contains(v.page.Body.String(), banner) || strings.Contains(v.open("/login").page.Body.String(), banner) {
		t.Errorf("signed out: %s", v.page.Body)
	}
	if _, err := b.issuer.Session(t.Context(), rows[0].ID); err == nil {
		t.Error("the impersonation lives")
	}
}

// SES-13: whatever takes the cookie of an impersonation away ends it, and the session of the administrator
// whose cookie it took the place of: nobody holds that any more. It does not end one that is held elsewhere.
func TestNothingIsLeftOfAnImpersonation(t *testing.T) {
	b := newBench(t)
	u, err := b.users.ByIdentifier(t.Context(), "alice")
	must(t, err)
	for _, c := range []counterfoil.Carrier{counterfoil.CarrierCookie, counterfoil.CarrierJWTCookie, counterfoil.CarrierJWECookie} {
		for name, leave := range map[string]func(v *visitor) *httptest.ResponseRecorder{
			"signs out": func(v *visitor) *httptest.ResponseRecorder {
				v.keep(v.form("/logout", typed(), append(v.headers(), "Origin", v.url)...))
				return v.page
			},
			"signs out by API": func(v *visitor) *httptest.ResponseRecorder { return v.ask("POST", "/v1/logout", "") },
			"signs in as another": func(v *visitor) *httptest.ResponseRecorder {
				return v.ask("POST", "/v1/login", `{"identifier":"alice","password":"`+pass+`","carrier":"cookie"}`)
			},
			"signs in for a header": func(v *visitor) *httptest.ResponseRecorder {
				return v.ask("POST", "/v1/login", `{"identifier":"alice","password":"`+pass+`","carrier":"bearer"}`, api.RefreshHeader, "cookie")
			},
			"has the refresh cookie alone": func(v *visitor) *httptest.ResponseRecorder {
				if delete(v.cookies, source.InsecureCookieName); len(v.cookies) == 0 {
					return nil // there is none
				}
				return v.ask("POST", "/v1/logout", "")
			},
		} {
			own := b.session("boss", issuer.Request{Carrier: counterfoil.CarrierCookie}, accounts.RoleAdmin)
			elsewhere := b.session("boss", issuer.Request{Carrier: counterfoil.CarrierCookie}, accounts.RoleAdmin)
			v := b.visitor()
			v.cookies[source.InsecureCookieName] = own.Access.Reveal()
			w := v.ask("POST", "/v1/admin/users/"+u.ID+"/impersonation", `{"reason":"x","carrier":"`+c.String()+`"}`)
			if w.Code != http.StatusCreated {
				t.Fatalf("impersonation = %d %s", w.Code, w.Body)
			}
			if _, err := b.issuer.Current(t.Context(), own.Access.Reveal()); err != nil {
				t.Fatalf("%v: meanwhile: %v", c, err)
			}
			var got issued
			must(t, json.Unmarshal(w.Body.Bytes(), &got))
			if w = leave(v); w == nil {
				continue
			}
			for _, sid := range []string{own.Session.ID, got.Session.ID} {
				if _, err := b.issuer.Session(t.Context(), sid); !errors.Is(err, store.ErrNotFound) {
					t.Errorf("%v, %s = %d %s: session %s: %v", c, name, w.Code, w.Body, sid, err)
				}
			}
			if _, err := b.issuer.Session(t.Context(), elsewhere.Session.ID); err != nil {
				t.Errorf("%v, %s: another session of the administrator: %v", c, name, err)
			}
		}
	}

	// Who asked with a token holds that still.
	own := b.session("boss", issuer.Request{Client: "console", Carrier: counterfoil.CarrierBearer}, accounts.RoleAdmin)
	var got issued
	must(t, json.Unmarshal(b.answer("POST", "/v1/admin/users/"+u.ID+"/impersonation", `{"reason":"x","carrier":"cookie"}`, "Authorization", "Bearer "+own.Access.Reveal(), "Content-Type", "application/json").Body.Bytes(), &got))
	v := b.visitor()
	v.cookies[source.InsecureCookieName] = got.Access
	if w := v.ask("POST", "/v1/logout", ""); w.Code != http.StatusNoContent {
		t.Errorf("logout = %d %s", w.Code, w.Body)
	}
	if _, err := b.issuer.Session(t.Context(), own.Session.ID); err != nil {
		t.Errorf("a session that is held elsewhere: %v", err)
	}
}
