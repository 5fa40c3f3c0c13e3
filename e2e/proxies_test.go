package e2e_test

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/counterfoil/counterfoil/internal/testsvc"
)

const proxiesPage = "../docs/proxies.md"

var (
	writeProxies = flag.Bool("proxies", false, "write what the proxies do into "+proxiesPage)
	onePage      sync.Mutex
)

// passing is an answer of a gateway that lets a request pass, with more headers.
func passing(headers ...string) http.HandlerFunc {
	return saying(200, append([]string{"Counterfoil-Subject", "alice"}, headers...)...)
}

// refusing is a refusal of a gateway.
func refusing(status int, headers ...string) http.HandlerFunc {
	return saying(status, append([]string{"Counterfoil-Refusal", "test"}, headers...)...)
}

func saying(status int, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for n := 0; n < len(headers); n += 2 {
			w.Header()[headers[n]] = append(w.Header()[headers[n]], headers[n+1])
		}
		w.WriteHeader(status)
	}
}

// told says what the visitor got: whether the request passed, or the status with the headers of these names.
func (s seen) told(names ...string) string {
	text := fmt.Sprint(s.status)
	if len(s.got) > 0 {
		text = "passes"
	}
	for _, name := range names {
		for _, value := range s.header[name] {
			text += ", `" + name + ": " + value + "`"
		}
	}
	return text
}

// hears says what the gateway got of a header.
func (s seen) hears(name string) string {
	if len(s.asked) == 0 {
		return fmt.Sprint(s.status)
	}
	return list(s.question().Header[name])
}

// reads says what the service got of a header.
func (s seen) reads(name string) string {
	if len(s.got) == 0 {
		return fmt.Sprint(s.status)
	}
	return list(values(s.got[0], name))
}

func list(values []string) string {
	if len(values) == 0 {
		return "nothing"
	}
	var quoted []string
	for _, value := range values {
		if value == "" {
			quoted = append(quoted, "empty")
			continue
		}
		quoted = append(quoted, "`"+value+"`")
	}
	return strings.Join(quoted, " and ")
}

// spelled says how a target reaches the gateway and the service.
func (e *edge) spelled(target string) string {
	s := e.ask(e.get(target), passing())
	switch {
	case len(s.got) == 0:
		return fmt.Sprint(s.status)
	case targetOf(s) != s.question().decided():
		return fmt.Sprintf("`%s` to the gateway, `%s` to the service", s.question().decided(), targetOf(s))
	case targetOf(s) == target:
		return "as it is"
	}
	return "`" + targetOf(s) + "`"
}

func targetOf(s seen) string { return target(s.got[0]) }

// most is the largest of some sizes that passes.
func (e *edge) most(sizes []int, ask func(size int) seen) string {
	for n, size := range sizes {
		if s := ask(size); len(s.got) == 0 {
			return fmt.Sprintf("%d, then %d", sizes[max(n-1, 0)], s.status)
		}
	}
	return fmt.Sprintf("%d, and more", sizes[len(sizes)-1])
}

func pad(size int) string { return strings.Repeat("x", size) }

// rows are those of docs/proxies.md by their first cell: each says what a proxy does.
var rows = map[string]func(e *edge) string{
	"200":                                 func(e *edge) string { return e.ask(e.get("/x"), passing()).told() },
	"204":                                 func(e *edge) string { return e.ask(e.get("/x"), saying(204)).told() },
	"200 of a program that is no gateway": func(e *edge) string { return e.ask(e.get("/x"), saying(200)).told() },
	"302": func(e *edge) string {
		return e.ask(e.get("/x"), refusing(302, "Location", "https://auth.example.com/")).told("Location")
	},
	"302 with a path as `Location`": func(e *edge) string {
		return strings.ReplaceAll(e.ask(e.get("/x"), refusing(302, "Location", "/in")).told("Location"), e.asks, "GATEWAY")
	},
	"401 with `Location`": func(e *edge) string {
		return e.ask(e.get("/x"), refusing(401, "Location", "https://auth.example.com/", "WWW-Authenticate", "Bearer")).told("Location", "Www-Authenticate")
	},
	"401 with two `WWW-Authenticate`": func(e *edge) string {
		return e.ask(e.get("/x"), refusing(401, "WWW-Authenticate", "Bearer", "WWW-Authenticate", "Basic")).told("Www-Authenticate")
	},
	"304": func(e *edge) string { return e.ask(e.get("/x"), refusing(304)).told() },
	"429 with `Retry-After: 7`": func(e *edge) string {
		return e.ask(e.get("/x"), refusing(429, "Retry-After", "7")).told("Retry-After")
	},
	"503 with `Retry-After: 7`": func(e *edge) string {
		return e.ask(e.get("/x"), refusing(503, "Retry-After", "7")).told("Retry-After")
	},
	"the body of a 403": func(e *edge) string {
		s := e.ask(e.get("/x"), func(w http.ResponseWriter, r *http.Request) {
			refusing(403)(w, r)
			fmt.Fprint(w, "why")
		})
		if s.body == "why" {
			return "as it is"
		}
		return "its own"
	},
	"two `Set-Cookie` of a 200": func(e *edge) string {
		return e.ask(e.get("/x"), passing("Set-Cookie", "a=1", "Set-Cookie", "b=2")).told("Set-Cookie")
	},
	"two `Set-Cookie` of a 401": func(e *edge) string {
		return e.ask(e.get("/x"), refusing(401, "Set-Cookie", "a=1", "Set-Cookie", "b=2")).told("Set-Cookie")
	},
	"a header that the answer does not have": func(e *edge) string {
		return e.ask(e.get("/x", "Remote-User: root"), passing()).reads("Remote-User")
	},
	"a header that is empty in the answer": func(e *edge) string {
		return e.ask(e.get("/x", "Remote-User: root"), passing("Remote-User", "")).reads("Remote-User")
	},
	"a header that is in the answer twice": func(e *edge) string {
		return e.ask(e.get("/x"), passing("Remote-User", "a", "Remote-User", "b")).reads("Remote-User")
	},
	"the visitor's `Counterfoil_Roles`": func(e *edge) string {
		return e.ask(e.get("/x", "Counterfoil_Roles: x"), passing()).hears("Counterfoil_roles")
	},
	"the visitor's `Counterfoil.Roles`": func(e *edge) string {
		return e.ask(e.get("/x", "Counterfoil.Roles: x"), passing()).hears("Counterfoil.roles")
	},
	"the visitor's `X-Forwarded-Uri: /v`": func(e *edge) string {
		return e.ask(e.get("/x", "X-Forwarded-Uri: /v"), passing()).hears("X-Forwarded-Uri")
	},
	"the visitor's `X-Original-URL: /v`": func(e *edge) string { return e.hearsURL("X-Original-URL") },
	"the visitor's `Forwarded: host=v`":  func(e *edge) string { return e.ask(e.get("/x", "Forwarded: host=v"), passing()).hears("Forwarded") },
	"the visitor's `X-Forwarded-For: 192.0.2.1`": func(e *edge) string {
		return e.ask(e.get("/x", "X-Forwarded-For: 192.0.2.1"), passing()).reads("X-Forwarded-For")
	},
	"a question with the visitor's `X-Forwarded-For: 192.0.2.1`": func(e *edge) string {
		return e.ask(e.get("/x", "X-Forwarded-For: 192.0.2.1"), passing()).hears("X-Forwarded-For")
	},
	"a sign-in with the visitor's `X-Forwarded-For: 192.0.2.1`": func(e *edge) string {
		return e.ask(e.get("/.counterfoil/begin", "X-Forwarded-For: 192.0.2.1"), passing()).hears("X-Forwarded-For")
	},
	"`Connection: close, Counterfoil-Subject`": func(e *edge) string {
		s := e.ask(strings.Replace(e.get("/x"), "close", "close, Counterfoil-Subject", 1), passing())
		return s.reads("Counterfoil-Subject")
	},
	"`Authorization` twice": func(e *edge) string {
		return e.ask(e.get("/x", "Authorization: Bearer a", "Authorization: Bearer b"), passing()).hears("Authorization")
	},
	"the question about `POST /x?a=b`": func(e *edge) string {
		q := e.ask(e.request("POST", "/x?a=b", "hello", "Content-Length: 5"), passing()).question()
		return fmt.Sprintf("`%s %s`, %d bytes", q.Method, q.RequestURI, max(q.ContentLength, 0))
	},
	"the path `/a%2Fb//c;d/%2e`":   func(e *edge) string { return e.spelled("/a%2Fb//c;d/%2e") },
	"the path `/a/../b/./c`":       func(e *edge) string { return e.spelled("/a/../b/./c") },
	"the path `/\"`":               func(e *edge) string { return e.spelled(`/"`) },
	"the path `/\\`":               func(e *edge) string { return e.spelled(`/\`) },
	"the path `/é`, not escaped":   func(e *edge) string { return e.spelled("/é") },
	"the path `/a#b`":              func(e *edge) string { return e.spelled("/a#b") },
	"the path `/%zz`":              func(e *edge) string { return e.spelled("/%zz") },
	"`GET http://HOST/x`":          func(e *edge) string { return e.spelled("http://" + e.address + "/x") },
	"`Host` in capitals":           func(e *edge) string { return e.host("APP.example.com") },
	"`Host` with the default port": func(e *edge) string { return e.host("app.example.com:80") },
	"`Host` with a dot at its end": func(e *edge) string { return e.host("app.example.com.") },
	"`Host` that no site has": func(e *edge) string {
		s := e.ask("GET /x HTTP/1.1\r\nHost: nobody.example.com\r\nConnection: close\r\n\r\n", passing())
		if s.status == 200 && len(s.asked) == 0 {
			return "200, empty"
		}
		return s.told()
	},
	"new connections of ten questions": func(e *edge) string {
		return e.connectionsOf(passing("Content-Length", "0"))
	},
	"new connections of ten, refused with a body": func(e *edge) string {
		return e.connectionsOf(func(w http.ResponseWriter, r *http.Request) { refusing(403)(w, r); fmt.Fprint(w, "why") })
	},
	"most bytes of an answer's head": func(e *edge) string {
		return e.most([]int{2000, 3700, 4200, 8000, 14000, 16000, 40000}, func(size int) seen {
			return e.ask(e.get("/x"), passing("X-Pad", pad(size)))
		})
	},
	"most bytes of a `Cookie`": func(e *edge) string {
		return e.most([]int{4000, 8000, 8500, 12000, 15000, 16000, 40000}, func(size int) seen {
			return e.ask(e.get("/x", "Cookie: a="+pad(size)), passing())
		})
	},
	"most lines of headers": func(e *edge) string {
		return e.most([]int{40, 70, 90}, func(size int) seen {
			return e.ask(e.get("/x", slices.Repeat([]string{"X-A: b"}, size)...), passing())
		})
	},
	"what a question about a WebSocket has": func(e *edge) string {
		request := strings.Replace(e.get("/x", "Upgrade: websocket", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13"), "close", "Upgrade", 1)
		s := e.ask(request, refusing(403))
		if len(s.asked) == 0 {
			return fmt.Sprint(s.status)
		}
		var all []string
		for _, name := range []string{"Upgrade", "Connection", "Sec-Websocket-Key"} {
			if s.question().Header[name] != nil {
				all = append(all, "`"+name+"`")
			}
		}
		return strings.Join(all, ", ")
	},
	"the visitor's `Expect: 100-continue`": func(e *edge) string {
		return e.ask(e.request("POST", "/x", "hello", "Content-Length: 5", "Expect: 100-continue"), refusing(403)).hears("Expect")
	},
	"the visitor's `If-None-Match: *`": func(e *edge) string { return e.ask(e.get("/x", "If-None-Match: *"), passing()).hears("If-None-Match") },
	"two lines `Cookie`": func(e *edge) string {
		return e.ask(e.get("/x", "Cookie: a=1", "Cookie: b=2"), passing()).hears("Cookie")
	},
	"two fields `cookie` of HTTP/2": func(e *edge) string {
		e.begin(passing())
		return e.end(e.send2("/x", "Cookie: a=1; b=2")).hears("Cookie") // the client of Go sends two fields
	},
	"gRPC, refused with 401": func(e *edge) string { return e.grpc(refusing(401)) },
	"gRPC, refused with 403": func(e *edge) string { return e.grpc(refusing(403)) },
	"gRPC, refused with 503": func(e *edge) string { return e.grpc(refusing(503)) },
	"the visitor's `Upgrade: h2c`": func(e *edge) string {
		return e.ask(strings.Replace(e.get("/x", "Upgrade: h2c"), "Connection: close", "Connection: Upgrade", 1), passing()).reads("Upgrade")
	},
	"the visitor's trailer": func(e *edge) string {
		s := e.ask(e.request("POST", "/x", "5\r\nhello\r\n0\r\nX-A: b\r\n\r\n", "Transfer-Encoding: chunked", "Trailer: X-A"), passing())
		if len(s.got) == 1 && strings.HasSuffix(strings.ToLower(s.got[0]), "\r\nx-a: b\r\n\r\n") {
			return "passed on"
		}
		return "taken away"
	},
	"a gateway that nobody has started": func(e *edge) string {
		nobody, service, was := testsvc.FreeAddress(e.T), e.service.Addr().String(), e.address
		e.address = testsvc.FreeAddress(e.T)
		defer func() { e.address = was }()
		startFront(e.T, e.proxy, snippet(e.T, e.proxy, nobody, service), nobody, service, e.address, "")
		return e.ask(e.get("/x"), nil).told("Retry-After")
	},
	"a gateway that does not answer": func(e *edge) string {
		done := make(chan struct{})
		defer close(done)
		return e.ask(e.get("/x"), func(http.ResponseWriter, *http.Request) { <-done }).told("Retry-After")
	},
}

// hearsURL says what the gateway got of a header that names a URL, with HOST for this host.
func (e *edge) hearsURL(name string) string {
	s := e.ask(e.get("/x", name+": /v"), passing())
	return strings.ReplaceAll(s.hears(http.CanonicalHeaderKey(name)), e.address, "HOST")
}

// host says what the gateway hears of a host.
func (e *edge) host(host string) string {
	s := e.ask("GET /x HTTP/1.1\r\nHost: "+host+"\r\nConnection: close\r\n\r\n", passing())
	if len(s.asked) == 0 {
		return fmt.Sprint(s.status)
	}
	q := s.question()
	heard := q.Header.Get("X-Forwarded-Host")
	if e.proxy == "nginx" {
		_, heard, _ = strings.Cut(strings.TrimSuffix(q.Header.Get("X-Original-Url"), "/x"), "://")
	}
	return "`" + heard + "`"
}

func (e *edge) connectionsOf(answer http.HandlerFunc) string {
	e.ask(e.get("/x"), answer)
	e.mu.Lock()
	before := e.opened
	e.mu.Unlock()
	for range 10 {
		e.ask(e.get("/x"), answer)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return fmt.Sprint(e.opened - before)
}

// grpc says what a client of gRPC makes of a refusal.
func (e *edge) grpc(answer http.HandlerFunc) string {
	e.begin(answer)
	conn, err := grpc.NewClient(e.h2c, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		e.Fatal(err)
	}
	defer conn.Close()
	return status.Code(conn.Invoke(context.Background(), "/a.B/C", &emptypb.Empty{}, &emptypb.Empty{})).String()
}

// behaves holds docs/proxies.md to what the proxy does. With -args -proxies it writes the column.
func (e *edge) behaves(column int) {
	did := map[string]string{}
	for name, row := range rows {
		did[name] = row(e)
	}
	onePage.Lock()
	defer onePage.Unlock()
	page, err := os.ReadFile(proxiesPage)
	if err != nil {
		e.Fatal(err)
	}
	lines := strings.Split(string(page), "\n")
	for n, l := range lines {
		cells := strings.Split(strings.Trim(l, "|"), " | ")
		if len(cells) != 6 || !strings.HasPrefix(l, "| ") {
			continue
		}
		for m := range cells {
			cells[m] = strings.TrimSpace(cells[m])
		}
		got, known := did[cells[0]]
		if !known {
			if !strings.HasPrefix(cells[1], "nginx") { // the head
				e.Errorf("%s has the row %q, which no test runs", proxiesPage, cells[0])
			}
			continue
		}
		delete(did, cells[0])
		if got != cells[column] && !*writeProxies {
			e.Errorf("%s: %q of %s is %s, want %s. With -args -proxies this test writes it", proxiesPage, cells[0], e.version(), got, cells[column])
		}
		cells[column] = got
		lines[n] = "| " + strings.Join(cells, " | ") + " |"
	}
	for name, got := range did {
		e.Errorf("%s lacks the row %q: %s", proxiesPage, name, got)
	}
	if *writeProxies {
		if err := os.WriteFile(proxiesPage, []byte(strings.Join(lines, "\n")), 0o644); err != nil {
			e.Fatal(err)
		}
	}
}

// version is what the proxy says of itself.
func (e *edge) version() string {
	flag := map[string]string{"nginx": "-v", "caddy": "version", "haproxy": "-v", "traefik": "version"}[e.proxy]
	out, err := exec.Command(testsvc.Program(e.T, e.proxy), flag).CombinedOutput()
	if err != nil {
		e.Fatal(err)
	}
	first, _, _ := strings.Cut(string(out), "\n")
	return e.proxy + " (" + first + ")"
}

// send2 asks over HTTP/2.
func (e *edge) send2(target string, lines ...string) (s seen) {
	r, err := http.NewRequest("GET", "http://"+e.h2c, nil)
	if err != nil {
		e.Fatal(err)
	}
	r.URL.Opaque = target
	if strings.HasPrefix(target, "//") { // another host for the client of Go
		r.URL.Opaque = "http://" + e.h2c + target
	}
	for _, l := range lines {
		name, value, _ := strings.Cut(l, ": ")
		r.Header[name] = append(r.Header[name], value)
	}
	if res, err := e.client2.Do(r); err == nil {
		body, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		s.status, s.header, s.body = res.StatusCode, res.Header, string(body)
	}
	return s
}
