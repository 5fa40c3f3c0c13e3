package e2e_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
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

// gatewayCommand is the program as a gateway of an issuer, with an API key and a file of routes.
func gatewayCommand(issuer, key, routes string, args ...string) *exec.Cmd {
	cmd := exec.Command(binary, append([]string{"gateway", "--issuer", issuer, "--routes", routes}, args...)...)
	cmd.Env = append(os.Environ(), "COUNTERFOIL_API_KEY="+key)
	return cmd
}

// gatewayProxy is one as a proxy at an address.
func gatewayProxy(is *counterfoiltest.Issuer, routes, at string, args ...string) *exec.Cmd {
	return gatewayCommand(is.URL, is.APIKey, routes, append([]string{"--bound", "2s", "--proxy-listen", at}, args...)...)
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
	listen(t, gatewayProxy(is, file, at, "--ops-listen", "off"), at)
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

// SIGHUP makes the program read its routes again, and one connection of a visitor sees both. A file
// that is wrong changes nothing, and the log says why.
func TestGatewayReload(t *testing.T) {
	t.Parallel()
	is, dir, at := counterfoiltest.New(t), t.TempDir(), testsvc.FreeAddress(t)
	file := filepath.Join(dir, "routes.yaml")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	route := func(name string) string {
		return fmt.Sprintf("routes:\n  - {origin: \"http://%s\", prefix: /, anonymous: true, upstreams: [%q]}\n", at, service(t, name).URL)
	}
	write(route("old"))
	cmd := gatewayProxy(is, file, at, "--ops-listen", "off")
	listen(t, cmd, at)
	connections := 0
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		connections++
		return new(net.Dialer).DialContext(ctx, network, address)
	}}}
	defer client.CloseIdleConnections()
	ask := func() string {
		res, err := client.Get("http://" + at)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		data, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		name, _, _ := strings.Cut(string(data), " ")
		return name
	}
	until := func(name string) {
		t.Helper()
		for range 5000 {
			if ask() == name {
				return
			}
		}
		t.Errorf("%s answers, want %s", ask(), name)
	}
	hangUp := func() {
		if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	until("old")
	write(route("new"))
	hangUp()
	until("new")
	write("routes:\n  - {origin: nowhere, prefix: /}\n")
	hangUp()
	for n := 0; !strings.Contains(cmd.Stderr.(*output).String(), "the routes stay as they were"); n++ {
		if n == 5000 {
			t.Fatal("the log does not say what is wrong")
		}
		if got := ask(); got != "new" {
			t.Fatalf("%s answers", got)
		}
	}
	until("new")
	if connections != 1 {
		t.Errorf("%d connections, want 1", connections)
	}
}

// Two gateways are restarted one after the other while visitors ask, by a balancer that looks at
// /readyz: no request fails, whatever its method.
func TestGatewayRollingRestart(t *testing.T) {
	t.Parallel()
	is, dir, front := counterfoiltest.New(t), t.TempDir(), testsvc.FreeAddress(t)
	routes := fmt.Sprintf("routes:\n  - {origin: \"http://%s\", prefix: /, upstreams: [%q, %q]}\n", front, service(t, "one").URL, service(t, "two").URL)
	file := filepath.Join(dir, "routes.yaml")
	if err := os.WriteFile(file, []byte(routes), 0o600); err != nil {
		t.Fatal(err)
	}
	type node struct{ at, ops string }
	nodes := []node{{testsvc.FreeAddress(t), testsvc.FreeAddress(t)}, {testsvc.FreeAddress(t), testsvc.FreeAddress(t)}}
	type running struct {
		*exec.Cmd
		ended <-chan struct{}
	}
	run := func(n node) running {
		cmd := gatewayProxy(is, file, n.at, "--ops-listen", n.ops, "--drain", "1s", "--trusted-proxies", "127.0.0.1/32", "--listen", testsvc.FreeAddress(t))
		ended := listen(t, cmd, n.ops)
		cmd.Stderr.(*output).await(t, `"msg":"listening"`, 1) // all of its addresses
		awaitReady(t, n.ops)
		return running{cmd, ended}
	}
	gateways := []running{run(nodes[0]), run(nodes[1])}

	// HAProxy is the balancer. Without "timeout check" a check must be answered within "inter", and on a
	// busy machine that takes a good gateway out.
	conf := "defaults\n  mode http\n  retries 0\n  timeout connect 5s\n  timeout client 30s\n  timeout server 30s\n  timeout check 5s\nfrontend f\n  bind " + front + "\n  default_backend b\nbackend b\n  option httpchk GET /readyz\n  http-request set-header X-Forwarded-Proto http\n"
	for i, n := range nodes {
		_, port, _ := strings.Cut(n.ops, ":")
		conf += fmt.Sprintf("  server s%d %s check port %s inter 50ms fall 1 rise 1\n", i, n.at, port)
	}
	if err := os.WriteFile(filepath.Join(dir, "haproxy.cfg"), []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	listen(t, exec.Command(testsvc.Program(t, "haproxy"), "-db", "-f", filepath.Join(dir, "haproxy.cfg")), front)
	v := visit(t, "http://"+front+"/x", is.Token("alice"))
	for i, n := range nodes {
		v.some()
		if err := gateways[i].Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		<-gateways[i].ended
		v.some()
		gateways[i] = run(n)
		v.some()
	}
	v.leave()
}
