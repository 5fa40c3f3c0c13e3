package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Timeouts are how long a gateway waits for an upstream. Zero is the default of each.
type Timeouts struct {
	Connect time.Duration // for a connection, and as long for TLS; 5 s
	Answer  time.Duration // for an answer to begin, after the request was sent; 1 m
	Idle    time.Duration // while nothing is sent in either direction, also in a WebSocket; 10 m
}

func (t Timeouts) withDefaults() Timeouts {
	for _, one := range []struct {
		value   *time.Duration
		initial time.Duration
	}{{&t.Connect, 5 * time.Second}, {&t.Answer, time.Minute}, {&t.Idle, 10 * time.Minute}} {
		if *one.value == 0 {
			*one.value = one.initial
		}
	}
	return t
}

func (t Timeouts) check() error {
	for _, one := range []time.Duration{t.Connect, t.Answer, t.Idle} {
		if one != 0 && one < 10*time.Millisecond {
			return fmt.Errorf("a timeout is %v: want a duration such as 5s", one)
		}
	}
	return nil
}

// What a gateway keeps open, and reads.
const (
	continueTimeout   = time.Second // for the 100 of an upstream, before the body is sent all the same
	idlePerUpstream   = 256         // connections
	maxAnswerHeader   = 64 << 10    // bytes (GW-16)
	upstreamKeepAlive = 90 * time.Second
)

// wire is how upstreams are spoken to. Those with the same share a Transport.
type wire struct {
	timeouts Timeouts
	h2c      bool // HTTP/2 without TLS; otherwise it is HTTP/2 if TLS agrees on it, and HTTP/1.1
}

func (w wire) transport() *http.Transport {
	dialer := &net.Dialer{Timeout: w.timeouts.Connect, KeepAlive: 30 * time.Second}
	t := &http.Transport{
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := dialer.DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return newIdleConn(c, w.timeouts.Idle), nil
		},
		TLSHandshakeTimeout: w.timeouts.Connect, ResponseHeaderTimeout: w.timeouts.Answer,
		ExpectContinueTimeout: continueTimeout, MaxIdleConnsPerHost: idlePerUpstream, IdleConnTimeout: upstreamKeepAlive,
		MaxResponseHeaderBytes: maxAnswerHeader,
		DisableCompression:     true, // an answer passes as it is
		ForceAttemptHTTP2:      !w.h2c,
	}
	if w.h2c {
		t.Protocols = new(http.Protocols)
		t.Protocols.SetUnencryptedHTTP2(true)
	}
	return t
}

// idleConn is a connection that fails when nothing was sent in either direction for a time. Its
// timer is moved only when it is reached. A deadline that anybody sets counts instead, from then on:
// the end of a session sets one (GW-13).
type idleConn struct {
	net.Conn
	idle time.Duration
	last atomic.Int64 // when something was sent, in nanoseconds since 1970

	mu    sync.Mutex // guards taken, and the deadline until it is taken
	taken bool       // a deadline was set
}

func newIdleConn(c net.Conn, idle time.Duration) *idleConn {
	i := &idleConn{Conn: c, idle: idle}
	i.touch()
	_ = c.SetDeadline(time.Now().Add(idle))
	return i
}

func (c *idleConn) touch() { c.last.Store(time.Now().UnixNano()) }

// alive reports whether err is only the timer, which it moves to the end of the time.
func (c *idleConn) alive(err error) bool {
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	end := time.Unix(0, c.last.Load()).Add(c.idle)
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.taken && time.Now().Before(end) && c.Conn.SetDeadline(end) == nil
}

// take ends the timer, so that it cannot undo the deadline that is set next.
func (c *idleConn) take() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.taken = true
}

func (c *idleConn) SetDeadline(t time.Time) error {
	c.take()
	return c.Conn.SetDeadline(t)
}

func (c *idleConn) SetReadDeadline(t time.Time) error {
	c.take()
	return c.Conn.SetReadDeadline(t)
}

func (c *idleConn) SetWriteDeadline(t time.Time) error {
	c.take()
	return c.Conn.SetWriteDeadline(t)
}

// CloseWrite tells the upstream that nothing more is sent.
func (c *idleConn) CloseWrite() error {
	half, ok := c.Conn.(interface{ CloseWrite() error })
	if !ok {
		return errors.ErrUnsupported
	}
	return half.CloseWrite()
}

func (c *idleConn) Read(p []byte) (int, error) {
	for {
		n, err := c.Conn.Read(p)
		if n > 0 {
			c.touch()
		}
		if err == nil || n > 0 || !c.alive(err) {
			return n, err
		}
	}
}

func (c *idleConn) Write(p []byte) (n int, err error) {
	for {
		some, err := c.Conn.Write(p[n:])
		n += some
		if some > 0 {
			c.touch()
		}
		if err == nil || !c.alive(err) {
			return n, err
		}
	}
}

// Health is how a gateway finds out whether an upstream can be asked. Zero: it does not.
type Health struct {
	Path     string        // answers 2xx or 3xx while it can
	Interval time.Duration // between two looks; 0: 5 s
}

func (h Health) check() error {
	switch {
	case h == Health{}:
		return nil
	case !plain(h.Path) || h.Path == "" || h.Path[0] != '/':
		return fmt.Errorf("health.path is %q: want a path such as /healthz", h.Path)
	case h.Interval < 0 || h.Interval != 0 && h.Interval < 100*time.Millisecond:
		return fmt.Errorf("health.interval is %v: want a duration such as 5s", h.Interval)
	}
	return nil
}
