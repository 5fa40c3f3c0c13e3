package ops_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/internal/ops"
)

// A handler that has hijacked a connection can say that nothing more comes, and read on: a WebSocket's
// client waits for the end of the connection after it has answered a close frame.
func TestHalfClose(t *testing.T) {
	s, _, err := listen(t, func(*ops.Options) {})
	if err != nil {
		t.Fatal(err)
	}
	read := make(chan string, 1)
	at, err := s.HandleProxy("127.0.0.1:0", "--proxy-listen", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		half, ok := c.(interface{ CloseWrite() error })
		if !ok {
			t.Errorf("%T cannot be closed in one direction", c)
		} else if err := half.CloseWrite(); err != nil {
			t.Error(err)
		}
		rest, _ := io.ReadAll(c)
		read <- string(rest)
	}), nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- s.Run(ctx, func() error { return nil }) }()
	defer func() { stop(); <-ran }()

	c, err := net.Dial("tcp", at.String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the client reads %v, want the end", err)
	}
	_, _ = io.WriteString(c, "more")
	_ = c.(*net.TCPConn).CloseWrite()
	if got := <-read; got != "more" {
		t.Errorf("the handler reads %q after it has closed its half", got)
	}
}
