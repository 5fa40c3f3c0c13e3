package ops

import (
	"context"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// oneConn is a listener with one connection. The tests put it below a deadlineListener, as the server does.
type oneConn struct {
	conn chan net.Conn
	done chan struct{}
}

func (l *oneConn) Accept() (net.Conn, error) {
	select {
	case c := <-l.conn:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *oneConn) Close() error   { close(l.done); return nil }
func (l *oneConn) Addr() net.Addr { return &net.TCPAddr{} }

// OPS-06, REV-19: a client that does not read its answer loses its connection, and the server
// stops its work for it.
func TestClientThatDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &oneConn{make(chan net.Conn, 1), make(chan struct{})}
		client, conn := net.Pipe()
		l.conn <- conn
		answered, served := make(chan error, 1), make(chan error, 1)
		ctx, stop := context.WithCancel(t.Context())
		go func() {
			served <- Serve(ctx, deadlineListener{l}, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				_, err := w.Write([]byte(strings.Repeat("x", 1<<20)))
				answered <- err
			}))
		}()
		if _, err := client.Write([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n")); err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		if err := <-answered; err == nil {
			t.Error("an answer was written that the client did not read")
		}
		if waited := time.Since(begun); waited > writeTimeout {
			t.Errorf("the handler was held for %v", waited)
		}
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
		_ = client.Close()
	})
}

// A request that waits longer than the server does is ended with it.
func TestStopEndsLongPolls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &oneConn{make(chan net.Conn, 1), make(chan struct{})}
		client, conn := net.Pipe()
		defer client.Close()
		l.conn <- conn
		ended := make(chan struct{})
		ctx, stop := context.WithCancel(t.Context())
		served := make(chan error, 1)
		go func() {
			served <- Serve(ctx, deadlineListener{l}, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				<-r.Context().Done()
				close(ended)
			}))
		}()
		if _, err := client.Write([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // the handler waits
		begun := time.Now()
		stop()
		if err := <-served; err != nil || time.Since(begun) != 5*time.Second {
			t.Errorf("Serve = %v after %v, want nil after 5s", err, time.Since(begun))
		}
		synctest.Wait()
		select {
		case <-ended:
		default:
			t.Error("the request goes on")
		}
	})
}
