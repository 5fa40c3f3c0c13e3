package ops

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/counterfoil/counterfoil/internal/config"
)

// writePair writes a certificate for 127.0.0.1 with that serial number.
func writePair(t *testing.T, dir string, serial int64) (cert, key string, pool *x509.CertPool) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "test"}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: pkcs8}} {
		asEditorsDo := "\ufeff" + strings.ReplaceAll(string(pem.EncodeToMemory(block)), "\n", " \r\n")
		if err := os.WriteFile(path, []byte(asEditorsDo), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chtimes(cert, time.Unix(serial, 0), time.Unix(serial, 0)); err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool = x509.NewCertPool()
	pool.AddCert(parsed)
	return cert, key, pool
}

func TestRenewedCertificate(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		cert, key, _ := writePair(t, dir, 1)
		c := (&Settings{TLSCert: cert, TLSKey: key}).files(slog.New(slog.DiscardHandler))
		if err := c.Load(); err != nil {
			t.Fatal(err)
		}
		serial := func() int64 { return c.Current().Leaf.SerialNumber.Int64() }
		writePair(t, dir, 2)
		if got := serial(); got != 1 {
			t.Errorf("serial = %d at once, want the files to be left alone for a minute", got)
		}
		time.Sleep(time.Minute)
		if got := serial(); got != 2 {
			t.Errorf("serial = %d a minute later, want 2", got)
		}
		writePair(t, dir, 3)
		if err := os.WriteFile(key, []byte("not there yet"), 0o600); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if got := serial(); got != 2 {
			t.Errorf("serial = %d with half a pair, want the old one", got)
		}
		writePair(t, dir, 4)
		time.Sleep(time.Minute)
		if got := serial(); got != 4 {
			t.Errorf("serial = %d, want 4", got)
		}
	})
}

// The listener speaks TLS 1.2 or later and HTTP/2. The rules check the pair before the start.
func TestServesTLS(t *testing.T) {
	cert, key, pool := writePair(t, t.TempDir(), 1)
	c := Settings{TLSCert: cert, TLSKey: key, Listen: "127.0.0.1:0"}
	var v config.Verdict
	if c.checkTLS(&v); len(v.Problems) > 0 {
		t.Errorf("a good pair: %v", v.Problems)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if l, err = c.withTLS(l, slog.New(slog.DiscardHandler), nil); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- Serve(ctx, l, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	}()
	client := &http.Client{Transport: &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: pool}}}
	res, err := client.Get("https://" + l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.ProtoMajor != 2 || res.TLS.Version < tls.VersionTLS12 {
		t.Errorf("served by %s over %s", res.Proto, tls.VersionName(res.TLS.Version))
	}
	if _, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}); err == nil {
		t.Error("TLS 1.1 was accepted")
	}
	client.CloseIdleConnections()
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}

	if err := os.Chmod(key, 0o644); err != nil {
		t.Fatal(err)
	}
	if c.checkTLS(&v); len(v.Problems) != 1 || v.Problems[0].Key != "tls_key" {
		t.Errorf("a key that everybody can read: %v", v.Problems)
	}
}

// OPS-07: the ops token is readable on no network. On loopback scrapers use plain http.
func TestOpsListenerServesTLS(t *testing.T) {
	cert, key, _ := writePair(t, t.TempDir(), 1)
	for address, want := range map[string]bool{"0.0.0.0:0": true, "127.0.0.1:0": false} {
		s, err := Listen(Options{
			Settings: &Settings{Listen: "127.0.0.1:0", OpsListen: address, TLSCert: cert, TLSKey: key},
			Metrics:  NewMetrics(nil), Logger: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, isTLS := s.ops.(*handshakes); isTLS != want {
			t.Errorf("%s: TLS = %v, want %v", address, isTLS, want)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}
