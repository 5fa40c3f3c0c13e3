package e2e_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/internal/markdown"
	"github.com/counterfoil/counterfoil/internal/testsvc"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/rights"
	"github.com/counterfoil/counterfoil/server"
	"github.com/counterfoil/counterfoil/store/memory"
)

// setHost is a line of each location, and dropFetch has it drop Fetch Metadata as well. nginx takes
// over no such line from outside a location that has one.
const (
	setHost   = `proxy_set_header Host $host;`
	dropFetch = setHost + ` proxy_set_header Sec-Fetch-Site ""; proxy_set_header Sec-Fetch-Mode ""; proxy_set_header Sec-Fetch-Dest ""; proxy_set_header Sec-Fetch-User "";`
)

// writeCertificate writes a certificate for 127.0.0.1 that nobody trusts.
func writeCertificate(t *testing.T, dir string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
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

// proxied is a server in this process behind a real nginx that serves an issuer of that path.
// In locations UPSTREAM stands for the server, and other locations of the host answer nothing.
func proxied(t *testing.T, path, locations string) (auth *server.Embedded, issuer string) {
	t.Helper()
	address := testsvc.FreeAddress(t)
	issuer = "https://" + address + path
	auth, err := server.Open(t.Context(), server.Config{Store: memory.New(), URL: issuer, InsecureHashes: true})
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
	dir := t.TempDir()
	writeCertificate(t, dir)
	locations = strings.NewReplacer("UPSTREAM", web.URL, setHost, dropFetch).Replace(locations)
	listen(t, testsvc.Nginx(t, dir, "listen "+address+" ssl;\nssl_certificate cert.pem;\nssl_certificate_key key.pem;\n"+locations), address)
	return auth, issuer
}

// proxies serve an issuer at the root of its host, and below a path as docs/operations.md shows.
var proxies = []struct {
	path string
	look look
}{{"", looks[0]}, {"/auth", looks[1]}, {"/auth", looks[2]}}

// documented returns the block of a page of docs that has a text.
func documented(t *testing.T, name, text string) string {
	t.Helper()
	page, err := os.ReadFile(filepath.Join("../docs", name))
	if err != nil {
		t.Fatal(err)
	}
	blocks := markdown.Blocks(string(page))
	n, err := markdown.Find(blocks, text)
	if err != nil {
		t.Fatal(err)
	}
	return blocks[n].Text
}

// CSRF-01, LOGIN-12: a person uses the pages through a proxy that drops Fetch Metadata, and serves
// the issuer below a path of its host. Every form is taken, because the browser names the origin
// of the page, and every link, redirect and file is found.
func TestPagesThroughNginx(t *testing.T) {
	t.Parallel()
	for _, at := range proxies {
		name := "nginx" + strings.ReplaceAll(at.path, "/", "-") + "-" + at.look.name
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			locations := strings.ReplaceAll(documented(t, "operations.md", "location /auth/"), "http://127.0.0.1:8080", "UPSTREAM")
			if at.path == "" {
				locations = `location / { proxy_pass UPSTREAM; ` + setHost + ` }`
			}
			auth, url := proxied(t, at.path, locations)
			findMetadata(t, auth, url, at.path)
			throughThePages(t, auth, url, name, at.look)
		})
	}
}

// findMetadata looks for the metadata where clients do, and follows the log as a service does.
func findMetadata(t *testing.T, auth *server.Embedded, url, path string) {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}} // the certificate of the test
	defer transport.CloseIdleConnections()
	client := http.Client{Transport: transport}
	const place = "/.well-known/oauth-authorization-server"
	for _, at := range []string{url + place, strings.TrimSuffix(url, path) + place + path} {
		res, err := client.Get(at)
		if err != nil {
			t.Fatal(err)
		}
		var metadata struct{ Issuer string }
		err = json.NewDecoder(res.Body).Decode(&metadata)
		_ = res.Body.Close()
		if err != nil || metadata.Issuer != url {
			t.Errorf("%s names the issuer %q, %v", at, metadata.Issuer, err)
		}
	}
	_, key, err := auth.Users().NewKey(t.Context(), rights.Owner(), audit.Act{}, directory.APIKey{Client: "service", Scopes: []string{directory.ScopeFeed, directory.ScopeIntrospect}})
	if err != nil {
		t.Fatal(err)
	}
	source, err := counterfoil.Remote(url, counterfoil.RemoteOptions{Credential: key.Reveal(), Transport: transport})
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := counterfoil.NewVerifier(t.Context(), source, counterfoil.Options{Issuer: url, Audience: url})
	if err != nil {
		t.Fatal(err)
	}
	defer verifier.Close()
	issued, err := auth.Issuer().Login(t.Context(), login.Proof{Subject: "service", At: time.Now()}, issuer.Request{Carrier: counterfoil.CarrierBearer})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := verifier.Verify(t.Context(), issued.Access.Reveal()); err != nil {
		t.Errorf("a service that follows %s: %v", url, err)
	}
}

// throughThePages uses an invitation, signs in, ends a session, changes the password and signs
// out.
func throughThePages(t *testing.T, auth *server.Embedded, url, name string, l look) {
	t.Helper()
	wendy, link := invite(t, auth, "wendy")

	b := newBrowser(t, l, chromedp.Flag("ignore-certificate-errors", true))
	at := func(page string) string { return fmt.Sprintf("location.href === %q", url+page) }
	b.do(chromedp.Navigate(link))
	if l.script {
		b.until(`document.querySelector("#token")?.value && ` + at("/welcome"))
	} else {
		b.do(chromedp.SendKeys(chromedp.CSS("#token"), link))
	}
	b.inspect("welcome-" + name)
	b.do(chromedp.SendKeys(chromedp.CSS("#password"), ownPassword+"\r"))
	b.until(`document.querySelector("[role=status]")?.textContent.includes("Your password is set")`)
	b.do(chromedp.SendKeys(chromedp.CSS("#identifier"), "wendy"), chromedp.SendKeys(chromedp.CSS("#password"), ownPassword+"\r"))
	b.until(`document.querySelectorAll(".sessions li").length === 1 && ` + at("/"))

	loginOf(t, auth, wendy, 0, "phone")
	b.do(chromedp.Reload())
	b.until(`document.querySelectorAll(".sessions li").length === 2`)
	b.inspect("account-" + name)
	b.do(chromedp.Click(chromedp.CSS(`.sessions button[aria-label^="End the session of phone"]`)))
	b.until(`document.querySelectorAll(".sessions li").length === 1 && document.querySelector(".tag")`)

	b.openMenu()
	b.do(chromedp.Click(chromedp.CSS(`nav a[href$="/password"]`)))
	b.until(`document.querySelector("#current") && ` + at("/password"))
	b.do(chromedp.SendKeys(chromedp.CSS("#current"), ownPassword), chromedp.SendKeys(chromedp.CSS("#next"), "some other words instead\r"))
	b.until(`document.querySelector("[role=status]")?.textContent.includes("changed")`)
	b.do(chromedp.Click(chromedp.CSS(`form[action$="/logout"] button`)))
	b.until(`document.querySelector("[role=status]")?.textContent === "You are signed out."`)
	b.inspect("signed-out-" + name)
	b.do(chromedp.Click(chromedp.CSS(`a[href*="/login"]`)))
	b.until(fmt.Sprintf("location.href.startsWith(%q) && document.querySelector('#identifier')", url+"/login?return_to="))
	b.do(chromedp.SendKeys(chromedp.CSS("#identifier"), "wendy"), chromedp.SendKeys(chromedp.CSS("#password"), "some other words instead\r"))
	b.until(`document.querySelectorAll(".sessions li").length === 1 && ` + at("/"))
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

// The demo of an issuer below a path: its clients sign in there, its service follows the log there,
// and probes need no path.
func TestProgramBelowAPath(t *testing.T) {
	t.Parallel()
	address := testsvc.FreeAddress(t)
	p := startAt(t, address, "--issuer", "http://"+address+"/auth")
	get := func(url string) (int, string) {
		res, err := http.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, string(body)
	}
	if status, page := get(p.service + "live"); status != http.StatusOK || !strings.Contains(page, `href="http://`+address+`/auth/login"`) {
		t.Errorf("the live page = %d %s", status, page)
	}
	for _, url := range []string{p.url + "/login", p.url + "/readyz", "http://" + address + "/readyz"} {
		if status, body := get(url); status != http.StatusOK {
			t.Errorf("%s = %d %s", url, status, body)
		}
	}
	h := p.login("alice", "jwt-cookie", "app")
	if got := p.call(h); got != http.StatusOK {
		t.Errorf("the service answers %d", got)
	}
	p.refresh(h)
	p.post("/v1/admin/revocations", map[string]any{"scope": "session", "id": h.Session.ID}, p.admin, nil)
	p.refused(h)
}
