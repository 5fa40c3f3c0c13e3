package ops

import (
	"bytes"
	"errors"
	"net"
	"net/http"
)

// headConn is a connection without TLS whose answers may have lines in their head that a handler has
// written. What net/http writes comes to it as it is: only a [strictConn], which reads, stands between.
type headConn struct {
	halfConn
	lines string // of the answer that is written next; empty: none
	out   []byte
}

// statusOK begins the only answer that may have lines.
var statusOK = []byte("HTTP/1.1 200 OK\r\n")

var errNoHead = errors.New("ops: an answer does not begin with the head that has the lines of a handler")

// Write puts the lines behind the status. They are about one caller: if p begins another answer, then
// nobody gets them, and the connection is closed.
func (c *headConn) Write(p []byte) (int, error) {
	if c.lines == "" {
		return c.Conn.Write(p)
	}
	lines := c.lines
	c.lines = ""
	rest, is := bytes.CutPrefix(p, statusOK)
	if !is {
		return 0, errors.Join(errNoHead, c.Close())
	}
	c.out = append(append(append(c.out[:0], statusOK...), lines...), rest...)
	if n, err := c.Conn.Write(c.out); err != nil {
		return max(0, n-len(lines)), err
	}
	return len(p), nil
}

type headListener struct{ net.Listener }

// Accept implements net.Listener.
func (l headListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &headConn{halfConn: halfConn{c}}, nil
}

// WriteHead has the next WriteHeader, which must be of 200, send lines of a head behind the status. It
// reports whether it can: HTTP/1.1 without TLS alone.
func (a *answer) WriteHead(lines string) bool {
	r := a.request
	c, _ := r.Context().Value(connKey{}).(*headConn)
	if c == nil || r.ProtoMajor != 1 || r.ProtoMinor != 1 || r.Method == http.MethodHead {
		return false
	}
	c.lines = lines
	return true
}
