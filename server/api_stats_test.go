package server_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/internal/api"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/server"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store/memory"
)

// The overview counts sessions by carrier and client, what happened, and how fresh the verifiers are.
func TestStats(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.verifier()
	b.login("bearer")
	for range 2 {
		b.call("POST", "/v1/login", `{"identifier":"alice","password":"not the right one at all"}`)
	}
	b.session("usr_x", issuer.Request{Client: "app", Carrier: counterfoil.CarrierBearer})
	ended := b.session("usr_x", issuer.Request{Client: "app", Carrier: counterfoil.CarrierCookie})
	_, err := b.issuer.Revoke(t.Context(), source.ScopeSession, ended.Session.ID, audit.Act{})
	must(t, err)
	var got api.Stats
	_, text := b.call("GET", "/v1/admin/stats", "", "Authorization", "Bearer "+b.key)
	must(t, json.Unmarshal([]byte(text), &got))
	if s := got.Sessions; s.Sessions != 2 || s.MoreThan || s.Carriers["bearer"] != 2 || s.Clients["app"] != 1 || s.Clients["default"] != 1 {
		t.Errorf("sessions: %+v", s)
	}
	want := api.EventCounts{Logins: 3, Refused: 2, Revocations: 1}
	if n := got.Node; n.Sum != want || len(n.Minutes) < 1 || n.Verifiers.Following != 1 || n.Verifiers.BoundMS != 10_000 || n.Lag != nil {
		t.Errorf("node: %+v", n)
	}
	b.login("bearer")
	_, text = b.call("GET", "/v1/admin/stats", "", "Authorization", "Bearer "+b.key)
	var again api.Stats
	must(t, json.Unmarshal([]byte(text), &again))
	if again.Sessions.Counted != got.Sessions.Counted || again.Node.Sum.Logins != 4 {
		t.Errorf("sessions were counted again at once: %+v", again)
	}
	b.admin(http.StatusBadRequest, "GET", "/v1/admin/stats?x=1", "")
}

// A running server measures how long verifiers take. Its settings are what its program says, or
// those of the Config, and no secret is among them.
func TestRunningServerOverview(t *testing.T) {
	t.Parallel()
	db := memory.New()
	defer db.Close()
	secret := strings.Repeat("Zq8vT1mWkY3xR7nB", 3)
	e, err := server.Open(t.Context(), server.Config{
		Store: db, SealKey: [32]byte{1}, URL: "http://127.0.0.1:8080", InsecureHashes: true, Algorithm: "HS256", HMACSecret: []byte(secret), MaxSessions: 7,
	})
	must(t, err)
	defer e.Close()
	local := e.LocalAdmin(func(*http.Request) string { return audit.ByLocal })
	ask := func(path string, into any) string {
		t.Helper()
		w := httptest.NewRecorder()
		local.ServeHTTP(w, httptest.NewRequestWithContext(context.Background(), "GET", path, nil))
		if w.Code != http.StatusOK {
			t.Fatal(w.Code, w.Body)
		}
		must(t, json.Unmarshal(w.Body.Bytes(), into))
		return w.Body.String()
	}
	for got := (api.Stats{}); got.Node.Lag == nil; { // until a revocation was measured
		_, err := e.Issuer().Revoke(t.Context(), source.ScopeAll, "", audit.Act{})
		must(t, err)
		ask("/v1/admin/stats", &got)
	}
	var set api.Settings
	text := ask("/v1/admin/settings", &set)
	values := map[string]api.Setting{}
	for _, s := range set.Settings {
		values[s.Key] = s
	}
	if values["max_sessions"] != (api.Setting{Key: "max_sessions", Value: "7", Origin: "program"}) || values["idle"].Origin != "default" || values["hmac_secret"].Value != "[secret]" || strings.Contains(text, secret[:8]) {
		t.Errorf("settings: %s", text)
	}
}
