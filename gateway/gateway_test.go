package gateway_test

import (
	"bufio"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/counterfoiltest"
	"github.com/counterfoil/counterfoil/gateway"
	"github.com/counterfoil/counterfoil/source"
)

const (
	app    = "https://app.example.com"
	signIn = "https://app.example.com/auth/login"
)

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

// bench is a gateway with the routes that most tests are about.
type bench struct {
	*testing.T
	issuer  *counterfoiltest.Issuer
	gateway *gateway.Gateway
	keys    *gateway.AssertionKeys
}

func newBench(t *testing.T) *bench {
	is, made := counterfoiltest.New(t), keys(t)
	g, err := gateway.New(gateway.Options{
		Verifier: is.Verifier(), TrustedProxies: loopback, SignIn: signIn, Client: "web",
		AssertionKeys: func() *gateway.AssertionKeys { return made },
		Routes: []gateway.Route{
			{Origin: app, Prefix: "/"},
			{Origin: "https://app.example.org", Prefix: "/"}, // not the host of the sign-in page
			{Origin: app, Prefix: "/public", Anonymous: true},
			{Origin: app, Path: "/public/not", Methods: []string{"GET"}},
			{Origin: app, Prefix: "/admin", Rules: []counterfoil.Rule{counterfoil.Role("admin")}},
			{Origin: app, Prefix: "/fresh", Rules: []counterfoil.Rule{counterfoil.Fresh(0)}},
			{Origin: app, Prefix: "/files", Allow: []gateway.Oddity{gateway.EncodedSlash}},
			{Origin: app, Prefix: "/lax", Allow: []gateway.Oddity{gateway.EncodedSlash, gateway.EmptySegment, gateway.Semicolon, gateway.DoubleEscape}},
			{Origin: app, Prefix: "/lax/admin", Rules: []counterfoil.Rule{counterfoil.Role("admin")}},
			{Origin: app, Prefix: "/remote", Identity: gateway.IdentityRemote, Audience: "reports"},
			{Origin: app, Prefix: "/token", Transport: counterfoil.Header},
			{Origin: app, Prefix: "/signed", Formats: []counterfoil.Format{counterfoil.JWT}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return &bench{t, is, g, made}
}

// kind is a dialect: how it says what is asked for, and who answers.
type kind struct {
	name    string
	handler http.Handler
	ask     func(method, target string) *http.Request
}

func (b *bench) kinds() []kind {
	return []kind{
		{"forward-auth", b.gateway.ForwardAuth(), func(method, target string) *http.Request {
			r := httptest.NewRequest("GET", "/forward-auth", nil)
			scheme, rest, _ := strings.Cut(target, "://")
			host, path, _ := strings.Cut(rest, "/")
			for name, value := range map[string]string{"Method": method, "Proto": scheme, "Host": host, "Uri": "/" + path} {
				r.Header.Set("X-Forwarded-"+name, value)
			}
			return r
		}},
		{"auth-request", b.gateway.AuthRequest(), func(method, target string) *http.Request {
			r := httptest.NewRequest("GET", "/auth-request", nil)
			r.Header.Set("X-Original-Method", method)
			r.Header.Set("X-Original-URL", target)
			return r
		}},
		{"ext-authz", b.gateway.ExtAuthz("/ext-authz"), askEnvoy},
		{"ext-authz over gRPC", overGRPC(b.gateway), askEnvoy},
	}
}

func askEnvoy(method, target string) *http.Request {
	r := httptest.NewRequest(method, "/ext-authz/", nil)
	scheme, rest, _ := strings.Cut(target, "://")
	host, path, _ := strings.Cut(rest, "/")
	r.Host, r.RequestURI = host, "/ext-authz/"+path
	r.Header.Set("X-Forwarded-Proto", scheme)
	return r
}

func answer(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	r.RemoteAddr = "127.0.0.1:1234"
	h.ServeHTTP(w, r)
	return w
}

func signed(r *http.Request, token string) *http.Request {
	r.Header.Set("Authorization", "Bearer "+token)
	return r
}

// Who may pass is told as it is known, with nothing left of what the visitor claimed (GW-01, GW-03).
func TestIdentity(t *testing.T) {
	b := newBench(t)
	in := b.issuer.Login("alice", counterfoil.CarrierBearer, "staff", "ops")
	for _, k := range b.kinds() {
		w := answer(k.handler, signed(k.ask("GET", app+"/x?y=1"), in.Access.Reveal()))
		h := w.Result().Header
		if w.Code != 200 || w.Body.Len() != 0 || h.Get("Cache-Control") != "no-store" || h.Get("Content-Length") != "0" {
			t.Errorf("%s: %d %v %q", k.name, w.Code, h, w.Body)
		}
		if h.Get("Counterfoil-Subject") != "alice" || h.Get("Counterfoil-Session") != in.Session.ID || h.Get("Counterfoil-Roles") != "staff ops" || h.Get("Counterfoil-Auth-Time") == "" {
			t.Errorf("%s: %v", k.name, h)
		}
		for _, target := range []string{"/x", "/public/x"} {
			r := k.ask("GET", app+target)
			if target == "/x" {
				signed(r, b.issuer.Token("bob"))
			}
			r.Header.Set("Counterfoil-Subject", "root")
			r.Header.Set("Counterfoil-Roles", "admin")
			h := answer(k.handler, r).Result().Header
			for _, name := range append(slices.Clone(gateway.IdentityNames), gateway.RemoteNames...) {
				if len(h[name]) != 1 || strings.Contains(h[name][0], "root") || strings.Contains(h[name][0], "admin") {
					t.Errorf("%s %s: %s: %q, want one value, and not the visitor's", k.name, target, name, h[name])
				}
			}
		}
		if h := answer(k.handler, signed(k.ask("GET", app+"/remote"), in.Access.Reveal())).Result().Header; h.Get("Remote-User") != "alice" || h.Get("Remote-Groups") != "staff ops" {
			t.Errorf("%s: %v", k.name, h)
		}
	}
}

// headRecorder is a writer that takes lines of a head as they are written.
type headRecorder struct {
	*httptest.ResponseRecorder
	lines []string
}

func (h *headRecorder) WriteHead(lines string) bool {
	h.lines = append(h.lines, lines)
	return true
}

// GW-01, GW-03: an answer says the same where its writer takes lines of the head, once. A refusal has none.
func TestIdentityAsLines(t *testing.T) {
	b := newBench(t)
	token := b.issuer.Token("alice", "staff", "ops")
	for _, k := range b.kinds() {
		for target, want := range map[string]int{"/x": 200, "/remote": 200, "/public/x": 200, "/admin": 403, "/x//y": 400} {
			plain := answer(k.handler, signed(k.ask("GET", app+target), token))
			w := &headRecorder{ResponseRecorder: httptest.NewRecorder()}
			r := signed(k.ask("GET", app+target), token)
			r.RemoteAddr = "127.0.0.1:1234"
			k.handler.ServeHTTP(w, r)
			got := w.Result().Header
			for _, lines := range w.lines {
				head, err := textproto.NewReader(bufio.NewReader(strings.NewReader(lines + "\r\n"))).ReadMIMEHeader()
				if err != nil {
					t.Fatal(err)
				}
				for name, values := range head {
					got[name] = append(got[name], values...)
				}
			}
			said := plain.Result().Header
			said.Del("Content-Length") // net/http writes it
			got.Del("Content-Length")
			if w.Code != plain.Code || !maps.EqualFunc(got, said, slices.Equal) || len(w.lines) > 1 || plain.Code != 200 && len(w.lines) > 0 {
				t.Errorf("%s %s: %d %v, want %d %v", k.name, target, w.Code, got, plain.Code, said)
			}
			if k.name == "forward-auth" && (plain.Code != want || want == 200 && len(w.lines) != 1) {
				t.Errorf("%s %s: %d with %d lines, want %d", k.name, target, plain.Code, len(w.lines), want)
			}
		}
	}
}

// A caller whose roles do not fit is refused, and no answer names part of them: nginx would take a
// longer one for an outage. Remote-User and Remote-Groups count as well, and so does the assertion.
func TestIdentityTooLong(t *testing.T) {
	b := newBench(t)
	roles := func(n int) (all []string) {
		for i := range n {
			all = append(all, fmt.Sprintf("%064d", i))
		}
		return all
	}
	for _, c := range []struct {
		path  string
		roles int
		want  int
	}{{"/x", 7, 200}, {"/x", 15, 403}, {"/remote", 4, 200}, {"/remote", 10, 403}} {
		token := b.issuer.Token("alice", roles(c.roles)...)
		for _, k := range b.kinds() {
			w := answer(k.handler, signed(k.ask("GET", app+c.path), token))
			if w.Code != c.want || c.want == 403 && k.name != "auth-request" && !strings.Contains(w.Body.String(), "identity-too-long") {
				t.Errorf("%s: %s with %d roles = %d %s, want %d", k.name, c.path, c.roles, w.Code, w.Body, c.want)
			}
			for _, name := range append(slices.Clone(gateway.IdentityNames), gateway.RemoteNames...) {
				if told := w.Result().Header[name] != nil; told != (c.want == 200) {
					t.Errorf("%s: %s with %d roles: %s is told: %v", k.name, c.path, c.roles, name, told)
				}
			}
		}
	}
}

// A session that ends is refused by every dialect as soon as the verifier knows.
func TestRevoked(t *testing.T) {
	b := newBench(t)
	for _, k := range b.kinds() {
		in := b.issuer.Login("alice", counterfoil.CarrierBearer)
		ask := func() int { return answer(k.handler, signed(k.ask("GET", app+"/"), in.Access.Reveal())).Code }
		if got := ask(); got != 200 {
			t.Errorf("%s before: %d", k.name, got)
		}
		b.issuer.Revoke(source.ScopeSession, in.Session.ID)
		if got := ask(); got != 401 {
			t.Errorf("%s after: %d, want 401", k.name, got)
		}
	}
}

// Verdicts without a credential, and with one that does not do (GW-09, GW-10, GW-11, GW-12, GW-19, GW-22).
func TestVerdicts(t *testing.T) {
	b := newBench(t)
	plain, admin := b.issuer.Token("alice"), b.issuer.Token("root", "admin")
	html := "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"
	for _, c := range []struct {
		method, target, token string
		header                []string
		want                  int    // of forward-auth; 302 is 401 for nginx, and other refusals 403
		location              string // a part of it
	}{
		{"GET", app + "/", "", nil, 401, ""},
		{"GET", app + "/", "", []string{"Accept", "*/*"}, 401, ""},
		{"GET", app + "/a b", "", nil, 400, ""},
		{"GET", app + "/x?a=b&c", "", []string{"Sec-Fetch-Mode", "navigate"}, 302, signIn + "?client=web&return_to=" + url.QueryEscape(app+"/x?a=b&c")},
		{"GET", app + "/x", "", []string{"Accept", html}, 302, signIn},
		{"GET", app + "/x?" + strings.Repeat("a", 2000), "", []string{"Accept", html}, 302, signIn + "?client=web&return_to=" + url.QueryEscape(app+"/")},
		{"HEAD", app + "/x", "", []string{"Accept", html}, 302, signIn},
		{"GET", app + "/signed", "", []string{"Accept", html}, 401, ""},
		{"GET", "https://app.example.org/x", "", []string{"Accept", html}, 401, ""},
		{"GET", app + "/token", "", []string{"Sec-Fetch-Mode", "navigate"}, 401, ""}, // no page adds a header to a navigation
		{"POST", app + "/x", "", []string{"Sec-Fetch-Mode", "navigate"}, 401, ""},
		{"GET", app + "/x", "", []string{"Sec-Fetch-Mode", "cors", "Accept", html}, 401, ""},
		{"GET", app + "/x", "", []string{"Accept", html, "Sec-WebSocket-Key", "x"}, 401, ""},
		{"GET", app + "/x", "junk", []string{"Accept", html}, 302, signIn},
		{"GET", app + "/admin", plain, []string{"Accept", html}, 403, ""},
		{"GET", app + "/admin/x", plain, nil, 403, ""},
		{"GET", app + "/administration", plain, nil, 200, ""},
		{"GET", app + "/admin/x", admin, nil, 200, ""},
		{"GET", app + "/fresh", plain, nil, 401, ""},
		{"GET", app + "/fresh", plain, []string{"Accept", html}, 302, signIn + "?client=web&max_age=0&return_to="},
		{"GET", app + "/public", "", nil, 200, ""},
		{"GET", app + "/publicX", "", nil, 401, ""},
		{"GET", app + "/x?/public", "", nil, 401, ""},
		{"GET", app + "/public/not", "", nil, 401, ""},
		{"POST", app + "/public/not", plain, nil, 403, ""},
		{"HEAD", app + "/public/not", plain, nil, 200, ""},
		{"TRACE", app + "/public", "", nil, 403, ""},
		{"get", app + "/public", "", nil, 403, ""},
		{"GET", "https://other.example.com/", plain, nil, 403, ""},
		{"GET", "http://app.example.com/public", plain, nil, 403, ""},
		{"GET", "https://app.example.com:8443/public", plain, nil, 403, ""},
		{"GET", "https://APP.example.com:443/public", "", nil, 200, ""},
		{"GET", "https://app.example.com./public", "", nil, 200, ""},
		{"GET", "https://alice@app.example.com/public", "", nil, 400, ""},
		{"GET", app + "/x", plain, []string{"Cookie", source.InsecureCookieName + "=x"}, 400, ""},
		{"GET", app + "/token", plain, []string{"Cookie", source.InsecureCookieName + "=x"}, 200, ""},
		{"GET", app + "/x", plain, []string{"X-Http-Method-Override", "TRACE"}, 200, ""},
		{"GET", app + "/x", "", []string{"User-Agent", "GoogleHC/1.0"}, 401, ""},
		{"GET", app + "/x", plain, []string{"If-None-Match", "*", "Range", "bytes=0-1"}, 200, ""},
	} {
		for _, k := range b.kinds() {
			r := k.ask(c.method, c.target)
			for n := 0; n < len(c.header); n += 2 {
				r.Header.Set(c.header[n], c.header[n+1])
			}
			if c.token != "" {
				signed(r, c.token)
			}
			want := c.want
			switch {
			case k.name == "auth-request" && want == 302:
				want = 401
			case k.name == "auth-request" && want == 400:
				want = 403
			}
			w := answer(k.handler, r)
			h := w.Result().Header
			if w.Code != want || !strings.HasPrefix(h.Get("Location"), c.location) || c.location == "" && h.Get("Location") != "" {
				t.Errorf("%s: %s %s %v = %d %s, want %d %s", k.name, c.method, c.target, c.header, w.Code, h.Get("Location"), want, c.location)
			}
			if k.name == "auth-request" && w.Body.Len() > 0 || h.Get("Set-Cookie") != "" {
				t.Errorf("%s: %s has a body or a cookie", k.name, c.target)
			}
			if w.Code != 200 && h.Get("Counterfoil-Subject") != "" {
				t.Errorf("%s: %s is refused, and names who asks", k.name, c.target)
			}
		}
	}
}

// A cookie authenticates a request that changes something only from a page of the same service
// (CSRF-01), and a WebSocket as well (CSRF-12).
func TestCookieFromElsewhere(t *testing.T) {
	b := newBench(t)
	cookie := b.issuer.Login("alice", counterfoil.CarrierCookie).Access.Reveal()
	for _, c := range []struct {
		method string
		header []string
		want   int
	}{
		{"GET", nil, 200},
		{"POST", nil, 403},
		{"POST", []string{"Origin", app}, 200},
		{"POST", []string{"Origin", "https://other.example.com"}, 403},
		{"POST", []string{"Origin", b.issuer.URL}, 403}, // the auth server's pages are not this service's
		{"POST", []string{"Origin", "null"}, 403},
		{"GET", []string{"Sec-WebSocket-Key", "x"}, 403},
		{"GET", []string{"Sec-WebSocket-Key", "x", "Origin", "https://other.example.com"}, 403},
		{"GET", []string{"Sec-WebSocket-Key", "x", "Origin", app}, 200},
		{"GET", []string{"Upgrade", "WebSocket"}, 403},
	} {
		for _, k := range b.kinds() {
			r := k.ask(c.method, app+"/x")
			r.AddCookie(&http.Cookie{Name: source.InsecureCookieName, Value: cookie})
			for n := 0; n < len(c.header); n += 2 {
				r.Header.Set(c.header[n], c.header[n+1])
			}
			if w := answer(k.handler, r); w.Code != c.want {
				t.Errorf("%s: %s %v = %d, want %d", k.name, c.method, c.header, w.Code, c.want)
			}
		}
	}
}

// GW-07, GW-08, GW-20: a URL that two programs may read differently is refused by each dialect,
// and also on a route for everybody.
func TestAmbiguousTargets(t *testing.T) {
	b := newBench(t)
	token := b.issuer.Token("root", "admin")
	for _, path := range []string{
		"/public/../admin", "/public/..", "/public/./x", "/.", "/..", "/public/%2e%2e/admin", "/public/%2E%2E/admin", "/public/.%2e/admin", "/%2e/",
		"//admin", "/public//admin", "/public//", "/public/;/admin", "/public;x=1", "/public%3b", "/public%2fadmin", "/public%2Fadmin", "/public%5cadmin",
		`/public\admin`, `/public/..\admin`, "/public%00", "/public%0a", "/public%7f", "/public\x00", "/public\t", "/public%", "/public%2", "/public%zz",
		"/public%252e", "/public%252fadmin", "/public%2525", "/public%25%32%65", "/public%c0%af", "/public%ff", "/public\xff", "/public%ed%a0%80",
		"/public#/../admin", "/public%20#", "/public?a#b", "/public?a;b", "/public?%", "/public?%zz", "/public?a\x00", "/public/%2e%2e%2fadmin",
		"/public/a%2fb", "/public?" + strings.Repeat("a&", 1000), "/" + strings.Repeat("a", 17<<10),
	} {
		for _, k := range b.kinds() {
			want := 400
			if k.name == "auth-request" {
				want = 403
			}
			if w := answer(k.handler, signed(k.ask("GET", app+path), token)); w.Code != want {
				t.Errorf("%s: %q = %d, want %d", k.name, path, w.Code, want)
			}
		}
	}
	for path, want := range map[string]int{
		"/files/a%2Fb": 200, "/files/a%2fb": 200, "/files/a;b": 400, "/files%2f": 400, "/%66iles/x": 200, "/publ%69c": 200, "/public/%E2%82%AC": 200, "/public/a%20b": 200, "/public/a b": 400,
		"/lax/a%2fb;c=1//%2525": 200, "/lax/a%2f..b": 200, "/lax/..%2f..%2fadmin": 400, "/lax/%2e%2e%2Fadmin": 400, "/lax/x%2f..": 400, "/lax/..;/admin": 400, "/lax/.;x=1/": 400,
		"/lax/%252e%252e/admin": 400, "/lax/%25252e%25252e/admin": 400, "/lax/..%255cadmin": 400, "/lax/%252e%252e%253bx/": 400, "/lax/x%252f..%252fadmin": 400, "/lax//..": 400,
		"/lax/admin;x": 400, "/lax/admin;x/users": 400, "/lax/admin%2fusers": 400, "/lax//admin": 400, "/lax///admin": 400, "/lax/%2561dmin": 400, "/lax/;/%2561dmin": 400, "/lax/%2561dmin%253bx": 400, "/lax/administration;x": 200, "/lax/%" + strings.Repeat("25", 20): 400,
		"/public/€": 200, "/public/a+b": 200, "/public/100%25": 200, "/public?a=%2F..%2F": 200, "/public?//..": 200, "/public/...": 200, "/public/a..b": 200,
	} {
		if w := answer(b.gateway.ForwardAuth(), signed(b.kinds()[0].ask("GET", app+path), token)); w.Code != want {
			t.Errorf("%q = %d, want %d", path, w.Code, want)
		}
	}
	if w := answer(b.gateway.ForwardAuth(), b.kinds()[0].ask("GET", app+"/%61dmin")); w.Code != 401 {
		t.Errorf("an encoded letter chooses another route: %d", w.Code)
	}
}

// GW-05, GW-06: only a trusted proxy may ask, it says each thing once, and no other spelling
// of its words is there (GW-02). It asks about no connection whose requests nobody would ask about (GW-13).
func TestWhoMayAsk(t *testing.T) {
	b := newBench(t)
	token := b.issuer.Token("alice")
	for _, k := range b.kinds() {
		r := signed(k.ask("GET", app+"/"), token)
		r.RemoteAddr = "192.0.2.1:1"
		w := httptest.NewRecorder()
		if k.handler.ServeHTTP(w, r); w.Code != 403 || strings.Contains(w.Body.String(), "no-rule") {
			t.Errorf("%s: a stranger asks: %d %s", k.name, w.Code, w.Body)
		}
		bad := 400
		if k.name == "auth-request" {
			bad = 403
		}
		for name := range k.ask("GET", app+"/").Header {
			r = signed(k.ask("GET", app+"/"), token)
			r.Header.Del(name)
			if w := answer(k.handler, r); w.Code != bad {
				t.Errorf("%s without %s: %d", k.name, name, w.Code)
			}
			r = signed(k.ask("GET", app+"/"), token)
			r.Header.Add(name, r.Header.Get(name))
			if w := answer(k.handler, r); w.Code != bad {
				t.Errorf("%s with %s twice: %d", k.name, name, w.Code)
			}
		}
		for _, name := range []string{
			"X_Forwarded_Uri", "x_forwarded_host", "X.Original.Url", "Counterfoil_Subject", "counterfoil.roles", "COUNTERFOIL_Session", "Remote_User", "Remote.Groups",
			"Counterfoil-Subject ", "Counterfoil_Acr", "Counterfoil+Subject", "Remote'User", "Counterfoil-Auth!Time", "authorization.", "Cook_ie",
			"Sec_Fetch_Site", "Counterfoil_Min_Cursor", // what a check reads
		} {
			want := bad
			if name == "Cook_ie" || name == "authorization." { // not a guarded name, when folded
				want = 200
			}
			r = signed(k.ask("GET", app+"/"), token)
			r.Header[name] = []string{"x"}
			if w := answer(k.handler, r); w.Code != want {
				t.Errorf("%s with %q: %d, want %d", k.name, name, w.Code, want)
			}
		}
		for _, name := range slices.Concat(gateway.IdentityNames, gateway.RemoteNames) {
			r = signed(k.ask("GET", app+"/"), token)
			r.Header[strings.ReplaceAll(name, "-", "_")] = []string{"x"}
			if w := answer(k.handler, r); w.Code != bad {
				t.Errorf("%s with an alias of %s: %d, want %d", k.name, name, w.Code, bad)
			}
		}
		for _, to := range [][]string{{"h2c"}, {""}, {"h2c, websocket"}, {"websocket, h2c"}, {"websocket", "h2c"}, {"h2c", "websocket"}, {"TLS/1.0"}} {
			for _, path := range []string{"/", "/public"} {
				r = signed(k.ask("GET", app+path), token)
				if r.Header["Upgrade"] = to; answer(k.handler, r).Code != bad {
					t.Errorf("%s: an upgrade of %s to %q is let pass", k.name, path, to)
				}
			}
		}
		r = signed(k.ask("GET", app+"/"), token)
		r.ContentLength = 5 // announced by the proxy, and not sent
		if w := answer(k.handler, r); w.Result().Header.Get("Connection") != "close" {
			t.Errorf("%s: a connection that waits for a body is kept", k.name)
		}
		// A visitor's words of another dialect mean nothing.
		r = k.ask("GET", app+"/")
		for _, other := range b.kinds() {
			for name, values := range other.ask("GET", app+"/public").Header {
				if r.Header[name] == nil {
					r.Header[name] = values
				}
			}
		}
		if w := answer(k.handler, r); w.Code != 401 {
			t.Errorf("%s: believes another dialect: %d", k.name, w.Code)
		}
	}
}

// A gateway that trusts no proxy answers nobody.
func TestTrustsNobodyByDefault(t *testing.T) {
	is := counterfoiltest.New(t)
	g, err := gateway.New(gateway.Options{Verifier: is.Verifier(), Routes: []gateway.Route{{Origin: app, Prefix: "/", Anonymous: true}}})
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t, is, g, nil}
	for _, k := range b.kinds() {
		if w := answer(k.handler, k.ask("GET", app+"/")); w.Code != 403 {
			t.Errorf("%s: %d, want 403", k.name, w.Code)
		}
	}
}

// What contradicts itself is refused at the start.
func TestBadRoutes(t *testing.T) {
	v := counterfoiltest.New(t).Verifier()
	for name, routes := range map[string][]gateway.Route{
		"none":              nil,
		"no path":           {{Origin: app}},
		"two paths":         {{Origin: app, Path: "/a", Prefix: "/b"}},
		"no slash":          {{Origin: app, Path: "a"}},
		"dots":              {{Origin: app, Path: "/a/../b"}},
		"escapes":           {{Origin: app, Path: "/%61"}},
		"empty segment":     {{Origin: app, Prefix: "/a//"}},
		"query":             {{Origin: app, Path: "/a?b"}},
		"twice":             {{Origin: app, Prefix: "/a"}, {Origin: app, Prefix: "/a/"}},
		"origin":            {{Origin: "https://APP.example.com", Path: "/"}},
		"plain":             {{Origin: "http://app.example.com", Path: "/"}},
		"method":            {{Origin: app, Path: "/", Methods: []string{"get"}}},
		"oddity":            {{Origin: app, Path: "/", Allow: []gateway.Oddity{"dot-segment"}}},
		"audience":          {{Origin: app, Path: "/", Audience: "two words"}},
		"everybody, a role": {{Origin: app, Path: "/", Anonymous: true, Rules: []counterfoil.Rule{counterfoil.Role("a")}}},
	} {
		if _, err := gateway.New(gateway.Options{Verifier: v, Routes: routes}); err == nil {
			t.Errorf("%s: nil error", name)
		}
	}
}
