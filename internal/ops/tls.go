package ops

import (
	"crypto/tls"
	"log/slog"
	"net"

	"github.com/counterfoil/counterfoil/internal/textfile"
)

// withTLS returns l with TLS 1.2 and later, or l itself if no certificate is set. Over, if it is not nil, returns what is
// used in the place of a configuration, which is nil if no certificate is set.
func (s *Settings) withTLS(l net.Listener, log *slog.Logger, over func(*tls.Config) *tls.Config) (net.Listener, error) {
	var config *tls.Config
	if s.TLSCert != "" {
		files := s.files(log)
		if err := files.Load(); err != nil {
			return nil, err
		}
		config = &tls.Config{
			GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return files.Current(), nil },
			MinVersion:     tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"},
		}
	}
	if over != nil {
		config = over(config)
	}
	if config == nil {
		return l, nil
	}
	return newHandshakes(l, config, log), nil
}

// files are the pair that an operator renews while the server runs. The certificate says that there is a new one: the
// key may be older.
func (s *Settings) files(log *slog.Logger) *textfile.Followed[*tls.Certificate] {
	return &textfile.Followed[*tls.Certificate]{
		Path: s.TLSCert, Failed: func(err error) { log.Error("certificate", "file", s.TLSCert, "error", err.Error()) },
		Read: func() (*tls.Certificate, error) {
			pair, err := LoadKeyPair(s.TLSCert, s.TLSKey)
			return &pair, err
		},
	}
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
