package ops

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/internal/framing"
	"github.com/counterfoil/counterfoil/internal/framing/framingtest"
)

// strictServer serves h as each listener does, and returns its address.
func strictServer(t *testing.T, l net.Listener, h http.HandlerFunc) string {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- Serve(ctx, l, h) }()
	t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

func listenTCP(t *testing.T) net.Listener {
	t.Helper()
	return deadlineListener{must(net.Listen("tcp", "127.0.0.1:0"))}
}

// answers are those that come on a connection until its end.
func answers(t *testing.T, conn net.Conn) (all []*http.Response) {
	t.Helper()
	_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second)) // a test that waits so long has failed
	in := bufio.NewReader(conn)
	for {
		if _, err := in.Peek(1); err == io.EOF || errors.Is(err, syscall.ECONNRESET) {
			return all // net/http does not wait for the rest of a body that is wrong
		}
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Errorf("answer %d: %v", len(all), err)
			return all
		}
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Error(err)
		}
		res.Body = io.NopCloser(bytes.NewReader(body))
		all = append(all, res)
	}
}

// echo answers with the target and the body. To a body that it cannot read it answers 422.
func echo(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		w.WriteHeader(http.StatusUnprocessableEntity)
		return
	}
	_, _ = io.WriteString(w, r.Method+" "+r.RequestURI+" "+string(body))
}

// isProblem reports what is wrong with the answer to a request that is refused.
func isProblem(t *testing.T, name string, res *http.Response, fault framing.Fault) {
	t.Helper()
	var p struct{ Type, Detail string }
	err := json.NewDecoder(res.Body).Decode(&p)
	if res.StatusCode != http.StatusBadRequest || err != nil || p.Type != "urn:counterfoil:problem:malformed-request" || !strings.HasSuffix(p.Detail, ": "+string(fault)) || !res.Close || res.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%s: %s, %v, %+v, close = %v, %v", name, res.Status, res.Header, p, res.Close, err)
	}
}

// GW-18: requests before a bad one are answered, the bad one gets 400, nothing after it is read, and the
// connection is closed. How the bytes are cut changes nothing.
func TestMalformedRequests(t *testing.T) {
	const before, after = "GET /before HTTP/1.1\r\nHost: a\r\n\r\n", "GET /after HTTP/1.1\r\nHost: a\r\n\r\n"
	at := strictServer(t, listenTCP(t), func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/after" {
			t.Error("a request after a bad one is served")
		}
		echo(w, r)
	})
	for name, c := range framingtest.Bad {
		for _, size := range []int{1 << 20, 1, 2, 5} {
			conn := must(net.Dial("tcp", at))
			for p := []byte(before + before + c.Request + after); len(p) > 0; p = p[min(size, len(p)):] {
				if _, err := conn.Write(p[:min(size, len(p))]); err != nil {
					break // it was refused before its end
				}
			}
			got := answers(t, conn)
			_ = conn.Close()
			if len(got) != 3 || got[0].StatusCode != http.StatusOK || got[1].StatusCode != http.StatusOK {
				t.Errorf("%s, in pieces of %d: %d answers, want 3", name, size, len(got))
				continue
			}
			if !c.InBody() {
				isProblem(t, name, got[2], c.Fault)
			} else if got[2].StatusCode != http.StatusUnprocessableEntity || !got[2].Close {
				t.Errorf("%s, in pieces of %d: %s, close = %v", name, size, got[2].Status, got[2].Close)
			}
		}
	}
}

// GW-18: a connection is kept after each kind of request.
func TestRequestsOnOneConnection(t *testing.T) {
	at := strictServer(t, listenTCP(t), echo)
	for _, size := range []int{1 << 20, 1, 3} {
		conn := must(net.Dial("tcp", at))
		var all strings.Builder
		var want int
		for _, request := range framingtest.Good {
			if !strings.Contains(request, "HTTP/1.0") { // its connection is closed
				all.WriteString(request)
				want++
			}
		}
		all.WriteString("GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
		go func() {
			for p := []byte(all.String()); len(p) > 0; p = p[min(size, len(p)):] {
				_, _ = conn.Write(p[:min(size, len(p))])
			}
		}()
		got := answers(t, conn)
		for n, res := range got {
			if res.StatusCode != http.StatusOK {
				t.Errorf("answer %d of %d: %s", n, len(got), res.Status)
			}
		}
		if len(got) != want+1 {
			t.Errorf("%d answers, want %d", len(got), want+1)
		}
		_ = conn.Close()
	}
}

// GW-18: a bad request that comes while a handler works does not end the work for the good one before it.
func TestMalformedWhileAnswering(t *testing.T) {
	begun, sent := make(chan struct{}), make(chan struct{})
	at := strictServer(t, listenTCP(t), func(w http.ResponseWriter, r *http.Request) {
		begun <- struct{}{}
		<-sent
		if r.Context().Err() != nil {
			t.Error("the request has ended")
		}
		echo(w, r)
	})
	for name, c := range framingtest.Bad {
		if c.InBody() {
			continue
		}
		for cut := range min(6, len(c.Request)) { // bytes of it that come with the good one
			conn := must(net.Dial("tcp", at))
			_, _ = io.WriteString(conn, framingtest.Good["chunks"]+c.Request[:cut])
			<-begun
			_, _ = io.WriteString(conn, c.Request[cut:])
			sent <- struct{}{}
			got := answers(t, conn)
			_ = conn.Close()
			if len(got) != 2 || got[0].StatusCode != http.StatusOK {
				t.Errorf("%s, cut at %d: %d answers, want 2", name, cut, len(got))
				continue
			}
			isProblem(t, name, got[1], c.Fault)
		}
	}
}

// GW-18: through TLS as well, where HTTP/2 is still found and requests still say that they came through TLS.
func TestMalformedThroughTLS(t *testing.T) {
	cert, key, pool := writePair(t, t.TempDir(), 1)
	l, err := (&Settings{TLSCert: cert, TLSKey: key}).withTLS(listenTCP(t), slog.New(slog.DiscardHandler), nil)
	if err != nil {
		t.Fatal(err)
	}
	at := strictServer(t, l, func(w http.ResponseWriter, r *http.Request) {
		if r.TLS == nil || !r.TLS.HandshakeComplete {
			t.Errorf("%s: TLS = %v", r.Proto, r.TLS)
		}
		_, _ = io.WriteString(w, r.Proto)
	})
	for _, protocols := range [][]string{nil, {"http/1.1"}} {
		conn, err := tls.Dial("tcp", at, &tls.Config{RootCAs: pool, NextProtos: protocols})
		if err != nil {
			t.Fatal(err)
		}
		c := framingtest.Bad["a length and a coding"]
		_, _ = io.WriteString(conn, framingtest.Good["trailers"]+c.Request)
		got := answers(t, conn)
		_ = conn.Close()
		if len(got) != 2 || got[0].StatusCode != http.StatusOK {
			t.Fatalf("%d answers, want 2", len(got))
		}
		isProblem(t, "TLS", got[1], c.Fault)
	}
	for _, want := range []string{"HTTP/1.1", "HTTP/2.0"} {
		transport := &http.Transport{ForceAttemptHTTP2: want == "HTTP/2.0", TLSClientConfig: &tls.Config{RootCAs: pool}}
		res, err := (&http.Client{Transport: transport}).Get("https://" + at)
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(res.Body); string(body) != want || err != nil {
			t.Errorf("%q, %v, want %s", body, err, want)
		}
		_ = res.Body.Close()
		transport.CloseIdleConnections()
	}
	res, err := http.Get("http://" + at)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusBadRequest {
		t.Errorf("http without TLS: %s", res.Status)
	}
}

// GW-18, OPS-06: a client that does not shake hands delays no other, and none outlives the listener.
func TestSlowHandshake(t *testing.T) {
	cert, key, pool := writePair(t, t.TempDir(), 1)
	l, err := (&Settings{TLSCert: cert, TLSKey: key}).withTLS(listenTCP(t), slog.New(slog.DiscardHandler), nil)
	if err != nil {
		t.Fatal(err)
	}
	accepted := make(chan net.Conn)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				close(accepted)
				return
			}
			accepted <- c
		}
	}()
	slow := must(net.Dial("tcp", l.Addr().String()))
	defer slow.Close()
	go func() { _, _ = tls.Dial("tcp", l.Addr().String(), &tls.Config{RootCAs: pool}) }()
	c := <-accepted
	if c.(*tls.Conn).ConnectionState().HandshakeComplete != true {
		t.Error("the handshake is not over")
	}
	_ = c.Close()
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if _, open := <-accepted; open {
		t.Error("a connection is accepted after the end")
	}
	if _, err := slow.Read(make([]byte, 1)); err == nil {
		t.Error("the slow one is open")
	}
}

// GW-18: after a handler has hijacked a connection, its bytes are its own. What came before with the request is
// a request, or the connection ends.
func TestHijackedIsNotScanned(t *testing.T) {
	for name, c := range map[string]struct{ with, then, want string }{
		"frames":           {"", "\x81\x02hi\n\x00", "\x81\x02hi\n\x00"},
		"a second request": {framingtest.Good["no body"], "\n", framingtest.Good["no body"] + "\n"},
		"bytes too early":  {"\x81\x02", "more", "\x00"},
	} {
		read := make(chan string, 1)
		at := strictServer(t, listenTCP(t), func(w http.ResponseWriter, _ *http.Request) {
			conn, buffered, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\n\r\n")
			rest, _ := io.ReadAll(buffered)
			read <- string(rest)
		})
		conn := must(net.Dial("tcp", at))
		_, _ = io.WriteString(conn, framingtest.Good["a WebSocket"]+c.with)
		head := make([]byte, len("HTTP/1.1 101 Switching Protocols\r\n\r\n"))
		if _, err := io.ReadFull(conn, head); err != nil {
			t.Error(err)
		}
		_, _ = io.WriteString(conn, c.then)
		_ = conn.(*net.TCPConn).CloseWrite()
		if got := <-read; got != c.want {
			t.Errorf("%s: the handler reads %q, want %q", name, got, c.want)
		}
		_ = conn.Close()
	}
}

// GW-18: the first bytes of HTTP/2 reach a handler in no form, however they are cut, unless they are whole.
func TestPreface(t *testing.T) {
	at := strictServer(t, listenTCP(t), func(_ http.ResponseWriter, r *http.Request) { t.Errorf("served: %s %s", r.Method, r.Proto) })
	whole := string(prefaceHTTP2)
	for cut := range len(whole) + 1 {
		for _, then := range []string{whole[cut:], "x", "\r\n\r\n", "\n\n"} {
			conn := must(net.Dial("tcp", at))
			if cut > 0 {
				_, _ = io.WriteString(conn, whole[:cut])
			}
			_, _ = io.WriteString(conn, then)
			want := "HTTP/1.1 400 "
			if strings.HasPrefix(whole[:cut]+then, whole) {
				want = "\x00\x00" // of the length of a frame
			} else if _ = conn.(*net.TCPConn).CloseWrite(); len(whole[:cut]+then) < 4 {
				want = ""
			}
			_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
			got := make([]byte, len(want))
			if _, err := io.ReadFull(conn, got); err != nil || string(got) != want {
				t.Errorf("%q, then %q: %q, %v; want %q", whole[:cut], then, got, err, want)
			}
			_ = conn.Close()
		}
	}
}

// GW-18: the log and the metrics name what was wrong.
func TestMalformedIsCounted(t *testing.T) {
	var log bytes.Buffer
	s, err := Listen(Options{Settings: &Settings{Listen: "127.0.0.1:0", OpsListen: "off"}, Metrics: NewMetrics(nil), Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	s.Handle(http.HandlerFunc(echo), nil)
	ctx, stop := context.WithCancel(t.Context())
	err = s.Run(ctx, func() error {
		for _, name := range []string{"a length twice", "two lengths", "bare LF after a size"} {
			conn := must(net.Dial("tcp", s.Addr().String()))
			_, _ = io.WriteString(conn, framingtest.Bad[name].Request)
			answers(t, conn)
			_ = conn.Close()
		}
		stop()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	families, err := s.opts.Metrics.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	counted := map[string]float64{}
	for _, f := range families {
		for _, one := range f.GetMetric() {
			if f.GetName() == "counterfoil_http_requests_malformed_total" {
				counted[one.GetLabel()[0].GetValue()] = one.GetCounter().GetValue()
			}
		}
	}
	if len(counted) != 2 || counted[string(framing.Length)] != 2 || counted[string(framing.BareLF)] != 1 {
		t.Errorf("counted: %v", counted)
	}
	lines := slices.Collect(strings.Lines(log.String()))
	lines = slices.DeleteFunc(lines, func(l string) bool { return !strings.Contains(l, "malformed request") })
	if len(lines) != 3 || !strings.Contains(lines[0], "fault=content-length address=127.0.0.1") {
		t.Errorf("the log says %q", lines)
	}
}
