package e2e_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/internal/testsvc"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/server"
	"github.com/counterfoil/counterfoil/store/memory"
)

// nginxConf is a proxy that serves TLS, and drops what a browser says by Fetch Metadata. Older
// browsers do not say it.
const nginxConf = `daemon off; master_process off; pid nginx.pid; error_log stderr warn;
events {}
http {
  access_log off;
  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
  server {
    listen %s ssl;
    ssl_certificate cert.pem;
    ssl_certificate_key key.pem;
    proxy_set_header Host $host;
    proxy_set_header X-Forwarded-For $remote_addr;
    proxy_set_header Sec-Fetch-Site "";
    proxy_set_header Sec-Fetch-Mode "";
    proxy_set_header Sec-Fetch-Dest "";
    proxy_set_header Sec-Fetch-User "";
    %s
  }
}
`

// startNginx starts a real nginx at address with these locations, and waits until it answers.
func startNginx(t *testing.T, address, locations string) {
	t.Helper()
	path, err := exec.LookPath("nginx")
	if err != nil {
		path = "/usr/sbin/nginx" // Debian: not in the PATH of everybody
	}
	dir := t.TempDir()
	writeCertificate(t, dir)
	if err := os.WriteFile(filepath.Join(dir, "nginx.conf"), fmt.Appendf(nil, nginxConf, address, locations), 0o600); err != nil {
		t.Fatal(err)
	}
	said := new(output)
	cmd := exec.Command(path, "-p", dir, "-c", "nginx.conf", "-e", "stderr")
	cmd.Stderr = said
	if err := cmd.Start(); err != nil {
		t.Fatalf("the proxy tests need nginx: .ci/run installs it on Debian: %v", err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	t.Cleanup(func() { _ = cmd.Process.Kill(); <-ended })
	for {
		conn, err := net.DialTimeout("tcp", address, time.Second)
		if err == nil {
			_ = conn.Close()
			return
		}
		select {
		case <-ended:
			t.Fatalf("nginx ended: %s", said)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// writeCertificate writes a certificate for 127.0.0.1 that nobody trusts.
func writeCertificate(t *testing.T, dir string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: cert}, "key.pem": {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// CSRF-01, LOGIN-12: a person uses the pages through a proxy that drops Fetch Metadata. Every
// form is taken, because the browser names the origin of the page.
func TestPagesThroughNginx(t *testing.T) {
	t.Parallel()
	l := looks[0]
	address := testsvc.FreeAddress(t)
	auth, err := server.Open(t.Context(), server.Config{Store: memory.New(), URL: "https://" + address, InsecureHashes: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = auth.Close() })
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for name := range r.Header {
			if strings.HasPrefix(name, "Sec-Fetch-") {
				t.Errorf("%s %s has %s", r.Method, r.URL.Path, name)
			}
		}
		auth.ServeHTTP(w, r)
	}))
	t.Cleanup(web.Close)
	startNginx(t, address, "location / { proxy_pass "+web.URL+"; }")
	wendy, link := invite(t, auth, "wendy")

	b := newBrowser(t, l, chromedp.Flag("ignore-certificate-errors", true))
	b.do(chromedp.Navigate(link))
	b.until(`document.querySelector("#token")?.value`)
	b.inspect("proxied-welcome-" + l.name)
	b.do(chromedp.SendKeys(chromedp.CSS("#password"), ownPassword+"\r"))
	b.until(`document.querySelector("[role=status]")?.textContent.includes("Your password is set")`)
	b.do(chromedp.SendKeys(chromedp.CSS("#identifier"), "wendy"), chromedp.SendKeys(chromedp.CSS("#password"), ownPassword+"\r"))
	b.until(`document.querySelectorAll(".sessions li").length === 1`)

	rev, err := auth.Issuer().SubjectRev(t.Context(), wendy)
	if err != nil {
		t.Fatal(err)
	}
	proof := login.Proof{Subject: wendy, Methods: []string{"pwd"}, At: time.Now(), SubjectRev: rev}
	if _, err := auth.Issuer().Login(t.Context(), proof, issuer.Request{Carrier: counterfoil.CarrierCookie, UserAgent: "phone"}); err != nil {
		t.Fatal(err)
	}
	b.do(chromedp.Reload())
	b.until(`document.querySelectorAll(".sessions li").length === 2`)
	b.inspect("proxied-account-" + l.name)
	b.do(chromedp.Click(chromedp.CSS(`.sessions button[aria-label^="Revoke phone"]`)))
	b.until(`document.querySelectorAll(".sessions li").length === 1 && document.querySelector(".tag")`)

	b.do(chromedp.SendKeys(chromedp.CSS("#current"), ownPassword), chromedp.SendKeys(chromedp.CSS("#next"), "some other words instead\r"))
	b.until(`document.querySelector("[role=status]")?.textContent.includes("changed")`)
	b.do(chromedp.Click(chromedp.CSS(`form[action$="/logout"] button`)))
	b.until(`document.body.textContent.includes("not signed in")`)
	b.inspect("proxied-signed-out-" + l.name)
}

// invite adds a user, and returns the id and the link of the invitation.
func invite(t *testing.T, auth *server.Embedded, name string) (id, link string) {
	t.Helper()
	r := httptest.NewRequest("POST", "/v1/admin/users", bytes.NewBufferString(`{"identifier":"`+name+`"}`))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	auth.LocalAdmin(func(*http.Request) string { return "test" }).ServeHTTP(w, r)
	var made struct {
		User       struct{ ID string }
		Invitation struct{ URL string }
	}
	if err := json.Unmarshal(w.Body.Bytes(), &made); err != nil || made.Invitation.URL == "" {
		t.Fatalf("invite = %d %s, %v", w.Code, w.Body, err)
	}
	return made.User.ID, made.Invitation.URL
}
