package e2e_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/internal/testsvc"
)

// GW-01, GW-05, GW-10, GW-22, GW-23, GW-25: nginx asks the server itself, with the configuration that the
// program prints, and no second program runs.
func TestServerAnswersNginx(t *testing.T) {
	t.Parallel()
	dir, address, at := t.TempDir(), testsvc.FreeAddress(t), testsvc.FreeAddress(t)
	f := &front{t: t, url: "http://" + address}
	service := httptest.NewServer(http.HandlerFunc(f.serve))
	t.Cleanup(service.Close)
	routes := filepath.Join(dir, "routes.yaml")
	if err := os.WriteFile(routes, fmt.Appendf(nil, "routes:\n  - {origin: \"http://%[1]s\", prefix: /}\n  - {origin: \"http://%[1]s\", prefix: /public, anonymous: true}\n  - {origin: %[2]q, prefix: /}\n", address, f.other()), 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t, "--data", dir, "--gateway-routes", routes, "--gateway-listen", at, "--gateway-proxies", "127.0.0.1")
	upstream := service.Listener.Addr().String()
	listen(t, testsvc.Front(t, "nginx", snippet(t, "nginx", at, upstream), at, upstream, address, "", strings.TrimPrefix(f.other(), "http://")), address)

	byToken, byCookie := p.login("usr_alice", "bearer", "app"), p.login("usr_alice", "cookie", "app")
	for name, header := range map[string][]string{"token": {"Authorization", "Bearer " + byToken.Access}, "cookie": {"Cookie", "cf=" + byCookie.Access}} {
		status, _, body := f.ask("GET", "/x", "", append(header, "Counterfoil-Subject", "root")...)
		if status != 200 || !strings.Contains(body, "Counterfoil-Subject: usr_alice\r\n") || strings.Contains(body, "root") || strings.Contains(body, byToken.Access) {
			t.Errorf("by %s: %d\n%s", name, status, body)
		}
	}
	if status, _, body := f.ask("GET", "/public", "", "Counterfoil-Subject", "root"); status != 200 || strings.Contains(body, "root") {
		t.Errorf("a page for everybody: %d\n%s", status, body)
	}
	if status, _, _ := f.ask("GET", "/x", ""); status != 401 {
		t.Errorf("nobody: %d, want 401", status)
	}
	status, h, _ := f.ask("GET", "/x?a", "", "Sec-Fetch-Mode", "navigate")
	if want := p.url + "/login?return_to=" + url.QueryEscape(f.url+"/x?a"); status != 302 || h.Get("Location") != want {
		t.Errorf("a person: %d %s, want 302 %s", status, h.Get("Location"), want)
	}
	p.set("default", `{"origins":["`+f.other()+`"]}`, "Authorization", "Bearer "+p.admin)
	f.handOver(p.url, "usr_alice", p.login("usr_alice", "cookie", "default").Access)
	p.post("/v1/admin/revocations", map[string]any{"scope": "subject", "id": "usr_alice"}, p.admin, nil)
	for range 3000 {
		if status, _, _ = f.ask("GET", "/x", byToken.Access); status != 200 {
			break
		}
	}
	if status != 401 {
		t.Errorf("revoked: %d, want 401", status)
	}
	p.kill()
	if status, h, _ := f.ask("GET", "/x", byToken.Access); status != 503 || h.Get("Retry-After") == "" {
		t.Errorf("without a server: %d, want 503", status)
	}
}
