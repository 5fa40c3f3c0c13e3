package server_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/clients"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/rights"
	"github.com/counterfoil/counterfoil/server"
	"github.com/counterfoil/counterfoil/source"
)

// SES-15: a user sees what was done to the own account, and not who it was by name; for a login that
// is not fresh the page asks for the password, and the API for a step-up.
func TestActivity(t *testing.T) {
	b := assemble(t, server.Config{URL: authURL})
	v := b.own(time.Minute)
	other := b.left(time.Minute, counterfoil.CarrierBearer)
	_, err := b.issuer.Revoke(t.Context(), source.ScopeSession, other.Session.ID, audit.Act{By: audit.BySubject("usr_root"), Reason: "between administrators"})
	must(t, err)
	program := b.left(time.Minute, counterfoil.CarrierBearer)
	_, err = b.issuer.Revoke(t.Context(), source.ScopeSession, program.Session.ID, audit.Act{By: audit.ByKey("monitor")})
	must(t, err)
	_, body := got(b.answer("GET", "/v1/activity", "", v.headers()...))
	for _, want := range []string{`"action":"login","outcome":"ok","by":"self"`, `"action":"revoke","outcome":"ok","by":"administrator"`, `"action":"revoke","outcome":"ok","by":"program"`} {
		if !strings.Contains(body, want) {
			t.Errorf("no %s in %s", want, body)
		}
	}
	if strings.Contains(body, "between") || strings.Contains(body, "usr_root") || strings.Contains(body, "monitor") {
		t.Errorf("more is told than is the user's: %s", body)
	}
	v.open("/activity").at(http.StatusOK, "<h2>Sign-in</h2>").at(http.StatusOK, "by an administrator")
	old := b.own(time.Hour)
	old.open("/activity").at(http.StatusOK, `name="return_to" value="/activity"`).send("/session/step-up", typed("password", pass, "return_to", "/activity")).sentTo("/activity")
	if code, body := got(b.answer("GET", "/v1/activity", "", b.own(time.Hour).headers()...)); code != http.StatusUnauthorized || !strings.Contains(body, "step-up") {
		t.Errorf("an old login: %d %s", code, body)
	}
	b.visitor().open("/activity").sentTo("/login?return_to=%2Factivity")
}

func got(w *httptest.ResponseRecorder) (int, string) { return w.Code, w.Body.String() }

// What another client holds of a session is a connected app. Its owner ends it there.
func TestApps(t *testing.T) {
	b := newBench(t)
	own := b.session("alice", issuer.Request{Carrier: counterfoil.CarrierCookie})
	v := b.visitor()
	v.cookies["cf"] = own.Access.Reveal()
	v.open("/apps").at(http.StatusOK, "No apps are connected")
	b.grant(own.Session.ID)
	v.open("/apps").at(http.StatusOK, "<h2><bdi>app</bdi></h2>")
	must(t, b.issuer.Clients().Set(t.Context(), rights.Owner(), "app", audit.Act{}, func(c *clients.Client) { c.Name = "Reading <room>" }))
	v.open("/").at(http.StatusOK, "<bdi>Reading &lt;room&gt;</bdi> since")
	v.open("/apps").at(http.StatusOK, "<h2><bdi>Reading &lt;room&gt;</bdi></h2>")
	v.keep(v.form("/sessions/revoke", typed("sid", own.Session.ID, "client", "app", "page", "apps"), append(v.headers(), "Origin", v.url)...))
	v.sentTo("/apps").gone(http.StatusOK, says+"That app is disconnected.").at(http.StatusOK, "No apps are connected")
}
