package gateway_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/counterfoiltest"
	"github.com/counterfoil/counterfoil/gateway"
	"github.com/counterfoil/counterfoil/internal/framing"
)

// proxied is a gateway that passes requests on to a service.
type proxied struct {
	*testing.T
	issuer *counterfoiltest.Issuer
	web    *httptest.Server // the gateway
	origin string           // of the service, as visitors see it

	gateway *gateway.Gateway
	told    chan string // what Options.Opened and Cut were told

	mu  sync.Mutex
	got []*http.Request // what reached the service
}

// newProxied starts service behind a gateway, which has routes, with their paths only.
func newProxied(t *testing.T, service http.HandlerFunc, routes ...gateway.Route) *proxied {
	p := &proxied{T: t, issuer: counterfoiltest.New(t), told: make(chan string, 100)}
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		p.got = append(p.got, r.Clone(r.Context()))
		p.mu.Unlock()
		service(w, r)
	}))
	t.Cleanup(upstream.Close)
	var h http.Handler
	p.web = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.ServeHTTP(w, r) }))
	p.web.Config.DisableGeneralOptionsHandler = true
	p.web.Config.Protocols = new(http.Protocols)
	p.web.Config.Protocols.SetHTTP1(true)
	p.web.Config.Protocols.SetUnencryptedHTTP2(true)
	p.web.Start()
	t.Cleanup(p.web.Close)
	p.origin = p.web.URL
	for n := range routes {
		routes[n].Origin, routes[n].Upstreams = p.origin, []string{upstream.URL}
	}
	var err error
	p.gateway, err = gateway.New(gateway.Options{
		Verifier: p.issuer.Verifier(), Routes: routes, SignIn: p.issuer.URL + "/login",
		Opened: func(http.ResponseWriter, string) func(string) { p.told <- "+"; return func(by string) { p.told <- by } },
		Cut:    func(_ http.ResponseWriter, _, by string) { p.told <- by },
	})
	if err != nil {
		t.Fatal(err)
	}
	h = p.gateway.Proxy()
	return p
}

func nothing(http.ResponseWriter, *http.Request) {}

// ask sends a request with its target as it is written.
func (p *proxied) ask(method, target, token string, header ...string) *http.Response {
	p.Helper()
	text := method + " " + target + " HTTP/1.1\r\nHost: " + strings.TrimPrefix(p.origin, "http://") + "\r\n"
	if token != "" {
		text += "Authorization: Bearer " + token + "\r\n"
	}
	for n := 0; n < len(header); n += 2 {
		text += header[n] + ": " + header[n+1] + "\r\n"
	}
	return p.raw(text + "\r\n")
}

// raw sends bytes, and reads one answer.
func (p *proxied) raw(text string) *http.Response {
	p.Helper()
	conn, err := net.Dial("tcp", p.web.Listener.Addr().String())
	if err != nil {
		p.Fatal(err)
	}
	p.Cleanup(func() { _ = conn.Close() })
	if _, err := io.WriteString(conn, text); err != nil {
		p.Fatal(err)
	}
	method, _, _ := strings.Cut(text, " ")
	res, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		p.Fatal(err)
	}
	return res
}

// reached returns the requests that reached the service since the last call.
func (p *proxied) reached() []*http.Request {
	p.mu.Lock()
	defer p.mu.Unlock()
	got := p.got
	p.got = nil
	return got
}

// one returns the request that reached the service.
func (p *proxied) one() *http.Request {
	p.Helper()
	got := p.reached()
	if len(got) != 1 {
		p.Fatalf("%d requests reached the service, want 1", len(got))
	}
	return got[0]
}

// GW-01, GW-02, GW-03, GW-04, CSRF-11: a service is told who the visitor is by the gateway alone, once.
func TestProxyIdentity(t *testing.T) {
	p := newProxied(t, nothing, gateway.Route{Prefix: "/"}, gateway.Route{Prefix: "/public", Anonymous: true}, gateway.Route{Prefix: "/remote", Identity: gateway.IdentityRemote})
	in := p.issuer.Login("alice", counterfoil.CarrierBearer, "staff", "ops")
	names := slices.Concat(gateway.IdentityNames, gateway.RemoteNames)
	claims := []string{
		"X-Counterfoil-Subject", "X-Counterfoil-User", "Counterfoil-Anything", "X-Forwarded-User", "X-Forwarded-Email", "X-Forwarded-Groups", "X-Forwarded-Preferred-Username", "X-Auth-Request-User", "X-Auth-Token", "Remote-Email", "Remote-Name", "X-Remote-User",
		"X-Forwarded-Prefix", "X-Forwarded-Uri", "X-Forwarded-Method", "X-Original-URL", "X-Rewrite-URL", "Forwarded", "X-Real-IP", "X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override",
		"counterfoil_subject", "COUNTERFOIL_Roles", "Counterfoil.Subject", "remote_user", "Remote_User", "x_counterfoil_user", "X-COUNTERFOIL_User", "any_name", "Counterfoil+Subject", "Counterfoil-Subject!",
	}
	var spoof []string
	for _, name := range slices.Concat(names, claims) {
		spoof = append(spoof, name, "root", name, "toor")
	}
	spoof = append(spoof, "Connection", "close, Counterfoil-Subject, counterfoil-roles, X-Forwarded-For, Remote-User, Authorization")
	for _, path := range []string{"/x", "/public/x", "/remote"} {
		token := in.Access.Reveal()
		if path == "/public/x" {
			token = ""
		}
		if res := p.ask("GET", path, token, spoof...); res.StatusCode != 200 {
			t.Fatalf("%s = %d", path, res.StatusCode)
		}
		h := p.one().Header
		for name, values := range h {
			if slices.Contains(values, "root") || slices.Contains(values, "toor") || strings.ContainsAny(name, "_.+!") {
				t.Errorf("%s: the service gets the visitor's %s: %q", path, name, values)
			}
		}
		for _, name := range names {
			if len(h[name]) != 1 {
				t.Errorf("%s: %s: %q, want one value", path, name, h[name])
			}
		}
		want := map[string]string{"Counterfoil-Subject": "alice", "Counterfoil-Session": in.Session.ID, "Counterfoil-Roles": "staff ops", "Remote-User": ""}
		switch path {
		case "/public/x":
			clear(want)
		case "/remote":
			want["Remote-User"] = "alice"
		}
		for _, name := range names {
			if value, said := want[name]; said && h.Get(name) != value || path == "/public/x" && h.Get(name) != "" {
				t.Errorf("%s: %s: %q, want %q", path, name, h.Get(name), value)
			}
		}
	}
	for n := 0; n < len(spoof); n += 2 {
		if res := p.ask("GET", "/x", "", spoof[n], "root"); res.StatusCode != 401 || len(p.reached()) != 0 {
			t.Errorf("%s: %d, want 401", spoof[n], res.StatusCode)
		}
	}
}

// GW-14: the service gets no credential, unless its route says so, and all else byte for byte.
func TestProxyCredentials(t *testing.T) {
	p := newProxied(t, nothing, gateway.Route{Prefix: "/"}, gateway.Route{Prefix: "/public", Anonymous: true}, gateway.Route{Prefix: "/kept", KeepCredentials: true})
	token, cookie := p.issuer.Token("alice"), p.issuer.Login("alice", counterfoil.CarrierCookie).Access.Reveal()
	for _, c := range []struct{ sent, want string }{
		{"cf=" + cookie, ""},
		{"a=1; cf=" + cookie + "; b=\"2 \";c", "a=1; b=\"2 \";c"},
		{"cf=" + cookie + "; cf_rt=x; __Host-Http-cf=y; __Host-Http-cf_rt=z;b=2", "b=2"},
		{"xcf=1;  cf=" + cookie + ";cf_x=2", "xcf=1;cf_x=2"},
	} {
		if res := p.ask("GET", "/x", "", "Cookie", c.sent); res.StatusCode != 200 {
			t.Errorf("Cookie %q = %d", c.sent, res.StatusCode)
			continue
		}
		if got := strings.Join(p.one().Header["Cookie"], "|"); got != c.want {
			t.Errorf("Cookie %q reaches the service as %q, want %q", c.sent, got, c.want)
		}
		p.ask("GET", "/public", "", "Cookie", c.sent)
		if got := strings.Join(p.one().Header["Cookie"], "|"); got != c.want {
			t.Errorf("on a route for everybody Cookie %q reaches the service as %q, want %q", c.sent, got, c.want)
		}
		p.ask("GET", "/kept", "", "Cookie", c.sent)
		if got := p.one().Header.Get("Cookie"); got != c.sent {
			t.Errorf("a route that keeps credentials: Cookie %q, want %q", got, c.sent)
		}
	}
	for _, path := range []string{"/x", "/public"} {
		p.ask("GET", path, token, "Cookie", "a=1")
		if r := p.one(); r.Header["Authorization"] != nil || r.Header.Get("Cookie") != "a=1" {
			t.Errorf("%s: the service gets %q and %q", path, r.Header["Authorization"], r.Header["Cookie"])
		}
	}
	p.ask("GET", "/kept", token)
	if r := p.one(); r.Header.Get("Authorization") != "Bearer "+token {
		t.Errorf("a route that keeps credentials: Authorization %q", r.Header["Authorization"])
	}
	p.ask("GET", "/public", "", "Authorization", "Basic YTpi")
	if r := p.one(); r.Header.Get("Authorization") != "Basic YTpi" {
		t.Errorf("the service's own Authorization is gone: %q", r.Header["Authorization"])
	}
}

// GW-18: a service is not asked for another protocol than WebSocket, because nobody would see what is asked by it.
func TestProxyUpgrade(t *testing.T) {
	p := newProxied(t, nothing, gateway.Route{Prefix: "/", Anonymous: true})
	for asked, want := range map[string]string{"h2c": "", "websocket, h2c": "", "TLS/1.2": "", "WebSocket": "WebSocket"} {
		if res := p.ask("GET", "/x", "", "Upgrade", asked, "Connection", "Upgrade, HTTP2-Settings", "HTTP2-Settings", "AAMAAABkAAQAAP__"); res.StatusCode != 200 {
			t.Errorf("Upgrade: %s = %d", asked, res.StatusCode)
			continue
		}
		if r := p.one(); r.Header.Get("Upgrade") != want || (r.Header.Get("Connection") != "") != (want != "") || r.Header["Http2-Settings"] != nil {
			t.Errorf("Upgrade: %s reaches the service as %v", asked, r.Header)
		}
	}
}

// GW-19: HTTP/2 says the host in a pseudo-header, and a visitor can send the header besides. Neither is believed
// if they differ.
func TestProxyTwoHosts(t *testing.T) {
	p := newProxied(t, nothing, gateway.Route{Prefix: "/", Anonymous: true})
	at := strings.TrimPrefix(p.origin, "http://")
	const headers, endOfAll, status200, status400 = 1, 5, 0x88, 0x8c // RFC 9113 section 6.2, RFC 7541 appendix A
	for _, c := range []struct {
		name  string
		hosts []string
		want  byte
	}{
		{"none besides", nil, status200}, {"the same", []string{at}, status200},
		{"another", []string{"other.example.com"}, status400}, {"two", []string{at, at}, status400},
	} {
		for _, path := range []string{"/x", gateway.HandoverPrefix + "begin"} {
			block := field(":method", "GET") + field(":scheme", "http") + field(":path", path) + field(":authority", at)
			for _, host := range c.hosts {
				block += field("host", host)
			}
			conn, err := net.Dial("tcp", at)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if _, err := io.WriteString(conn, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"+frame(4, 0, 0, "")+frame(headers, endOfAll, 1, block)); err != nil {
				t.Fatal(err)
			}
			in, got := bufio.NewReader(conn), byte(0)
			for got == 0 {
				head := make([]byte, 9)
				if _, err := io.ReadFull(in, head); err != nil {
					t.Fatalf("%s: %v", c.name, err)
				}
				body := make([]byte, int(head[0])<<16|int(head[1])<<8|int(head[2]))
				if _, err := io.ReadFull(in, body); err != nil {
					t.Fatal(err)
				}
				if head[3] == headers {
					got = body[0]
				}
			}
			want := c.want
			if path != "/x" && want == status200 {
				want = 0x8d // 404: no handover
			}
			if reached := len(p.reached()); got != want || reached != 0 && (path != "/x" || c.want != status200) {
				t.Errorf("%s at %s: %#x, want %#x; %d reached the service", c.name, path, got, want, reached)
			}
		}
	}
}

// frame is one of HTTP/2, and field a field in a block of headers, without Huffman coding.
func frame(kind, flags, stream byte, payload string) string {
	return string([]byte{0, 0, byte(len(payload)), kind, flags, 0, 0, 0, stream}) + payload
}

func field(name, value string) string {
	return "\x00" + string(rune(len(name))) + name + string(rune(len(value))) + value
}

// What is refused never reaches the service (GW-07, GW-08, GW-10, GW-19, GW-20, GW-22).
func TestProxyRefusals(t *testing.T) {
	p := newProxied(t, nothing, gateway.Route{Prefix: "/"}, gateway.Route{Prefix: "/admin", Rules: []counterfoil.Rule{counterfoil.Role("admin")}}, gateway.Route{Prefix: "/public", Anonymous: true})
	token := p.issuer.Token("alice")
	html := []string{"Accept", "text/html"}
	for _, c := range []struct {
		method, target, token string
		header                []string
		want                  int
	}{
		{"GET", "/x", "", nil, 401},
		{"GET", "/x", "", html, 302},
		{"POST", "/x", "", html, 401},
		{"GET", "/x", "junk", nil, 401},
		{"GET", "/admin", token, html, 403},
		{"GET", "/public/../admin", "", nil, 400},
		{"GET", "/public/%2e%2e/admin", "", nil, 400},
		{"GET", "/public//admin", "", nil, 400},
		{"GET", "//public", "", nil, 400},
		{"GET", "/public#/../admin", "", nil, 400},
		{"GET", "/public?a;b", "", nil, 400},
		{"GET", p.origin + "/public", "", nil, 400}, // net/http says no longer which Host came with it
		{"OPTIONS", "*", token, nil, 400},
		{"TRACE", "/public", token, nil, 403},
		{"CONNECT", "/public", token, nil, 403},
		{"CONNECT", "example.com:443", token, nil, 400},
		{"get", "/public", token, nil, 403},
		{"GET", "/forward-auth", "", []string{"X-Forwarded-Method", "GET", "X-Forwarded-Proto", "http", "X-Forwarded-Host", "a", "X-Forwarded-Uri", "/public"}, 401},
		{"GET", "/x", "", []string{"X-Forwarded-Proto", "https", "X-Forwarded-Host", "localhost", "X-Forwarded-Uri", "/public"}, 401},
	} {
		res := p.ask(c.method, c.target, c.token, c.header...)
		if res.StatusCode != c.want || res.Header.Get("Cache-Control") != "no-store" && c.want != 400 {
			t.Errorf("%s %s %v = %d %v, want %d", c.method, c.target, c.header, res.StatusCode, res.Header, c.want)
		}
		if got := p.reached(); len(got) != 0 {
			t.Errorf("%s %s reached the service", c.method, c.target)
		}
	}
	res := p.raw("GET /public HTTP/1.1\r\nHost: other.example.com\r\n\r\n")
	if res.StatusCode != 403 || len(p.reached()) != 0 {
		t.Errorf("an unknown host = %d", res.StatusCode)
	}
}

// GW-07: a service gets the path and the query that were decided about, byte for byte, and one
// spelling of the host (GW-19).
func TestProxyTarget(t *testing.T) {
	everything := []gateway.Oddity{gateway.EncodedSlash, gateway.EmptySegment, gateway.Semicolon, gateway.DoubleEscape}
	p := newProxied(t, nothing, gateway.Route{Prefix: "/", Anonymous: true, Allow: everything})
	for _, target := range []string{
		"/", "/x", "/%78", "/a%2Fb", "/a%2fb", "/a//b", "//a/b", "//a%7c", "/a;b=c", "/a|b", `/a"b`, "/€", "/%E2%82%AC", "/a+b", "/a%20b", "/%2525", "/@:!$&'()*,=",
		"/?", "/x?", "/x?a=b&c", "/x?a=%2F..%2F&&", "/x?=&a=b+c%20d", "/x?a?b", "/x?€",
	} {
		if res := p.ask("GET", target, ""); res.StatusCode != 200 {
			t.Errorf("%s = %d", target, res.StatusCode)
			continue
		}
		if got := p.one().RequestURI; got != target {
			t.Errorf("%s reaches the service as %s", target, got)
		}
	}
	authority := strings.TrimPrefix(p.origin, "http://")
	p.raw("GET / HTTP/1.1\r\nHost: " + strings.Replace(authority, ":", ".:", 1) + "\r\n\r\n")
	if r := p.one(); r.Host != authority || r.Header.Get("X-Forwarded-Host") != authority {
		t.Errorf("the service gets the host %q, %q", r.Host, r.Header["X-Forwarded-Host"])
	}
}

// X-Forwarded-* is made anew, and what came is kept only if a trusted proxy sent it (GW-05).
func TestProxyForwarded(t *testing.T) {
	var got http.Header
	service := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.Header }))
	t.Cleanup(service.Close)
	v := counterfoiltest.New(t).Verifier()
	for _, c := range []struct {
		trusted   []netip.Prefix
		proto     []string
		want      int
		forwarded string
	}{
		{nil, []string{"https"}, 403, ""}, // http://app.example.com is another origin, which no route has
		{loopback, []string{"https"}, 200, "203.0.113.9, 198.51.100.7, 127.0.0.1"},
		{loopback, []string{"http"}, 403, ""},
		{loopback, []string{"https", "https"}, 400, ""},
		{loopback, nil, 403, ""},
	} {
		g, err := gateway.New(gateway.Options{Verifier: v, TrustedProxies: c.trusted, Routes: []gateway.Route{
			{Origin: app, Prefix: "/", Anonymous: true, Upstreams: []string{service.URL}},
		}})
		if err != nil {
			t.Fatal(err)
		}
		got = nil
		r := httptest.NewRequest("GET", "/", nil)
		r.Host = "app.example.com"
		r.Header["X-Forwarded-Proto"] = c.proto
		r.Header["X-Forwarded-For"] = []string{"203.0.113.9", "198.51.100.7"}
		if w := answer(g.Proxy(), r); w.Code != c.want || got.Get("X-Forwarded-For") != c.forwarded {
			t.Errorf("%v %v: %d, X-Forwarded-For %q", c.trusted, c.proto, w.Code, got["X-Forwarded-For"])
		}
		if c.want == 200 && (got.Get("X-Forwarded-Proto") != "https" || got.Get("X-Forwarded-Host") != "app.example.com") {
			t.Errorf("the service gets %v", got)
		}
	}
	p := newProxied(t, nothing, gateway.Route{Prefix: "/", Anonymous: true})
	p.ask("GET", "/", "", "X-Forwarded-For", "203.0.113.9", "X-Forwarded-For", "203.0.113.9")
	if h := p.one().Header; strings.Join(h["X-Forwarded-For"], "|") != "127.0.0.1" || h.Get("X-Forwarded-Proto") != "http" {
		t.Errorf("the service gets %v", h)
	}
}

// SES-04: a service cannot set the cookies of a session, not even by a cookie without a name, or on
// an answer before the last.
func TestProxySetCookie(t *testing.T) {
	p := newProxied(t, func(w http.ResponseWriter, _ *http.Request) {
		for _, name := range []string{"cf", "cf_rt", "__Host-Http-cf", "__Host-Http-cf_rt", " cf", "=cf", "cf ", "\tcf\t"} {
			w.Header().Add("Set-Cookie", name+"=planted; Path=/")
		}
		w.Header().Add("Set-Cookie", "own=1; Path=/")
		w.Header().Add("Set-Cookie", "cfx=cf=2")
		w.WriteHeader(http.StatusEarlyHints)
	}, gateway.Route{Prefix: "/", Anonymous: true})
	res, err := http.Get(p.web.URL)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(res.Header["Set-Cookie"], "|"); got != "own=1; Path=/|cfx=cf=2" {
		t.Errorf("Set-Cookie %q", got)
	}
}

// GW-21: what a person gets is not for caches, unless the service says otherwise, whatever the
// path looks like.
func TestProxyCaching(t *testing.T) {
	p := newProxied(t, func(w http.ResponseWriter, r *http.Request) {
		for name, values := range r.URL.Query() {
			w.Header()[name] = values
		}
	}, gateway.Route{Prefix: "/"}, gateway.Route{Prefix: "/public", Anonymous: true})
	token := p.issuer.Token("alice")
	for target, want := range map[string]string{
		"/me":                                   "private, no-store",
		"/me/x.css?Content-Type=text/html":      "private, no-store",
		"/me?Content-Type=TEXT/HTML%20%3Bx":     "private, no-store",
		"/api?Content-Type=application/json":    "private",
		"/me?Cache-Control=public,max-age=60":   "public,max-age=60",
		"/public?Content-Type=text/html":        "",
		"/public?Cache-Control=public":          "public",
		"/public/x.css?Content-Type=text/plain": "",
	} {
		if got := p.ask("GET", target, token).Header.Get("Cache-Control"); got != want {
			t.Errorf("%s: Cache-Control %q, want %q", target, got, want)
		}
	}
}

// GW-16: the header of an answer has a bound, and what an upstream does wrong is 502.
func TestProxyAnswerTooLong(t *testing.T) {
	p := newProxied(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/gone" {
			panic(http.ErrAbortHandler)
		}
		w.Header().Set("X-Long", strings.Repeat("x", 65<<10))
	}, gateway.Route{Prefix: "/", Anonymous: true})
	for _, path := range []string{"/", "/gone"} {
		if res := p.ask("GET", path, ""); res.StatusCode != 502 || res.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s = %d %v", path, res.StatusCode, res.Header)
		}
	}
}

// GW-18: a body that cannot be read is the visitor's fault: 400, and no service is thought to be broken.
func TestProxyBodyUnreadable(t *testing.T) {
	p := newProxied(t, func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }, gateway.Route{Prefix: "/", Anonymous: true})
	for _, rest := range []string{"x\r\n", "5\r\nhello, world\r\n0\r\n\r\n", "5\r\nhello\r\n0\r\nX-A\r\n\r\n", "5\r\nhello\r\n" + framing.Spoiled} {
		res := p.raw("POST /a HTTP/1.1\r\nHost: " + strings.TrimPrefix(p.origin, "http://") + "\r\nTransfer-Encoding: chunked\r\n\r\n" + rest)
		if body, _ := io.ReadAll(res.Body); res.StatusCode != 400 || !strings.Contains(string(body), "malformed-request") || !res.Close {
			t.Errorf("%q = %d %s, close = %v", rest, res.StatusCode, body, res.Close)
		}
	}
}
