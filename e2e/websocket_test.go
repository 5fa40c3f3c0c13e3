package e2e_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/coder/websocket"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/internal/testsvc"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/rights"
	"github.com/counterfoil/counterfoil/server"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store/memory"
)

// sockets is a gateway that is the proxy of a service with WebSockets.
type sockets struct {
	t       *testing.T
	auth    *server.Embedded
	away    atomic.Bool // the auth server answers nothing
	gateway *exec.Cmd
	url     string // of the service, as visitors see it
	metrics string
	closed  chan websocket.StatusCode // what the service learns of each end
}

// newSockets starts all of it; with nginx in front of the gateway, as docs/gateway.md shows. The service may be
// another one.
func newSockets(t *testing.T, behindNginx bool, another ...string) *sockets {
	s := &sockets{t: t, closed: make(chan websocket.StatusCode, 100)}
	var err error
	auth := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.away.Load() {
			panic(http.ErrAbortHandler)
		}
		s.auth.ServeHTTP(w, r)
	}))
	t.Cleanup(auth.Close)
	s.auth, err = server.Open(t.Context(), server.Config{Store: memory.New(), URL: auth.URL, NoVerifier: true, InsecureHashes: true, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.auth.Close() })
	_, key, err := s.auth.Users().NewKey(t.Context(), rights.Owner(), audit.Act{}, directory.APIKey{Client: "gateway", Scopes: []string{directory.ScopeFeed, directory.ScopeIntrospect}})
	if err != nil {
		t.Fatal(err)
	}
	service := httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(service.Close)
	upstream := service.URL
	if another != nil {
		upstream = another[0]
	}
	dir, at, ops := t.TempDir(), testsvc.FreeAddress(t), testsvc.FreeAddress(t)
	visitors := at
	if behindNginx {
		visitors = testsvc.FreeAddress(t)
	}
	s.url, s.metrics = "http://"+visitors, "http://"+ops+"/metrics"
	file := filepath.Join(dir, "routes.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, "routes: [{origin: %q, prefix: /, upstreams: [%q]}]", s.url, upstream), 0o600); err != nil {
		t.Fatal(err)
	}
	s.gateway = gatewayCommand(auth.URL, key.Reveal(), file, "--bound", "2s", "--proxy-listen", at,
		"--listen", testsvc.FreeAddress(t), "--trusted-proxies", "127.0.0.1/32", "--ops-listen", ops)
	listen(t, s.gateway, at)
	if behindNginx {
		shown := strings.ReplaceAll(documented(t, "gateway.md", "proxy_set_header Upgrade"), "http://127.0.0.1:8089", "http://"+at)
		listen(t, testsvc.Nginx(t, dir, "listen "+visitors+";\n"+shown), visitors)
	}
	return s
}

// serve is the service.
func (s *sockets) serve(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/socket/page" {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, `<!doctype html><title>page</title><script>
			const socket = new WebSocket(location.origin.replace("http", "ws") + "/socket/echo");
			socket.onopen = () => socket.send("hello");
			socket.onmessage = (event) => { document.title = "open"; };
			socket.onclose = (event) => { document.title = [event.code, event.reason, event.wasClean].join(" "); };
		</script>`)
		return
	}
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{OriginPatterns: []string{"*"}})
	if err != nil {
		return
	}
	defer conn.CloseNow()
	ctx := context.Background()
	switch r.URL.Path {
	case "/socket/flood": // one message, in fragments, without an end
		message, err := conn.Writer(ctx, websocket.MessageBinary)
		for fragment := make([]byte, 100<<10); err == nil; {
			_, err = message.Write(fragment)
		}
	default:
		for {
			kind, p, err := conn.Read(ctx)
			if err != nil {
				s.closed <- websocket.CloseStatus(err)
				return
			}
			if err := conn.Write(ctx, kind, p); err != nil {
				return
			}
		}
	}
}

func (s *sockets) login(subject string, carrier counterfoil.Carrier) *issuer.Issued {
	s.t.Helper()
	issued, err := s.auth.Issuer().Login(s.t.Context(), login.Proof{Subject: subject, Methods: []string{"pwd"}, At: time.Now()}, issuer.Request{Carrier: carrier})
	if err != nil {
		s.t.Fatal(err)
	}
	return issued
}

func (s *sockets) revoke(scope source.Scope, id string) {
	s.t.Helper()
	if _, err := s.auth.Issuer().Revoke(s.t.Context(), scope, id, audit.Act{}); err != nil {
		s.t.Fatal(err)
	}
}

// open opens a WebSocket.
func (s *sockets) open(path string, in *issuer.Issued) *websocket.Conn {
	s.t.Helper()
	h := http.Header{"Authorization": {"Bearer " + in.Access.Reveal()}}
	if in.Session.Carrier.Transport == counterfoil.Cookie {
		h = http.Header{"Cookie": {source.InsecureCookieName + "=" + in.Access.Reveal()}, "Origin": {s.url}}
	}
	conn, _, err := websocket.Dial(s.t.Context(), s.url+path, &websocket.DialOptions{HTTPHeader: h})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = conn.CloseNow() })
	conn.SetReadLimit(-1)
	return conn
}

func (s *sockets) echo(conn *websocket.Conn) {
	s.t.Helper()
	if err := conn.Write(s.t.Context(), websocket.MessageText, []byte("hello")); err != nil {
		s.t.Error(err)
	}
	if _, p, err := conn.Read(s.t.Context()); string(p) != "hello" || err != nil {
		s.t.Errorf("echo = %q, %v", p, err)
	}
}

// wantClose reads until conn is closed.
func (s *sockets) wantClose(conn *websocket.Conn, code websocket.StatusCode, reason string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), hung)
	defer cancel()
	_, message, err := conn.Reader(ctx)
	if err == nil {
		_, err = io.Copy(io.Discard, message)
	}
	want := fmt.Sprintf("status = %v and reason = %q", code, reason)
	if err == nil || !strings.Contains(err.Error(), want) {
		s.t.Errorf("closed with %v, want %s", err, want)
	}
}

// GW-13: through the real program, a WebSocket of a real client and a real service ends with its
// session, by code 1008, and no other does.
func TestWebSocketsEndWithTheirSession(t *testing.T) {
	t.Parallel()
	for name, behindNginx := range map[string]bool{"gateway": false, "nginx": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			newSockets(t, behindNginx).judge()
		})
	}
}

func (s *sockets) judge() {
	alice, bob, carol := s.login("alice", counterfoil.CarrierCookie), s.login("bob", counterfoil.CarrierBearer), s.login("carol", counterfoil.CarrierBearer)
	first, second, flood := s.open("/socket/a", alice), s.open("/socket/b", alice), s.open("/socket/flood", alice)
	other, stays := s.open("/socket/a", bob), s.open("/socket/a", carol)
	for _, conn := range []*websocket.Conn{first, second, other, stays} {
		s.echo(conn)
	}
	s.revoke(source.ScopeSession, alice.Session.ID)
	for _, conn := range []*websocket.Conn{first, second, flood} {
		s.wantClose(conn, websocket.StatusPolicyViolation, "invalid-token")
	}
	s.echo(other)
	s.revoke(source.ScopeSubject, "bob") // the user is disabled
	s.wantClose(other, websocket.StatusPolicyViolation, "invalid-token")
	for range 3 {
		<-s.closed
	}
	closes := s.open("/socket/a", carol)
	if err := closes.Close(websocket.StatusGoingAway, "bye"); err != nil {
		s.t.Errorf("the client's close: %v", err)
	}
	if code := <-s.closed; code != websocket.StatusGoingAway {
		s.t.Errorf("the service learns of the client's close as %v", code)
	}
	s.echo(stays)
	said := s.gateway.Stderr.(*output) // the log has an end when it is counted
	said.await(s.t, `"ended_by":"revoked"`, 4)
	said.await(s.t, `"ended_by":"client"`, 1)
	route := fmt.Sprintf("{route=%q}", s.url+"/*")
	shows(s.t, s.metrics, "counterfoil_gateway_websockets"+route+" 1\n",
		fmt.Sprintf("counterfoil_gateway_cut_total{reason=\"revoked\",route=%q} 4\n", s.url+"/*"))
	s.away.Store(true) // and what the gateway knows becomes too old
	s.wantClose(stays, websocket.StatusPolicyViolation, "verifier-stale")
	s.away.Store(false)
	said.await(s.t, `"ended_by":"stale"`, 1)
	shows(s.t, s.metrics, fmt.Sprintf("counterfoil_gateway_cut_total{reason=\"stale\",route=%q} 1\n", s.url+"/*"))
	log := said.String()
	for by, n := range map[string]int{"revoked": 4, "stale": 1, "client": 1} {
		if got := strings.Count(log, fmt.Sprintf(`"ended_by":%q`, by)); got != n {
			s.t.Errorf("the log has %d lines of WebSockets ended by %s, want %d:\n%s", got, by, n, log)
		}
	}
	for _, in := range []*issuer.Issued{alice, bob, carol} {
		if strings.Contains(log, in.Access.Reveal()) {
			s.t.Error("the log has a credential")
		}
	}
}

// shows looks for each of some texts in a page.
func shows(t *testing.T, url string, texts ...string) {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	page, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range texts {
		if !strings.Contains(string(page), text) {
			t.Errorf("%s lacks %q:\n%s", url, text, page)
		}
	}
}

// GW-13: a page of a real browser learns why its WebSocket was closed, and not why one was refused.
func TestBrowserLearnsWhyAWebSocketEnds(t *testing.T) {
	t.Parallel()
	s := newSockets(t, false)
	in := s.login("alice", counterfoil.CarrierCookie)
	b := newBrowser(t, looks[0])
	cookie := network.SetCookieParams{Name: source.InsecureCookieName, Value: in.Access.Reveal(), URL: s.url}
	if _, err := chromedp.Call(b.ctx, network.SetCookie, cookie); err != nil {
		t.Fatal(err)
	}
	b.do(chromedp.Navigate(s.url + "/socket/page"))
	b.until(`document.title === "open"`)
	s.revoke(source.ScopeSession, in.Session.ID)
	b.until(`document.title === "1008 invalid-token true"`)
	// One that is refused tells the page nothing, whatever the answer is.
	again := `document.title = "again"; new WebSocket(location.origin.replace("http", "ws") + "/socket/echo").onclose =
		(event) => { document.title = [event.code, event.reason, event.wasClean].join(" "); }; true`
	if _, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool](again)); err != nil {
		t.Fatal(err)
	}
	b.until(`document.title === "1006 false"`)
}
