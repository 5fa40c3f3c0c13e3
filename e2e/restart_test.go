package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/counterfoiltest"
	"github.com/counterfoil/counterfoil/internal/testsvc"
)

// restartBound is D of the gateway.
const restartBound = 6 * time.Second

// restarts is an auth server and a gateway that are stopped and started again while visitors ask: through
// nginx, which asks the gateway, and through the gateway as the proxy.
type restarts struct {
	t             *testing.T
	key           string // of the administration and of the gateway
	auth, gateway *part
	nginx, proxy  string // where visitors come to
	sessions      []*visited
	load          sync.WaitGroup
	ended         atomic.Bool

	mu       sync.Mutex // guards all below
	phase    string
	away     bool                      // the gateway may be away: a visitor of its proxy, who came meanwhile, gets no answer
	counts   map[string]map[string]int // by phase: what came of the visits
	answered chan struct{}             // closed at the next answer
}

// part is a program that has the same address after a restart.
type part struct {
	address string
	command func() *exec.Cmd
	cmd     *exec.Cmd
	gone    <-chan struct{}
}

func (p *part) start(t *testing.T) {
	t.Helper()
	p.cmd = p.command()
	p.gone = listen(t, p.cmd, p.address)
}

func (p *part) end(t *testing.T, s os.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
	<-p.gone
}

// visited is the session of a visitor.
type visited struct {
	holder
	leaving    atomic.Bool  // its revocation has begun
	revoked    atomic.Int64 // when its revocation returned, in nanoseconds since 1970; 0: it has not
	everywhere atomic.Bool  // and every verifier had it
}

func newRestarts(t *testing.T) *restarts {
	dir := t.TempDir()
	r := &restarts{t: t, counts: map[string]map[string]int{}, answered: make(chan struct{})}
	r.auth, r.gateway = &part{address: testsvc.FreeAddress(t)}, &part{address: testsvc.FreeAddress(t)}
	nginx, proxy, issuer := testsvc.FreeAddress(t), testsvc.FreeAddress(t), "http://"+r.auth.address
	r.nginx, r.proxy = "http://"+nginx, "http://"+proxy
	out, err := exec.Command(binary, "apikey", "create", "--data", dir, "--client", "control", "--sessions-of", "default",
		"--scope", "admin,sessions:create,revocation:read,introspect,sessions:handover").Output()
	if err != nil {
		t.Fatalf("apikey create: %v\n%s", err, err.(*exec.ExitError).Stderr)
	}
	r.key = strings.TrimSpace(string(out))
	r.auth.command = func() *exec.Cmd {
		return exec.Command(binary, "serve", "--data", dir, "--listen", r.auth.address, "--issuer", issuer, "--ops-listen", "off", "--access-ttl", "15m", "--max-bound", restartBound.String())
	}
	service := service(t, "service")
	routes, text := filepath.Join(dir, "routes.yaml"), "routes:\n"
	for _, origin := range []string{r.nginx, r.proxy} {
		text += fmt.Sprintf("  - {origin: %[1]q, prefix: /, upstreams: [%[2]q]}\n  - {origin: %[1]q, prefix: /public, anonymous: true, upstreams: [%[2]q]}\n", origin, service.URL)
	}
	if err := os.WriteFile(routes, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	r.gateway.command = func() *exec.Cmd {
		return gatewayCommand(issuer, r.key, routes, "--bound", restartBound.String(), "--trusted-proxies", "127.0.0.1", "--listen", r.gateway.address, "--proxy-listen", proxy, "--ops-listen", "off", "--log-level", "warn")
	}
	r.auth.start(t)
	r.gateway.start(t)
	upstream := strings.TrimPrefix(service.URL, "http://")
	listen(t, testsvc.Front(t, "nginx", snippet(t, "nginx", r.gateway.address, upstream), r.gateway.address, upstream, nginx, ""), nginx)
	for n := range 240 {
		s := &visited{holder: holder{carrier: []string{"cookie", "bearer", "jwt-cookie"}[n%3]}}
		if err := r.call("/v1/admin/sessions", map[string]any{"subject": fmt.Sprintf("user%d", n), "carrier": s.carrier}, &s.holder); err != nil {
			t.Fatal(err)
		}
		r.sessions = append(r.sessions, s)
	}
	return r
}

// call sends JSON to the auth server.
func (r *restarts) call(path string, body, into any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	q, err := http.NewRequest("POST", "http://"+r.auth.address+path, bytes.NewReader(data))
	if err != nil {
		return err
	}
	q.Header = http.Header{"Content-Type": {"application/json"}, "Authorization": {"Bearer " + r.key}}
	res, err := http.DefaultClient.Do(q)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode/100 != 2 {
		err = fmt.Errorf("%s: %d %s", path, res.StatusCode, answer)
	}
	if err != nil {
		return err
	}
	return json.Unmarshal(answer, into)
}

// visit asks once, and judges the answer: it is good, refused, unavailable, lost or wrong.
func (r *restarts) visit(web *http.Client, front string, s *visited) string {
	q, err := http.NewRequest("GET", front+"/x", nil)
	if err != nil {
		r.t.Error(err)
		return "wrong"
	}
	if strings.HasSuffix(s.carrier, "cookie") {
		q.AddCookie(&http.Cookie{Name: "cf", Value: s.Access})
	} else {
		q.Header.Set("Authorization", "Bearer "+s.Access)
	}
	r.mu.Lock()
	away := r.away
	r.mu.Unlock()
	begun := time.Now()
	revoked, everywhere := s.revoked.Load(), s.everywhere.Load()
	res, err := web.Do(q)
	if err != nil && front == r.proxy && away {
		return "lost"
	}
	if err != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.t.Errorf("%s: %s: no answer: %v", r.phase, front, err)
		return "wrong"
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	late := revoked != 0 && (everywhere || begun.Sub(time.Unix(0, revoked)) > restartBound+restartBound/1000)
	switch h := res.Header; {
	case err != nil || h["Set-Cookie"] != nil:
	case res.StatusCode == 200 && !late:
		return "good"
	case res.StatusCode == 503 && h.Get("Retry-After") == "1":
		return "unavailable"
	case res.StatusCode == 401 && s.leaving.Load():
		return "refused"
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.t.Errorf("%s: %s: a %s session (leaves: %v, revoked long ago: %v) = %d %v %s, %v", r.phase, front, s.carrier, s.leaving.Load(), late, res.StatusCode, res.Header, body, err)
	return "wrong"
}

// came counts what came of something.
func (r *restarts) came(what string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counts[r.phase][what]++
	close(r.answered)
	r.answered = make(chan struct{})
}

func (r *restarts) goesOn() bool { return !r.ended.Load() && !r.t.Failed() }

// ask has a visitor ask again and again.
func (r *restarts) ask(front string) {
	web := &http.Client{Transport: &http.Transport{}}
	defer web.CloseIdleConnections()
	name := "nginx"
	if front == r.proxy {
		name = "proxy"
	}
	for r.goesOn() {
		s := r.sessions[rand.N(len(r.sessions))]
		whose := " in"
		if s.leaving.Load() {
			whose = " out"
		}
		r.came(name + whose + ": " + r.visit(web, front, s))
		pause(2 * time.Millisecond)
	}
}

// revoke ends one of these sessions after the other.
func (r *restarts) revoke(sessions []*visited, wait string) {
	for _, s := range sessions {
		if !r.goesOn() {
			return
		}
		s.leaving.Store(true)
		for r.goesOn() {
			var receipt struct{ Confirmed bool }
			err := r.call("/v1/admin/revocations", map[string]any{"scope": "session", "id": s.Session.ID, "wait": wait}, &receipt)
			if err == nil {
				s.everywhere.Store(receipt.Confirmed)
				s.revoked.Store(time.Now().UnixNano())
				r.came("revoked " + wait)
				break
			}
			pause(20 * time.Millisecond) // the outcome is unknown
		}
		pause(250 * time.Millisecond)
	}
}

// begin begins a phase.
func (r *restarts) begin(phase string, away bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.phase, r.away, r.counts[phase] = phase, away, map[string]int{}
}

// until returns when each of these came n times more.
func (r *restarts) until(n int, what ...string) {
	r.t.Helper()
	was := map[string]int{}
	enough := func() (bool, <-chan struct{}) {
		r.mu.Lock()
		defer r.mu.Unlock()
		all := true
		for _, w := range what {
			if _, known := was[w]; !known {
				was[w] = r.counts[r.phase][w]
			}
			all = all && r.counts[r.phase][w] >= was[w]+n
		}
		return all, r.answered
	}
	deadline := time.After(hung)
	for {
		ok, answered := enough()
		if ok {
			return
		}
		select {
		case <-answered:
		case <-deadline:
			r.t.Fatalf("%s: %v did not come %d times: %v", r.phase, what, n, r.counts[r.phase])
		}
		if r.t.Failed() {
			r.t.FailNow()
		}
	}
}

// warm returns when every good session was accepted everywhere: the gateway knows it then.
func (r *restarts) warm() {
	r.t.Helper()
	for _, s := range r.sessions {
		for _, front := range []string{r.nginx, r.proxy} {
			for !s.leaving.Load() && r.visit(http.DefaultClient, front, s) != "good" {
				if r.t.Failed() {
					r.t.FailNow()
				}
				pause(5 * time.Millisecond)
			}
		}
	}
}

// step does something while visitors ask, and returns how long it took and how many visitors were not
// answered well although they are signed in.
func (r *restarts) step(phase string, away bool, do func()) (took time.Duration, failed int) {
	r.t.Helper()
	r.begin(phase, away)
	r.until(20, "nginx in: good", "proxy in: good")
	begun := time.Now()
	do()
	took = time.Since(begun)
	r.until(20, "nginx in: good", "proxy in: good", "nginx out: refused", "proxy out: refused")
	r.until(2, "revoked ")
	r.mu.Lock()
	counts := r.counts[phase]
	r.mu.Unlock()
	r.t.Logf("%s, which took %v: %v", phase, took.Round(time.Millisecond), counts)
	for _, front := range []string{"nginx", "proxy"} {
		failed += counts[front+" in: unavailable"] + counts[front+" in: lost"]
	}
	return took, failed
}

// GW-16, REV-02, REV-04, REV-07: the auth server and the gateway are restarted and killed while visitors ask.
// Nobody is accepted whose session was revoked, nobody who is signed in is refused, and no cookie is taken
// away: the answer is 503 meanwhile, also of nginx when there is no gateway. A restart of the auth server
// alone, within the bound of the gateway, fails no request of a visitor whom the gateway knows.
func TestRestarts(t *testing.T) {
	t.Parallel()
	r := newRestarts(t)
	defer func() { r.ended.Store(true); r.load.Wait() }()
	r.begin("start", false)
	r.warm()
	for n := range 8 {
		front := []string{r.nginx, r.proxy}[n%2]
		r.load.Go(func() { r.ask(front) })
	}
	r.load.Go(func() { r.revoke(r.sessions[:120], "") })
	r.load.Go(func() { r.revoke(r.sessions[120:200], "all") })
	r.until(2, "revoked all")

	took, failed := r.step("the auth server restarts", false, func() {
		r.auth.end(t, syscall.SIGTERM)
		r.auth.start(t)
	})
	if took < restartBound/2 && failed > 0 { // what the gateway knows was at most 2 s old, and half of the bound is left
		t.Errorf("%d requests failed", failed)
	}
	r.step("the auth server is killed", false, func() {
		r.auth.end(t, syscall.SIGKILL)
		r.auth.start(t)
	})
	r.step("the auth server is away for longer than the bound", false, func() {
		r.auth.end(t, syscall.SIGKILL)
		r.until(20, "nginx in: unavailable", "proxy in: unavailable")
		r.auth.start(t)
	})
	r.step("the gateway restarts", true, func() {
		r.gateway.end(t, syscall.SIGTERM)
		r.gateway.start(t)
	})
	r.step("the gateway is killed", true, func() {
		r.gateway.end(t, syscall.SIGKILL)
		r.until(5, "nginx in: unavailable", "proxy in: lost")
		r.gateway.start(t)
	})
	r.step("both are killed, and the gateway starts first", true, func() {
		r.auth.end(t, syscall.SIGKILL)
		r.gateway.end(t, syscall.SIGKILL)
		r.gateway.start(t)
		r.until(20, "nginx in: unavailable", "proxy in: unavailable")
		for _, front := range []string{r.nginx, r.proxy} {
			res, err := http.Get(front + "/public")
			if err != nil {
				t.Fatal(err)
			}
			if _ = res.Body.Close(); res.StatusCode != 200 {
				t.Errorf("%s: what is for everybody = %d", front, res.StatusCode)
			}
		}
		r.auth.start(t)
	})
	r.until(1, "revoked all")
	r.begin("end", false)
	r.warm()
}

// Two gateways behind nginx, as docs/gateway.md shows, are restarted one after the other, gracefully and not, each when the
// other is ready: no request fails, whatever its method.
func TestTwoGatewaysBehindNginx(t *testing.T) {
	t.Parallel()
	is, dir, address := counterfoiltest.New(t), t.TempDir(), testsvc.FreeAddress(t)
	service := strings.TrimPrefix(service(t, "service").URL, "http://")
	routes := filepath.Join(dir, "routes.yaml")
	if err := os.WriteFile(routes, fmt.Appendf(nil, "routes:\n  - {origin: \"http://%s\", prefix: /}\n", address), 0o600); err != nil {
		t.Fatal(err)
	}
	block := documented(t, "gateway.md", "upstream counterfoil_gateway")
	var gateways []*part
	ready := map[*part]string{} // where each says so
	for _, shown := range []string{"127.0.0.1:8085", "127.0.0.1:8086"} {
		g, ops := &part{address: testsvc.FreeAddress(t)}, testsvc.FreeAddress(t)
		g.command = func() *exec.Cmd {
			return gatewayCommand(is.URL, is.APIKey, routes, "--trusted-proxies", "127.0.0.1", "--listen", g.address, "--ops-listen", ops, "--log-level", "warn")
		}
		g.start(t)
		awaitReady(t, ops)
		ready[g] = ops
		gateways, block = append(gateways, g), strings.ReplaceAll(block, shown, g.address)
	}
	asks := snippet(t, "nginx", "counterfoil_gateway", service)
	listen(t, testsvc.Nginx(t, dir, "listen "+address+";\n"+asks+"}\n"+block+"server { listen "+testsvc.FreeAddress(t)+";\n"), address)

	v := visit(t, "http://"+address+"/x", is.Token("alice"))
	for _, signal := range []os.Signal{syscall.SIGTERM, syscall.SIGTERM, os.Kill} {
		for _, g := range gateways {
			v.some()
			g.end(t, signal)
			v.some()
			g.start(t)
			awaitReady(t, ready[g])
		}
	}
	// One that has not heard from the auth server yet leaves the answer to the other.
	gateways[0].end(t, syscall.SIGTERM)
	gateways[0].command = func() *exec.Cmd {
		return gatewayCommand("http://"+testsvc.FreeAddress(t), is.APIKey, routes, "--trusted-proxies", "127.0.0.1", "--listen", gateways[0].address, "--ops-listen", "off")
	}
	gateways[0].start(t)
	v.some()
	v.leave()
}

// A question that found one gateway away is with the other one when that is killed. It goes to the first one again, which is
// back.
func TestGatewayKilledWithAQuestion(t *testing.T) {
	t.Parallel()
	address, first, second := testsvc.FreeAddress(t), testsvc.FreeAddress(t), testsvc.FreeAddress(t)
	block := strings.NewReplacer("127.0.0.1:8085", first, "127.0.0.1:8086", second).Replace(documented(t, "gateway.md", "upstream counterfoil_gateway"))
	asks := snippet(t, "nginx", "counterfoil_gateway", strings.TrimPrefix(service(t, "service").URL, "http://"))
	asked, killed := make(chan struct{}, 1), make(chan struct{})
	serve := func(at string, h http.HandlerFunc) *httptest.Server {
		l, err := net.Listen("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		s := &httptest.Server{Listener: l, Config: &http.Server{Handler: h}}
		s.Start()
		t.Cleanup(s.Close)
		return s
	}
	dies := serve(second, func(http.ResponseWriter, *http.Request) {
		asked <- struct{}{}
		<-killed
		panic(http.ErrAbortHandler)
	})
	listen(t, testsvc.Nginx(t, t.TempDir(), "listen "+address+";\n"+asks+"}\n"+block+"server { listen "+testsvc.FreeAddress(t)+";\n"), address)
	answer := make(chan string, 1)
	go func() {
		res, err := http.Post("http://"+address+"/x", "text/plain", strings.NewReader("body"))
		if err != nil {
			answer <- err.Error()
			return
		}
		_ = res.Body.Close()
		answer <- res.Status
	}()
	<-asked
	serve(first, func(http.ResponseWriter, *http.Request) {})
	_ = dies.Listener.Close()
	close(killed)
	if got := <-answer; got != "200 OK" {
		t.Errorf("POST = %s", got)
	}
}
