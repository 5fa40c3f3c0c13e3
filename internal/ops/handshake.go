package ops

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"
)

// handshakeTimeout is how long a client may take for the handshake of TLS (OPS-06).
const handshakeTimeout = 5 * time.Second

// handshakes is a listener of TLS whose connections have shaken hands, so that [strictListener] knows
// which protocol each speaks. A client that is slow delays no other.
type handshakes struct {
	net.Listener // below TLS
	config       *tls.Config
	log          *slog.Logger

	begin    sync.Once
	tasks    sync.WaitGroup // what begin has started
	accepted chan accepted
	closed   chan struct{}
}

type accepted struct {
	conn net.Conn
	err  error
}

func newHandshakes(l net.Listener, config *tls.Config, log *slog.Logger) *handshakes {
	return &handshakes{Listener: l, config: config, log: log, accepted: make(chan accepted), closed: make(chan struct{})}
}

// Accept implements net.Listener. The first call begins to take connections.
func (l *handshakes) Accept() (net.Conn, error) {
	l.begin.Do(func() { l.tasks.Go(l.take) })
	select {
	case a := <-l.accepted:
		return a.conn, a.err
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close ends the handshakes under way, and waits for that. It is called once.
func (l *handshakes) Close() error {
	l.begin.Do(func() {}) // nothing begins after this
	close(l.closed)
	err := l.Listener.Close()
	l.tasks.Wait()
	return err
}

// take takes connections until the listener is closed.
func (l *handshakes) take() {
	ctx, cancel := context.WithCancel(context.Background())
	var shaking sync.WaitGroup
	defer shaking.Wait()
	defer cancel()
	for {
		c, err := l.Listener.Accept()
		if err == nil {
			shaking.Go(func() { l.shake(ctx, c) })
		} else if !l.hand(accepted{err: err}) {
			return
		}
	}
}

// hand hands a to a caller of Accept. It reports whether the listener is open.
func (l *handshakes) hand(a accepted) bool {
	select {
	case l.accepted <- a:
		return true
	case <-l.closed:
		return false
	}
}

func (l *handshakes) shake(ctx context.Context, c net.Conn) {
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	secure := tls.Server(c, l.config)
	err := secure.HandshakeContext(ctx)
	if err == nil {
		if !l.hand(accepted{conn: secure}) {
			_ = c.Close()
		}
		return
	}
	if r, is := errors.AsType[tls.RecordHeaderError](err); is && r.Conn != nil && plainHTTP(string(r.RecordHeader[:])) {
		_, _ = io.WriteString(c, "HTTP/1.0 400 Bad Request\r\n\r\nThis address speaks https only.\n")
	}
	_ = c.Close()
	if !errors.Is(ctx.Err(), context.Canceled) {
		l.log.Info("TLS handshake", "address", c.RemoteAddr().String(), "error", err.Error())
	}
}

// plainHTTP reports whether a connection that begins so is of http and not of https.
func plainHTTP(begins string) bool {
	switch begins {
	case "GET /", "HEAD ", "POST ", "PUT /", "OPTIO":
		return true
	}
	return false
}
