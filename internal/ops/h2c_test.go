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
