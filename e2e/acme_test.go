package e2e_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/counterfoiltest"
	"github.com/counterfoil/counterfoil/internal/testsvc"
)

// certified is a gateway with certificates of a CA.
type certified struct {
	t      *testing.T
	ca     *ca
	is     *counterfoiltest.Issuer
	routes string // file
	to     string // the service
	at     string // of the proxy
	ops    string
	more   []string // arguments

	cmd *exec.Cmd
	end <-chan struct{}
	log *output
}

func newCertified(t *testing.T, c *ca, at string, hosts ...string) *certified {
	t.Helper()
	g := &certified{t: t, ca: c, is: counterfoiltest.New(t), routes: filepath.Join(t.TempDir(), "routes.yaml"), at: at, ops: testsvc.FreeAddress(t), to: service(t, "one").URL}
	g.write(hosts...)
	return g
}

// write writes routes for hosts.
func (g *certified) write(hosts ...string) {
	g.t.Helper()
	text := "routes:\n"
	for _, h := range hosts {
		text += fmt.Sprintf("  - {origin: \"https://%s\", prefix: /, anonymous: true, upstreams: [%q]}\n", h, g.to)
	}
	if err := os.WriteFile(g.routes, []byte(text), 0o600); err != nil {
		g.t.Fatal(err)
	}
}

func (g *certified) start() {
	g.t.Helper()
	g.cmd, g.log = gatewayProxy(g.is, g.routes, g.at, append([]string{"--ops-listen", g.ops, "--acme", g.ca.directory, "--acme-accept-terms"}, g.more...)...), &output{}
	g.cmd.Env = append(g.cmd.Env, "SSL_CERT_FILE="+g.ca.trust)
	g.cmd.Stdout, g.cmd.Stderr = g.log, g.log
	g.end = testsvc.Listen(g.t, g.cmd, g.at)
}

func (g *certified) signal(s os.Signal) {
	g.t.Helper()
	if err := g.cmd.Process.Signal(s); err != nil {
		g.t.Fatal(err)
	}
}

func (g *certified) stop(s os.Signal) {
	g.t.Helper()
	g.signal(s)
	<-g.end
}

// got waits until the gateway has a certificate for a host.
func (g *certified) got(host string) {
	g.t.Helper()
	g.log.await(g.t, `"msg":"certificate","host":"`+host+`"`, 1)
}

// shake opens a connection, and returns the certificate that it sees.
func (g *certified) shake(host string) (*x509.Certificate, error) {
	dialer := &tls.Dialer{Config: &tls.Config{RootCAs: g.ca.roots, ServerName: host}}
	if host == "" {
		dialer.Config.InsecureSkipVerify = true // a client that names no host
	}
	c, err := dialer.DialContext(g.t.Context(), "tcp", g.at)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return c.(*tls.Conn).ConnectionState().PeerCertificates[0], nil
}

// get asks a host for its page.
func (g *certified) get(host string) string {
	g.t.Helper()
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: g.ca.roots}, ForceAttemptHTTP2: true,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, g.at)
		},
	}
	defer transport.CloseIdleConnections()
	res, err := (&http.Client{Transport: transport}).Get("https://" + host + "/page")
	if err != nil {
		g.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		g.t.Fatalf("%s: %s, %v", host, res.Status, err)
	}
	return res.Proto + " " + string(text)
}

// page is one of the ops listener.
func (g *certified) page(path string) (status int, text string) {
	g.t.Helper()
	res, err := http.Get("http://" + g.ops + path)
	if err != nil {
		g.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

// folder is where the gateway keeps what it got from the CA.
func (g *certified) folder() string {
	return filepath.Join(filepath.Dir(g.routes), "acme", strings.Map(func(r rune) rune {
		if r == ':' || r == '/' {
			return '-'
		}
		return r
	}, strings.TrimPrefix(g.ca.directory, "https://")))
}

// The gateway gets certificates before anybody asks for a page, keeps them, and asks for no host but those of its routes. A
// host of new routes gets one while the gateway runs.
func TestACME(t *testing.T) {
	t.Parallel()
	at := testsvc.FreeAddress(t)
	c := startCA(t, 90*24*time.Hour, at, testsvc.FreeAddress(t))
	g := newCertified(t, c, at, "a.example.com", "127.0.0.1")
	g.start()
	g.got("a.example.com")
	if text := g.get("a.example.com"); !strings.HasPrefix(text, "HTTP/2.0 one ") {
		t.Errorf("the page: %q", text)
	}
	g.log.await(t, `"msg":"account made"`, 1)
	g.log.await(t, `"hosts":"127.0.0.1"`, 1)

	for _, host := range []string{"b.example.com", "unknown.example.com", ""} {
		if _, err := g.shake(host); err == nil || !strings.Contains(err.Error(), "unrecognized name") {
			t.Errorf("a handshake for %q: %v, want that nobody is there by this name", host, err)
		}
	}
	g.write("a.example.com", "b.example.com")
	g.signal(syscall.SIGHUP)
	g.got("b.example.com")
	g.get("b.example.com")
	g.get("a.example.com")
	if accounts, orders := c.asked(); accounts != 1 || orders != 2 || strings.Contains(c.log.String(), "unknown.example.com") {
		t.Errorf("%d accounts, %d orders, want 1 and 2, and none for another host:\n%s", accounts, orders, c.log)
	}
	if status, text := g.page("/metrics"); status != http.StatusOK || !strings.Contains(text, `counterfoil_gateway_certificate_not_after_seconds{host="b.example.com"} 1.`) || !strings.Contains(text, `counterfoil_gateway_certificate_failures{host="b.example.com"} 0`) {
		t.Errorf("metrics: %d, %s", status, text)
	}
	private(t, filepath.Dir(g.folder()))

	first, err := g.shake("a.example.com")
	if err != nil {
		t.Fatal(err)
	}
	g.stop(os.Interrupt)
	g.start()
	if again, err := g.shake("a.example.com"); err != nil || !again.Equal(first) {
		t.Errorf("after the next start: %v, want the same certificate", err)
	}
	// What the gateway is about to do is known, so that nothing has to be waited for.
	for _, s := range g.status() {
		if next := first.NotAfter.Add(-first.NotAfter.Sub(first.NotBefore)/3 - time.Minute); s.Next.Before(next) || s.Failures != 0 {
			t.Errorf("%+v, want that nobody asks before %v", s, next)
		}
	}
	if accounts, orders := c.asked(); accounts != 1 || orders != 2 {
		t.Errorf("%d accounts, %d orders after the next start, want 1 and 2", accounts, orders)
	}
}

type certificateStatus struct {
	Host, Problem string
	Next          time.Time
	Failures      int
}

func (g *certified) status() []certificateStatus {
	g.t.Helper()
	var answer struct{ Certificates []certificateStatus }
	if status, text := g.page("/debug/certificates"); status != http.StatusOK || json.Unmarshal([]byte(text), &answer) != nil {
		g.t.Fatalf("%d, %s", status, text)
	}
	return answer.Certificates
}

// private checks that nobody else may read what is in a folder.
func private(t *testing.T, dir string) {
	t.Helper()
	found := 0
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if want := map[bool]fs.FileMode{true: 0o700, false: 0o600}[e.IsDir()]; err == nil && info.Mode().Perm() != want {
			t.Errorf("%s has the mode %v, want %v", path, info.Mode(), want)
		}
		if strings.HasSuffix(path, ".key") || strings.HasSuffix(path, ".pem") {
			found++
		}
		return err
	})
	if err != nil || found != 3 {
		t.Errorf("%d keys in %s, %v, want those of the account and of two hosts", found, dir, err)
	}
}

// A certificate is replaced before it ends, with a new key, and no visitor is refused meanwhile.
func TestACMERenews(t *testing.T) {
	t.Parallel()
	at := testsvc.FreeAddress(t)
	c := startCA(t, 30*time.Second, at, testsvc.FreeAddress(t))
	g := newCertified(t, c, at, "a.example.com")
	g.start()
	g.got("a.example.com")
	seen := map[string]*x509.Certificate{}
	for deadline := time.Now().Add(hung); len(seen) < 2 && time.Now().Before(deadline); {
		is, err := g.shake("a.example.com")
		if err != nil {
			t.Fatal(err)
		}
		seen[is.SerialNumber.String()] = is
		<-time.After(20 * time.Millisecond) // 2 cores
	}
	keys := map[string]bool{}
	for _, is := range seen {
		key, err := is.PublicKey.(*ecdsa.PublicKey).Bytes()
		if err != nil {
			t.Fatal(err)
		}
		keys[string(key)] = true
	}
	if len(keys) != 2 {
		t.Errorf("%d certificates with %d keys, want a second one with a key of its own", len(seen), len(keys))
	}
	if accounts, _ := c.asked(); accounts != 1 {
		t.Errorf("%d accounts, want 1", accounts)
	}
}

// A host that the CA cannot find keeps no other host from being served. The operator is told why, and neither a start nor new routes
// make the gateway ask more often.
func TestACMEFails(t *testing.T) {
	t.Parallel()
	at := testsvc.FreeAddress(t)
	c := startCA(t, 90*24*time.Hour, at, testsvc.FreeAddress(t))
	c.lead(t, "lost.example.com", "127.0.0.9") // nobody listens there
	g := newCertified(t, c, at, "a.example.com", "lost.example.com")
	g.start()
	g.got("a.example.com")
	const said = `"msg":"certificate not obtained","host":"lost.example.com","error":"tls-alpn-01: acme: authorization error for lost.example.com: `
	g.log.await(t, said, 1)
	g.log.await(t, "Failed to connect to 127.0.0.9", 1)
	check := func() {
		t.Helper()
		g.get("a.example.com")
		if _, err := g.shake("lost.example.com"); err == nil || !strings.Contains(err.Error(), "unrecognized name") {
			t.Errorf("a handshake for the other host: %v", err)
		}
		if status, _ := g.page("/readyz"); status != http.StatusNoContent {
			t.Errorf("/readyz: %d, want 204: others are served", status)
		}
		if _, text := g.page("/metrics"); !strings.Contains(text, `counterfoil_gateway_certificate_failures{host="lost.example.com"} 1`) || !strings.Contains(text, `counterfoil_gateway_certificate_not_after_seconds{host="lost.example.com"} 0`) {
			t.Errorf("metrics: %s", text)
		}
		s := g.status()[1]
		if s.Failures != 1 || !strings.Contains(s.Problem, "Failed to connect to 127.0.0.9") || !s.Next.After(time.Now()) {
			t.Errorf("%+v, want 1 failure, and that the CA is asked later", s)
		}
	}
	check()
	g.signal(syscall.SIGHUP)
	g.log.await(t, `"msg":"routes"`, 1)
	check()
	g.stop(syscall.SIGKILL)
	g.start()
	check()
	if _, orders := c.asked(); orders != 2 {
		t.Errorf("%d orders, want 2", orders)
	}
}

// Wherever the gateway is killed while it asks the CA, the next start finds nothing broken.
func TestACMEKilled(t *testing.T) {
	t.Parallel()
	at := testsvc.FreeAddress(t)
	c := startCA(t, 90*24*time.Hour, at, testsvc.FreeAddress(t))
	g := newCertified(t, c, at, "a.example.com")
	for _, step := range []string{" accounts in memory", " orders in the db", "Pulled a task", "set VALID by", "Processing finalization", "Issued certificate serial"} {
		g.start()
		c.log.await(t, step, 1)
		g.stop(syscall.SIGKILL)
	}
	g.start()
	if _, err := g.shake("a.example.com"); err != nil { // none is there yet
		g.got("a.example.com")
	}
	g.get("a.example.com")
	if accounts, _ := c.asked(); accounts != 1 {
		t.Errorf("%d accounts, want 1: its key is there from the start", accounts)
	}
}

// A CA that does not reach the proxy may look at the address that redirects visitors to https.
func TestACMEByHTTP(t *testing.T) {
	t.Parallel()
	plain := testsvc.FreeAddress(t)
	c := startCA(t, 90*24*time.Hour, testsvc.FreeAddress(t), plain)
	g := newCertified(t, c, testsvc.FreeAddress(t), "a.example.com")
	g.more = []string{"--redirect-listen", plain}
	// The way at the proxy comes first, and has failed an hour ago.
	if err := os.MkdirAll(g.folder(), 0o700); err != nil {
		t.Fatal(err)
	}
	hour, err := json.Marshal(time.Now().Add(-time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(g.folder(), "a.example.com.failed"), fmt.Appendf(nil, `{"count":1,"last":%s,"next":%s,"problem":"not there"}`, hour, hour), 0o600); err != nil {
		t.Fatal(err)
	}
	g.start()
	g.got("a.example.com")
	g.get("a.example.com")

	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	defer client.CloseIdleConnections()
	for _, ask := range []struct {
		method, host, path string
		want               int
		location           string
	}{
		{"GET", "a.example.com", "/x%20y?z=1", 308, "https://a.example.com/x%20y?z=1"},
		{"HEAD", "A.example.com:80", "/", 308, "https://a.example.com/"},
		{"POST", "a.example.com", "/", 403, ""},
		{"GET", "b.example.com", "/", 403, ""},
		{"GET", "a.example.com", "/../x", 400, ""},
		{"GET", "a.example.com", "/.well-known/acme-challenge/..%2faccount.key", 404, ""},
		{"GET", "a.example.com", "/.well-known/acme-challenge/none", 404, ""},
	} {
		r, err := http.NewRequestWithContext(t.Context(), ask.method, "http://"+plain+ask.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = ask.host
		res, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if _ = res.Body.Close(); res.StatusCode != ask.want || res.Header.Get("Location") != ask.location {
			t.Errorf("%s %s of %s: %d to %q, want %d to %q", ask.method, ask.path, ask.host, res.StatusCode, res.Header.Get("Location"), ask.want, ask.location)
		}
	}
}

// Of two gateways that share a folder one asks the CA, which may find the other.
func TestACMEShared(t *testing.T) {
	t.Parallel()
	at := testsvc.FreeAddress(t)
	c := startCA(t, 90*24*time.Hour, at, testsvc.FreeAddress(t))
	one := newCertified(t, c, at, "a.example.com")
	two := *one
	two.at, two.ops = testsvc.FreeAddress(t), testsvc.FreeAddress(t)
	release := one.hold("a.example.com")
	two.start() // asks first, and the CA does not find it
	two.log.await(t, `"msg":"passing requests on"`, 1)
	one.start()
	release()
	for _, g := range []*certified{one, &two} {
		for {
			if s := g.status()[0]; s.Failures > 0 {
				t.Fatalf("%+v", s)
			}
			if _, err := g.shake("a.example.com"); err == nil {
				break
			}
			<-time.After(20 * time.Millisecond)
		}
	}
	if accounts, orders := c.asked(); accounts != 1 || orders != 1 {
		t.Errorf("%d accounts, %d orders, want 1 and 1", accounts, orders)
	}
}

// hold keeps gateways from asking for a host, as one does that asks.
func (g *certified) hold(host string) (release func()) {
	g.t.Helper()
	if err := os.MkdirAll(g.folder(), 0o700); err != nil {
		g.t.Fatal(err)
	}
	lock, err := os.OpenFile(filepath.Join(g.folder(), host+".lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err == nil {
		err = syscall.Flock(int(lock.Fd()), syscall.LOCK_EX)
	}
	if err != nil {
		g.t.Fatal(err)
	}
	return func() { _ = lock.Close() }
}
