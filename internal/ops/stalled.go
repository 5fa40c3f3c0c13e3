package ops

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// stalledListener ends connections whose clients do not read what is sent to them. It is for a
// server whose answers may take any time. It stands below TLS.
type stalledListener struct{ net.Listener }

// Accept implements net.Listener.
func (l stalledListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &stalledConn{halfConn: halfConn{c}}, nil
}

// stalledConn is a connection on which a Write fails when the client has taken no byte for
// stuckTimeout. A deadline that somebody sets counts instead, until it is taken back.
type stalledConn struct {
	halfConn

	mu  sync.Mutex // guards the write deadline of Conn
	own time.Time  // the deadline that somebody has set; zero: none
}

func (c *stalledConn) Write(p []byte) (n int, err error) {
	for {
		if err := c.patience(); err != nil {
			return n, err
		}
		some, err := c.Conn.Write(p[n:])
		if n += some; err == nil || some == 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
	}
}

func (c *stalledConn) patience() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.own.IsZero() {
		return c.Conn.SetWriteDeadline(time.Now().Add(stuckTimeout))
	}
	if time.Now().After(c.own) {
		return os.ErrDeadlineExceeded
	}
	return nil
}

// SetWriteDeadline implements net.Conn.
func (c *stalledConn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.own = t
	return c.Conn.SetWriteDeadline(t)
}

// SetDeadline implements net.Conn.
func (c *stalledConn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}
