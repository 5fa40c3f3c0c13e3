package gateway_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil"
)

// recorded are questions byte for byte. Those of Caddy about an upgrade show that a question is none: it is answered,
// and the next comes on the same connection. The others are of proxies that the tests cannot run: Traefik by its source
// (pkg/middlewares/auth/forward.go), Envoy by its documentation (ext_authz over HTTP, with path_prefix and the
// allowed_headers of the configuration), and the Gateway API by its definition (ExternalAuth over HTTP always sends Host,
// Authorization and a Content-Length). TOKEN is a credential of alice, and COOKIE another.
var recorded = []struct {
	name, question string
	want           string // status, and the subject or Location
}{
	{"Traefik", "GET /forward-auth HTTP/1.1\nHost: 127.0.0.1:8085\nUser-Agent: curl/7.88.1\nAccept: */*\nAccept-Encoding: gzip\nAuthorization: Bearer TOKEN\nX-Forwarded-For: 192.0.2.7\nX-Forwarded-Host: app.example.com\nX-Forwarded-Method: GET\nX-Forwarded-Port: 443\nX-Forwarded-Proto: https\nX-Forwarded-Server: traefik-0\nX-Forwarded-Uri: /x?a=%2F&b\nX-Real-Ip: 192.0.2.7\n", "200 alice"},
	{"Traefik, a form of another site", "GET /forward-auth HTTP/1.1\nHost: 127.0.0.1:8085\nUser-Agent: Mozilla/5.0\nContent-Type: application/x-www-form-urlencoded\nCookie: cf=COOKIE\nOrigin: https://other.example.com\nX-Forwarded-For: 192.0.2.7\nX-Forwarded-Host: app.example.com\nX-Forwarded-Method: POST\nX-Forwarded-Port: 443\nX-Forwarded-Proto: https\nX-Forwarded-Server: traefik-0\nX-Forwarded-Uri: /x\nX-Real-Ip: 192.0.2.7\nAccept-Encoding: gzip\n", "403 "},
	{"Traefik, a person", "GET /forward-auth HTTP/1.1\nHost: 127.0.0.1:8085\nUser-Agent: Mozilla/5.0\nAccept: text/html,application/xhtml+xml\nSec-Fetch-Dest: document\nSec-Fetch-Mode: navigate\nSec-Fetch-Site: none\nX-Forwarded-For: 192.0.2.7\nX-Forwarded-Host: app.example.com\nX-Forwarded-Method: GET\nX-Forwarded-Port: 443\nX-Forwarded-Proto: https\nX-Forwarded-Server: traefik-0\nX-Forwarded-Uri: /x\nX-Real-Ip: 192.0.2.7\nAccept-Encoding: gzip\n", "302 https://app.example.com/auth/login?client=web&return_to=https%3A%2F%2Fapp.example.com%2Fx"},
	{"Traefik, a path with dots", "GET /forward-auth HTTP/1.1\nHost: 127.0.0.1:8085\nAuthorization: Bearer TOKEN\nX-Forwarded-For: 192.0.2.7\nX-Forwarded-Host: app.example.com\nX-Forwarded-Method: GET\nX-Forwarded-Proto: https\nX-Forwarded-Uri: /public/..%2fadmin\n", "400 "},
	{"Caddy, a WebSocket", "GET /forward-auth HTTP/1.1\nHost: app.example.com\nUser-Agent: Mozilla/5.0\nConnection: Upgrade\nCookie: cf=COOKIE\nOrigin: https://app.example.com\nSec-Websocket-Key: dGhlIHNhbXBsZSBub25jZQ==\nSec-Websocket-Version: 13\nUpgrade: websocket\nX-Forwarded-For: 192.0.2.7\nX-Forwarded-Host: app.example.com\nX-Forwarded-Method: GET\nX-Forwarded-Proto: https\nX-Forwarded-Uri: /x\n", "200 alice"},
	{"Caddy, a WebSocket of another site", "GET /forward-auth HTTP/1.1\nHost: app.example.com\nUser-Agent: Mozilla/5.0\nConnection: Upgrade\nCookie: cf=COOKIE\nOrigin: https://other.example.com\nSec-Websocket-Key: dGhlIHNhbXBsZSBub25jZQ==\nSec-Websocket-Version: 13\nUpgrade: websocket\nX-Forwarded-For: 192.0.2.7\nX-Forwarded-Host: app.example.com\nX-Forwarded-Method: GET\nX-Forwarded-Proto: https\nX-Forwarded-Uri: /x\n", "403 "},
	{"Caddy, a body that waits", "GET /forward-auth HTTP/1.1\nHost: app.example.com\nExpect: 100-continue\nAuthorization: Bearer TOKEN\nX-Forwarded-Host: app.example.com\nX-Forwarded-Method: POST\nX-Forwarded-Proto: https\nX-Forwarded-Uri: /x\n", "200 alice"},
	{"Envoy", "GET /ext-authz/x?a=%2F&b HTTP/1.1\nhost: app.example.com\nauthorization: Bearer TOKEN\naccept: */*\ncontent-length: 0\nx-forwarded-proto: https\nx-envoy-internal: true\nx-forwarded-for: 10.0.0.4\nx-envoy-expected-rq-timeout-ms: 2000\n", "200 alice"},
	{"Envoy, a POST", "POST /ext-authz/x HTTP/1.1\nhost: app.example.com\nauthorization: Bearer TOKEN\ncontent-length: 0\nx-forwarded-proto: https\nx-envoy-internal: true\nx-forwarded-for: 10.0.0.4\nx-envoy-expected-rq-timeout-ms: 2000\n", "200 alice"},
	{"Envoy, a person", "GET /ext-authz/x HTTP/1.1\nhost: app.example.com\naccept: text/html,application/xhtml+xml\nsec-fetch-dest: document\nsec-fetch-mode: navigate\nsec-fetch-site: none\ncontent-length: 0\nx-forwarded-proto: https\nx-envoy-internal: true\nx-forwarded-for: 10.0.0.4\nx-envoy-expected-rq-timeout-ms: 2000\n", "302 https://app.example.com/auth/login?client=web&return_to=https%3A%2F%2Fapp.example.com%2Fx"},
	{"Envoy, a path with dots", "GET /ext-authz/public/..%2fadmin HTTP/1.1\nhost: app.example.com\nauthorization: Bearer TOKEN\ncontent-length: 0\nx-forwarded-proto: https\nx-forwarded-for: 10.0.0.4\n", "400 "},
	{"Envoy, two slashes", "GET /ext-authz//admin HTTP/1.1\nhost: app.example.com\nauthorization: Bearer TOKEN\ncontent-length: 0\nx-forwarded-proto: https\nx-forwarded-for: 10.0.0.4\n", "400 "},
	{"Envoy, out of the prefix", "GET /ext-authz/../forward-auth HTTP/1.1\nhost: app.example.com\nauthorization: Bearer TOKEN\ncontent-length: 0\nx-forwarded-proto: https\nx-forwarded-for: 10.0.0.4\n", "400 "},
	{"Gateway API", "GET /ext-authz/x HTTP/1.1\nHost: app.example.com\nAuthorization: Bearer TOKEN\nContent-Length: 0\nX-Forwarded-Proto: https\n", "200 alice"},
	{"Gateway API, no scheme", "GET /ext-authz/x HTTP/1.1\nHost: app.example.com\nAuthorization: Bearer TOKEN\nContent-Length: 0\n", "400 "},
	{"Gateway API, another host", "GET /ext-authz/public HTTP/1.1\nHost: other.example.com\nContent-Length: 0\nX-Forwarded-Proto: https\n", "403 "},
	{"Gateway API, an administrator's page", "DELETE /ext-authz/admin/x HTTP/1.1\nHost: app.example.com\nAuthorization: Bearer TOKEN\nContent-Length: 0\nX-Forwarded-Proto: https\n", "403 "},
}

// GW-05, GW-06, GW-07, GW-22, GW-25: questions of proxies that no test runs are answered as those of the others.
func TestRecordedQuestions(t *testing.T) {
	b := newBench(t)
	web := httptest.NewServer(b.gateway.Handler())
	defer web.Close()
	token := b.issuer.Token("alice")
	cookie := b.issuer.Login("alice", counterfoil.CarrierCookie).Access.Reveal()
	for _, c := range recorded {
		conn, err := net.Dial("tcp", web.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		in := bufio.NewReader(conn)
		for range 2 { // on one connection, as proxies ask
			question := strings.NewReplacer("\n", "\r\n", "TOKEN", token, "COOKIE", cookie).Replace(c.question + "\n")
			if _, err := io.WriteString(conn, question); err != nil {
				t.Fatal(err)
			}
			res, err := http.ReadResponse(in, nil)
			if err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			if _, err := io.Copy(io.Discard, res.Body); err != nil {
				t.Fatal(err)
			}
			status, rest, _ := strings.Cut(c.want, " ")
			if got := res.Header.Get("Counterfoil-Subject") + res.Header.Get("Location"); res.Status[:3] != status || got != rest || res.Close {
				t.Errorf("%s = %s %q, closed: %v, want %s", c.name, res.Status, got, res.Close, c.want)
			}
		}
		_ = conn.Close()
	}
}
