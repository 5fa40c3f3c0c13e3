package ops

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// deadlineListener makes deadlines of its connections cheap. It stands below TLS.
type deadlineListener struct{ net.Listener }

// Accept implements net.Listener.
func (l deadlineListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return newDeadlineConn(c), nil
}

// deadlineConn is a connection with the same deadlines as the one below, which is asked to move
// its timers as seldom as possible. net/http sets nine deadlines for each request, and nearly
// all of them move one further away that was not reached. So the connection below keeps the
// earlier one. When it is reached, Read or Write look at what is wanted now, and go on waiting.
type deadlineConn struct {
	halfConn
	read, write deadline
}

func newDeadlineConn(c net.Conn) *deadlineConn {
	d := &deadlineConn{halfConn: halfConn{c}}
	d.read.set, d.write.set = c.SetReadDeadline, c.SetWriteDeadline
	return d
}

// SetReadDeadline implements net.Conn.
func (c *deadlineConn) SetReadDeadline(t time.Time) error { return c.read.want(t) }

// SetWriteDeadline implements net.Conn.
func (c *deadlineConn) SetWriteDeadline(t time.Time) error { return c.write.want(t) }

// SetDeadline implements net.Conn.
func (c *deadlineConn) SetDeadline(t time.Time) error {
	return errors.Join(c.read.want(t), c.write.want(t))
}

func (c *deadlineConn) Read(p []byte) (int, error) {
	if !c.read.begin() {
		return 0, os.ErrDeadlineExceeded
	}
	defer c.read.end()
	for {
		n, err := c.Conn.Read(p)
		if err == nil || n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) || !c.read.later() {
			return n, err
		}
	}
}

func (c *deadlineConn) Write(p []byte) (n int, err error) {
	if !c.write.begin() {
		return 0, os.ErrDeadlineExceeded
	}
	defer c.write.end()
	for {
		some, err := c.Conn.Write(p[n:])
		n += some
		if err == nil || !errors.Is(err, os.ErrDeadlineExceeded) || !c.write.later() {
			return n, err
		}
	}
}

// Close implements net.Conn. What is done with the connection afterwards fails because it is closed.
func (c *deadlineConn) Close() error {
	err := c.Conn.Close()
	_, _ = c.read.want(time.Time{}), c.write.want(time.Time{})
	return err
}

// deadline is one of the two of a connection.
type deadline struct {
	set func(time.Time) error // that of the connection below

	mu     sync.Mutex // guards the fields below
	wanted time.Time  // zero: none
	below  time.Time  // what the connection below has, never later than wanted; zero: none
	passed bool       // below was in the past when want set it: a wait is to end at once
	waits  int        // reads, or writes, that are under way
}

// firstLook is after how much time a wait looks at what is wanted. It is shorter than the timeouts
// of the server, so that a deadline which is wanted after a longer one is no earlier.
const firstLook = 4 * time.Second

// longAgo is how net/http ends a wait of its own, once for each request. Most of these waits have not begun
// by then, and the connection below is not told. The clock need not be read for it.
var longAgo = time.Unix(1, 0)

// begin is for a wait that begins. It reports false if the deadline is longAgo.
func (d *deadline) begin() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.wanted.Equal(longAgo) {
		return false
	}
	d.waits++
	return true
}

func (d *deadline) end() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.waits--
}

// want makes t the deadline.
func (d *deadline) want(t time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.wanted = t
	if !d.passed && (!earlier(t, d.below) || d.waits == 0 && t.Equal(longAgo)) {
		return nil
	}
	if d.passed = t.Equal(longAgo); !d.passed {
		now := time.Now()
		if look := now.Add(firstLook); earlier(look, t) {
			t = look
		}
		d.passed = !t.After(now)
	}
	d.below = t
	return d.set(t)
}

// earlier compares deadlines, of which the zero one is never reached.
func earlier(t, than time.Time) bool {
	return !t.IsZero() && (than.IsZero() || t.Before(than))
}

// later reports whether the deadline that the connection below has reached is not the one that
// is wanted, and moves it there.
func (d *deadline) later() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.wanted.IsZero() && !d.wanted.After(time.Now()) {
		return false
	}
	d.below = d.wanted
	return d.set(d.wanted) == nil
}
