package e2e_test

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/counterfoiltest"
	"github.com/counterfoil/counterfoil/internal/framing/framingtest"
	"github.com/counterfoil/counterfoil/internal/testsvc"
)

// GW-18: on each listener of the program a request that programs may read in two ways is refused with 400, the
// connection is closed, and no service gets it. Requests before it are answered.
func TestMalformedRequests(t *testing.T) {
	t.Parallel()
	is, dir, service := counterfoiltest.New(t), t.TempDir(), newRecorder(t)
	writeCertificate(t, dir)
	routes := filepath.Join(dir, "routes.yaml")
	upstreams := "prefix: /, anonymous: true, upstreams: [\"http://" + service.Addr().String() + "\"]}\n"
	if err := os.WriteFile(routes, []byte("routes:\n  - {origin: \"http://localhost\", "+upstreams+"  - {origin: \"https://localhost\", "+upstreams), 0o600); err != nil {
		t.Fatal(err)
	}
	asked := filepath.Join(dir, "asked.yaml")
	if err := os.WriteFile(asked, []byte("routes:\n  - {origin: \"http://localhost\", prefix: /}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	proxy, questions, secure, server := testsvc.FreeAddress(t), testsvc.FreeAddress(t), testsvc.FreeAddress(t), testsvc.FreeAddress(t)
	listen(t, gatewayCommand(is.URL, is.APIKey, routes, "--proxy-listen", proxy, "--listen", questions, "--trusted-proxies", "127.0.0.1", "--ops-listen", "off"), proxy)
	listen(t, gatewayCommand(is.URL, is.APIKey, routes, "--proxy-listen", secure, "--ops-listen", "off",
		"--tls-cert", filepath.Join(dir, "cert.pem"), "--tls-key", filepath.Join(dir, "key.pem")), secure)
	p := start(t, "--data", dir, "--gateway-routes", asked, "--gateway-listen", server, "--gateway-proxies", "127.0.0.1")
	public, err := url.Parse(p.url)
	if err != nil {
		t.Fatal(err)
	}
	tcp := func(at string) func() (net.Conn, error) {
		return func() (net.Conn, error) { return net.Dial("tcp", at) }
	}
	for name, dial := range map[string]func() (net.Conn, error){
		"proxy": tcp(proxy), "forward-auth": tcp(questions), "forward-auth of serve": tcp(server), "serve": tcp(public.Host),
		"proxy with TLS": func() (net.Conn, error) {
			return tls.Dial("tcp", secure, &tls.Config{InsecureSkipVerify: true}) // the certificate of the test
		},
	} {
		passes := strings.HasPrefix(name, "proxy")
		for what, c := range framingtest.Bad {
			if c.InBody() && !passes {
				continue // these answer without reading a body
			}
			service.take()
			conn, err := dial()
			if err != nil {
				t.Fatal(err)
			}
			_ = conn.SetDeadline(time.Now().Add(hung))
			_, _ = io.WriteString(conn, strings.ReplaceAll(framingtest.Good["chunks"]+c.Request, "Host: a", "Host: localhost"))
			in := bufio.NewReader(conn)
			if _, err := answer(in); err != nil {
				t.Errorf("%s, before %s: %v", name, what, err)
			}
			if got, err := answer(in); err != nil || got.StatusCode != http.StatusBadRequest || !got.Close || got.Header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("%s, %s: %+v, %v, want 400 and the end of the connection", name, what, got, err)
			}
			if _, err := in.ReadByte(); err == nil {
				t.Errorf("%s, %s: the connection goes on", name, what)
			}
			_ = conn.Close()
			if got := service.take(); passes != (len(got) == 1) || passes && !strings.Contains(got[0], "0123456789") {
				t.Errorf("%s, %s: the service got %q", name, what, got)
			}
		}
	}
}

// answer reads one.
func answer(in *bufio.Reader) (*http.Response, error) {
	res, err := http.ReadResponse(in, nil)
	if err == nil {
		_, err = io.Copy(io.Discard, res.Body)
	}
	return res, err
}
