package bench_test

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/counterfoiltest"
	"github.com/counterfoil/counterfoil/internal/testsvc"
	"github.com/counterfoil/counterfoil/source"
)

// BenchmarkWebSockets opens 10,000 WebSockets on 100 sessions through the proxy of the real program, with and without
// TLS, and lets them wait. It prints what the program holds for each (its RSS, both connections), and
// revokes one session after the other: how long it takes from the call to the close frame at the
// client, for each of the session's hundred. It fails if another one ends, or ends otherwise.
//
// Each WebSocket takes two descriptors of the program, and two of the benchmark. If ulimit -n allows fewer,
// there are fewer WebSockets on fewer sessions.
func BenchmarkWebSockets(b *testing.B) {
	b.Run("plain", func(b *testing.B) { webSockets(b, "http") })
	b.Run("TLS", func(b *testing.B) { webSockets(b, "https") })
}

func webSockets(b *testing.B, scheme string) {
	const each, revoked = 100, 20
	sessions := min(100, (descriptors(b)-500)/2/each)
	service, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer service.Close()
	go upgradeAll(service)
	is := counterfoiltest.New(b)
	dir, at := b.TempDir(), testsvc.FreeAddress(b)
	routes := fmt.Sprintf("routes: [{origin: %q, prefix: /, upstreams: [%q]}]", scheme+"://"+at, "http://"+service.Addr().String())
	if err := os.WriteFile(filepath.Join(dir, "routes.yaml"), []byte(routes), 0o600); err != nil {
		b.Fatal(err)
	}
	args := []string{"gateway", "--issuer", is.URL, "--routes", filepath.Join(dir, "routes.yaml"), "--proxy-listen", at,
		"--listen", "127.0.0.1:0", "--ops-listen", "off", "--connections-per-address", "0", "--log-level", "error"}
	dial := func() (net.Conn, error) { return net.Dial("tcp", at) }
	if scheme == "https" {
		cert, key, roots := certificate(b, dir)
		args = append(args, "--tls-cert", cert, "--tls-key", key)
		dial = func() (net.Conn, error) { return tls.Dial("tcp", at, &tls.Config{RootCAs: roots}) }
	}
	pid := serveFor(b, at, exec.Command(build(b, "..", "counterfoil"), args...), "COUNTERFOIL_API_KEY="+is.APIKey)

	all := make([]*waiting, 0, sessions*each)
	ids := make([]string, sessions)
	for n := range sessions {
		in := is.Login("user-"+strconv.Itoa(n), counterfoil.CarrierCookie)
		ids[n] = in.Session.ID
		for range each {
			all = append(all, &waiting{session: n, origin: scheme + "://" + at, cookie: source.InsecureCookieName + "=" + in.Access.Reveal()})
		}
	}
	all[0].open(b, dial) // what a first request brings is not counted
	before := residentKiB(b, pid)
	open(b, dial, all[1:])
	after := residentKiB(b, pid)
	perSocket := float64(after-before) / float64(len(all)-1)

	var ended atomic.Int64
	for _, w := range all {
		go w.wait(&ended)
	}
	var took []time.Duration
	for b.Loop() {
		for n := range min(revoked, sessions) {
			before := ended.Load()
			called := time.Now()
			is.Revoke(source.ScopeSession, ids[n])
			for _, w := range all[n*each : (n+1)*each] {
				took = append(took, (<-w.at).Sub(called))
				if w.err != nil {
					b.Error(w.err)
				}
			}
			if others := ended.Load() - before - each; others != 0 {
				b.Errorf("%d of other sessions ended", others)
			}
		}
	}
	slices.Sort(took)
	of := func(q int) time.Duration { return took[(len(took)-1)*q/100].Round(10 * time.Microsecond) }
	b.Logf("%d WebSockets on %d sessions: %.1f KiB each; %d were closed by revocation: p50 %v, p99 %v, max %v", len(all), sessions, perSocket, len(took), of(50), of(99), of(100))
	b.ReportMetric(perSocket, "KiB/socket")
	b.ReportMetric(float64(of(50).Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(of(99).Microseconds())/1000, "p99-ms")
	b.ReportMetric(float64(of(100).Microseconds())/1000, "max-ms")
	b.ReportMetric(0, "ns/op")
}

// waiting is the client's end of a WebSocket.
type waiting struct {
	session int
	origin  string
	cookie  string
	conn    net.Conn
	at      chan time.Time // when it ended
	err     error          // that it did not end by a close frame
}

func open(b *testing.B, dial func() (net.Conn, error), all []*waiting) {
	b.Helper()
	var group sync.WaitGroup
	for part := range slices.Chunk(all, len(all)/16+1) {
		group.Go(func() {
			for _, w := range part {
				w.open(b, dial)
			}
		})
	}
	group.Wait()
	if b.Failed() {
		b.FailNow()
	}
}

func (w *waiting) open(b *testing.B, dial func() (net.Conn, error)) {
	b.Helper()
	conn, err := dial()
	if err != nil {
		b.Error(err)
		return
	}
	b.Cleanup(func() { _ = conn.Close() })
	_, _ = fmt.Fprintf(conn, "GET /socket HTTP/1.1\r\nHost: %[1]s\r\nOrigin: %[2]s\r\nCookie: %[3]s\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\nAccept-Encoding: gzip, deflate, br\r\n"+
		"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", conn.RemoteAddr(), w.origin, w.cookie)
	answer := make([]byte, 1<<10)
	n, err := conn.Read(answer) // one write of the gateway
	if err != nil || !bytes.HasPrefix(answer, []byte("HTTP/1.1 101 ")) || !bytes.HasSuffix(answer[:n], []byte("\r\n\r\n")) {
		b.Errorf("%q, %v", answer[:n], err)
	}
	w.conn, w.at = conn, make(chan time.Time, 1)
}

func (w *waiting) wait(ended *atomic.Int64) {
	var frame [64]byte
	n, err := w.conn.Read(frame[:])
	at := time.Now()
	if n < 4 || frame[0] != 0x88 || frame[2] != 0x03 || frame[3] != 0xf0 {
		w.err = fmt.Errorf("a WebSocket of session %d ended with % x, %v; want a close frame with 1008", w.session, frame[:n], err)
	}
	ended.Add(1)
	w.at <- at
	_ = w.conn.Close()
}

// upgradeAll is a service that opens a WebSocket for each connection, and says nothing.
func upgradeAll(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			if _, err := http.ReadRequest(bufio.NewReaderSize(conn, 1<<10)); err != nil {
				return
			}
			_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")
			_, _ = conn.Read(make([]byte, 1))
		}()
	}
}

// certificate writes one for 127.0.0.1 with its key, and returns the files and who trusts it.
func certificate(b *testing.B, dir string) (cert, key string, roots *x509.CertPool) {
	b.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		b.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		b.Fatal(err)
	}
	public := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	roots = x509.NewCertPool()
	roots.AppendCertsFromPEM(public)
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	if err := errors.Join(os.WriteFile(cert, public, 0o600), os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o600)); err != nil {
		b.Fatal(err)
	}
	return cert, key, roots
}

// descriptors is how many files the benchmark and the programs that it starts may open.
func descriptors(b *testing.B) int {
	b.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		b.Fatal(err)
	}
	return int(limit.Max)
}
