package server_test

import (
	"net/http"
	"net/url"
	"testing"
)

func (b *bench) status(got issued) int {
	b.Helper()
	header := []string{"Authorization", "Bearer " + got.Access}
	if got.Access == "" {
		header = []string{"Cookie", got.cookieHeader()}
	}
	res, _ := b.call("GET", "/v1/session", "", header...)
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
