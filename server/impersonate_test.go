package server_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/issuer"
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
