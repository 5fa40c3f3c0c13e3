package ops

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/counterfoil/counterfoil/internal/forwarded"
	"github.com/counterfoil/counterfoil/internal/framing"
	"github.com/counterfoil/counterfoil/internal/refusal"
)

// strictListener refuses requests of HTTP/1.x that two programs may read in two ways (GW-18). net/http
// takes some of them, and a service behind a handler would get one of the readings only. The listener stands
// above TLS, whose handshake is over: a connection of HTTP/2 is left as it is.
//
// The server must call [afterHijack], and take HTTP/2 with prior knowledge where there is no TLS.
type strictListener struct {
	net.Listener
	malformed func(net.Conn, framing.Fault) // nil: nobody is told
}

// Accept implements net.Listener.
func (l strictListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	strict := &strictConn{halfConn: halfConn{c}, malformed: l.malformed, fresh: true}
	secure, is := c.(*tls.Conn)
	if !is {
		return strict, nil
	}
	switch secure.ConnectionState().NegotiatedProtocol {
	case "", "http/1.1":
		strict.fresh = false
		return &strictTLSConn{strict, secure}, nil
	}
	return c, nil
}

// strictTLSConn tells net/http that it is one of TLS.
type strictTLSConn struct {
	*strictConn
	secure *tls.Conn
}

// ConnectionState is how net/http finds what Request.TLS says.
func (c *strictTLSConn) ConnectionState() tls.ConnectionState { return c.secure.ConnectionState() }

// strictConn follows what is read. It keeps a byte from net/http if it is the first that is wrong, so
// net/http never sees the end of a request that is refused. Requests before it are answered.
type strictConn struct {
	halfConn
	malformed func(net.Conn, framing.Fault)

	// net/http reads in one goroutine at a time, and hijacks when none reads.
	scanner  framing.Scanner
	fault    framing.Fault // None: nothing is wrong yet
	answered bool          // somebody else answers: the fault is in the body of a request that a handler has
	instead  string        // what is read in place of the bytes that are refused
	fresh    bool          // the first bytes may be those of HTTP/2
	preface  int           // how many of them were read
	passing  bool          // nothing is read as HTTP/1.x any more
}

// prefaceHTTP2 are the first bytes of HTTP/2 (RFC 9113 section 3.4).
var prefaceHTTP2 = []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")

func (c *strictConn) Read(p []byte) (int, error) {
	switch {
	case c.passing:
		return c.Conn.Read(p)
	case c.fault != framing.None:
		return c.refuse(p)
	case c.fresh:
		return c.first(p)
	}
	n, err := c.Conn.Read(p)
	return c.judge(p, n, err)
}

// first reads the first bytes of a connection. Those of HTTP/2 have the form of a request, which net/http would
// hand to a handler if it were not whole.
func (c *strictConn) first(p []byte) (int, error) {
	for n := 0; ; {
		some, err := c.Conn.Read(p[n:])
		n += some
		rest := prefaceHTTP2[c.preface:]
		switch {
		case bytes.HasPrefix(p[:n], rest):
			c.passing = true
			return n, err
		case !bytes.HasPrefix(rest, p[:n]), n == len(p) && c.preface+n > len("PRI * HTTP/2.0"):
			c.fresh = false
			if _, c.fault = c.scanner.Scan(prefaceHTTP2[:c.preface]); c.fault != framing.None {
				n = 0
			}
			return c.judge(p, n, err)
		case err != nil:
			return 0, err
		case n == len(p):
			c.preface += n
			return n, nil
		}
	}
}

// judge returns how much of what was read net/http gets.
func (c *strictConn) judge(p []byte, n int, err error) (int, error) {
	good, fault := 0, c.fault
	if fault == framing.None {
		good, fault = c.scanner.Scan(p[:n])
	}
	if fault == framing.None {
		return n, err
	}
	c.fault, c.answered = fault, c.scanner.InBody()
	// While a handler works, net/http reads one byte, and takes an error for a client that is gone. So
	// the first thing that it reads is never one.
	if c.instead = "\x00"; c.answered {
		c.instead = framing.Spoiled
	}
	if good > 0 {
		return good, nil
	}
	return c.refuse(p)
}

// refuse ends the connection. The handler of a request whose body is wrong answers itself. When net/http
// waits for a head, everything before has been answered.
func (c *strictConn) refuse(p []byte) (int, error) {
	if c.instead != "" {
		if c.answered {
			c.tell()
		}
		n := copy(p, c.instead)
		c.instead = c.instead[n:]
		return n, nil
	}
	if !c.answered {
		c.tell()
		c.answered = true
		c.answer()
	}
	return 0, errRefused
}

// errRefused is an error after which net/http writes nothing.
var errRefused error = &net.OpError{Op: "read", Err: errors.New("malformed request")}

func (c *strictConn) tell() {
	if c.malformed != nil {
		c.malformed(c.Conn, c.fault)
	}
	c.malformed = nil
}

// linger is how long a client has to read why it is refused. To close at once would reset a connection on
// which it still sends, and the reset may overtake the answer (RFC 9112 section 9.6).
const linger = time.Second

func (c *strictConn) answer() {
	_ = c.SetDeadline(time.Now().Add(linger))
	p := refusal.Problem{Status: http.StatusBadRequest, Type: "malformed-request", Title: "Malformed request", Detail: "Programs could read it in different ways: " + string(c.fault)}
	if _, err := c.Write(p.Wire()); err != nil || c.CloseWrite() != nil {
		return
	}
	_, _ = io.CopyN(io.Discard, c.Conn, 256<<10)
}

// hijacked says that a handler reads from now on, and what it likes. What net/http has read before was a request, or it
// is refused.
func (c *strictConn) hijacked() {
	c.passing = c.fault == framing.None
	c.answered = true
}

// afterHijack is the ConnState of a server with a [strictListener].
func afterHijack(c net.Conn, state http.ConnState) {
	if strict, is := c.(interface{ hijacked() }); is && state == http.StateHijacked {
		strict.hijacked()
	}
}

// malformed logs and counts a request that no handler sees.
func (s *Server) malformed(c net.Conn, fault framing.Fault) {
	s.opts.Metrics.malformed.WithLabelValues(string(fault)).Inc()
	s.opts.Logger.Info("malformed request", "fault", string(fault), "address", forwarded.Peer(c.RemoteAddr().String()).String())
}

// strict returns l without the requests that are malformed.
func (s *Server) strict(l net.Listener) net.Listener { return strictListener{l, s.malformed} }
