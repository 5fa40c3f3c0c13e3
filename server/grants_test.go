package server_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/source"
)

// grant gives the client "app" a grant on a session.
func (b *bench) grant(sid string) *issuer.Issued {
	b.Helper()
	got, err := b.issuer.AddGrant(b.Context(), sid, issuer.Request{Client: "app"})
	must(b.T, err)
	return got
}

func bearer(i *issuer.Issued) []string {
	return []string{"Authorization", "Bearer " + i.Access.Reveal()}
}

// What a client holds of another client's session opens neither the session nor the
// account: it is good at services, and for giving itself up.
func TestGrantOpensNoAccount(t *testing.T) {
	b := newBench(t)
	own := b.session("alice", issuer.Request{Carrier: counterfoil.CarrierBearer}, "admin")
	app := b.grant(own.Session.ID)
	for _, call := range []string{
		"GET /v1/session", "GET /v1/sessions", "DELETE /v1/sessions", "DELETE /v1/sessions/" + own.Session.ID,
		"DELETE /v1/sessions/" + own.Session.ID + "/grants/app", "POST /v1/password", "GET /v1/admin/users", "DELETE /v1/admin/sessions/" + own.Session.ID,
	} {
		method, path, _ := strings.Cut(call, " ")
		if res, body := b.call(method, path, "{}", bearer(app)...); res.StatusCode != http.StatusForbidden {
			t.Errorf("%s by a grant = %d %s, want 403", call, res.StatusCode, body)
		}
		// In a cookie it is no more than in a header.
		if res, body := b.call(method, path, "{}", "Cookie", source.InsecureCookieName+"="+app.Access.Reveal(), "Origin", b.url); res.StatusCode != http.StatusForbidden {
			t.Errorf("%s by a grant in a cookie = %d %s, want 403", call, res.StatusCode, body)
		}
	}
	if body := b.ask(b.key, app.Access.Reveal()); !strings.Contains(body, `"active":true`) || !strings.Contains(body, `"client_id":"app"`) {
		t.Errorf("introspected: %s", body)
	}
	if res, _ := b.call("POST", "/v1/logout", "", bearer(app)...); res.StatusCode != http.StatusNoContent {
		t.Errorf("logout = %d", res.StatusCode)
	}
	if body := b.ask(b.key, app.Access.Reveal()); body != `{"active":false}` {
		t.Errorf("after its logout: %s", body)
	}
	if res, body := b.call("GET", "/v1/session", "", bearer(own)...); res.StatusCode != http.StatusOK {
		t.Errorf("the session after a grant's logout = %d %s", res.StatusCode, body)
	}
}

// The grants of a session are listed, and end one by one: by the subject, by an
// administrator, and by the client itself (RFC 7009).
func TestEndAGrant(t *testing.T) {
	b := newBench(t)
	own := b.session("alice", issuer.Request{Carrier: counterfoil.CarrierCookie})
	mallory := b.session("mallory", issuer.Request{Carrier: counterfoil.CarrierBearer})
	path := "/v1/sessions/" + own.Session.ID + "/grants/app"
	cookie := []string{"Cookie", source.InsecureCookieName + "=" + own.Access.Reveal(), "Origin", b.url}
	for name, end := range map[string]func(app *issuer.Issued) (*http.Response, string){
		"subject": func(*issuer.Issued) (*http.Response, string) { return b.call("DELETE", path, "", cookie...) },
		"administrator": func(*issuer.Issued) (*http.Response, string) {
			return b.call("POST", "/v1/admin/revocations", `{"scope":"grant","id":"`+own.Session.ID+` app"}`, "Authorization", "Bearer "+b.key)
		},
		"client": func(app *issuer.Issued) (*http.Response, string) {
			return b.call("POST", "/oauth/revoke", url.Values{"token": {app.Refresh.Reveal()}, "client_id": {"app"}}.Encode())
		},
	} {
		app := b.grant(own.Session.ID)
		_, body := b.call("GET", "/v1/sessions", "", cookie...)
		family := app.Refresh.Reveal()[4:20]
		if !strings.Contains(body, `"client":"app","carrier":"bearer","granted":"`) || strings.Contains(body, family) {
			t.Errorf("the list is %s", body)
		}
		if _, admin := b.call("GET", "/v1/admin/sessions/"+own.Session.ID, "", "Authorization", "Bearer "+b.key); !strings.Contains(admin, `"client":"app"`) || strings.Contains(admin, family) {
			t.Errorf("an administrator sees %s", admin)
		}
		if res, _ := b.call("DELETE", path, "", bearer(mallory)...); res.StatusCode != http.StatusNotFound {
			t.Errorf("somebody else's grant: %d, want 404", res.StatusCode)
		}
		if res, body := end(app); res.StatusCode >= 300 {
			t.Fatalf("%s: %d %s", name, res.StatusCode, body)
		}
		if body := b.ask(b.key, app.Access.Reveal()); body != `{"active":false}` {
			t.Errorf("%s: introspected %s", name, body)
		}
		if res, _ := b.call("POST", "/v1/refresh", `{"refresh_token":"`+app.Refresh.Reveal()+`","client":"app"}`); res.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s: the refresh token: %d", name, res.StatusCode)
		}
		if res, body := b.call("GET", "/v1/session", "", cookie...); res.StatusCode != http.StatusOK {
			t.Fatalf("%s: the session: %d %s", name, res.StatusCode, body)
		}
	}
	for name, path := range map[string]string{"of no client": "/v1/sessions/" + own.Session.ID + "/grants/nobody", "of no session": "/v1/sessions/ses_none/grants/app"} {
		if res, body := b.call("DELETE", path, "", cookie...); res.StatusCode != http.StatusNotFound {
			t.Errorf("a grant %s = %d %s, want 404", name, res.StatusCode, body)
		}
	}
}

// A second use of a grant's token ends the grant, and its subject is told so.
func TestReuseOfAGrantIsShown(t *testing.T) {
	b := newBench(t)
	own := b.session("alice", issuer.Request{Carrier: counterfoil.CarrierCookie})
	app := b.grant(own.Session.ID)
	for token, n := app.Refresh.Reveal(), 0; n < 2; n++ {
		next, err := b.issuer.Refresh(t.Context(), token, issuer.Renewal{Client: "app"})
		must(t, err)
		token = next.Refresh.Reveal()
	}
	b.call("POST", "/v1/refresh", `{"refresh_token":"`+app.Refresh.Reveal()+`","client":"app"}`)
	cookie := []string{"Cookie", source.InsecureCookieName + "=" + own.Access.Reveal()}
	if _, body := b.call("GET", "/v1/sessions", "", cookie...); !strings.Contains(body, `"kind":"grant-reuse"`) {
		t.Errorf("no notice in %s", body)
	}
	if _, page := b.call("GET", "/", "", cookie...); !strings.Contains(page, "What <bdi>app</bdi> held of a session of yours was ended") {
		t.Errorf("no notice on the page: %s", page)
	}
}
