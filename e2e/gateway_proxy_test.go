package e2e_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/counterfoiltest"
	"github.com/counterfoil/counterfoil/internal/testsvc"
	"github.com/counterfoil/counterfoil/source"
)

// service is an upstream that says by what name it answers, and who asks.
func service(t *testing.T, name string) *httptest.Server {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		data, err := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %s %s%v", name, r.Header.Get("Counterfoil-Subject"), r.RequestURI, data, err)
	}))
	t.Cleanup(s.Close)
	return s
}

// GW-01, GW-10, GW-14: the program is a proxy itself: with two upstreams, of which one goes away,
// until a session is revoked.
func TestGatewayAsProxy(t *testing.T) {
	t.Parallel()
	is, dir, at := counterfoiltest.New(t), t.TempDir(), testsvc.FreeAddress(t)
	one, two := service(t, "one"), service(t, "two")
	routes := fmt.Sprintf("routes:\n  - {origin: \"http://%s\", prefix: /, upstreams: [%q, %q]}\n", at, one.URL, two.URL)
	file := filepath.Join(dir, "routes.yaml")
	if err := os.WriteFile(file, []byte(routes), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, "gateway", "--issuer", is.URL, "--bound", "2s", "--routes", file, "--proxy-listen", at, "--ops-listen", "off")
	cmd.Env = append(os.Environ(), "COUNTERFOIL_API_KEY="+is.APIKey)
	listen(t, cmd, at)
	in := is.Login("alice", counterfoil.CarrierBearer)
	ask := func(method, body string) (status int, text string) {
		r, err := http.NewRequest(method, "http://"+at+"/x?y", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+in.Access.Reveal())
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		data, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, string(data)
	}
	seen := map[string]int{}
	for range 20 {
		status, text := ask("GET", "")
		name, rest, _ := strings.Cut(text, " ")
		if seen[name]++; status != 200 || rest != "alice /x?y <nil>" {
			t.Fatalf("%d %q", status, text)
		}
	}
	if len(seen) != 2 {
		t.Errorf("asked %v, want both upstreams", seen)
	}
	one.Close()
	for range 20 {
		if status, text := ask("POST", "body"); status != 200 || text != "two alice /x?y body<nil>" {
			t.Fatalf("with one upstream less: %d %q", status, text)
		}
	}
	is.Revoke(source.ScopeSession, in.Session.ID)
	status := 200
	for range 3000 {
		if status, _ = ask("GET", ""); status != 200 {
			break
		}
	}
	if status != 401 {
		t.Errorf("a revoked session = %d, want 401", status)
	}
}
