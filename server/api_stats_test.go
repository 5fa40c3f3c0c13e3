package server_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
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
	"github.com/counterfoil/counterfoil/rights"
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

// What happened is kept for an hour, minute by minute, and its sum for ever.
func TestStatsOfAnHour(t *testing.T) {
	t.Parallel()
	c := newClocks(t)
	n := c.node(0, c.store)
	for range 70 {
		c.passed += time.Minute
		n.look()
		n.session("usr_x", issuer.Request{Carrier: counterfoil.CarrierBearer})
	}
	for minutes := 60; minutes > 0; minutes -= 30 {
		got := n.stats().Node
		if len(got.Minutes) != minutes || got.Sum.Logins != 70 || !got.Minutes[0].Minute.Equal(c.now().Add(-59*time.Minute)) || n.server.MinutesKept() != 60 {
			t.Errorf("want %d minutes and 70 logins: %+v; %d minutes are kept", minutes, got, n.server.MinutesKept())
		}
		c.passed += 30 * time.Minute
		n.look()
	}
}

// A verifier that asks no more is lost for ten minutes, and listed for an hour.
func TestVerifierIsLost(t *testing.T) {
	t.Parallel()
	c := newClocks(t)
	n := c.node(0, c.store)
	if res, text := n.call("GET", "/v1/log?bound=5s&verifier=one-of-many-verifiers", "", "Authorization", "Bearer "+n.key); res.StatusCode != http.StatusOK {
		t.Fatal(res.StatusCode, text)
	}
	for _, is := range []struct {
		after           time.Duration
		following, lost int
		listed          int
	}{{0, 1, 0, 1}, {time.Minute, 0, 1, 1}, {9 * time.Minute, 0, 1, 1}, {12 * time.Minute, 0, 0, 1}, {59 * time.Minute, 0, 0, 1}, {61 * time.Minute, 0, 0, 0}} {
		c.passed = is.after
		n.look()
		v := n.stats().Node.Verifiers
		list := n.admin(http.StatusOK, "GET", "/v1/admin/verifiers", "")["verifiers"].([]any)
		if v.Following != is.following || v.Lost != is.lost || len(list) != is.listed {
			t.Errorf("after %v: %+v and %d listed, want %+v", is.after, v, len(list), is)
		}
	}
}

func (b *bench) stats() (got api.Stats) {
	b.Helper()
	_, text := b.call("GET", "/v1/admin/stats", "", "Authorization", "Bearer "+b.key)
	must(b.T, json.Unmarshal([]byte(text), &got))
	return got
}

// Each revocation counts once, by whichever way: also when a user or a client is deleted.
func TestStatsCountRevocations(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	u, err := b.users.Register(t.Context(), rights.Owner(), audit.Act{}, "bob", "", secret.New(pass), nil)
	must(t, err)
	for n, revoke := range []func() error{
		func() error { return b.users.Delete(t.Context(), rights.Owner(), u.ID, audit.Act{}) },
		func() error { return b.issuer.Clients().Delete(t.Context(), rights.Owner(), "app", audit.Act{}) },
		func() error {
			return b.issuer.Clients().Set(t.Context(), rights.Owner(), "console", audit.Act{}, func(c *clients.Client) { c.Disabled = true })
		},
	} {
		must(t, revoke())
		if got := b.stats().Node.Sum.Revocations; got != n+1 {
			t.Errorf("%d revocations are counted as %d", n+1, got)
		}
	}
}

// A running server measures how long verifiers take. Its settings are what its program says, or
// those of the Config, and no secret is among them.
func TestRunningServerOverview(t *testing.T) {
	t.Parallel()
	db := memory.New()
	defer db.Close()
	hidden := strings.Repeat("Zq8vT1mWkY3xR7nB", 3)
	e, err := server.Open(t.Context(), server.Config{
		Store: db, SealKey: [32]byte{1}, URL: "http://127.0.0.1:8080", InsecureHashes: true, Algorithm: "HS256", HMACSecret: []byte(hidden), MaxSessions: 7,
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
	var got api.Stats
	ask("/v1/admin/stats", &got)
	if lag := got.Node.Lag; len(lag.EachMS) != lag.Revocations || lag.EachMS[lag.Revocations-1] != lag.LastMS || slices.Max(lag.EachMS) != lag.MaxMS {
		t.Errorf("the lag of each does not fit: %+v", lag)
	}
	var set api.Settings
	text := ask("/v1/admin/settings", &set)
	values := map[string]api.Setting{}
	for _, s := range set.Settings {
		values[s.Key] = s
	}
	if values["max_sessions"] != (api.Setting{Key: "max_sessions", Value: "7", Origin: "program"}) || values["idle"].Origin != "default" || values["hmac_secret"].Value != "[secret]" || strings.Contains(text, hidden[:8]) {
		t.Errorf("settings: %s", text)
	}
}
