package ops

import (
	"crypto/tls"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"github.com/counterfoil/counterfoil/internal/textfile"
)

// withTLS returns l with TLS 1.2 and later, or l itself if no certificate is set.
func (s *Settings) withTLS(l net.Listener, log *slog.Logger) (net.Listener, error) {
	if s.TLSCert == "" {
		return l, nil
	}
	files := &certificate{cert: s.TLSCert, key: s.TLSKey, log: log, now: time.Now}
	if err := files.load(); err != nil {
		return nil, err
	}
	return tls.NewListener(l, &tls.Config{
		GetCertificate: files.get, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"},
	}), nil
}

// LoadKeyPair is [tls.LoadX509KeyPair] for files as editors write them: before a byte order mark
// that function does not see the first certificate.
func LoadKeyPair(certFile, keyFile string) (tls.Certificate, error) {
	cert, err := textfile.Read(certFile)
	if err != nil {
		return tls.Certificate{}, err
	}
	key, err := textfile.Read(keyFile)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.X509KeyPair(cert, key)
}

// certificate is a pair of files that an operator renews while the server runs.
type certificate struct {
	cert, key string
	log       *slog.Logger
	now       func() time.Time

	mu      sync.Mutex // guards the fields below
	pair    *tls.Certificate
	changed time.Time // of the file, when pair was read
	looked  time.Time
}

// get implements tls.Config.GetCertificate. It checks the files once a minute. If
// the new pair cannot be used, it logs that and keeps the old one.
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
	pair, err := LoadKeyPair(c.cert, c.key)
	if err != nil {
		return err // changed stays as it is, so that the next check reads again: the other file may come later
	}
	c.pair, c.changed = &pair, info.ModTime()
	return nil
}
