package ops

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A proxy that knows of it speaks HTTP/2 without TLS. Nobody is upgraded to it (RFC 9113 section
// 3.1): what comes after that request would pass a proxy unseen.
func TestUnencryptedHTTP2(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() {
		served <- Serve(ctx, l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				t.Error(err)
			}
			_, _ = io.WriteString(w, r.Proto+" "+r.Host+" "+string(body))
		}))
	}()
	known := new(http.Protocols)
	known.SetUnencryptedHTTP2(true)
	for want, transport := range map[string]*http.Transport{"HTTP/1.1": {}, "HTTP/2.0": {Protocols: known}} {
		client := &http.Client{Transport: transport}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+l.Addr().String(), strings.NewReader("hello"))
		if err != nil {
			t.Fatal(err)
		}
		if want == "HTTP/1.1" {
			req.Header = http.Header{"Connection": {"Upgrade, HTTP2-Settings"}, "Upgrade": {"h2c"}, "Http2-Settings": {"AAMAAABkAAQAAP__"}}
		}
		res, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(res.Body)
		if string(got) != want+" "+l.Addr().String()+" hello" || res.Proto != want || res.StatusCode != http.StatusOK {
			t.Errorf("%s: %s %s %q, %v", want, res.Proto, res.Status, got, err)
		}
		_ = res.Body.Close()
		client.CloseIdleConnections()
	}
	stop()
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// OPS-06: HTTP/2 without TLS gives nobody more time than HTTP/1.1: not for the first bytes, not for
// an answer that is not read.
func TestUnencryptedHTTP2IsNotHeld(t *testing.T) {
	const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	// Settings that are empty, then GET / of x on stream 1, in the static table of HPACK and literals.
	const request = "\x00\x00\x00\x04\x00\x00\x00\x00\x00" + "\x00\x00\x06\x01\x05\x00\x00\x00\x01" + "\x82\x84\x86\x41\x01x"
	for name, sent := range map[string]string{"nothing": "", "a letter": "P", "half of the preface": preface[:14], "preface": preface, "request": preface + request} {
		synctest.Test(t, func(t *testing.T) {
			l := &oneConn{make(chan net.Conn, 1), make(chan struct{})}
			client, conn := net.Pipe()
			l.conn <- conn
			ctx, stop := context.WithCancel(t.Context())
			served, asked := make(chan error, 1), make(chan error, 1)
			go func() {
				served <- Serve(ctx, l, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					_, err := io.WriteString(w, strings.Repeat("x", 1<<20))
					asked <- err
				}))
			}()
			begun := time.Now()
			_ = client.SetWriteDeadline(begun.Add(time.Hour))
			_, _ = io.WriteString(client, sent)
			if name == "request" {
				if err := <-asked; err == nil {
					t.Errorf("%s: an answer was written that the client did not read", name)
				}
			}
			for err := error(nil); !errors.Is(err, io.ErrClosedPipe); _, err = client.Write(nil) { // until the server has closed the connection
				time.Sleep(time.Second)
				_ = client.SetWriteDeadline(time.Now())
				if time.Since(begun) > 10*time.Minute {
					t.Fatalf("%s: the connection is open after %v", name, time.Since(begun))
				}
			}
			if took := time.Since(begun); took > writeTimeout+stuckTimeout {
				t.Errorf("%s: the connection was open for %v", name, took)
			}
			stop()
			if err := <-served; err != nil {
				t.Error(err)
			}
		})
	}
}

// literal is a field of HPACK that is in no table (RFC 7541 section 6.2.2).
func literal(name, value string) string {
	return "\x00" + string(rune(len(name))) + name + string(rune(len(value))) + value
}

// GW-18: HTTP/2 has fields that say where a request ends and what is asked for, too. A request that has them in another
// form than RFC 9113 section 8.2 and 8.3 allows reaches no handler.
func TestMalformedHTTP2(t *testing.T) {
	const get = "\x82\x84\x86\x41\x01x" // GET / of http, from x
	at := strictServer(t, listenTCP(t), func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Good") == "" {
			t.Errorf("served: %s %s %s %v", r.Method, r.RequestURI, r.Host, r.Header)
		}
	})
	for name, fields := range map[string]string{
		"":                              get + literal("good", "1"),
		"Connection":                    get + literal("connection", "close"),
		"a coding":                      get + literal("transfer-encoding", "chunked"),
		"an upgrade":                    get + literal("upgrade", "h2c"),
		"TE":                            get + literal("te", "chunked"),
		"a name in capitals":            get + literal("Content-Length", "0"),
		"a name with a space":           get + literal("content-length ", "0"),
		"a name with a colon":           get + literal("a:b", "0"),
		"a line end in a name":          get + literal("a\r\nb", "0"),
		"a line end in a value":         get + literal("a", "b\r\nc: d"),
		"NUL in a value":                get + literal("a", "\x00"),
		"a pseudo-header after a field": "\x82\x84\x86" + literal("a", "b") + "\x41\x01x",
		"two paths":                     get + literal(":path", "/admin"),
		"two hosts":                     get + literal(":authority", "y"),
		"no path":                       "\x82\x86\x41\x01x",
		"an empty path":                 "\x82\x86\x41\x01x" + literal(":path", ""),
		"an unknown pseudo-header":      get + literal(":other", "y"),
		"a status":                      get + literal(":status", "200"),
	} {
		conn := must(net.Dial("tcp", at))
		_, _ = io.WriteString(conn, string(prefaceHTTP2)+"\x00\x00\x00\x04\x00\x00\x00\x00\x00"+"\x00\x00"+string(rune(len(fields)))+"\x01\x05\x00\x00\x00\x01"+fields)
		_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second)) // a test that waits so long has failed
		answered := ""
		for head := make([]byte, 9); answered == ""; {
			if _, err := io.ReadFull(conn, head); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			payload := make([]byte, int(head[1])<<8|int(head[2]))
			if _, err := io.ReadFull(conn, payload); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			switch head[3] {
			case 1: // HEADERS, which begin with the status
				answered = map[byte]string{0x88: "200", 0x8c: "refused"}[payload[0]]
			case 3, 7: // RST_STREAM, GOAWAY
				answered = "refused"
			}
		}
		if want := map[bool]string{true: "200", false: "refused"}[name == ""]; answered != want {
			t.Errorf("%s: %s, want %s", name, answered, want)
		}
		_ = conn.Close()
	}
}
