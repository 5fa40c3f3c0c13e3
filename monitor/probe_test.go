package monitor_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/internal/outward"
	"github.com/counterfoil/counterfoil/monitor"
)

// dialer connects as the file says.
func dialer(t *testing.T, f *monitor.File) func(ctx context.Context, network, address string) (net.Conn, error) {
	t.Helper()
	c, err := outward.New(outward.Options{Allow: f.Inside})
	if err != nil {
		t.Fatal(err)
	}
	return c.DialContext
}

// run runs the checks of a file once.
func run(t *testing.T, path, text string) map[string]monitor.Result {
	t.Helper()
	f, err := monitor.Parse(path, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	m, err := monitor.New(f, monitor.Options{Keeper: &monitor.Memory{}, Dial: dialer(t, f)})
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]monitor.Result{}
	for _, r := range m.Once(t.Context()) {
		all[r.Check] = r
	}
	return all
}

// httpChecks are those of TestHTTP.
const httpChecks = `checks:
- {name: ok, http: URL/ok}
- {name: json, http: URL/ok, expect: {status: 200, body_contains: counterfoil-monitor, json: {/status: up, /n: 1, /list/0/a: null}, latency: 10s}}
- {name: other-json, http: URL/ok, expect: {json: {/status: down}}}
- {name: no-member, http: URL/ok, expect: {json: {/none: 1}}}
- {name: other-text, http: URL/ok, expect: {body_contains: nothing}}
- {name: slow, http: URL/hangs, timeout: 1s}
- {name: redirect, http: URL/redirect}
- {name: wants-redirect, http: URL/redirect, expect: {status: [301, 302]}}
- {name: broken, http: URL/broken}
- {name: wants-broken, http: URL/broken, expect: {status: 500}}
- {name: large, http: URL/large, expect: {body_contains: needle}}
- {name: endless, http: URL/endless, expect: {body_contains: b}}
- {name: endless-unread, http: URL/endless}
- {name: secret, http: URL/secret, method: POST, body: hello, headers: {Host: shop.example.com}, headers_file: {Authorization: token}}
- {name: nobody, http: 'http://127.0.0.1:1/'}
- {name: no-host, http: 'http://nothing.invalid/'}
- {name: inside, http: 'http://localhost:1/'}
- {name: no-tls, http: 'https://ADDRESS/'}
`

func TestHTTP(t *testing.T) {
	followed := false
	mux := http.NewServeMux()
	mux.HandleFunc("GET /ok", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `{"status": "up", "n": 1.0, "list": [{"a": null}], "agent": %q}`, r.UserAgent())
	})
	mux.HandleFunc("GET /redirect", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/followed", http.StatusFound) })
	mux.HandleFunc("GET /followed", func(http.ResponseWriter, *http.Request) { followed = true })
	mux.HandleFunc("GET /broken", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) })
	mux.HandleFunc("GET /large", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(bytes.Repeat([]byte("needle"), 1<<20)) })
	mux.HandleFunc("GET /endless", func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := w.Write(bytes.Repeat([]byte("a"), 4096)); err != nil {
				return
			}
		}
	})
	mux.HandleFunc("GET /hangs", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	mux.HandleFunc("POST /secret", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer s3cret" || r.Host != "shop.example.com" || r.ContentLength != 5 {
			w.WriteHeader(403)
		}
	})
	web := httptest.NewServer(mux)
	t.Cleanup(web.Close)
	dir := t.TempDir()
	write(t, dir, "token", "Bearer s3cret")
	all := run(t, filepath.Join(dir, "monitor.yaml"), "inside: [127.0.0.1]\n"+strings.NewReplacer("URL", web.URL, "ADDRESS", web.Listener.Addr().String()).Replace(httpChecks))
	for name, want := range map[string]monitor.Reason{
		"ok": "", "json": "", "other-json": monitor.BadBody, "no-member": monitor.BadBody, "other-text": monitor.BadBody, "slow": monitor.TimedOut,
		"redirect": monitor.BadStatus, "wants-redirect": "", "broken": monitor.BadStatus, "wants-broken": "", "large": monitor.BadBody, "endless": monitor.BadBody, "endless-unread": "",
		"secret": "", "nobody": monitor.Unreachable, "no-host": monitor.Unreachable, "no-tls": monitor.BadTLS, "inside": monitor.Unreachable,
	} {
		r, ran := all[name]
		if !ran || r.OK != (want == "") || r.Reason != want || (r.Failure == "") != r.OK {
			t.Errorf("%s: %+v, want reason %q", name, r, want)
		}
		if strings.Contains(r.Failure, "s3cret") {
			t.Errorf("%s: the failure has a secret: %s", name, r.Failure)
		}
	}
	if followed {
		t.Error("a redirect was followed")
	}
}

// authority makes certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string // of its certificate
}

func newAuthority(t *testing.T, dir string) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{key: key, file: filepath.Join(dir, "ca.pem")}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(100 * 24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	write(t, dir, "ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	return a
}

// issue makes a certificate for a name, or of a client if the name is empty.
func (a *authority) issue(t *testing.T, name string, ends time.Time) (pair tls.Certificate, certPEM, keyPEM string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(2), NotBefore: ends.Add(-90 * 24 * time.Hour), NotAfter: ends, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	if name != "" {
		template.DNSNames = []string{name}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certPEM = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	keyPEM = string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: secret}))
	pair, err = tls.X509KeyPair([]byte(certPEM), []byte(keyPEM))
	if err != nil {
		t.Fatal(err)
	}
	return pair, certPEM, keyPEM
}

// serveTLS serves with a certificate, and demands one of a if demand is set.
func serveTLS(t *testing.T, pair tls.Certificate, a *authority, demand bool) (address string) {
	t.Helper()
	web := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	web.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	if demand {
		web.TLS.ClientAuth, web.TLS.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
		web.TLS.ClientCAs.AddCert(a.cert)
	}
	web.StartTLS()
	t.Cleanup(web.Close)
	return web.Listener.Addr().String()
}

// A certificate must be believed, be of the name, and be good now. Its end is reported also if it is not.
func TestTLS(t *testing.T) {
	dir := t.TempDir()
	a := newAuthority(t, dir)
	soon, past := time.Now().Add(5*24*time.Hour).Truncate(time.Second), time.Now().Add(-time.Hour).Truncate(time.Second)
	good, _, _ := a.issue(t, "shop.example.com", soon)
	ended, _, _ := a.issue(t, "shop.example.com", past)
	_, cert, key := a.issue(t, "", soon)
	write(t, dir, "client.pem", cert)
	write(t, dir, "client.key", key)
	const options = "tls_options: {ca: ca.pem, server_name: shop.example.com"
	text := "inside: [127.0.0.1]\nchecks:\n"
	for _, line := range []string{
		"good, tls: " + serveTLS(t, good, a, false) + ", " + options + "}",
		"good-http, http: 'https://" + serveTLS(t, good, a, false) + "/', " + options + "}",
		"ended, tls: " + serveTLS(t, ended, a, false) + ", " + options + "}",
		"stranger, tls: " + serveTLS(t, good, a, false),
		"other-name, tls: " + serveTLS(t, good, a, false) + ", tls_options: {ca: ca.pem, server_name: other.example.com}",
		"client, http: 'https://" + serveTLS(t, good, a, true) + "/', " + options + ", cert: client.pem, key: client.key}",
		"no-client, http: 'https://" + serveTLS(t, good, a, true) + "/', " + options + "}",
	} {
		text += "- {name: " + line + "}\n"
	}
	all := run(t, filepath.Join(dir, "monitor.yaml"), text)
	for name, want := range map[string]struct {
		reason  monitor.Reason
		expires time.Time
	}{
		"good": {"", soon}, "good-http": {"", soon}, "ended": {monitor.BadTLS, past}, "stranger": {monitor.BadTLS, soon}, "other-name": {monitor.BadTLS, soon},
		"client": {"", soon}, "no-client": {monitor.BadTLS, soon},
	} {
		if r := all[name]; r.Reason != want.reason || r.OK != (want.reason == "") || !r.Expires.Equal(want.expires) {
			t.Errorf("%s: %+v, want %+v", name, r, want)
		}
	}
}

// A file of TLS that changes is read again.
func TestFilesOfTLSAreReadAgain(t *testing.T) {
	dir := t.TempDir()
	a := newAuthority(t, dir)
	pair, _, _ := a.issue(t, "shop.example.com", time.Now().Add(24*time.Hour))
	address := serveTLS(t, pair, a, false)
	right, err := os.ReadFile(a.file)
	if err != nil {
		t.Fatal(err)
	}
	newAuthority(t, dir) // another one
	f, err := monitor.Parse(filepath.Join(dir, "monitor.yaml"), []byte("inside: [127.0.0.1]\nchecks: [{name: web, tls: '"+address+"', tls_options: {ca: ca.pem, server_name: shop.example.com}}]"))
	if err != nil {
		t.Fatal(err)
	}
	m, err := monitor.New(f, monitor.Options{Keeper: &monitor.Memory{}, Dial: dialer(t, f)})
	if err != nil {
		t.Fatal(err)
	}
	if r := m.Once(t.Context())[0]; r.OK {
		t.Fatal("the certificate of a stranger is believed")
	}
	write(t, dir, "ca.pem", string(right))
	if err := os.Chtimes(a.file, time.Time{}, time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if r := m.Once(t.Context())[0]; !r.OK {
		t.Errorf("after the file has changed: %+v", r)
	}
}

// OPS-08: a name that leads inside is refused when it is dialled, unless the file lists it.
func TestNameThatLeadsInside(t *testing.T) {
	r := run(t, "monitor.yaml", "checks: [{name: a, tcp: 'localhost:1'}, {name: b, http: 'http://localhost:1/'}]")
	for name, r := range r {
		if r.Reason != monitor.Refused || !strings.Contains(r.Failure, "list it, its network or its name under inside") {
			t.Errorf("%s: %+v", name, r)
		}
	}
	if r := run(t, "monitor.yaml", "inside: [localhost]\nchecks: [{name: a, tcp: 'localhost:1'}]")["a"]; r.Reason != monitor.Unreachable {
		t.Errorf("listed by name: %+v", r)
	}
}
