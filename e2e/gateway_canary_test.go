package e2e_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/counterfoiltest"
	"github.com/counterfoil/counterfoil/internal/testsvc"
	"github.com/counterfoil/counterfoil/source"
)

// GW-15: no credential that a visitor sends, to the proxy or along with a question, is in an answer, in
// the log at its most talkative or in the metrics; and none reaches a host that the visitor did not ask. What the
// sign-in page gets is the URL that was asked for, on purpose.
func TestGatewayKeepsCredentials(t *testing.T) {
	t.Parallel()
	is, dir, at, asked, ops := counterfoiltest.New(t), t.TempDir(), testsvc.FreeAddress(t), testsvc.FreeAddress(t), testsvc.FreeAddress(t)
	var strangers atomic.Int64
	stranger := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { strangers.Add(1) }))
	defer stranger.Close()
	var mu sync.Mutex
	var reached bytes.Buffer // what services got
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		_ = r.Header.Write(&reached)
		if strings.HasPrefix(r.URL.Path, "/away") {
			http.Redirect(w, r, stranger.URL, http.StatusTemporaryRedirect)
		}
	}))
	defer web.Close()
	file := filepath.Join(dir, "routes.yaml")
	routes := fmt.Sprintf("routes:\n  - {origin: \"http://%[1]s\", prefix: /, upstreams: [%[2]q]}\n  - {origin: \"http://%[1]s\", prefix: /public, anonymous: true, upstreams: [%[2]q]}\n"+
		"  - {origin: \"http://%[1]s\", prefix: /admin, require: {roles: [admin], acr: [phr]}, upstreams: [%[2]q]}\n  - {origin: \"http://%[1]s\", prefix: /dead, upstreams: [\"http://127.0.0.1:1\"]}\n", at, web.URL)
	if err := os.WriteFile(file, []byte(routes), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := gatewayProxy(is, file, at, "--trusted-proxies", "127.0.0.1/32", "--listen", asked, "--ops-listen", ops, "--log-level", "debug")
	ended := listen(t, cmd, at)
	said := cmd.Stderr.(*output)

	c := &canaries{all: map[string][]string{}}
	bearer, cookie := is.Login("alice", counterfoil.CarrierBearer), is.Login("bob", counterfoil.CarrierCookie)
	c.keep("token", bearer.Access.Reveal())
	c.keep("refresh token", bearer.Refresh.Reveal())
	c.keep("cookie", cookie.Access.Reveal())
	refreshCookie := source.InsecureCookieName + "_rt"
	for name, header := range map[string][]string{
		"token":  {"Authorization", "Bearer " + bearer.Access.Reveal(), "Cookie", refreshCookie + "=" + bearer.Refresh.Reveal()},
		"cookie": {"Cookie", source.InsecureCookieName + "=" + cookie.Access.Reveal() + "; " + refreshCookie + "=" + bearer.Refresh.Reveal()},
		"both":   {"Authorization", "Bearer " + bearer.Access.Reveal(), "Cookie", source.InsecureCookieName + "=" + cookie.Access.Reveal()},
		"junk":   {"Authorization", "Bearer " + strings.ReplaceAll(c.plant("junk"), " ", "-")},
		"basic":  {"Authorization", "Basic " + strings.ReplaceAll(c.plant("password"), " ", "")},
		"other":  {"Proxy-Authorization", "Basic " + strings.ReplaceAll(c.plant("proxy"), " ", ""), "Counterfoil-Assertion", strings.ReplaceAll(c.plant("assertion"), " ", ".")},
	} {
		query := "?access_token=" + strings.ReplaceAll(c.plant("query"), " ", "-")
		for _, path := range []string{"/x", "/public/x", "/admin", "/dead", "/away", "/a//b", "/.well-known/oauth-protected-resource/x"} {
			for _, mode := range []string{"navigate", "cors"} {
				for _, question := range []string{"", "/forward-auth", "/auth-request"} {
					target := "http://" + at + path + query
					if question != "" {
						target = "http://" + asked + question
					}
					r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, target, nil)
					if err != nil {
						t.Fatal(err)
					}
					for n := 0; n < len(header); n += 2 {
						r.Header.Set(header[n], header[n+1])
					}
					r.Header.Set("Sec-Fetch-Mode", mode)
					switch question {
					case "/forward-auth":
						for name, value := range map[string]string{"Method": "GET", "Proto": "http", "Host": at, "Uri": path + query} {
							r.Header.Set("X-Forwarded-"+name, value)
						}
					case "/auth-request":
						r.Header.Set("X-Original-Method", "GET")
						r.Header.Set("X-Original-Url", "http://"+at+path+query)
					}
					res, err := direct.Do(r)
					if err != nil {
						t.Fatal(err)
					}
					var got bytes.Buffer
					where := res.Header.Get("Location")
					if strings.HasPrefix(where, is.URL+"/login?") {
						res.Header.Del("Location")
						c.search(t, "the address of the sign-in page", []byte(where), "query")
					}
					_ = res.Header.Write(&got)
					_, err = io.Copy(&got, res.Body)
					if _ = res.Body.Close(); err != nil {
						t.Fatal(err)
					}
					c.search(t, fmt.Sprintf("%s by %s %s: %d", path, name, question, res.StatusCode), got.Bytes())
				}
			}
		}
	}
	if n := strangers.Load(); n != 0 {
		t.Errorf("a host that an answer named was asked %d times", n)
	}
	mu.Lock()
	defer mu.Unlock()
	if !strings.Contains(reached.String(), "Counterfoil-Subject: alice") || !strings.Contains(reached.String(), "Counterfoil-Subject: bob") {
		t.Fatalf("the service was not reached:\n%s", &reached)
	}
	c.search(t, "what the service gets", reached.Bytes(), "password") // Basic is the service's own
	res, err := http.Get("http://" + ops + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	metrics, err := io.ReadAll(res.Body)
	if _ = res.Body.Close(); err != nil || !bytes.Contains(metrics, []byte(`counterfoil_gateway_decision_duration_seconds_count{verdict="allowed"}`)) {
		t.Errorf("%v\n%s", err, metrics)
	}
	c.search(t, "/metrics", metrics)
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-ended // so the log is whole
	if log := said.String(); !strings.Contains(log, `"decision"`) || !strings.Contains(log, `"request"`) {
		t.Errorf("the log has no decision or no request:\n%s", log)
	}
	c.search(t, "the log", []byte(said.String()))
}
