package bench_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/bench/internal/output"
	"github.com/counterfoil/counterfoil/counterfoiltest"
	"github.com/counterfoil/counterfoil/internal/testsvc"
	"github.com/counterfoil/counterfoil/source"
)

// BenchmarkGateway compares the real program with the least that net/http takes for the same
// (bench/cmd/floor), under the same load in turn:
//
//   - as a proxy asks it, with a handler that answers 200 and does nothing, and with one that looks
//     the caller up for each request, at a Redis or at the auth server
//   - as the proxy, with a bare httputil.ReverseProxy; both pass on answers of 1 KiB
//   - behind nginx, which asks for each request, with the same nginx and the floor
//
// Eight connections ask, one request after the other; who asks runs on the same processors. b.N
// is the number of rounds: in each one all cells run for a second, in turn, and the medians are
// printed. CPU is that of the program, without what it asks. Run it with -benchtime 9x.
func BenchmarkGateway(b *testing.B) {
	g := newGateways(b, "nginx")
	sessions := testsvc.StartRedis(b)
	if _, err := sessions.Do("SET", "session", strings.Repeat("x", 400)); err != nil {
		b.Fatal(err)
	}
	plain, redis, lookup := g.floor("answer"), g.floor("redis", sessions.Addr()), g.floor("lookup", g.issuer.URL)
	bare, nginx, over := g.floor("proxy", "http://"+g.service.at), g.front("nginx", g.questions), g.front("nginx", plain)
	var table []*cell
	for _, carrier := range []string{"jwt", "cookie"} {
		of := func(name string, p program, floor *cell, begin string) *cell {
			c := &cell{name: name + ", " + carrier, program: p, floor: floor, ask: []byte(begin + visitor(g.credentials[carrier]))}
			table = append(table, c)
			return c
		}
		question := "GET /auth-request HTTP/1.1\r\nHost: gateway\r\nX-Original-Method: GET\r\nX-Original-URL: http://localhost/reports/7?a=b\r\n"
		floor := of("floor", plain, nil, question)
		of("gateway", g.questions, floor, question)
		of("look-up at a Redis", redis, floor, question)
		of("look-up at the auth server", lookup, floor, question)
		request := "GET /reports/7?a=b HTTP/1.1\r\nHost: "
		floor = of("httputil.ReverseProxy", bare, nil, request+"localhost\r\n")
		of("gateway as the proxy", g.proxy, floor, request+"localhost\r\n")
		floor = of("nginx asks the floor", over, nil, request+over.at+"\r\n")
		of("nginx asks the gateway", nginx, floor, request+nginx.at+"\r\n")
	}
	for b.Loop() {
		for _, c := range table {
			c.measured = append(c.measured, askFor(b, c.at, c.ask, c.pid, time.Second))
		}
	}
	b.Logf("%-34s %10s %8s %8s %8s %9s %11s", "", "requests/s", "p50", "p99", "CPU", "RSS", "to the floor")
	for _, c := range table {
		text := fmt.Sprintf("%-34s %10.0f %5.0f us %5.0f us %5.1f us %5.1f MiB", c.name, c.median(answers.rate), c.median(answers.middle), c.median(answers.slow), c.median(answers.processor), float64(residentKiB(b, c.pid))/1024)
		if c.floor != nil {
			rate, cpu := c.ratio(answers.rate), c.ratio(answers.processor)
			text += fmt.Sprintf("  %.2f x, CPU %.2f x", rate, cpu)
			name := strings.NewReplacer(" ", "-", ",", "").Replace(c.name)
			b.ReportMetric(rate, name+"-rate/floor")
			b.ReportMetric(cpu, name+"-cpu/floor")
		}
		b.Log(text)
	}
	b.ReportMetric(0, "ns/op")
}

// visitor is the rest of a request that a signed-in caller sends.
func visitor(credential string) string {
	return "Accept: text/html\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\nAccept-Encoding: gzip\r\n" + credential + "\r\n\r\n"
}

// cell is a program that is asked the same thing again and again.
type cell struct {
	program
	name     string
	ask      []byte
	floor    *cell // what it is compared with; nil: nothing
	measured []answers
}

func (c *cell) median(of func(answers) float64) float64 {
	var all []float64
	for _, m := range c.measured {
		all = append(all, of(m))
	}
	return output.Median(all)
}

// ratio is the median of the ratios of the rounds: what else the machine does changes from one round
// to the next.
func (c *cell) ratio(of func(answers) float64) float64 {
	var all []float64
	for n, m := range c.measured {
		all = append(all, of(m)/of(c.floor.measured[n]))
	}
	return output.Median(all)
}

// program is one that runs.
type program struct {
	at  string // where it listens
	pid int    // whose processor time counts
}

// gateways is a gateway, which answers questions and is the proxy, with all that it needs.
type gateways struct {
	b              *testing.B
	binary, floors string // programs
	issuer         *counterfoiltest.Issuer
	service        program
	questions      program
	proxy          program
	fronts         map[string]string // addresses of the proxies that ask, by name
	credentials    map[string]string // lines of a request, by carrier
}

// newGateways has routes for localhost, and for the hosts of these proxies.
func newGateways(b *testing.B, fronts ...string) *gateways {
	g := &gateways{b: b, binary: build(b, "..", "counterfoil"), floors: build(b, ".", "floor"), issuer: counterfoiltest.New(b), fronts: map[string]string{}}
	g.service = g.floor("serve")
	routes := filepath.Join(b.TempDir(), "routes.yaml")
	text := fmt.Sprintf("routes:\n- {origin: \"http://localhost\", prefix: /, upstreams: [\"http://%s\"]}\n", g.service.at)
	for _, name := range fronts {
		g.fronts[name] = testsvc.FreeAddress(b)
		text += fmt.Sprintf("- {origin: \"http://%s\", prefix: /}\n", g.fronts[name])
	}
	if err := os.WriteFile(routes, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	g.questions.at, g.proxy.at = testsvc.FreeAddress(b), testsvc.FreeAddress(b)
	// Each has a process of its own, so that their processor time is not mixed.
	run := func(p *program, listen ...string) {
		cmd := exec.Command(g.binary, append([]string{"gateway", "--issuer", g.issuer.URL, "--routes", routes, "--log-level", "warn", "--ops-listen", "off"}, listen...)...)
		p.pid = serveFor(b, p.at, cmd, "COUNTERFOIL_API_KEY="+g.issuer.APIKey)
	}
	run(&g.questions, "--listen", g.questions.at, "--trusted-proxies", "127.0.0.1/32")
	run(&g.proxy, "--proxy-listen", g.proxy.at)
	g.credentials = map[string]string{
		"jwt":    "Authorization: Bearer " + g.issuer.Token("alice", "staff"),
		"cookie": "Cookie: " + source.InsecureCookieName + "=" + g.issuer.Login("alice", counterfoil.CarrierCookie, "staff").Access.Reveal(),
	}
	return g
}

// floor starts a floor that is what the arguments say.
func (g *gateways) floor(of ...string) program {
	at := testsvc.FreeAddress(g.b)
	cmd := exec.Command(g.floors, append([]string{at}, of...)...)
	return program{at, serveFor(g.b, at, cmd, "COUNTERFOIL_API_KEY="+g.issuer.APIKey)}
}

// front starts a proxy in front of the service, which asks p. The processor time is that of p.
func (g *gateways) front(proxy string, p program) program {
	at := g.fronts[proxy]
	if p != g.questions {
		at = testsvc.FreeAddress(g.b)
	}
	snippet, err := exec.Command(g.binary, "gateway", "snippet", proxy, "--gateway", p.at, "--upstream", g.service.at).Output()
	if err != nil {
		g.b.Fatal(err)
	}
	serveFor(g.b, at, testsvc.Front(g.b, proxy, string(snippet), p.at, g.service.at, at, ""))
	return program{at, p.pid}
}
