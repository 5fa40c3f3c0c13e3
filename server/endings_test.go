package server_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/clients"
	"github.com/counterfoil/counterfoil/internal/api"
	"github.com/counterfoil/counterfoil/internal/secret"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/rights"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store"
)

func (b *bench) status(got issued) int {
	b.Helper()
	res, _ := b.call("GET", "/v1/session", "", got.credential()...)
	return res.StatusCode
}

// RVK-01, RVK-02: what each kind of token gives up, whatever client it is of.
func TestRevokeToken(t *testing.T) {
	b := newBench(t)
	login := func(carrier string) issued {
		return b.issued(b.call("POST", "/v1/login", `{"identifier":"alice","password":"`+pass+`","client":"app","carrier":"`+carrier+`"}`))
	}
	give := func(form url.Values) {
		if res, body := b.call("POST", "/oauth/revoke", form.Encode()); res.StatusCode != http.StatusOK {
			t.Errorf("revoke = %d %s", res.StatusCode, body)
		}
	}
	refreshes := func(got issued) bool {
		res, _ := b.call("POST", "/v1/refresh", `{"refresh_token":"`+got.Refresh+`","client":"app"}`)
		return res.StatusCode == http.StatusOK
	}
	byRefresh, byAccess, byOther := login("bearer"), login("bearer"), login("jwe")
	give(url.Values{"token": {byRefresh.Refresh}})
	give(url.Values{"token": {byAccess.Access}})
	give(url.Values{"token": {byOther.Refresh}, "client_id": {"another"}})
	give(url.Values{"token": {"nothing known"}})
	if b.status(byRefresh) != http.StatusUnauthorized || refreshes(byRefresh) {
		t.Error("a login whose refresh token was given up is alive")
	}
	if b.status(byAccess) != http.StatusUnauthorized || !refreshes(byAccess) {
		t.Error("giving up an access token must end it, and it alone")
	}
	if b.status(byOther) != http.StatusOK {
		t.Error("another client could end the login")
	}
}

// SES-04, SES-14: a new password puts everybody out, and the caller goes on under
// a new id.
func TestChangePassword(t *testing.T) {
	b := newBench(t)
	own, other := b.login("cookie"), b.login("bearer")
	res, body := b.call("POST", "/v1/password", `{"current":"`+pass+`","next":"another long and quiet day"}`,
		"Cookie", own.cookieHeader(), "Origin", b.url)
	next := b.issued(res, body)
	if b.status(next) != http.StatusOK || next.Session.ID == own.Session.ID {
		t.Error("the caller did not get a new session")
	}
	if b.status(own) != http.StatusUnauthorized || b.status(other) != http.StatusUnauthorized {
		t.Error("a session made with the old password is alive")
	}
}

// SES-13: logging out with nothing but the refresh cookie ends the login too.
func TestLogoutByRefreshCookie(t *testing.T) {
	b := newBench(t)
	got := b.issued(b.call("POST", "/v1/login", `{"identifier":"alice","password":"`+pass+`","client":"app","carrier":"jwt-cookie"}`))
	refresh := ""
	for _, c := range got.cookies {
		if c.Name == "cf_rt" {
			refresh = c.Name + "=" + c.Value
		}
	}
	if res, body := b.call("POST", "/v1/logout", "", "Cookie", refresh, "Origin", b.url); res.StatusCode != http.StatusNoContent {
		t.Fatalf("logout = %d %s", res.StatusCode, body)
	}
	all := issued{cookies: got.cookies[:1]}
	if b.status(all) != http.StatusUnauthorized {
		t.Error("the login is alive after the logout")
	}
}

// SES-13: a client that gives a login up by an old copy of it ends it: an answer that says so
// and leaves the refresh token alive would be a lie.
func TestLogoutByAnOldCopy(t *testing.T) {
	b := newOutageBench(t)
	audience := func(aud ...string) {
		must(t, b.issuer.Clients().Set(t.Context(), rights.Owner(), clients.Default, audit.Act{}, func(c *clients.Client) { c.Audience = aud }))
	}
	for name, age := range map[string]func(s *counterfoil.Session){
		"expired": func(*counterfoil.Session) { b.later.Add(int64(10 * time.Minute)) },
		"claims changed": func(s *counterfoil.Session) {
			must(t, b.issuer.SetSubject(t.Context(), s.Subject, audit.Act{}, func(to *issuer.Subject) { to.Roles = append(to.Roles, "more") }))
		},
		"token revoked": func(s *counterfoil.Session) {
			_, err := b.issuer.Revoke(t.Context(), source.ScopeToken, s.TokenID, audit.Act{})
			must(t, err)
		},
		"another audience": func(*counterfoil.Session) { audience("https://api.test") },
	} {
		for _, c := range []counterfoil.Carrier{counterfoil.CarrierBearer, counterfoil.CarrierJWE, counterfoil.CarrierJWTCookie, counterfoil.CarrierJWECookie} {
			audience()
			h := b.holder(c)
			age(h.Session)
			header := h.header
			if c.Transport == counterfoil.Cookie { // the access cookie alone
				header = []string{"Cookie", source.InsecureCookieName + "=" + h.Access.Reveal(), "Origin", b.url}
			}
			res, body := b.call("POST", "/v1/logout", "", header...)
			_, err := b.issuer.Session(t.Context(), h.Session.ID)
			if res.StatusCode != http.StatusNoContent || !errors.Is(err, store.ErrNotFound) {
				t.Errorf("%s, %v: logout = %d %s, and then the session: %v", name, c, res.StatusCode, body, err)
			}
		}
	}
}

// SES-08: with two cookies nobody knows which login is meant, so none is said to be over.
func TestLogoutByTwoCookies(t *testing.T) {
	b := newBench(t)
	i := b.session("alice", issuer.Request{Carrier: counterfoil.CarrierCookie})
	cookie := "cf=" + i.Access.Reveal()
	res, _ := b.call("POST", "/v1/logout", "", "Cookie", cookie+"; cf=planted", "Origin", b.url)
	if res.StatusCode != http.StatusUnauthorized || len(res.Cookies()) != 1 || res.Cookies()[0].MaxAge >= 0 {
		t.Errorf("logout = %d, cookies %v, want 401 and a deletion", res.StatusCode, res.Cookies())
	}
	if _, err := b.issuer.Lookup(t.Context(), i.Access.Reveal()); err != nil {
		t.Errorf("the session: %v, want it alive", err)
	}
}

// SES-04: a login takes the place of the one whose cookie it overwrites.
func TestSignInAnew(t *testing.T) {
	b := newOutageBench(t)
	login := func(carrier string, header ...string) {
		t.Helper()
		res, body := b.call("POST", "/v1/login", `{"identifier":"alice","password":"`+pass+`","carrier":"`+carrier+`"}`, header...)
		if res.StatusCode != http.StatusOK {
			t.Fatalf("login = %d %s", res.StatusCode, body)
		}
	}
	for _, c := range []counterfoil.Carrier{counterfoil.CarrierCookie, counterfoil.CarrierJWTCookie} {
		for name, test := range map[string]struct {
			carrier string
			change  func(header []string) []string
			lives   bool
		}{
			"by cookie":     {"cookie", func(h []string) []string { return h }, false},
			"by jwt-cookie": {"jwt-cookie", func(h []string) []string { return h }, false},
			"by header":     {"bearer", func(h []string) []string { return h }, true}, // the cookie stays where it is
			"no cookie":     {"cookie", func(h []string) []string { return h[2:] }, true},
			"by a program":  {"cookie", func(h []string) []string { return h[:2] }, true}, // nothing says that the cookie is its own
			"expired copy":  {"cookie", func(h []string) []string { b.later.Add(int64(10 * time.Minute)); return h }, false},
		} {
			h := b.holder(c)
			login(test.carrier, test.change(h.header)...)
			_, err := b.issuer.Session(t.Context(), h.Session.ID)
			if lives := err == nil; lives != test.lives {
				t.Errorf("%v, %s: the session before: %v, want it alive: %v", c, name, err, test.lives)
			}
		}
	}
	// A login that fails ends nothing.
	h := b.holder(counterfoil.CarrierCookie)
	if res, _ := b.call("POST", "/v1/login", `{"identifier":"alice","password":"not the one at all"}`, h.header...); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("login = %d", res.StatusCode)
	}
	if _, err := b.issuer.Session(t.Context(), h.Session.ID); err != nil {
		t.Errorf("after a login that failed: %v", err)
	}
}

// SES-04: whatever puts a new credential into the cookies of a browser ends the session whose credential was
// there, in the access cookie or in the refresh cookie, by whatever way in: nobody holds that any more.
// What leaves the cookies where they are ends nothing.
func TestNoSessionIsLeftBehind(t *testing.T) {
	t.Parallel()
	before := map[string]func(v *visitor){
		"cookie": func(v *visitor) {
			v.ask("POST", "/v1/login", `{"identifier":"alice","password":"`+pass+`","carrier":"cookie"}`)
		},
		"jwt-cookie": func(v *visitor) {
			v.ask("POST", "/v1/login", `{"identifier":"alice","password":"`+pass+`","carrier":"jwt-cookie"}`)
		},
		"bearer": func(v *visitor) {
			v.ask("POST", "/v1/login", `{"identifier":"alice","password":"`+pass+`","carrier":"bearer"}`, api.RefreshHeader, "cookie")
		},
		"bearer, refreshed": func(v *visitor) {
			v.ask("POST", "/v1/login", `{"identifier":"alice","password":"`+pass+`","carrier":"bearer"}`, api.RefreshHeader, "cookie")
			old := v.cookies[source.InsecureRefreshCookieName]
			v.ask("POST", "/v1/refresh", `{}`)
			v.cookies[source.InsecureRefreshCookieName] = old // the answer was lost
		},
	}
	names := 0
	by := func(carrier string, header ...string) func(v *visitor) int {
		return func(v *visitor) int {
			return v.ask("POST", "/v1/login", `{"identifier":"bob","password":"`+pass+`","carrier":"`+carrier+`"}`, header...).Code
		}
	}
	for name, c := range map[string]struct {
		do   func(v *visitor) int
		ends bool
	}{
		"cookie":              {by("cookie"), true},
		"jwt-cookie":          {by("jwt-cookie"), true},
		"jwe-cookie":          {by("jwe-cookie"), true},
		"refresh cookie":      {by("bearer", api.RefreshHeader, "cookie"), true},
		"jwe, refresh cookie": {by("jwe", api.RefreshHeader, "cookie"), true},
		"bearer":              {by("bearer"), false},
		"from another site":   {by("bearer", api.RefreshHeader, "cookie", "Sec-Fetch-Site", "cross-site"), false},
		"page": {func(v *visitor) int {
			return v.open("/login").send("/login", typed("identifier", "bob", "password", pass)).page.Code
		}, true},
		"registration": {func(v *visitor) int {
			names++
			return v.ask("POST", "/v1/register", fmt.Sprintf(`{"identifier":"new%d","password":"%s","carrier":"cookie"}`, names, pass)).Code
		}, true},
		"registration page": {func(v *visitor) int {
			names++
			return v.open("/register").send("/register", typed("identifier", fmt.Sprint("new", names), "password", pass)).page.Code
		}, true},
		"challenge": {func(v *visitor) int {
			w := v.ask("POST", "/v1/login", `{"identifier":"carol","method":"riddle","carrier":"cookie"}`)
			return v.ask("POST", "/v1/login/continue", answering(textOf(w.Body.String(), "attempt"), "a man")).Code
		}, true},
		"step-up of a page with a token": {func(v *visitor) int {
			delete(v.cookies, source.InsecureCookieName)
			if v.cookies[source.InsecureRefreshCookieName] == "" {
				return 0 // of a session without a refresh token, nothing is left
			}
			u, err := v.users.ByIdentifier(t.Context(), "bob")
			must(t, err)
			apart := v.session(u.ID, issuer.Request{Client: "app", Carrier: counterfoil.CarrierBearer}) // of another page in this browser
			return v.ask("POST", "/v1/session/step-up", `{"password":"`+pass+`"}`, "Authorization", "Bearer "+apart.Access.Reveal(), api.RefreshHeader, "cookie").Code
		}, true},
	} {
		b := newBench(t) // each has only so many attempts of one address
		_, err := b.users.Register(t.Context(), rights.Owner(), audit.Act{}, "bob", "", secret.New(pass), nil)
		must(t, err)
		carol, err := b.users.Register(t.Context(), rights.Owner(), audit.Act{}, "carol", "", secret.New(pass), nil)
		must(t, err)
		must(t, b.users.SetCredential(t.Context(), rights.Owner(), carol.ID, audit.Act{}, login.Credential{Kind: "riddle", Data: json.RawMessage(`"a man"`)}))
		for was, first := range before {
			v := b.visitor()
			if first(v); v.page.Code != http.StatusOK {
				t.Fatalf("%s = %d %s", was, v.page.Code, v.page.Body)
			}
			var got issued
			must(t, json.Unmarshal(v.page.Body.Bytes(), &got))
			sid, status := got.Session.ID, c.do(v)
			if status == 0 {
				continue
			}
			_, err := b.issuer.Session(t.Context(), sid)
			if ended := errors.Is(err, store.ErrNotFound); status >= 400 || ended != c.ends {
				t.Errorf("%s, then %s = %d %s: the session before: %v, want that it has ended: %t", was, name, status, v.page.Body, err, c.ends)
			}
			if !c.ends {
				continue
			}
			told, _, err := b.issuer.Audit().List(t.Context(), audit.Query{Limit: 10})
			must(t, err)
			if !slices.ContainsFunc(told, func(e audit.Entry) bool {
				return e.Action == audit.Logout && e.Session == sid && e.Reason == "replaced by a new sign-in"
			}) || !slices.ContainsFunc(told, func(e audit.Entry) bool { return strings.Contains(e.Detail, "replaces="+sid) }) {
				t.Errorf("%s, then %s: the trail has %+v", was, name, told)
			}
		}
	}
}

// CSRF-07, REF-06: who cannot sign a session out cannot end it by a sign-in over it either: a page of another
// site, a page of another client, who sends two cookies, and who has no genuine one.
func TestSignInEndsNothingOfOthers(t *testing.T) {
	b := newBench(t)
	b.client("other", clients.Client{Origins: []string{"https://other.test"}})
	for name, c := range map[string]struct {
		body   string
		change func(h []string) []string
		status int
	}{
		"another client": {`"client":"other","carrier":"cookie"`, func(h []string) []string { return append(h[:2:2], "Origin", "https://other.test") }, http.StatusOK},
		"another site": {`"carrier":"cookie"`, func(h []string) []string {
			return append(h[:2:2], "Origin", "https://evil.test", "Sec-Fetch-Site", "cross-site")
		}, http.StatusForbidden},
		"a sandboxed frame": {`"carrier":"cookie"`, func(h []string) []string { return append(h[:2:2], "Origin", "null") }, http.StatusForbidden},
		"a subdomain":       {`"carrier":"cookie"`, func(h []string) []string { return append(h[:2:2], "Sec-Fetch-Site", "same-site") }, http.StatusForbidden},
		"two cookies": {`"carrier":"cookie"`, func(h []string) []string {
			return append([]string{"Cookie", h[1] + "; cf=planted; cf_rt=planted"}, h[2:]...)
		}, http.StatusOK},
		"a forged refresh token": {`"carrier":"cookie"`, func(h []string) []string {
			_, rt, _ := strings.Cut(h[1], "cf_rt=")
			return append([]string{"Cookie", "cf_rt=" + rt[:len(rt)-4] + "AAAA"}, h[2:]...)
		}, http.StatusOK},
	} {
		i := b.session("alice", issuer.Request{Carrier: counterfoil.CarrierJWTCookie})
		h := []string{"Cookie", "cf=" + i.Access.Reveal() + "; cf_rt=" + i.Refresh.Reveal(), "Origin", b.url}
		res, body := b.call("POST", "/v1/login", `{"identifier":"alice","password":"`+pass+`",`+c.body+`}`, c.change(h)...)
		if res.StatusCode != c.status {
			t.Errorf("%s: login = %d %s, want %d", name, res.StatusCode, body, c.status)
		}
		if _, err := b.issuer.Session(t.Context(), i.Session.ID); err != nil {
			t.Errorf("%s: the session: %v", name, err)
		}
	}
}

// REF-06, CORS-01: a page of one client can neither refresh nor sign out a login of
// another.
func TestRefreshByAnotherClientsPage(t *testing.T) {
	b := newBench(t)
	b.client("other", clients.Client{Origins: []string{"https://other.test"}})
	i := b.session("alice", issuer.Request{Carrier: counterfoil.CarrierJWTCookie})
	cookie := "cf=" + i.Access.Reveal() + "; cf_rt=" + i.Refresh.Reveal()
	res, body := b.call("POST", "/v1/refresh", `{"client":"other"}`, "Cookie", cookie, "Origin", "https://other.test")
	if res.StatusCode != http.StatusUnauthorized || len(res.Cookies()) > 0 {
		t.Errorf("refresh = %d %s, cookies %v, want 401 and none", res.StatusCode, body, res.Cookies())
	}
	if res, body := b.call("POST", "/v1/refresh", `{}`, "Cookie", cookie, "Origin", b.url); res.StatusCode != http.StatusOK {
		t.Errorf("refresh by its own page = %d %s", res.StatusCode, body)
	}
	res, _ = b.call("POST", "/v1/refresh", `{}`, "Cookie", "cf_rt=made-up", "Origin", b.url)
	if res.StatusCode != http.StatusUnauthorized || len(res.Cookies()) != 2 {
		t.Errorf("refresh by a token that is no good = %d, cookies %v, want 401 and both gone", res.StatusCode, res.Cookies())
	}
}

// RVK-02, REV-14: each access token that is given up is an entry at every verifier. One
// session makes only so many; giving up the login always works.
func TestGivingUpCopyAfterCopy(t *testing.T) {
	b := newBench(t)
	i := b.session("alice", issuer.Request{Carrier: counterfoil.CarrierBearer})
	access, refresh := i.Access.Reveal(), i.Refresh.Reveal()
	given := 0
	for range 50 {
		res, body := b.call("POST", "/oauth/revoke", url.Values{"token": {access}}.Encode())
		if res.StatusCode == http.StatusTooManyRequests {
			if _, err := b.issuer.Lookup(t.Context(), access); err != nil || res.Header.Get("Retry-After") == "" {
				t.Errorf("throttled, Retry-After %q, and the token: %v, want it alive", res.Header.Get("Retry-After"), err)
			}
			break
		}
		if given++; res.StatusCode != http.StatusOK {
			t.Fatalf("revoke = %d %s", res.StatusCode, body)
		}
		next := b.issued(b.call("POST", "/v1/refresh", `{"refresh_token":"`+refresh+`"}`))
		access, refresh = next.Access, next.Refresh
	}
	if given != 16 {
		t.Errorf("%d of 50 copies of one session were given up, want 16", given)
	}
	if res, body := b.call("POST", "/oauth/revoke", url.Values{"token": {refresh}}.Encode()); res.StatusCode != http.StatusOK {
		t.Errorf("giving up the login = %d %s", res.StatusCode, body)
	}
	if rows, _, err := b.issuer.Sessions(t.Context(), "alice", "", 0); err != nil || len(rows) != 0 {
		t.Errorf("%d sessions afterwards, %v", len(rows), err)
	}
}

// SES-08, SES-09, TOK-34: the API reads cookies with the parser that finds credentials. What
// is no cookie there is none here, and one that is there is not overlooked.
func TestOneParserOfCookies(t *testing.T) {
	b := newBench(t)
	got := b.login("jwt-cookie")
	for name, c := range map[string]struct {
		cookie string
		want   int
	}{
		"behind a tab":     {"a=b;\tcf_rt=" + got.refreshCookie(), http.StatusUnauthorized},
		"in quotes":        {`cf_rt="` + got.refreshCookie() + `"`, http.StatusUnauthorized},
		"beside a bad one": {"cf_rt=a\"b; cf_rt=" + got.refreshCookie(), http.StatusBadRequest},
		"behind too many":  {strings.Repeat("a=b; ", 5000) + "cf_rt=" + got.refreshCookie(), http.StatusRequestHeaderFieldsTooLarge},
	} {
		if res, body := b.call("POST", "/v1/refresh", "{}", "Cookie", c.cookie, "Origin", b.url); res.StatusCode != c.want {
			t.Errorf("%s: refresh = %d %s, want %d", name, res.StatusCode, body, c.want)
		}
	}
	if res, body := b.call("POST", "/v1/refresh", "{}", "Cookie", "cf_rt="+got.refreshCookie(), "Origin", b.url); res.StatusCode != http.StatusOK {
		t.Errorf("refresh = %d %s", res.StatusCode, body)
	}
	// net/http overlooks a cookie with such a value; a key beside it is not the one credential.
	if res, body := b.call("GET", "/v1/admin/users", "", "Authorization", "Bearer "+b.key, "Cookie", `cf=a\b`); res.StatusCode != http.StatusBadRequest {
		t.Errorf("a key beside a cookie = %d %s, want 400", res.StatusCode, body)
	}
}

// refreshCookie is the value of the refresh cookie of a login.
func (i issued) refreshCookie() string {
	for _, c := range i.cookies {
		if c.Name == source.InsecureRefreshCookieName {
			return c.Value
		}
	}
	return ""
}
