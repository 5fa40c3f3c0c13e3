package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"
)

// limited closes connections of an address that holds too many already (OPS-06).
// The TLS handshake has not begun then, so refusing is cheap.
type limited struct {
	net.Listener
	most   int // per address; 0: any number
	exempt func(netip.Addr) bool
	count  func(open int, refused bool) // told about each change

	mu   sync.Mutex // guards held and open
	held map[netip.Addr]int
	open int
}

// Accept waits for the next connection that is not one too many.
func (l *limited) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if admitted := l.admit(conn); admitted != nil {
			return admitted, nil
		}
		_ = conn.Close()
	}
}

// admit returns nil for a connection that is one too many.
func (l *limited) admit(conn net.Conn) net.Conn {
	peer, err := netip.ParseAddrPort(conn.RemoteAddr().String())
	addr := peer.Addr().Unmap()
	if addr.Is6() { // one subscriber has a whole /64
		if p, err := addr.Prefix(64); err == nil {
			addr = p.Addr()
		}
	}
	l.mu.Lock()
	refused := err == nil && l.most > 0 && l.held[addr] >= l.most && !l.exempt(peer.Addr().Unmap())
	if !refused {
		l.held[addr]++
		l.open++
	}
	open := l.open
	l.mu.Unlock()
	l.count(open, refused)
	if refused {
		return nil
	}
	return &heldConn{Conn: conn, release: sync.OnceFunc(func() { l.release(addr) })}
}

func (l *limited) release(addr netip.Addr) {
	l.mu.Lock()
	if l.held[addr]--; l.held[addr] == 0 {
		delete(l.held, addr)
	}
	l.open--
	open := l.open
	l.mu.Unlock()
	l.count(open, false)
}

type heldConn struct {
	net.Conn
	release func()
}

// Close closes the connection and gives its place back.
func (c *heldConn) Close() error {
	c.release()
	return c.Conn.Close()
}

// listenLocal opens the Unix socket at path for its owner alone. The caller holds
// the store beside it, so one that is left there belongs to a server that crashed.
func listenLocal(path string) (net.Listener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	// Between making a socket and changing its mode anybody could connect.
	defer syscall.Umask(syscall.Umask(0o177))
	l, err := net.Listen("unix", path)
	if errors.Is(err, syscall.EINVAL) {
		err = fmt.Errorf("%w\nhint: the path of a Unix socket has at most about 100 bytes: choose a shorter --data", err)
	}
	return l, err
}

// withTLS serves TLS 1.2 and later with the configured certificate, or plain.
func (c *settings) withTLS(l net.Listener, log *slog.Logger) (net.Listener, error) {
	if c.TLSCert == "" {
		return l, nil
	}
	files := &certificate{cert: c.TLSCert, key: c.TLSKey, log: log, now: time.Now}
	if err := files.load(); err != nil {
		return nil, err
	}
	return tls.NewListener(l, &tls.Config{
		GetCertificate: files.get, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"},
	}), nil
}

// certificate is a pair of files that somebody renews while the server runs.
type certificate struct {
	cert, key string
	log       *slog.Logger
	now       func() time.Time

	mu      sync.Mutex // guards all below
	pair    *tls.Certificate
	changed time.Time // of the file, when pair was read
	looked  time.Time
}

// get implements tls.Config.GetCertificate. It looks at the files once a minute; a
// pair that cannot be used leaves the old one in place.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := c.now(); now.Sub(c.looked) >= time.Minute {
		c.looked = now
		if info, err := os.Stat(c.cert); err == nil && !info.ModTime().Equal(c.changed) {
			if err := c.loadLocked(); err != nil {
				c.log.Error("certificate", "file", c.cert, "error", err.Error())
			}
		}
	}
	return c.pair, nil
}

func (c *certificate) load() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.looked = c.now()
	return c.loadLocked()
}

func (c *certificate) loadLocked() error {
	info, err := os.Stat(c.cert)
	if err != nil {
		return err
	}
	pair, err := tls.LoadX509KeyPair(c.cert, c.key)
	if err != nil {
		return err // changed stays: the other file of the pair may come in a moment
	}
	c.pair, c.changed = &pair, info.ModTime()
	return nil
}

// writeTimeout is for a request and its answer together: a long poll takes 30 s, and a
// revocation that waits for every verifier a little more than a minute. Whoever does
// not take an answer must not hold its connection, and what it asked for, for ever.
const writeTimeout = 2 * time.Minute

// serveUntil serves on listener until ctx ends, then lets requests finish.
func serveUntil(ctx context.Context, listener net.Listener, h http.Handler) error {
	s := &http.Server{
		Handler: h, DisableGeneralOptionsHandler: true, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 15 * time.Second,
		WriteTimeout: writeTimeout, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 32 << 10,
	}
	stopped := make(chan error, 1)
	go func() {
		<-ctx.Done()
		late, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		err := s.Shutdown(late)
		if errors.Is(err, context.DeadlineExceeded) {
			err = s.Close() // only long polls are left, and they lose nothing
		}
		stopped <- err
	}()
	if err := s.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return <-stopped
}
