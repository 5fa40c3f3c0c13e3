package e2e_test

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"testing"
)

// GW-25: what docs/proxies.md says of real proxies with the configurations that the program prints, and the corpora
// through them.
func TestEdges(t *testing.T) {
	t.Parallel()
	for n, proxy := range edgeProxies() {
		t.Run(proxy, func(t *testing.T) {
			t.Parallel()
			e := newEdge(t, proxy)
			e.behaves(n + 1)
			e.corpora()
		})
	}
	t.Run(own, func(t *testing.T) {
		t.Parallel()
		newOwnEdge(t).corpora()
	})
}

func (e *edge) corpora() {
	e.paths()
	e.framing()
	e.claims()
	e.trailers()
	e.connections()
	e.upgrades()
	e.hosts()
}

// decided are the targets that were allowed: those that a proxy asked about, or that of the request itself.
func (e *edge) decided(s seen, target string) (all []string) {
	if e.proxy == own {
		if s.status == http.StatusOK {
			all = append(all, target)
		}
		return all
	}
	for _, q := range s.asked {
		if q.status == http.StatusOK {
			all = append(all, q.decided())
		}
	}
	return all
}

// requested is the target of a request, without the scheme and host.
func (e *edge) requested(request string) string {
	return strings.TrimPrefix(target(request), "http://"+e.address)
}

// GW-25: a proxy that announces the visitor's body to the gateway and does not send it, as nginx does without one line of
// the configuration, waits for no question: the gateway ends each such connection.
func TestForgottenContentLength(t *testing.T) {
	t.Parallel()
	e := newChangedEdge(t, "nginx", func(snippet string) string {
		changed := strings.Replace(snippet, "    proxy_set_header Content-Length \"\";\n", "", 1)
		if changed == snippet {
			t.Fatal("the configuration has no such line")
		}
		return changed
	})
	for _, size := range []int{1, 5, 1000, 100_000} {
		for range 3 {
			s := e.ask(e.request("POST", "/public", pad(size), fmt.Sprintf("Content-Length: %d", size)), nil)
			if s.status != http.StatusOK || len(s.asked) != 1 || s.question().ContentLength != int64(size) {
				t.Errorf("a POST of %d bytes = %d; %d questions, the first announces %d", size, s.status, len(s.asked), s.question().ContentLength)
			}
		}
	}
}

// pathTricks are targets that programs read in more than one way. /public is for everybody, /admin for
// administrators, and the rest for those who signed in.
var pathTricks = []string{
	"/public/../admin", "/public/..", "/public/../", "/public/./../admin", "/public/.", "/./admin", "/../admin", "/public/x/../../admin",
	"/public/%2e%2e/admin", "/public/%2E%2E/admin", "/public/.%2e/admin", "/public/%2e./admin", "/%2e/admin", "/public/%2e%2e%2fadmin", "/public/..%2fadmin", "/public/..%2Fadmin",
	"/public%2f..%2fadmin", "/public%2fadmin", "/%2fadmin", "/%2Fadmin", "/public/%2f/admin", "//admin", "///admin", "/public//../admin", "/public//admin", "/.//admin",
	"/public/..;/admin", "/public/..;x=1/admin", "/public;/../admin", "/public;x=1", "/;/admin", "/admin;x", "/admin;/users", "/public/;/../admin", "/public/%3b/admin", "/public/..%3b/admin",
	`/public\..\admin`, `/public/..\admin`, `/public\admin`, "/public%5c..%5cadmin", "/public/..%5cadmin", "/public/%5cadmin", `/\admin`, "/%5cadmin",
	"/public/%252e%252e/admin", "/public/%252e%252e%252fadmin", "/public%252f..%252fadmin", "/public/..%252fadmin", "/public/..%255cadmin", "/public/%25252e%25252e/admin", "/%2561dmin", "/%25%36%31dmin",
	"/public#/../admin", "/public/x#", "/public%23/../admin", "/admin#/public", "/public?#/../admin", "/admin?/public", "/admin?x=/public", "/admin?../public", "/public?/../admin",
	"/%61dmin", "/ad%6din", "/admin/", "/admin/.", "/admin/..", "/admin/../admin", "/admin//", "/admin%2f", "/admin%00", "/admin%20", "/admin%09", "/admin.", "/admin..", "/admin/%2e",
	"/public%00/../admin", "/public%00", "/public%0a/admin", "/public%0d%0aX:y", "/public%7f", "/public/%c0%ae%c0%ae/admin", "/public/%e0%80%ae%e0%80%ae/admin", "/public/%c0%afadmin", "/public/%uff0e%uff0e/admin",
	"/public/%ff", "/public/\xff", "/public/\xc0\xae\xc0\xae/admin", "/public/%", "/public/%2", "/public/%zz", "/public/%%32%65", "/publicx", "/public.", "/public%20", "/public%2e", "/publi%63/../admin",
	"/public/\u2025/admin", "/public/\uff0e\uff0e/admin", "/public/\uff0f..\uff0fadmin", "/public?a;b", "/public?%", "/public?a=%00",
	"/.counterfoil/../admin", "/.counterfoil/%2e%2e/admin", "/.counterfoil/..%2fadmin", "/.counterfoil//../admin", "/.well-known/oauth-protected-resource/../../admin", "/.well-known/oauth-protected-resource%2f..%2f..%2fadmin",
	"public", "admin", "../admin", "*", "?/admin", "http://localhost/public", "http://localhost/admin", "HTTP://LOCALHOST/admin", "//localhost/admin", "http:/admin", "http://localhost",
}

// meanings are the paths that a service may read in a target: resolved, after it decodes up to four
// times, with or without the parameters of segments, and with backslashes for slashes.
func meanings(target string) (all []string) {
	target, _, _ = strings.Cut(target, "?")
	bare, _, _ := strings.Cut(target, "#")
	all = append(all, path.Clean("/"+bare))
	for range 4 {
		whole := strings.ReplaceAll(target, `\`, "/")
		segments := strings.Split(whole, "/")
		for n := range segments {
			segments[n], _, _ = strings.Cut(segments[n], ";")
		}
		for _, p := range []string{target, whole, strings.Join(segments, "/")} {
			all = append(all, path.Clean("/"+p))
		}
		target = unescape(target)
	}
	return all
}

// unescape decodes each escape of text that is one.
func unescape(text string) string {
	var decoded strings.Builder
	for n := 0; n < len(text); n++ {
		if n+2 < len(text) {
			if c, err := url.PathUnescape(text[n : n+3]); err == nil && text[n] == '%' {
				decoded.WriteString(c)
				n += 2
				continue
			}
		}
		decoded.WriteByte(text[n])
	}
	return decoded.String()
}

func below(p, prefix string) bool { return p == prefix || strings.HasPrefix(p, prefix+"/") }

// decided is the target that the gateway was asked about.
func (q question) decided() string {
	if uri := q.Header.Get("X-Forwarded-Uri"); q.URL.Path == "/forward-auth" {
		return uri
	}
	_, rest, _ := strings.Cut(q.Header.Get("X-Original-Url"), "://")
	if slash := strings.IndexByte(rest, '/'); slash >= 0 {
		return rest[slash:]
	}
	return ""
}

// target is what the service was asked for.
func target(request string) string {
	_, rest, _ := strings.Cut(line(request), " ")
	if n := strings.LastIndexByte(rest, ' '); n >= 0 {
		return rest[:n]
	}
	return rest
}

// GW-06, GW-07, GW-08, GW-09, GW-25: no spelling of a path reaches more than its credential may have,
// and the service gets the path that was decided about, byte for byte.
func (e *edge) paths() {
	alice := "Authorization: Bearer " + e.issuer.Token("alice")
	passed := map[string]int{}
	for _, trick := range append([]string{"/public/control", "http://" + e.address + "/public", "http://" + e.address + "/admin", "HTTP://" + e.address + "/public/../admin"}, pathTricks...) {
		for who, lines := range map[string][]string{"nobody": nil, "alice": {alice}} {
			for version, s := range map[string]seen{"HTTP/1.1": e.ask(e.get(trick, lines...), nil), "HTTP/2": e.ask2(trick, lines...)} {
				if len(s.got) == 0 {
					continue
				}
				passed[version]++
				at := target(s.got[0])
				if decided := e.decided(s, e.requested("GET "+trick+" HTTP/1.1\r\n")); len(s.got) != 1 || !slices.Equal(decided, []string{at}) {
					e.Errorf("%s, %s, %s: the service got %q, and %q were allowed", version, who, trick, s.got, decided)
					continue
				}
				for _, p := range meanings(at) {
					if who == "nobody" && !below(p, "/public") || below(p, "/admin") {
						e.Errorf("%s, %s: %q reached the service, which may read %q as %s", version, who, trick, at, p)
					}
				}
			}
		}
	}
	if passed["HTTP/1.1"] < 4 || passed["HTTP/2"] < 2 {
		e.Errorf("%v requests reached the service: the corpus proves nothing", passed)
	}
}

// ask2 asks over HTTP/2 for a target that the client of Go can write, and that proxies answer. For others they
// reset the stream, and this client asks again, later and later.
func (e *edge) ask2(target string, lines ...string) seen {
	e.begin(nil)
	if _, err := url.ParseRequestURI(target); err != nil || !strings.HasPrefix(target, "/") || strings.Contains(target, "#") {
		return e.end(seen{})
	}
	return e.end(e.send2(target, lines...))
}

// statuses are what the program answers to those of the requests of framing that it does not refuse with 400.
var statuses = map[string]int{
	"a coding with a tab": 200, "a size with an extension": 200, "a trailer": 200, "a body that GET has": 200, "a chunked body that GET has": 200, "an upgrade to h2c": 200,
	"a method in small letters": 403,
}

// framing: a request whose end programs see in different places.
//
// GW-18, GW-25: the service gets one request for each decision, with one length.
func (e *edge) framing() {
	const inner = "GET /admin/inner HTTP/1.1\r\nHost: localhost\r\nX-Inner: 1\r\n\r\n"
	chunk := fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(inner), inner)
	long := fmt.Sprintf("Content-Length: %d", len(inner))
	post := func(body string, lines ...string) string { return e.request("POST", "/public", body, lines...) }
	get := func(lines ...string) string { return e.request("GET", "/public", "", lines...) }
	passed := 0
	for name, request := range map[string]string{
		"both lengths":                 post(chunk, fmt.Sprintf("Content-Length: %d", len(chunk)), "Transfer-Encoding: chunked"),
		"both, the other way round":    post(chunk, "Transfer-Encoding: chunked", fmt.Sprintf("Content-Length: %d", len(chunk))),
		"both, length 0":               post("0\r\n\r\n"+inner, "Content-Length: 0", "Transfer-Encoding: chunked"),
		"two lengths":                  post(inner, long, "Content-Length: 0"),
		"two lengths, the other way":   post(inner, "Content-Length: 0", long),
		"a length twice":               post(inner, long, long),
		"a list of lengths":            post(inner, fmt.Sprintf("Content-Length: %d, %[1]d", len(inner))),
		"a list of two lengths":        post(inner, fmt.Sprintf("Content-Length: %d, 0", len(inner))),
		"a length with a sign":         post(inner, fmt.Sprintf("Content-Length: +%d", len(inner))),
		"a negative length":            post(inner, "Content-Length: -1"),
		"a hexadecimal length":         post(inner, fmt.Sprintf("Content-Length: 0x%x", len(inner))),
		"an empty length":              post("", "Content-Length:"),
		"a length of words":            post("", "Content-Length: five"),
		"an unknown coding":            post(chunk, "Transfer-Encoding: xchunked"),
		"chunked twice":                post(chunk, "Transfer-Encoding: chunked, chunked"),
		"chunked, then identity":       post(chunk, "Transfer-Encoding: chunked, identity"),
		"identity, then chunked":       post(chunk, "Transfer-Encoding: identity, chunked"),
		"two codings":                  post(chunk, "Transfer-Encoding: chunked", "Transfer-Encoding: identity"),
		"a quoted coding":              post(chunk, `Transfer-Encoding: "chunked"`),
		"a coding with a tab":          post(chunk, "Transfer-Encoding:\tchunked"),
		"a coding with a control byte": post(chunk, "Transfer-Encoding: \x0bchunked"),
		"space before the colon":       post(inner, fmt.Sprintf("Content-Length : %d", len(inner))),
		"space before the coding":      post(chunk, "Transfer-Encoding : chunked"),
		"tab before the colon":         post(inner, fmt.Sprintf("Content-Length\t: %d", len(inner))),
		"a folded line":                get("X-A: b", " X-B: c"),
		"a folded coding":              post(chunk, "Transfer-Encoding:", " chunked"),
		"a folded length":              post(inner, "Content-Length:", fmt.Sprintf(" %d", len(inner))),
		"a folded first line":          strings.Replace(get(), "\r\n", "\r\n X-A: b\r\n", 1),
		"bare LF in a line":            get("X-A: b\nX-B: c"),
		"bare LF everywhere":           strings.ReplaceAll(get(), "\r\n", "\n"),
		"bare LF at the end":           strings.TrimSuffix(get("X-A: b"), "\r\n") + "\n",
		"bare CR in a line":            get("X-A: b\rX-B: c"),
		"NUL in a line":                get("X-A: b\x00c"),
		"no name":                      get(": b"),
		"no colon":                     get("X-A"),
		"a name with a space":          get("X A: b"),
		"a size with an extension":     post("5;x=y\r\nhello\r\n0\r\n\r\n", "Transfer-Encoding: chunked"),
		"a size that is none":          post("x\r\nhello\r\n0\r\n\r\n", "Transfer-Encoding: chunked"),
		"a size with 0x":               post("0x5\r\nhello\r\n0\r\n\r\n", "Transfer-Encoding: chunked"),
		"a size that overflows":        post("10000000000000005\r\nhello\r\n0\r\n\r\n", "Transfer-Encoding: chunked"),
		"a trailer":                    post("5\r\nhello\r\n0\r\nX-A: b\r\n\r\n", "Transfer-Encoding: chunked"),
		"a body that GET has":          e.request("GET", "/public", inner, long),
		"a chunked body that GET has":  e.request("GET", "/public", chunk, "Transfer-Encoding: chunked"),
		"HTTP/1.2":                     strings.Replace(get(), "HTTP/1.1", "HTTP/1.2", 1),
		"HTTP/0.9":                     "GET /admin\r\n",
		"HTTP/2 over HTTP/1":           strings.Replace(get(), "HTTP/1.1", "HTTP/2.0", 1),
		"no version":                   strings.Replace(get(), " HTTP/1.1", "", 1),
		"tabs in the first line":       strings.Replace(get(), "GET /public ", "GET\t/public\t", 1),
		"two spaces in the first line": strings.Replace(get(), "GET /public ", "GET  /public  ", 1),
		"a space in the target":        strings.Replace(get(), "/public", "/public /admin", 1),
		"two hosts":                    get("Host: localhost"),
		"a host with a path":           strings.Replace(get(), e.address, e.address+"/admin", 1),
		"a host with a user":           strings.Replace(get(), e.address, "localhost@"+e.address, 1),
		"a host with a comma":          strings.Replace(get(), e.address, e.address+",localhost", 1),
		"an empty host":                strings.Replace(get(), e.address, "", 1),
		"no host":                      strings.Replace(get(), "Host: "+e.address+"\r\n", "", 1),
		"an upgrade to h2c":            get("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA"),
		"a method in small letters":    strings.Replace(get(), "GET", "get", 1),
		"CONNECT":                      strings.Replace(get(), "GET /public", "CONNECT localhost:80", 1),
	} {
		s := e.ask(request, nil)
		passed += len(s.got)
		if want := cmp.Or(statuses[name], http.StatusBadRequest); e.proxy == own && s.status != want {
			e.Errorf("%s = %d, want %d", name, s.status, want)
		}
		allowed := len(e.decided(s, ""))
		if len(s.got) > allowed || allowed > 1 {
			e.Errorf("%s: the service got %d requests, and %d were allowed: %q", name, len(s.got), allowed, s.got)
		}
		for _, got := range s.got {
			head, _, _ := strings.Cut(got, "\r\n\r\n")
			lengths := len(values(got, "Content-Length")) + len(values(got, "Transfer-Encoding"))
			if !below(target(got), "/public") || lengths > 1 || strings.Contains(strings.ReplaceAll(head, "\r\n", ""), "\n") || strings.Contains(head, "\r\n ") {
				e.Errorf("%s: the service got %q", name, got)
			}
		}
		if s.status == http.StatusSwitchingProtocols {
			e.Errorf("%s: the proxy switches protocols", name)
		}
	}
	if passed == 0 {
		e.Error("no request reached the service: the corpus proves nothing")
	}
}

// claimed are the names by which a visitor may claim to be somebody, or to ask for something else.
var claimed = []string{
	"Counterfoil-Subject", "Counterfoil-Session", "Counterfoil-Client", "Counterfoil-Roles", "Counterfoil-Scopes", "Counterfoil-Acr", "Counterfoil-Auth-Time", "Counterfoil-Assertion",
	"Remote-User", "Remote-Groups", "Remote-Email", "Remote-Name", "X-Remote-User", "X-Forwarded-User", "X-Forwarded-Email", "X-Forwarded-Groups", "X-Forwarded-Preferred-Username",
	"X-Auth-Request-User", "X-Auth-Request-Email", "X-Auth-Request-Groups", "X-Auth-Request-Preferred-Username",
	"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Method", "X-Forwarded-Uri", "X-Forwarded-Prefix",
	"X-Original-Method", "X-Original-Url", "X-Original-Uri", "X-Rewrite-Url",
	"X-Real-Ip", "X-Forwarded-Port", "X-Forwarded-Server", "X-Forwarded-Scheme", "X-Forwarded-Ssl",
	"X-Http-Method-Override", "X-Http-Method", "X-Method-Override",
}

// aliases are the ways to write a name that other programs take for it.
func aliases(name string) []string {
	return []string{
		name, strings.ToLower(name), strings.ToUpper(name), strings.ReplaceAll(name, "-", "_"), strings.ReplaceAll(strings.ToLower(name), "-", "_"),
		strings.ReplaceAll(name, "-", "."), strings.Replace(name, "-", "_", 1), strings.Replace(name, "-", "!", 1), name + " ",
	}
}

// GW-01, GW-02, GW-03, GW-05, CSRF-11, GW-25: in no spelling does a service get what a visitor says of who asks, of
// what is asked for, and of the method that is meant.
func (e *edge) claims() {
	alice := "Authorization: Bearer " + e.issuer.Token("alice")
	for _, name := range claimed {
		passed := 0
		for _, spelled := range aliases(name) {
			said := spelled + ": /public/toor"
			for _, request := range []string{e.get("/public/x", said), e.get("/x", alice, said), e.get("/x", alice, said, said), e.get("/x", said), e.get("/admin", said, alice)} {
				s := e.ask(request, nil)
				passed += len(s.got)
				for _, got := range s.got {
					if strings.Contains(got, "toor") || len(values(got, "Counterfoil-Subject")) > 1 {
						e.Errorf("%q: the service got %q", said, got)
					}
					if decided := e.decided(s, e.requested(request)); !slices.Equal(decided, []string{target(got)}) || target(got) == "/x" && !strings.Contains(request, alice) || target(got) == "/admin" {
						e.Errorf("%q: the service got %q, and %q were allowed", said, got, decided)
					}
				}
			}
		}
		if passed == 0 {
			e.Errorf("no request with %s reached the service: the corpus proves nothing", name)
		}
	}
}

// trailers: a claim after the body. HAProxy 2.6 passes it on, and can be told no better (docs/proxies.md).
//
// GW-01: a service that takes trailers for headers gets no claim.
func (e *edge) trailers() {
	if e.proxy == "haproxy" {
		return
	}
	body := "5\r\nhello\r\n0\r\nCounterfoil-Subject: toor\r\n\r\n"
	for _, lines := range [][]string{{"Transfer-Encoding: chunked"}, {"Transfer-Encoding: chunked", "Trailer: Counterfoil-Subject"}} {
		s := e.ask(e.request("POST", "/public", body, lines...), nil)
		if len(s.got) != 1 || strings.Contains(s.got[0], "toor") {
			e.Errorf("%q: the service got %q", lines, s.got)
		}
	}
}

// GW-04, GW-25: what a visitor names in Connection takes no header of the gateway away, or the request is refused.
func (e *edge) connections() {
	alice := "Authorization: Bearer " + e.issuer.Token("alice", "staff")
	for _, named := range []string{
		"close, Counterfoil-Subject", "counterfoil-subject,close", "close, COUNTERFOIL-ROLES", "close, x-forwarded-uri, x-forwarded-method, x-original-url, x-original-method", "close, Remote-User, Counterfoil-Session",
		"close, Host", "close, Content-Length", "close, Transfer-Encoding", "close\r\nConnection: Counterfoil-Subject", "close, X-Forwarded-For, X-Forwarded-Host, X-Forwarded-Proto", "close,,Counterfoil-Subject,", "close, Upgrade\r\nUpgrade: counterfoil-subject",
	} {
		request := strings.Replace(e.get("/x", alice, "Counterfoil-Roles: root"), "Connection: close", "Connection: "+named, 1)
		s := e.ask(request, nil)
		switch {
		case len(s.got) == 0 && s.status != http.StatusBadRequest:
			e.Errorf("Connection: %q = %d, want 200 or 400", named, s.status)
		case len(s.got) == 0:
		case !slices.Equal(values(s.got[0], "Counterfoil-Subject"), []string{"alice"}), !slices.Equal(values(s.got[0], "Counterfoil-Roles"), []string{"staff"}), !slices.Equal(e.decided(s, "/x"), []string{target(s.got[0])}):
			e.Errorf("Connection: %q: the service got %q", named, s.got)
		}
	}
	// Without a credential, what is named changes nothing.
	s := e.ask(strings.Replace(e.get("/x"), "Connection: close", "Connection: close, X-Forwarded-Uri, X-Original-Url, Authorization, Cookie", 1), nil)
	if len(s.got) > 0 {
		e.Errorf("Connection names what says what is asked for: the service got %q", s.got)
	}
}

// GW-13, GW-25: a visitor gets no connection on which requests come to the service that nobody decides about, even if
// the service would take it.
func (e *edge) upgrades() {
	alice := "Authorization: Bearer " + e.issuer.Token("alice")
	socket := []string{"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13"}
	for _, to := range []string{
		"h2c", "H2C", "h2c, websocket", "websocket, h2c", "websocket,", "h2c\r\nUpgrade: websocket", "websocket\r\nUpgrade: h2c", "TLS/1.0", "HTTP/2.0", "foo", "websocket/13",
	} {
		for _, lines := range [][]string{nil, socket} {
			for _, path := range []string{"/public", "/x"} {
				lines := append([]string{alice, "Upgrade: " + to, "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA"}, lines...)
				s := e.ask(strings.Replace(e.get(path, lines...), "Connection: close", "Connection: Upgrade, HTTP2-Settings", 1), nil)
				for _, got := range s.got {
					if all := values(got, "Upgrade"); len(all) > 1 || len(all) == 1 && all[0] != "websocket" {
						e.Errorf("%s: %q: the service got an upgrade to %q", path, to, all)
					}
				}
				if s.status == http.StatusSwitchingProtocols && s.header.Get("Upgrade") != "websocket" {
					e.Errorf("%s: %q: the proxy switches to %q", path, to, s.header["Upgrade"])
				}
			}
		}
	}
	if e.proxy == "nginx" { // its configuration passes no upgrade
		return
	}
	s := e.ask(strings.Replace(e.get("/x", append(socket, alice, "Upgrade: websocket")...), "Connection: close", "Connection: Upgrade", 1), nil)
	if s.status != http.StatusSwitchingProtocols {
		e.Errorf("a WebSocket = %d: the corpus proves nothing", s.status)
	}
}

// GW-19, GW-25: each spelling of a host is decided by the routes of that host, or refused.
func (e *edge) hosts() {
	if s := e.ask(e.get("/x", "Authorization: Bearer "+e.issuer.Token("alice")), nil); len(s.got) != 1 {
		e.Errorf("the host itself = %d: the corpus proves nothing", s.status)
	}
	name, port, _ := strings.Cut(e.address, ":")
	for _, host := range []string{
		strings.ToUpper(e.address), name + ".:" + port, e.address + ".", name, name + ":0" + port, name + ":", "[::ffff:" + name + "]:" + port, "127.1:" + port, "2130706433:" + port, "0x7f.1:" + port,
		"localhost@" + e.address, e.address + "#", e.address + "?", e.address + "/", e.address + `\`, e.address + "%00", e.address + " localhost", "localhost " + e.address, e.address + ",localhost", "\u24db\u24de\u24d2al", "xn--", "a_b", "",
	} {
		s := e.ask("GET /x HTTP/1.1\r\nHost: "+host+"\r\nConnection: close\r\n\r\n", nil)
		if len(s.got) > 0 {
			e.Errorf("Host: %s: the service got %q", host, s.got)
		}
	}
}
