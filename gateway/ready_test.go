package gateway_test

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/gateway"
	"github.com/counterfoil/counterfoil/internal/testsvc"
)

// REV-07, GW-16: a gateway whose auth server has not answered yet lets nobody pass, is not ready, and says
// why without an address. What is for everybody passes.
func TestNothingKnownYet(t *testing.T) {
	issuer := "http://" + testsvc.FreeAddress(t)
	source, err := counterfoil.Remote(issuer, counterfoil.RemoteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	v, err := counterfoil.NewVerifier(t.Context(), source, counterfoil.Options{Issuer: issuer, Audience: issuer, StartStale: true, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Close)
	const app = "https://app.test"
	g, err := gateway.New(gateway.Options{
		Verifier: v, TrustedProxies: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")}, SignIn: issuer + "/login",
		Routes: []gateway.Route{{Origin: app, Prefix: "/"}, {Origin: app, Prefix: "/asks", Stale: counterfoil.Introspect()}, {Origin: app, Prefix: "/public", Anonymous: true}},
	})
	if err != nil {
		t.Fatal(err)
	}
	ask := func(path, about string) *httptest.ResponseRecorder {
		r, w := httptest.NewRequest("GET", path, nil), httptest.NewRecorder() // from 192.0.2.1
		r.Host = "app.test"
		r.Header = http.Header{"X-Original-Method": {"GET"}, "X-Original-Url": {app + about}, "X-Forwarded-Method": {"GET"}, "X-Forwarded-Proto": {"https"},
			"X-Forwarded-Host": {"app.test"}, "X-Forwarded-Uri": {about}, "Cookie": {"cf=" + strings.Repeat("A", 43)}, "Sec-Fetch-Mode": {"navigate"}}
		g.Handler().ServeHTTP(w, r)
		return w
	}
	for about, want := range map[string]int{"/": 503, "/asks": 503, "/public": 200} {
		for _, path := range []string{"/auth-request", "/forward-auth", "/ext-authz" + about} {
			w := ask(path, about)
			if h := w.Header(); w.Code != want || want == 503 && h.Get("Retry-After") != "1" || h["Set-Cookie"] != nil || h["Location"] != nil {
				t.Errorf("%s about %s = %d %v, want %d", path, about, w.Code, h, want)
			}
		}
	}
	if w := ask("/healthz", ""); w.Code != 204 {
		t.Errorf("/healthz = %d", w.Code)
	}
	w := ask("/readyz", "")
	var problem struct{ Detail string }
	if err := json.Unmarshal(w.Body.Bytes(), &problem); err != nil || w.Code != 503 || !strings.Contains(problem.Detail, "has not answered since") || strings.Contains(w.Body.String(), "127.0.0.1") {
		t.Errorf("/readyz = %d %s", w.Code, w.Body)
	}
}
