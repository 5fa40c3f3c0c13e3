package gateway_test

import (
	"errors"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/counterfoil/counterfoil/gateway"
)

// A connection to an upstream ends when nothing was sent in either direction for the time, and not
// before.
func TestIdleConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		defer there.Close()
		c := gateway.NewIdleConn(here, time.Minute)
		defer c.Close()
		begun, read := time.Now(), make(chan error, 1)
		var ended time.Duration
		go func() {
			var err error
			for err == nil {
				_, err = c.Read(make([]byte, 10))
			}
			ended = time.Since(begun)
			read <- err
		}()
		go func() { // the upstream takes what is sent
			for b := make([]byte, 10); ; {
				if _, err := there.Read(b); err != nil {
					return
				}
			}
		}()
		for n := range 10 { // a request, and then an answer, each with pauses
			time.Sleep(50 * time.Second)
			send := c.Write
			if n >= 5 {
				send = there.Write
			}
			if _, err := send([]byte("x")); err != nil {
				t.Fatalf("after %v: %v", time.Since(begun), err)
			}
		}
		if err := <-read; !errors.Is(err, os.ErrDeadlineExceeded) || ended != 560*time.Second {
			t.Errorf("read %v after %v, want a timeout after 9m20s", err, ended)
		}
	})
}

// GW-13: a deadline that is set holds. Otherwise a WebSocket could not be ended before it is idle.
func TestDeadlineOfAnIdleConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		defer there.Close()
		c := gateway.NewIdleConn(here, time.Minute)
		defer c.Close()
		begun, read := time.Now(), make(chan error)
		go func() { _, err := c.Read(make([]byte, 1)); read <- err }()
		time.Sleep(time.Second)
		_ = c.SetDeadline(time.Now())
		if err := <-read; !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(begun) != time.Second {
			t.Errorf("read %v after %v", err, time.Since(begun))
		}
		_ = c.SetReadDeadline(time.Now().Add(time.Second))
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(begun) != 2*time.Second {
			t.Errorf("read %v after %v", err, time.Since(begun))
		}
	})
}
