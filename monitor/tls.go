package monitor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/counterfoil/counterfoil/internal/inside"
	"github.com/counterfoil/counterfoil/internal/outward"
	"github.com/counterfoil/counterfoil/internal/textfile"
)

// config reads the files of s, for connections to host.
func (s *Secure) config(host string) (*tls.Config, error) {
	c := &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
	if s.Name != "" {
		c.ServerName = s.Name
	}
	if s.CA != "" {
		data, err := textfile.Read(s.CA)
		if err != nil {
			return nil, err
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(data) {
			return nil, fmt.Errorf("%s has no certificate (PEM)", s.CA)
		}
	}
	if s.Cert == "" {
		return c, nil
	}
	cert, err := textfile.Read(s.Cert)
	if err != nil {
		return nil, err
	}
	key, err := textfile.Read(s.Key)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("%s and %s: %w", s.Cert, s.Key, err)
	}
	c.Certificates = []tls.Certificate{pair}
	return c, nil
}

// files are those that s names.
func (s *Secure) files() []string {
	var files []string
	for _, f := range []string{s.CA, s.Cert, s.Key} {
		if f != "" {
			files = append(files, f)
		}
	}
	return files
}

// follow returns a function that returns the configuration. When the files have changed it reads them
// again; if they cannot be used, it returns the one of before. It is called by one goroutine at a time.
func (s *Secure) follow(host string) (func() *tls.Config, error) {
	current, err := s.config(host)
	if err != nil {
		return nil, err
	}
	files := s.files()
	changed := modified(files)
	return func() *tls.Config {
		if now := modified(files); !now.Equal(changed) {
			if conf, err := s.config(host); err == nil {
				current, changed = conf, now
			}
		}
		return current
	}, nil
}

// modified is when the last of the files was changed.
func modified(files []string) (last time.Time) {
	for _, f := range files {
		if info, err := os.Stat(f); err == nil && info.ModTime().After(last) {
			last = info.ModTime()
		}
	}
	return last
}

// tcpProbe connects.
func tcpProbe(c *Check, dial dialer) Probe {
	return func(ctx context.Context) Result {
		conn, err := dial(ctx, "tcp", c.Target)
		if err != nil {
			return failed(ctx, err)
		}
		_ = conn.Close()
		return Result{OK: true}
	}
}

// tlsProbe connects, and looks at the certificate.
func tlsProbe(c *Check, dial dialer) (Probe, error) {
	host, _, err := net.SplitHostPort(c.Target)
	if err != nil {
		return nil, err
	}
	current, err := c.Secure.follow(host)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) Result {
		conn, err := dial(ctx, "tcp", c.Target)
		if err != nil {
			return failed(ctx, err)
		}
		defer conn.Close()
		secure := tls.Client(conn, current())
		if err := secure.HandshakeContext(ctx); err != nil {
			return failed(ctx, err)
		}
		state := secure.ConnectionState()
		return Result{OK: true, Expires: ends(&state)}
	}, nil
}

// ends is when the certificates end that the connection rests on: the first of the chain that lasts
// longest. A certificate that the server sends and nobody needs does not count.
func ends(state *tls.ConnectionState) (latest time.Time) {
	for _, chain := range state.VerifiedChains {
		var first time.Time
		for _, cert := range chain {
			if first.IsZero() || cert.NotAfter.Before(first) {
				first = cert.NotAfter
			}
		}
		if first.After(latest) {
			latest = first
		}
	}
	return latest
}

// failed is the result of a run that ended with err.
func failed(ctx context.Context, err error) Result {
	r := Result{Reason: Unreachable, Failure: err.Error()}
	if refused, is := errors.AsType[outward.Refused](err); is {
		r.Reason = Refused
		r.Failure = fmt.Sprintf("the address %v is inside: list it, its network or its name under inside", refused.Addr)
		if inside.Never(refused.Addr) {
			r.Failure = fmt.Sprintf("no check may reach the address %v", refused.Addr)
		}
		return r
	}
	if wrong, is := errors.AsType[*tls.CertificateVerificationError](err); is {
		r.Reason = BadTLS
		if len(wrong.UnverifiedCertificates) > 0 {
			r.Expires = wrong.UnverifiedCertificates[0].NotAfter
		}
		return r
	}
	timeout, is := errors.AsType[net.Error](err)
	if errors.Is(ctx.Err(), context.DeadlineExceeded) || is && timeout.Timeout() {
		r.Reason, r.Failure = TimedOut, "no answer in time: "+err.Error()
		return r
	}
	_, record := errors.AsType[tls.RecordHeaderError](err)
	alert, is := errors.AsType[*net.OpError](err)
	if record || is && alert.Op == "remote error" { // of the TLS of the other end
		r.Reason = BadTLS
	}
	return r
}
