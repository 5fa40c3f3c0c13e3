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

	"github.com/counterfoil/counterfoil/internal/testsvc"
)

// answers is what one second of one cell measured, in microseconds.
type answers struct {
	n             int
	took          time.Duration
	p50, p99, cpu float64
}

func (a answers) rate() float64      { return float64(a.n) / a.took.Seconds() }
func (a answers) middle() float64    { return a.p50 }
func (a answers) slow() float64      { return a.p99 }
func (a answers) processor() float64 { return a.cpu }

// build builds a command of the module in folder from, and returns its path.
func build(b *testing.B, from, name string) string {
	b.Helper()
	path := filepath.Join(b.TempDir(), name)
	if out, err := exec.Command("go", "build", "-C", from, "-o", path, "./cmd/"+name).CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	return path
}

// serveFor starts a server, waits until it listens at address, and returns its process id.
func serveFor(b *testing.B, address string, cmd *exec.Cmd, env ...string) int {
	b.Helper()
	if cmd.Env == nil {
		cmd.Env = os.Environ()
	}
	cmd.Env = append(cmd.Env, env...)
	testsvc.Listen(b, cmd, address)
	return cmd.Process.Pid
}

// askFor asks one thing again and again.
func askFor(b *testing.B, address string, request []byte, pid int, long time.Duration) answers {
	b.Helper()
	const connections = 8
	took := make([][]time.Duration, connections)
	before, begun := processorOf(b, pid), time.Now()
	var all sync.WaitGroup
	for n := range connections {
		v := newVisit(b, address)
		all.Go(func() {
			defer func() { _ = v.conn.Close() }()
			for time.Since(begun) < long {
				asked := time.Now()
				if status, err := v.ask(request); err != nil || status != 200 {
					b.Errorf("%s: %d, %v", address, status, err)
					return
				}
				took[n] = append(took[n], time.Since(asked))
			}
		})
	}
	all.Wait()
	a := answers{took: time.Since(begun)}
	every := slices.Concat(took...)
	if b.Failed() || len(every) == 0 {
		b.FailNow()
	}
	slices.Sort(every)
	a.n = len(every)
	a.p50 = float64(every[a.n/2].Nanoseconds()) / 1000
	a.p99 = float64(every[a.n*99/100].Nanoseconds()) / 1000
	a.cpu = float64((processorOf(b, pid) - before).Nanoseconds()) / 1000 / float64(a.n)
	return a
}

// visit is a connection that asks one request after the other. nginx ends it after a thousand: then it
// is another one.
type visit struct {
	conn net.Conn
	in   *bufio.Reader
	over bool // the server has said that it ends the connection
}

func newVisit(b *testing.B, address string) *visit {
	b.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		b.Fatal(err)
	}
	return &visit{conn: conn, in: bufio.NewReaderSize(conn, 8<<10)}
}

// ask sends a request, and reads the answer, which must have a Content-Length if it has a body.
func (v *visit) ask(request []byte) (status int, err error) {
	if v.over {
		_ = v.conn.Close()
		if v.conn, err = net.Dial("tcp", v.conn.RemoteAddr().String()); err != nil {
			return 0, err
		}
		v.in.Reset(v.conn)
		v.over = false
	}
	if err := v.conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return 0, err
	}
	if _, err := v.conn.Write(request); err != nil {
		return 0, err
	}
	length := 0
	for first := true; ; first = false {
		line, err := v.in.ReadSlice('\n')
		if err != nil {
			return 0, err
		}
		switch {
		case first:
			if status, err = strconv.Atoi(string(line[len("HTTP/1.1 "):][:3])); err != nil {
				return 0, err
			}
		case len(line) <= 2:
			_, err := v.in.Discard(length)
			return status, err
		case bytes.EqualFold(bytes.TrimSpace(line), []byte("Connection: close")):
			v.over = true
		case len(line) > 16 && bytes.EqualFold(line[:16], []byte("Content-Length: ")):
			if length, err = strconv.Atoi(string(bytes.TrimSpace(line[16:]))); err != nil {
				return 0, err
			}
		}
	}
}

// processorOf is the processor time of a process (proc(5)), in ticks of 10 ms.
func processorOf(b *testing.B, pid int) time.Duration {
	b.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Fatal(err)
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+2:]))
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond
}

// residentKiB is the memory that a process holds (VmRSS of proc(5)).
func residentKiB(b *testing.B, pid int) int {
	b.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	kib, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		b.Fatal(err)
	}
	return kib
}
