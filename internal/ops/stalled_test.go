package ops

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// OPS-06: a client that reads nothing loses its connection also where an answer may take any time, and
// one that reads slowly does not.
func TestClientThatStalls(t *testing.T) {
	for _, c := range []struct {
		name  string
		every time.Duration // between two bytes that the client reads
		after time.Duration // what Write takes until it fails; zero: it does not
	}{{"reads nothing", 0, 30 * time.Second}, {"reads a byte now and then", 29 * time.Second, 0}} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, below := net.Pipe()
				conn := &stalledConn{halfConn: halfConn{below}}
				var reads sync.WaitGroup
				reads.Go(func() {
					for c.every > 0 {
						time.Sleep(c.every)
						if _, err := client.Read(make([]byte, 1)); err != nil {
							return
						}
					}
				})
				begun := time.Now()
				_, err := io.WriteString(conn, "some bytes")
				if took := time.Since(begun); errors.Is(err, os.ErrDeadlineExceeded) != (c.after > 0) || c.after > 0 && took != c.after {
					t.Errorf("%v after %v, want a failure after %v", err, took, c.after)
				}
				_, _ = client.Close(), conn.Close()
				reads.Wait()
			})
		})
	}
}

// A deadline that a handler sets counts, and after it is taken back the client has its time again.
func TestStalledConnKeepsDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, below := net.Pipe()
		conn := &stalledConn{halfConn: halfConn{below}}
		for _, c := range []struct{ set, after time.Duration }{{time.Second, time.Second}, {0, stuckTimeout}, {time.Minute, time.Minute}} {
			begun, deadline := time.Now(), time.Time{}
			if c.set > 0 {
				deadline = begun.Add(c.set)
			}
			if err := conn.SetWriteDeadline(deadline); err != nil {
				t.Fatal(err)
			}
			if _, err := conn.Write([]byte("x")); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(begun) != c.after {
				t.Errorf("a deadline of %v: %v after %v", c.set, err, time.Since(begun))
			}
		}
		_, _ = client.Close(), conn.Close()
	})
}

// An answer through a proxy may take longer than those of the program itself.
func TestLongAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, conn := net.Pipe()
		l := &oneConn{make(chan net.Conn, 1), make(chan struct{})}
		l.conn <- conn
		served := make(chan error, 1)
		ctx, stop := context.WithCancel(t.Context())
		long := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			for range 20 {
				_, _ = w.Write([]byte("x"))
				_ = http.NewResponseController(w).Flush()
				time.Sleep(time.Minute)
			}
		})
		go func() { served <- run(ctx, newServer(long, withAddress), stalledListener{deadlineListener{l}}) }()
		transport := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return client, nil }}
		answer, err := transport.RoundTrip(must(http.NewRequest("GET", "http://server", nil)))
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(answer.Body); err != nil || string(body) != strings.Repeat("x", 20) {
			t.Errorf("%q, %v", body, err)
		}
		transport.CloseIdleConnections()
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
}
