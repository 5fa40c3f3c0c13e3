package e2e_test

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/counterfoiltest"
	"github.com/counterfoil/counterfoil/gateway"
	"github.com/counterfoil/counterfoil/internal/testsvc"
)

var moreProxies = flag.String("proxy", "", "another proxy that is run: traefik, which must be in PATH")

// edgeProxies are the proxies that the tests run with the configurations that the program prints.
func edgeProxies() []string {
	all := []string{"nginx", "caddy", "haproxy"}
	if *moreProxies != "" {
		all = append(all, *moreProxies)
	}
	return all
}

// startFront starts a proxy with the configuration that the program prints, and returns when it has read it.
func startFront(t *testing.T, proxy, snippet, gateway, service, address, h2c string, more ...string) {
	t.Helper()
	listen(t, testsvc.Front(t, proxy, snippet, gateway, service, address, h2c, more...), address)
	for begun := time.Now(); proxy == "traefik"; pause(5 * time.Millisecond) { // it listens before it has read it
		res, err := direct.Get("http://" + address)
		if err == nil {
			_ = res.Body.Close()
			if res.StatusCode != http.StatusNotFound {
				return
			}
		}
		if time.Since(begun) > hung {
			t.Fatalf("%s has no routes: %v", proxy, err)
		}
	}
}

// own is the program as a proxy.
const own = "counterfoil"

// snippet is the configuration that the program prints.
func snippet(t *testing.T, proxy, gateway, service string) string {
	t.Helper()
	text, err := exec.Command(binary, "gateway", "snippet", proxy, "--gateway", gateway, "--upstream", service).Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// edge is a real proxy between visitors who write any bytes, and a service that keeps what it gets. Its
// gateway is in this process: a test sees what the proxy asks, and may answer in the gateway's place.
type edge struct {
	*testing.T
	proxy        string
	issuer       *counterfoiltest.Issuer
	address, h2c string       // of the proxy
	asks         string       // the address of the gateway
	client2      *http.Client // of HTTP/2
	service      *recorder

	mu     sync.Mutex
	asked  []question       // since the last call of ask
	answer http.HandlerFunc // instead of the gateway's; nil: the gateway answers
	opened int              // connections to the gateway
}

// newOwnEdge is the program itself as the proxy. Nobody asks it anything.
func newOwnEdge(t *testing.T) *edge {
	e := &edge{T: t, proxy: own, issuer: counterfoiltest.New(t), address: testsvc.FreeAddress(t), service: newRecorder(t)}
	e.h2c, e.client2 = e.address, http2Client(t)
	file := filepath.Join(t.TempDir(), "routes.yaml")
	routes := fmt.Sprintf(`routes:
  - {origin: "http://%[1]s", prefix: /, upstreams: ["http://%[2]s"]}
  - {origin: "http://%[1]s", prefix: /public, anonymous: true, upstreams: ["http://%[2]s"]}
  - {origin: "http://%[1]s", prefix: /admin, require: {roles: [admin]}, upstreams: ["http://%[2]s"]}
  - {origin: "http://localhost", prefix: /, anonymous: true, upstreams: ["http://%[3]s"]}
`, e.address, e.service.Addr(), newRecorder(t).Addr())
	if err := os.WriteFile(file, []byte(routes), 0o600); err != nil {
		t.Fatal(err)
	}
	listen(t, gatewayCommand(e.issuer.URL, e.issuer.APIKey, file, "--proxy-listen", e.address, "--ops-listen", "off"), e.address)
	return e
}

func http2Client(t *testing.T) *http.Client {
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, CheckRedirect: direct.CheckRedirect, Timeout: hung}
}

// question is what a proxy asked, and the status that it was given.
type question struct {
	*http.Request
	status int
}

func newEdge(t *testing.T, proxy string) *edge {
	return newChangedEdge(t, proxy, func(snippet string) string { return snippet })
}

// newChangedEdge is newEdge with another configuration than the program prints.
func newChangedEdge(t *testing.T, proxy string, change func(snippet string) string) *edge {
	e := &edge{T: t, proxy: proxy, issuer: counterfoiltest.New(t), address: testsvc.FreeAddress(t), h2c: testsvc.FreeAddress(t), service: newRecorder(t)}
	var routes []gateway.Route
	for _, at := range []string{e.address, e.h2c} {
		routes = append(routes,
			gateway.Route{Origin: "http://" + at, Prefix: "/"},
			gateway.Route{Origin: "http://" + at, Prefix: "/public", Anonymous: true},
			gateway.Route{Origin: "http://" + at, Prefix: "/admin", Rules: []counterfoil.Rule{counterfoil.Role("admin")}},
		)
	}
	routes = append(routes, gateway.Route{Origin: "http://localhost", Prefix: "/", Anonymous: true}) // of another service
	g, err := gateway.New(gateway.Options{Verifier: e.issuer.Verifier(), Routes: routes, TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}})
	if err != nil {
		t.Fatal(err)
	}
	real := g.Handler()
	web := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e.mu.Lock()
		answer, n := e.answer, len(e.asked)
		e.asked = append(e.asked, question{Request: r.Clone(t.Context())})
		e.mu.Unlock()
		if answer != nil {
			answer(w, r)
			return
		}
		status := &statusWriter{ResponseWriter: w, status: http.StatusOK}
		real.ServeHTTP(status, r)
		e.mu.Lock()
		defer e.mu.Unlock()
		if n < len(e.asked) {
			e.asked[n].status = status.status
		}
	}))
	web.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			e.mu.Lock()
			e.opened++
			e.mu.Unlock()
		}
	}
	web.Config.MaxHeaderBytes = 64 << 10
	web.Start()
	t.Cleanup(web.Close)
	e.asks = web.Listener.Addr().String()
	service := e.service.Addr().String()
	startFront(t, proxy, change(snippet(t, proxy, e.asks, service)), e.asks, service, e.address, e.h2c)
	e.client2 = http2Client(t)
	return e
}

type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// seen is what came of a request: the answer, what the gateway was asked, and what the service got.
type seen struct {
	status int // 0: the proxy closed the connection
	header http.Header
	body   string
	asked  []question
	got    []string // requests as they were written
}

// question is the first that the gateway was asked, and an empty one if it was asked nothing.
func (s seen) question() question {
	if len(s.asked) == 0 {
		return question{Request: &http.Request{URL: new(url.URL), Header: http.Header{}}}
	}
	return s.asked[0]
}

// ask writes request as it is, and reads one answer. answer answers instead of the gateway; nil: it
// answers itself.
func (e *edge) ask(request string, answer http.HandlerFunc) seen {
	e.Helper()
	e.begin(answer)
	conn, err := net.Dial("tcp", e.address)
	if err != nil {
		e.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(hung))
	if _, err := io.WriteString(conn, request); err != nil {
		e.Fatalf("%s: %v", e.proxy, err)
	}
	var s seen
	method, _, _ := strings.Cut(request, " ")
	res, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if errors.Is(err, os.ErrDeadlineExceeded) {
		e.Errorf("%s does not answer %q", e.proxy, request)
	}
	if err == nil {
		body, _ := io.ReadAll(res.Body)
		s.status, s.header, s.body = res.StatusCode, res.Header, string(body)
	}
	return e.end(s)
}

func (e *edge) begin(answer http.HandlerFunc) {
	e.service.take()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.asked, e.answer = nil, answer
}

func (e *edge) end(s seen) seen {
	s.got = e.service.take()
	e.mu.Lock()
	defer e.mu.Unlock()
	s.asked = e.asked
	return s
}

// get is a request of the visitor with these lines of headers.
func (e *edge) get(path string, lines ...string) string { return e.request("GET", path, "", lines...) }

func (e *edge) request(method, path, body string, lines ...string) string {
	head := method + " " + path + " HTTP/1.1\r\nHost: " + e.address + "\r\nConnection: close\r\n"
	for _, line := range lines {
		head += line + "\r\n"
	}
	return head + "\r\n" + body
}

// recorder is a service that answers 200 to everything, or 101 to what asks for an upgrade, and keeps each request as it was written.
type recorder struct {
	net.Listener
	mu  sync.Mutex
	got []string
}

func newRecorder(t *testing.T) *recorder {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &recorder{Listener: l}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go s.serve(conn)
		}
	}()
	t.Cleanup(func() { _ = l.Close() })
	return s
}

// take returns the requests since the last call.
func (s *recorder) take() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	got := s.got
	s.got = nil
	return got
}

func (s *recorder) serve(conn net.Conn) {
	defer conn.Close()
	in := bufio.NewReader(conn)
	for {
		request, err := readRequest(in)
		if err != nil { // a proxy gives up in the middle of a body that it cannot read
			return
		}
		s.mu.Lock()
		s.got = append(s.got, request)
		s.mu.Unlock()
		if to := values(request, "Upgrade"); to != nil { // it takes any: then nobody asks about what comes
			_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: "+to[0]+"\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")
			_, _ = io.Copy(io.Discard, in)
			return
		}
		if _, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"); err != nil {
			return
		}
	}
}

// readRequest reads one request as simply as a service may, and returns its bytes. A body that both
// headers announce ends where the chunks do.
func readRequest(in *bufio.Reader) (string, error) {
	var all strings.Builder
	length, chunked := 0, false
	for {
		line, err := in.ReadString('\n')
		all.WriteString(line)
		if err != nil {
			return all.String(), err
		}
		text := strings.ToLower(strings.TrimSpace(line))
		if text == "" {
			break
		}
		if value, ok := strings.CutPrefix(text, "content-length:"); ok {
			length, _ = strconv.Atoi(strings.TrimSpace(value))
		}
		chunked = chunked || strings.HasPrefix(text, "transfer-encoding:") && strings.HasSuffix(text, "chunked")
	}
	if !chunked {
		_, err := io.CopyN(&all, in, int64(length))
		return all.String(), err
	}
	for {
		line, err := in.ReadString('\n')
		all.WriteString(line)
		if err != nil {
			return all.String(), err
		}
		size, err := strconv.ParseInt(strings.TrimSpace(line), 16, 32)
		if err != nil {
			return all.String(), err
		}
		if size > 0 {
			if _, err := io.CopyN(&all, in, size+2); err != nil {
				return all.String(), err
			}
			continue
		}
		for line != "\r\n" { // the trailers
			if line, err = in.ReadString('\n'); err != nil {
				return all.String(), err
			}
			all.WriteString(line)
		}
		return all.String(), nil
	}
}

// line is the request line that a service got, and values are the values of a header, by exactly this
// name in any capitals.
func line(request string) string {
	first, _, _ := strings.Cut(request, "\r\n")
	return first
}

func values(request, name string) (all []string) {
	head, _, _ := strings.Cut(request, "\r\n\r\n")
	for _, l := range strings.Split(head, "\r\n")[1:] {
		if n, value, ok := strings.Cut(l, ":"); ok && strings.EqualFold(n, name) {
			all = append(all, strings.TrimSpace(value))
		}
	}
	return all
}
