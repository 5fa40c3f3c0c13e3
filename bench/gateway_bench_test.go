package bench_test

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/bench/internal/output"
	"github.com/counterfoil/counterfoil/counterfoiltest"
	"github.com/counterfoil/counterfoil/source"
)

// BenchmarkGateway compares the real program, as a proxy asks it, with a program that answers
// 200 and does nothing (bench/cmd/floor): requests in a second, p50 and p99 of an answer, and the
// processor time of the program for a request. Eight connections ask, one request after the
// other; who asks runs on the same processors. b.N is the number of rounds: in each one all
// cells run for a second, in turn, and the medians are printed. Run it with -benchtime 5x.
func BenchmarkGateway(b *testing.B) {
	is := counterfoiltest.New(b)
	dir := b.TempDir()
	build := func(from, name string) string {
		program := filepath.Join(dir, name)
		if out, err := exec.Command("go", "build", "-C", from, "-o", program, "./cmd/"+name).CombinedOutput(); err != nil {
			b.Fatalf("%v\n%s", err, out)
		}
		return program
	}
	if err := os.WriteFile(filepath.Join(dir, "routes.yaml"), []byte("routes: [{origin: https://app.example.com, prefix: /}]"), 0o600); err != nil {
		b.Fatal(err)
	}
	floor, gate := freeAddress(b), freeAddress(b)
	processes := map[string]int{
		floor: serveFor(b, floor, exec.Command(build(".", "floor"), floor)),
		gate: serveFor(b, gate, exec.Command(build("..", "counterfoil"), "gateway", "--issuer", is.URL, "--routes", filepath.Join(dir, "routes.yaml"),
			"--trusted-proxies", "127.0.0.1/32", "--listen", gate, "--ops-listen", "off"), "COUNTERFOIL_API_KEY="+is.APIKey),
	}
	bearer := "Authorization: Bearer " + is.Token("alice", "staff")
	cookie := "Cookie: " + source.InsecureCookieName + "=" + is.Login("alice", counterfoil.CarrierCookie, "staff").Access.Reveal()
	nginx := func(credential string) []byte {
		return []byte("GET /auth-request HTTP/1.1\r\nHost: gateway\r\nX-Original-Method: GET\r\nX-Original-URL: https://app.example.com/reports/7?a=b\r\n" +
			"Accept: text/html\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\nAccept-Encoding: gzip\r\n" + credential + "\r\n\r\n")
	}
	cells := []struct {
		name, at string
		question []byte
	}{
		{"floor/jwt", floor, nginx(bearer)}, {"gateway/jwt", gate, nginx(bearer)},
		{"floor/cookie", floor, nginx(cookie)}, {"gateway/cookie", gate, nginx(cookie)},
	}
	measured := map[string][]answers{}
	for b.Loop() {
		for _, c := range cells {
			measured[c.name] = append(measured[c.name], askFor(b, c.at, c.question, processes[c.at], time.Second))
		}
	}
	median := func(name string, of func(answers) float64) float64 {
		var all []float64
		for _, m := range measured[name] {
			all = append(all, of(m))
		}
		return output.Median(all)
	}
	for _, by := range []string{"jwt", "cookie"} {
		for _, who := range []string{"floor", "gateway"} {
			name := who + "/" + by
			b.Logf("%-15s %8.0f requests/s  p50 %5.0f us  p99 %5.0f us  CPU %5.1f us", name, median(name, answers.rate),
				median(name, func(a answers) float64 { return a.p50 }), median(name, func(a answers) float64 { return a.p99 }), median(name, func(a answers) float64 { return a.cpu }))
		}
		b.ReportMetric(median("gateway/"+by, answers.rate)/median("floor/"+by, answers.rate), by+"-rate/floor")
		b.ReportMetric(median("gateway/"+by, func(a answers) float64 { return a.cpu })/median("floor/"+by, func(a answers) float64 { return a.cpu }), by+"-cpu/floor")
	}
	b.ReportMetric(0, "ns/op")
}

// answers is what one cell measured, in microseconds.
type answers struct {
	n             int
	took          time.Duration
	p50, p99, cpu float64
}

func (a answers) rate() float64 { return float64(a.n) / a.took.Seconds() }

func freeAddress(b *testing.B) string {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// serveFor starts a server, waits until it listens at address, and returns its process id.
func serveFor(b *testing.B, address string, cmd *exec.Cmd, env ...string) int {
	b.Helper()
	cmd.Env = append(os.Environ(), env...)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	for range 1000 {
		if conn, err := net.Dial("tcp", address); err == nil {
			_ = conn.Close()
			return cmd.Process.Pid
		}
		<-time.After(10 * time.Millisecond)
	}
	b.Fatalf("nobody listens at %s", address)
	return 0
}

// askFor asks one question again and again.
func askFor(b *testing.B, address string, question []byte, pid int, long time.Duration) answers {
	b.Helper()
	const connections = 8
	took := make([][]time.Duration, connections)
	before, begun := processorOf(b, pid), time.Now()
	var all sync.WaitGroup
	for n := range connections {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			b.Fatal(err)
		}
		defer conn.Close()
		all.Go(func() {
			read := bufio.NewReaderSize(conn, 8<<10)
			for time.Since(begun) < long {
				asked := time.Now()
				if _, err := conn.Write(question); err != nil {
					b.Error(err)
					return
				}
				if err := readAnswer(read); err != nil {
					b.Error(err)
					return
				}
				took[n] = append(took[n], time.Since(asked))
			}
		})
	}
	all.Wait()
	a := answers{took: time.Since(begun)}
	every := slices.Concat(took...)
	slices.Sort(every)
	a.n = len(every)
	a.p50 = float64(every[a.n/2].Nanoseconds()) / 1000
	a.p99 = float64(every[a.n*99/100].Nanoseconds()) / 1000
	a.cpu = float64((processorOf(b, pid) - before).Nanoseconds()) / 1000 / float64(a.n)
	return a
}

// readAnswer reads the head of a 200 without a body.
func readAnswer(from *bufio.Reader) error {
	for first := true; ; first = false {
		line, err := from.ReadSlice('\n')
		if err != nil {
			return err
		}
		if first && !bytes.HasPrefix(line, []byte("HTTP/1.1 200 ")) {
			return fmt.Errorf("%q", line)
		}
		if len(line) <= 2 {
			return nil
		}
	}
}

// processorOf is the processor time of a process (proc(5)), in ticks of 10 ms.
func processorOf(b *testing.B, pid int) time.Duration {
	b.Helper()
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		b.Fatal(err)
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+2:]))
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond
}
