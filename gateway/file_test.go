package gateway_test

import (
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/counterfoiltest"
	"github.com/counterfoil/counterfoil/gateway"
)

// What a file says holds: roles are alternatives, scopes and carriers are limits.
func TestReadRoutes(t *testing.T) {
	routes, err := gateway.ReadRoutes([]byte("\ufeff" + `
routes:
  - {origin: https://app.example.com, prefix: /, stale: introspect}
  - origin: https://app.example.com
    prefix: /admin
    methods: [GET, POST]
    require: {roles: [admin, root], fresh: 15m}
  - {origin: https://app.example.com, prefix: /scoped, require: {scopes: [read, write]}}
  - {origin: https://app.example.com, prefix: /cookies, carriers: [cookie]}
  - {origin: https://app.example.com, prefix: /signed, carriers: [cookie, bearer]}
  - {origin: https://app.example.com, path: /strong, require: {acr: [high]}}
  - {origin: https://app.example.com, path: /old, stale: serve_stale 20s, identity: remote, audience: reports, allow: [semicolon]}
  - {origin: https://app.example.com, path: /health, anonymous: true}
`))
	if err != nil || gateway.LongestStale(routes) != 20*time.Second {
		t.Fatal(err, gateway.LongestStale(routes))
	}
	if routes[6].Audience != "reports" {
		t.Errorf("audience %q", routes[6].Audience)
	}
	routes[6].Stale = counterfoil.StalePolicy{} // the verifier of the test does not allow it
	is := counterfoiltest.New(t)
	g, err := gateway.New(gateway.Options{Verifier: is.Verifier(), TrustedProxies: loopback, Routes: routes})
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t, is, g, nil}
	ask := b.kinds()[0].ask
	for _, c := range []struct {
		path, token string
		want        int
	}{
		{"/x", is.Token("alice"), 200},
		{"/admin", is.Token("alice"), 403},
		{"/admin", is.Token("alice", "root"), 200},
		{"/scoped", is.Token("alice"), 403},
		{"/cookies", is.Token("alice"), 401}, // there is none where the route looks
		{"/signed", is.Token("alice"), 200},
		{"/signed", is.Login("alice", counterfoil.CarrierJWE).Access.Reveal(), 401},
		{"/strong", is.Token("alice"), 401},
		{"/old", is.Token("alice"), 200},
		{"/health", "", 200},
	} {
		r := ask("GET", app+c.path)
		if c.token != "" {
			signed(r, c.token)
		}
		if w := answer(g.ForwardAuth(), r); w.Code != c.want {
			t.Errorf("%s = %d %s, want %d", c.path, w.Code, w.Body, c.want)
		}
	}
}

// A file that says something unknown, or nothing, is refused with the line or the route.
func TestBadFiles(t *testing.T) {
	for text, want := range map[string]string{
		"routes:\n  - {origin: https://a.example, prefix: /, role: admin}":            "line 2: field role not found",
		"routes:\n  - {origin: https://a.example, prefix: /, require: {fresh: soon}}": "soon",
		"routes:\n  - {origin: https://a.example, prefix: /, stale: serve_stale 2m}":  "up to 1m",
		"routes:\n  - {origin: https://a.example, prefix: /, carriers: [sms]}":        "sms",
		"routes:\n  - {origin: https://a.example, prefix: /, carriers: []}":           "lists none",
		"routes:\n  - {origin: https://a.example, prefix: /, require: {role: [x]}}":   "line 2: field role not found$",
		"routes:\n  - {origin: https://a.example, prefix: [/], methods: GET}":         "line 2: another kind of value is wanted than seq; line 2: another kind of value is wanted than str `GET`$",
		"routes: []\n---\nroutes: []":                                                 "more than one",
		"routes: {}":                                                                  "line 1",
	} {
		if _, err := gateway.ReadRoutes([]byte(text)); err == nil || !strings.Contains(err.Error()+"$", want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	if routes, err := gateway.ReadRoutes(nil); err != nil || gateway.Check(routes) == nil {
		t.Errorf("an empty file: %v, and its routes are accepted", err)
	}
}

func TestExplain(t *testing.T) {
	routes := []gateway.Route{
		{Origin: app, Prefix: "/", Rules: []counterfoil.Rule{counterfoil.Role("staff")}},
		{Origin: app, Path: "/health", Anonymous: true, Methods: []string{"GET"}},
		{Origin: app, Prefix: "/admin", Rules: []counterfoil.Rule{counterfoil.Role("admin"), counterfoil.Fresh(15 * time.Minute), counterfoil.ACR("phr")}},
		{Origin: app, Prefix: "/shop", Upstreams: []string{"http://127.0.0.1:8090", "h2c://127.0.0.1:8091"}},
		{Origin: app, Prefix: "/app", Upstreams: []string{"http://127.0.0.1:8092"}, BFF: "orders"},
	}
	for request, want := range map[string]string{
		"GET https://app.example.com/x":          "asks for a session\ndemands: role staff\nroute: https://app.example.com/*",
		"GET https://app.example.com/admin/x":    "asks for a session\ndemands: role admin\ndemands: login: at most 15m0s old\ndemands: login: acr phr\nroute: https://app.example.com/admin/*",
		"GET https://app.example.com/health?x":   "200 for everybody\nroute: https://app.example.com/health",
		"GET https://app.example.com/shop/x":     "asks for a session\npassed on by the gateway itself to: http://127.0.0.1:8090 or h2c://127.0.0.1:8091\nroute: https://app.example.com/shop/*",
		"GET https://app.example.com/app/x":      "asks for a session\npassed on by the gateway itself to: http://127.0.0.1:8092\nthe service gets a token of client orders\nroute: https://app.example.com/app/*",
		"POST https://app.example.com/health":    "403 no-rule: No rule allows this.\nroute: https://app.example.com/health",
		"GET https://other.example.com/":         "403 no-rule: No rule allows this.",
		"GET https://app.example.com/a//b":       "400 bad-target: the path has an oddity that its route does not allow: empty-segment\nroute: https://app.example.com/*",
		"GET https://app.example.com/a/%2e%2e/b": "400 bad-target: the path has a dot segment",
	} {
		method, url, _ := strings.Cut(request, " ")
		if got, err := gateway.Explain(routes, method, url, nil); err != nil || got != want {
			t.Errorf("%s: %q, %v, want %q", request, got, err, want)
		}
	}
}

// What a user gets who has signed in, by each carrier.
func TestExplainAs(t *testing.T) {
	routes, err := gateway.ReadRoutes([]byte(`routes:
  - {origin: https://app.example.com, prefix: /, require: {roles: [staff], fresh: 15m}}
  - {origin: https://app.example.com, prefix: /admin, require: {roles: [admin]}}
  - {origin: https://app.example.com, prefix: /api, carriers: [bearer, jwe], require: {scopes: [read]}}
  - {origin: https://app.example.com, prefix: /any, carriers: [cookie, bearer]}
  - {origin: https://app.example.com, prefix: /public, anonymous: true}
  - {origin: https://app.example.com, prefix: /pay, require: {acr: [phr, phrh]}}
`))
	if err != nil {
		t.Fatal(err)
	}
	now := &counterfoil.Session{Subject: "alice", Roles: []string{"staff"}, Scopes: []string{"read"}, AuthTime: time.Now()}
	before := &counterfoil.Session{Subject: "alice", Roles: []string{"staff"}, AuthTime: time.Now().Add(-time.Hour)}
	for path, want := range map[string]string{
		"/":       "200",
		"/admin":  "403 forbidden: role admin",
		"/api":    "401: the route does not take this carrier (by cookie, jwt-cookie, jwe-cookie)\n200 (by bearer, jwe)",
		"/any":    "200 (by cookie, bearer)\n403 forbidden: carrier cookie or bearer (by jwt-cookie)\n401: the route does not take this carrier (by jwe, jwe-cookie)",
		"/public": "200 for everybody",
		"/pay":    "401 step-up: login: acr phr or phrh. The login has none: say which with --acr",
	} {
		got, err := gateway.Explain(routes, "GET", app+path, now)
		if got, _, _ = strings.Cut(got, "\nroute: "); err != nil || got != want {
			t.Errorf("%s: %q, %v, want %q", path, got, err, want)
		}
	}
	if got, err := gateway.Explain(routes, "GET", app+"/", before); err != nil || !strings.HasPrefix(got, "401 step-up: login: at most 15m0s old") {
		t.Errorf("an old login: %q, %v", got, err)
	}
	for class, want := range map[string]string{"phrh": "200\nroute: ", "pwd": "401 step-up: login: acr phr or phrh\nroute: "} {
		strong := *now
		strong.ACR = class
		if got, err := gateway.Explain(routes, "GET", app+"/pay", &strong); err != nil || !strings.HasPrefix(got, want) {
			t.Errorf("a login of class %s: %q, %v, want %q", class, got, err, want)
		}
	}
}
