package gateway_test

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/gateway"
	"github.com/counterfoil/counterfoil/source"
)

// echoes is a service that opens a WebSocket for each request, and sends back what it gets, without
// a look at its frames.
func echoes(w http.ResponseWriter, _ *http.Request) {
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSet-Cookie: cf=x\r\n\r\n")
	_, _ = io.Copy(conn, rw)
}

// socket is the client's end of a WebSocket.
type socket struct {
	t testing.TB
	net.Conn
	from *bufio.Reader
}

// upgrade asks for a WebSocket.
func (p *proxied) upgrade(path string, header ...string) (*socket, *http.Response) {
	p.Helper()
	conn, err := net.Dial("tcp", p.web.Listener.Addr().String())
	if err != nil {
		p.Fatal(err)
	}
	p.Cleanup(func() { _ = conn.Close() })
	text := "GET " + path + " HTTP/1.1\r\nHost: " + strings.TrimPrefix(p.origin, "http://") + "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	for n := 0; n < len(header); n += 2 {
		text += header[n] + ": " + header[n+1] + "\r\n"
	}
	if _, err := io.WriteString(conn, text+"\r\n"); err != nil {
		p.Fatal(err)
	}
	s := &socket{p.T, conn, bufio.NewReader(conn)}
	res, err := http.ReadResponse(s.from, &http.Request{Method: "GET"})
	if err != nil {
		p.Fatal(err)
	}
	return s, res
}

// open opens a WebSocket.
func (p *proxied) open(path string, header ...string) *socket {
	p.Helper()
	s, res := p.upgrade(path, header...)
	if res.StatusCode != http.StatusSwitchingProtocols {
		p.Fatalf("%s = %d", path, res.StatusCode)
	}
	return s
}

// echo sends a frame as it is, and wants it back.
func (s *socket) echo(text string) {
	s.t.Helper()
	frame := append([]byte{0x81, byte(len(text))}, text...)
	if _, err := s.Write(frame); err != nil {
		s.t.Fatal(err)
	}
	got := make([]byte, len(frame))
	if _, err := io.ReadFull(s.from, got); err != nil || string(got) != string(frame) {
		s.t.Errorf("echo = % x, %v", got, err)
	}
}

// closes waits for a close frame and the end, and returns code and reason.
func (s *socket) closes() (code uint16, reason string) {
	s.t.Helper()
	rest, err := io.ReadAll(s.from)
	if err != nil || len(rest) < 4 || rest[0] != 0x88 || int(rest[1]) != len(rest)-2 {
		s.t.Errorf("a WebSocket ends with % x, %v; want one close frame", rest, err)
		return 0, ""
	}
	return binary.BigEndian.Uint16(rest[2:]), string(rest[4:])
}

// GW-13: a WebSocket ends with its session, by a close frame, and no other does.
func TestWebSocketEndsWithItsSession(t *testing.T) {
	p := newProxied(t, echoes, gateway.Route{Prefix: "/"}, gateway.Route{Prefix: "/public", Anonymous: true})
	for name, c := range map[string]struct {
		end    func(session *counterfoil.Session)
		reason string
	}{
		"the session is revoked": {func(s *counterfoil.Session) { p.issuer.Revoke(source.ScopeSession, s.ID) }, "invalid-token"},
		"the user is disabled":   {func(s *counterfoil.Session) { p.issuer.Revoke(source.ScopeSubject, s.Subject) }, "invalid-token"},
		"the roles change":       {func(s *counterfoil.Session) { p.issuer.SetRoles(s.Subject, "other") }, "stale-claims"},
	} {
		t.Run(name, func(t *testing.T) {
			in, other := p.issuer.Login(strings.ReplaceAll(name, " ", "-"), counterfoil.CarrierBearer), p.issuer.Token("bob")
			first, second := p.open("/a", "Authorization", "Bearer "+in.Access.Reveal()), p.open("/b", "Authorization", "Bearer "+in.Access.Reveal())
			stays, public := p.open("/a", "Authorization", "Bearer "+other), p.open("/public")
			for _, s := range []*socket{first, second, stays, public} {
				s.echo("hello")
			}
			c.end(in.Session)
			for _, s := range []*socket{first, second} {
				if code, reason := s.closes(); code != 1008 || reason != c.reason {
					t.Errorf("closed with %d %q, want 1008 %q", code, reason, c.reason)
				}
			}
			stays.echo("hello again")
			public.echo("hello again")
		})
	}
}

// GW-13, CSRF-12: who asks is checked before the WebSocket is there. A cookie comes along from every page, so
// the page must be one of the service.
func TestWebSocketIsRefused(t *testing.T) {
	p := newProxied(t, echoes, gateway.Route{Prefix: "/"})
	in := p.issuer.Login("alice", counterfoil.CarrierCookie)
	revoked := p.issuer.Login("bob", counterfoil.CarrierBearer)
	p.issuer.Revoke(source.ScopeSession, revoked.Session.ID)
	cookie := source.InsecureCookieName + "=" + in.Access.Reveal()
	for _, c := range []struct {
		header []string
		want   int
	}{
		{nil, 401},
		{[]string{"Authorization", "Bearer junk"}, 401},
		{[]string{"Authorization", "Bearer " + revoked.Access.Reveal()}, 401},
		{[]string{"Cookie", cookie}, 403},
		{[]string{"Cookie", cookie, "Origin", "https://evil.example"}, 403},
		{[]string{"Cookie", cookie, "Origin", "null"}, 403},
		{[]string{"Cookie", cookie, "Origin", p.origin + "0"}, 403},
		{[]string{"Cookie", cookie, "Origin", p.origin, "Origin", "https://evil.example"}, 403},
		{[]string{"Cookie", cookie, "Origin", p.origin}, 101},
	} {
		_, res := p.upgrade("/", c.header...)
		if reached := len(p.reached()); res.StatusCode != c.want || reached != 0 && c.want != 101 {
			t.Errorf("%q = %d, and the service is reached %d times; want %d", c.header, res.StatusCode, reached, c.want)
		}
		if c.want == 101 && (res.Header.Get("Sec-Websocket-Accept") == "" || res.Header["Set-Cookie"] != nil) {
			t.Errorf("the answer has %v", res.Header)
		}
	}
}

// A client that sends before the handshake is over gets no WebSocket, and the end is told: the log does not have it
// as an answer that went well.
func TestWebSocketOfAClientThatDoesNotWait(t *testing.T) {
	p := newProxied(t, echoes, gateway.Route{Prefix: "/"})
	conn, err := net.Dial("tcp", p.web.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, err = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: "+strings.TrimPrefix(p.origin, "http://")+"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"+
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nAuthorization: Bearer "+p.issuer.Token("alice")+"\r\n\r\n\x81\x80\x00\x00\x00\x00")
	if err != nil {
		t.Fatal(err)
	}
	if answer, _ := io.ReadAll(conn); len(answer) > 0 {
		t.Errorf("it got %q", answer)
	}
	p.wantTold("+", "client")
}

// A client that does not read keeps no other from its end.
func TestWebSocketOfAClientThatDoesNotRead(t *testing.T) {
	p := newProxied(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" {
			echoes(w, r)
			return
		}
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		flood := append([]byte{0x82, 126, 0xff, 0xff}, make([]byte, 0xffff)...)
		for err == nil {
			_, err = conn.Write(flood)
		}
	}, gateway.Route{Prefix: "/"})
	in := p.issuer.Login("alice", counterfoil.CarrierBearer)
	header := []string{"Authorization", "Bearer " + in.Access.Reveal()}
	for range 10 {
		p.open("/flood", header...)
	}
	s := p.open("/", header...)
	s.echo("hello")
	p.issuer.Revoke(source.ScopeSession, in.Session.ID)
	if code, _ := s.closes(); code != 1008 {
		t.Errorf("closed with %d", code)
	}
	p.gateway.Close() // waits for the others
}

// A gateway that stops says so. Who and what ended a WebSocket is told once it has ended.
func TestWebSocketEndIsTold(t *testing.T) {
	p := newProxied(t, echoes, gateway.Route{Prefix: "/"})
	in := p.issuer.Login("alice", counterfoil.CarrierBearer)
	header := []string{"Authorization", "Bearer " + p.issuer.Token("bob")}
	left := p.open("/", header...)
	_ = left.Close()
	p.wantTold("+", "client")
	closed := p.open("/", header...)
	bye := []byte{0x88, 2, 0x03, 0xe8} // code 1000; it comes back
	if _, err := closed.Write(bye); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(closed.from, bye); err != nil || bye[0] != 0x88 {
		t.Errorf("the client's close comes back as % x, %v", bye, err)
	}
	_ = closed.Close()
	p.wantTold("+", "client")
	p.open("/", "Authorization", "Bearer "+in.Access.Reveal())
	p.issuer.Revoke(source.ScopeSession, in.Session.ID)
	p.wantTold("+", "revoked")
	stays := p.open("/", header...)
	go p.gateway.Close()
	if code, reason := stays.closes(); code != 1001 || reason != "stopping" {
		t.Errorf("closed with %d %q", code, reason)
	}
	_ = stays.Close()
	p.wantTold("+", "stopping")
}

// wantTold wants the gateway to have told about connections, in this order.
func (p *proxied) wantTold(want ...string) {
	p.Helper()
	for _, w := range want {
		if got := <-p.told; got != w {
			p.Errorf("told %q, want %q", got, w)
		}
	}
}
