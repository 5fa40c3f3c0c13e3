package server_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/source"
)

// credential is how i is presented.
func (i issued) credential() []string {
	if i.Access != "" {
		return []string{"Authorization", "Bearer " + i.Access}
	}
	return []string{"Cookie", i.cookieHeader()}
}

// SES-04: by each carrier, proving again hands out new credentials as a login does, and
// those that asked are dead.
func TestStepUp(t *testing.T) {
	for _, carrier := range []string{"cookie", "bearer", "jwt-cookie", "jwe"} {
		t.Run(carrier, func(t *testing.T) {
			b := newBench(t)
			old := b.login(carrier)
			ask := append(old.credential(), "Origin", b.url)
			if res, body := b.call("POST", "/v1/session/step-up", `{"password":"not this one at all"}`, ask...); res.StatusCode != http.StatusUnauthorized || len(res.Cookies()) > 0 {
				t.Errorf("with a wrong password = %d %s, cookies %v", res.StatusCode, body, res.Cookies())
			}
			up := b.issued(b.call("POST", "/v1/session/step-up", `{"password":"`+pass+`"}`, ask...))
			if b.status(up) != http.StatusOK || b.status(old) != http.StatusUnauthorized {
				t.Errorf("the new credential = %d, the one before = %d", b.status(up), b.status(old))
			}
			if carrier == "jwt-cookie" { // a refresh that the step-up overtook must not take its cookies away
				res, _ := b.call("POST", "/v1/refresh", "", "Cookie", old.cookieHeader(), "Origin", b.url)
				if res.StatusCode != http.StatusUnauthorized || len(res.Cookies()) > 0 {
					t.Errorf("an overtaken refresh = %d, cookies %v", res.StatusCode, res.Cookies())
				}
			}
		})
	}
}

// An administrator whose login is old is told to step up, does, and goes on.
func TestStepUpOfAnAdministrator(t *testing.T) {
	b := newBench(t)
	users := b.admin(http.StatusOK, "GET", "/v1/admin/users", "")["users"].([]any)
	id := users[0].(map[string]any)["id"].(string)
	b.admin(http.StatusOK, "PATCH", "/v1/admin/users/"+id, `{"roles":["admin"]}`)
	rev, err := b.issuer.SubjectRev(t.Context(), id)
	must(t, err)
	old, err := b.issuer.Login(t.Context(), login.Proof{Subject: id, Methods: []string{"pwd"}, At: time.Now().Add(-time.Hour), SubjectRev: rev}, issuer.Request{})
	must(t, err)
	cookie := []string{"Cookie", source.InsecureCookieName + "=" + old.Access.Reveal(), "Origin", b.url}
	if res, body := b.call("POST", "/v1/admin/keys/rotate", "{}", cookie...); res.StatusCode != http.StatusUnauthorized || !strings.Contains(body, "step-up") {
		t.Fatalf("with an old login = %d %s", res.StatusCode, body)
	}
	up := b.issued(b.call("POST", "/v1/session/step-up", `{"password":"`+pass+`"}`, cookie...))
	if res, body := b.call("POST", "/v1/admin/keys/rotate", "{}", "Cookie", up.cookieHeader(), "Origin", b.url); res.StatusCode >= 300 {
		t.Errorf("after the step-up = %d %s", res.StatusCode, body)
	}
}

// Who has no password here cannot prove it again, a page of another site cannot ask for it,
// and a client's grant on the session is not enough.
func TestWhoCannotStepUp(t *testing.T) {
	b := newBench(t)
	alice, stranger := b.login("cookie"), b.session("usr_elsewhere", issuer.Request{})
	const body = `{"password":"` + pass + `"}`
	for name, c := range map[string]struct {
		want   int
		header []string
	}{
		"nobody":       {http.StatusUnauthorized, nil},
		"another site": {http.StatusForbidden, []string{"Cookie", alice.cookieHeader(), "Origin", "https://evil.test"}},
		"no user here": {http.StatusUnauthorized, []string{"Cookie", source.InsecureCookieName + "=" + stranger.Access.Reveal(), "Origin", b.url}},
		"a grant":      {http.StatusForbidden, bearer(b.grant(alice.Session.ID))},
	} {
		if res, answer := b.call("POST", "/v1/session/step-up", body, c.header...); res.StatusCode != c.want {
			t.Errorf("%s = %d %s, want %d", name, res.StatusCode, answer, c.want)
		}
	}
	if b.status(alice) != http.StatusOK {
		t.Error("the session has ended")
	}
}
