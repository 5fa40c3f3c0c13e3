package e2e_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/counterfoiltest"
	"github.com/counterfoil/counterfoil/internal/testsvc"
	"github.com/counterfoil/counterfoil/source"
)

// front is a proxy that asks a gateway, and the service behind it.
type front struct {
	proxy   string
	t       *testing.T
	issuer  *counterfoiltest.Issuer
	gateway *exec.Cmd
	url     string       // of the proxy
	reached atomic.Int64 // how often the service was
}

// newFront starts the service, the gateway as the program has it, and the proxy with the
// configuration that the program prints.
func newFront(t *testing.T, proxy string) *front {
	f := &front{t: t, proxy: proxy, issuer: counterfoiltest.New(t), url: "http://" + testsvc.FreeAddress(t)}
	service := httptest.NewServer(http.HandlerFunc(f.serve))
	t.Cleanup(service.Close)
	dir, at := t.TempDir(), testsvc.FreeAddress(t)
	routes := fmt.Sprintf("routes:\n  - {origin: %[1]q, prefix: /}\n  - {origin: %[1]q, prefix: /public, anonymous: true}\n  - {origin: %[1]q, prefix: /admin, require: {roles: [admin]}}\n  - {origin: %[1]q, prefix: /strong, require: {acr: [phr]}}\n  - {origin: \"http://localhost\", prefix: /, anonymous: true}\n  - {origin: %[2]q, prefix: /}\n", f.url, f.other())
	if err := os.WriteFile(filepath.Join(dir, "routes.yaml"), []byte(routes), 0o600); err != nil {
		t.Fatal(err)
	}
	f.gateway = gatewayCommand(f.issuer.URL, f.issuer.APIKey, filepath.Join(dir, "routes.yaml"),
		"--bound", "2s", "--trusted-proxies", "127.0.0.1/32", "--listen", at, "--ops-listen", "off")
	listen(t, f.gateway, at)
	address := strings.TrimPrefix(f.url, "http://")
	upstream := service.Listener.Addr().String()
	startFront(t, proxy, snippet(t, proxy, at, upstream), at, upstream, address, "", strings.TrimPrefix(f.other(), "http://"))
	return f
}

// serve is the service.
func (f *front) serve(w http.ResponseWriter, r *http.Request) {
	f.reached.Add(1)
	_ = r.Header.Write(w)
	fmt.Fprintf(w, "%s %s\n", r.Method, r.RequestURI)
}

// other is the origin of another host of the proxy: a browser sends it no cookie of the first one.
func (f *front) other() string { return strings.Replace(f.url, "127.0.0.1", "127.0.0.2", 1) }

var direct = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

// ask sends a request through the proxy, with its path as it is written.
func (f *front) ask(method, path, token string, header ...string) (status int, h http.Header, body string) {
	f.t.Helper()
	r, err := http.NewRequest(method, f.url, nil)
	if err != nil {
		f.t.Fatal(err)
	}
	r.URL.Opaque = path
	if strings.HasPrefix(path, "//") { // another host for the client of Go
		r.URL.Opaque = f.url + path
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for n := 0; n < len(header); n += 2 {
		r.Header[header[n]] = append(r.Header[header[n]], header[n+1])
	}
	res, err := direct.Do(r)
	if err != nil {
		f.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	return res.StatusCode, res.Header, string(data)
}

// raw sends a request as it is written, and returns the status of the answer.
func (f *front) raw(request string) (status int) {
	f.t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(f.url, "http://"))
	if err != nil {
		f.t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, request); err != nil {
		f.t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		f.t.Fatal(err)
	}
	_ = res.Body.Close()
	return res.StatusCode
}

// GW-01 to GW-10, GW-19, GW-22, GW-23, GW-25: real proxies, with the configuration that the program prints,
// let through what the gateway allows, and nothing else.
func TestGatewayBehindProxies(t *testing.T) {
	t.Parallel()
	for _, proxy := range edgeProxies() {
		t.Run(proxy, func(t *testing.T) {
			t.Parallel()
			newFront(t, proxy).judge()
		})
	}
}

func (f *front) judge() {
	t := f.t
	in := f.issuer.Login("alice", counterfoil.CarrierBearer, "staff", "ops")
	token := in.Access.Reveal()
	spoof := []string{"Remote-User", "root", "Remote-Groups", "admin", "Remote-Email", "root@example.com", "Remote-Name", "root", "Counterfoil-Assertion", "root", "Counterfoil-Subject", "root", "Counterfoil-Subject", "toor", "Counterfoil-Roles", "admin", "X-Forwarded-Uri", "/public", "X-Original-URL", f.url + "/public", "X-Forwarded-Method", "OPTIONS", "X-Forwarded-Host", "localhost", "Forwarded", "host=localhost"}

	// Who is let through is told as they are, once, and not as they say.
	for _, method := range []string{"GET", "POST", "DELETE"} {
		status, _, body := f.ask(method, "/x?a=%2F&b", token, spoof...)
		if status != 200 || strings.Count(body, "Counterfoil-Subject: ") != 1 || !strings.Contains(body, "Counterfoil-Subject: alice\r\n") ||
			!strings.Contains(body, "Counterfoil-Roles: staff ops\r\n") || !strings.HasSuffix(body, method+" /x?a=%2F&b\n") {
			t.Errorf("%s = %d\n%s", method, status, body)
		}
		if strings.Contains(body, "root") { // as Remote-User, which the route does not send
			t.Errorf("%s: the service gets what the visitor says:\n%s", method, body)
		}
		if strings.Count(body, "Counterfoil-Assertion: ") != 1 || !strings.Contains(body, "Counterfoil-Assertion: ey") {
			t.Errorf("%s: the service gets no assertion:\n%s", method, body)
		}
		if strings.Contains(body, token) {
			t.Errorf("%s: the service gets the token", method)
		}
	}
	if status, _, body := f.ask("GET", "/public/x", "", spoof...); status != 200 || strings.Contains(body, "root") || strings.Contains(body, "admin\r\n") {
		t.Errorf("a page for everybody = %d\n%s", status, body)
	}

	// Everybody else is refused, and the service is not reached.
	reached := f.reached.Load()
	for _, c := range []struct {
		path, token string
		header      []string
		want        int
	}{
		{"/x", "", nil, 401},
		{"/x", "junk", nil, 401},
		{"/admin", token, nil, 403},
		{"/x", "", spoof, 401},
		{"/public/../x", "", nil, 0},
		{"/public/%2e%2e/x", "", nil, 0},
		{"/public/..%2fx", "", nil, 0},
		{"/public//x", "", nil, 0},
		{"/public/;/x", "", nil, 0},
		{"/public%00", "", nil, 0},
		{"/x", token, []string{"Counterfoil_Roles", "admin"}, 0},
	} {
		status, h, body := f.ask("GET", c.path, c.token, c.header...)
		switch {
		case c.want == 0 && f.proxy == "traefik" && (status == 401 || strings.HasSuffix(body, "GET /public/x\n")): // it has asked about the path that it passes on
			if status == 200 {
				reached++
			}
		case c.want == 0 && status != 400 && status != 403:
			if status == 200 && len(c.header) > 0 && !strings.Contains(body, "admin") { // the proxy took it away
				reached++
				continue
			}
			t.Errorf("%s %v = %d, want 400 or 403\n%s", c.path, c.header, status, body)
		case c.want != 0 && status != c.want:
			t.Errorf("%s = %d, want %d\n%s", c.path, status, c.want, body)
		case c.want == 401 && !strings.HasPrefix(h.Get("Www-Authenticate"), "Bearer"):
			t.Errorf("%s: WWW-Authenticate %q", c.path, h.Get("Www-Authenticate"))
		case c.want == 401:
			f.described(h.Get("Www-Authenticate"), c.path)
		}
	}
	// GW-19: a request line that names this service, and a Host that names one for everybody.
	if status := f.raw("GET " + f.url + "/x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"); status != 400 && status != 401 {
		t.Errorf("two hosts in a request = %d, want 400 or 401", status)
	}
	// What a visitor names in Connection is not replaced by what the visitor says.
	if status, _, body := f.ask("GET", "/x", token, "Connection", "close, Counterfoil-Roles, X-Forwarded-Uri, Counterfoil-Subject", "Counterfoil-Roles", "admin"); status == 200 {
		reached++
		if strings.Contains(body, "admin") {
			t.Errorf("a header that Connection names is the visitor's:\n%s", body)
		}
	}
	if now := f.reached.Load(); now != reached {
		t.Errorf("the service was reached %d times by requests that are refused", now-reached)
	}
	status, h, _ := f.ask("GET", "/x?a=b&c", "", "Sec-Fetch-Mode", "navigate")
	if want := f.issuer.URL + "/login?return_to=" + url.QueryEscape(f.url+"/x?a=b&c"); status != 302 || h.Get("Location") != want {
		t.Errorf("a person gets %d %s, want 302 %s", status, h.Get("Location"), want)
	}

	(&program{t: t, url: f.issuer.URL}).set("default", `{"origins":["`+f.other()+`"]}`, "Authorization", "Bearer "+f.issuer.APIKey)
	f.handOver(f.issuer.URL, "carol", f.issuer.Login("carol", counterfoil.CarrierCookie).Access.Reveal())

	// What is revoked is refused, and what is unknown is no sign-out.
	f.issuer.Revoke(source.ScopeSession, in.Session.ID)
	for range 3000 {
		if status, _, _ = f.ask("GET", "/x", token); status != 200 {
			break
		}
	}
	if status != 401 {
		t.Errorf("a revoked session = %d, want 401", status)
	}
	good := f.issuer.Token("bob")
	if status, _, _ := f.ask("GET", "/x", good); status != 200 {
		t.Errorf("another session = %d", status)
	}
	_ = f.gateway.Process.Kill()
	for range 3000 {
		if status, h, _ = f.ask("GET", "/x", good); status != 200 {
			break
		}
	}
	if status < 500 || h.Get("Set-Cookie") != "" {
		t.Errorf("without a gateway = %d, want a failure of the server", status)
	}
}
