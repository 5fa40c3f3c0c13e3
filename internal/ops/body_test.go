package ops

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// OPS-06: where a request may take any time, a client that announces a body and does not send it is answered all the
// same, and loses its connection. One that sends it keeps the connection, and a request whose body was read may
// take any time.
func TestClientThatSendsNoBody(t *testing.T) {
	const host = "Host: x\r\n"
	for _, c := range []struct {
		name, request string
		handler       http.HandlerFunc
		after         time.Duration // of the answer
		closed        bool
	}{
		{"refused", "POST / HTTP/1.1\r\n" + host + "Content-Length: 10\r\n\r\n", forbid, unsentTime, true},
		{"refused, a part came", "POST / HTTP/1.1\r\n" + host + "Content-Length: 10\r\n\r\nabc", forbid, unsentTime, true},
		{"refused, chunks", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n3\r\n", forbid, unsentTime, true},
		{"refused, it waits for 100", "POST / HTTP/1.1\r\n" + host + "Expect: 100-continue\r\nContent-Length: 10\r\n\r\n", forbid, 0, true},
		{"refused, the body came", "POST / HTTP/1.1\r\n" + host + "Content-Length: 3\r\n\r\nabc", forbid, 0, false},
		{"refused, no body", "GET / HTTP/1.1\r\n" + host + "\r\n", forbid, 0, false},
		{"no status is said", "GET / HTTP/1.1\r\n" + host + "Content-Length: 3\r\n\r\n", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "x") }, unsentTime, true},
		{"nothing is said", "GET / HTTP/1.1\r\n" + host + "Content-Length: 3\r\n\r\n", func(http.ResponseWriter, *http.Request) {}, unsentTime, true},
		{"read, and a long answer", "POST / HTTP/1.1\r\n" + host + "Content-Length: 3\r\n\r\nabc", func(w http.ResponseWriter, r *http.Request) { answerLong(t, w, r, true) }, 0, false},
		{"left, and a long answer", "POST / HTTP/1.1\r\n" + host + "Content-Length: 3\r\n\r\nabc", func(w http.ResponseWriter, r *http.Request) { answerLong(t, w, r, false) }, 0, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &oneConn{make(chan net.Conn, 1), make(chan struct{})}
				client, conn := net.Pipe()
				l.conn <- conn
				o := &observer{log: slog.New(slog.DiscardHandler), metrics: NewMetrics(nil), draining: new(atomic.Bool), proxied: true}
				ctx, stop := context.WithCancel(t.Context())
				served := make(chan error, 1)
				go func() {
					served <- run(ctx, newServer(o.wrap(c.handler), withAddress), strictListener{stalledListener{l}, nil})
				}()
				begun := time.Now()
				go func() { _, _ = io.WriteString(client, c.request) }()
				in := bufio.NewReader(client)
				res, err := http.ReadResponse(in, nil)
				if err != nil {
					t.Fatal(err)
				}
				if took := time.Since(begun); took != c.after || res.Close != c.closed {
					t.Errorf("%s after %v, close = %v; want after %v, %v", res.Status, took, res.Close, c.after, c.closed)
				}
				if _, err := io.Copy(io.Discard, res.Body); err != nil {
					t.Error(err)
				}
				if c.closed {
					_, err = in.ReadByte()
					if took := time.Since(begun); !errors.Is(err, io.EOF) || took > unsentTime+time.Second {
						t.Errorf("the connection has not ended after %v: %v", took, err)
					}
				} else {
					go func() { _, _ = io.WriteString(client, "GET / HTTP/1.1\r\n"+host+"\r\n") }()
					if _, err := http.ReadResponse(in, nil); err != nil {
						t.Errorf("the next request: %v", err)
					}
				}
				_ = client.Close()
				stop()
				if err := <-served; err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func forbid(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }

// answerLong answers a request with a body for a long time.
func answerLong(t *testing.T, w http.ResponseWriter, r *http.Request, reads bool) {
	if r.Method == http.MethodGet {
		return // the next one
	}
	if reads {
		if text, err := io.ReadAll(r.Body); string(text) != "abc" || err != nil {
			t.Errorf("the body is %q, %v", text, err)
		}
	}
	_, _ = io.WriteString(w, strings.Repeat("x", 4<<10))
	select {
	case <-r.Context().Done():
		t.Errorf("the request was ended: %v", context.Cause(r.Context()))
	case <-time.After(time.Hour):
	}
}
