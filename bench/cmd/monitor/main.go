// Command monitor measures what the checks of a monitor cost: processor time and memory of the real
// program with many checks, and without them. The target is a process of its own on the same machine.
//
//	go run -C bench ./cmd/monitor -checks 1000 -every 10s -for 60s
//	go run -C bench ./cmd/monitor -program serve -checks 1000 -every 10s -for 60s
//	go run -C bench ./cmd/monitor -program serve -full -checks 1000 -every 10s -for 70s
//
// The program is "counterfoil monitor", whose measure without the checks has one check of once a day, or with -program serve
// the server with a SQLite store, without and with the setting monitor. It prints the processor time as a share of one core, the resident
// memory, and both as a share of our bar. It exits with 1 if one is above it. With -full the store has a day of five-minute parts and an
// hour of results of each check, which the server writes anew each minute: as at the end of a day. It needs Linux.
package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/sqlite"
)

type settings struct {
	program string
	checks  int
	every   time.Duration
	last    time.Duration
	kind    string
	full    bool
}

// What the checks may cost: 3 % of one core, and 40 MiB.
const (
	barCPU = 0.03
	barMiB = 40
)

// targetMode in the environment makes this program the target.
const targetMode = "MONITOR_TARGET"

func main() {
	if kind := os.Getenv(targetMode); kind != "" {
		target(kind)
		return
	}
	var s settings
	flag.StringVar(&s.program, "program", "monitor", "monitor or serve")
	flag.IntVar(&s.checks, "checks", 1000, "checks")
	flag.DurationVar(&s.every, "every", 10*time.Second, "from run to run of each")
	flag.DurationVar(&s.last, "for", 60*time.Second, "how long to measure")
	flag.StringVar(&s.kind, "kind", "http", "http, https or tcp")
	flag.BoolVar(&s.full, "full", false, "of serve: measure as at the end of a day")
	flag.Parse()
	if s.program != "monitor" && s.program != "serve" {
		fmt.Fprintln(os.Stderr, "monitor: -program must be monitor or serve")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := s.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "monitor:", err)
		os.Exit(1)
	}
}

// target answers until it is killed. It prints its address; for https, ca.pem has its certificate.
func target(kind string) {
	h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"status":"ok"}`) })
	web := httptest.NewUnstartedServer(h)
	if kind == "https" {
		web.StartTLS()
	} else {
		web.Start()
	}
	if kind == "https" {
		ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: web.Certificate().Raw})
		if err := os.WriteFile("ca.pem", ca, 0o600); err != nil {
			panic(err)
		}
	}
	fmt.Println(web.Listener.Addr())
	select {}
}

func (s *settings) run(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "monitor")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	program := filepath.Join(dir, "counterfoil")
	if out, err := exec.CommandContext(ctx, "go", "build", "-C", "..", "-o", program, "./cmd/counterfoil").CombinedOutput(); err != nil {
		return fmt.Errorf("build, in the folder bench: %w\n%s", err, out)
	}
	at, end, err := s.start(ctx, dir)
	if err != nil {
		return err
	}
	defer end()
	without, name := 1, "1, once a day"
	if s.program == "serve" {
		without, name = 0, "none"
	}
	base, err := s.measure(ctx, dir, program, at, without, 24*time.Hour)
	if err != nil {
		return err
	}
	all, err := s.measure(ctx, dir, program, at, s.checks, s.every)
	if err != nil {
		return err
	}
	cpu, mib := all.cpu-base.cpu, all.mib-base.mib
	fmt.Printf("%-34s %8s %10s %6s %6s\n", "checks of counterfoil "+s.program, "CPU", "memory", "late", "missed")
	row := func(name string, c cost) {
		fmt.Printf("%-34s %7.2f%% %6.1f MiB %6d %6d\n", name, c.cpu*100, c.mib, c.late, c.missed)
	}
	row(name, base)
	row(fmt.Sprintf("%d %s, every %v", s.checks, s.kind, s.every), all)
	fmt.Printf("%-34s %7.2f%% %6.1f MiB\n", "difference", cpu*100, mib)
	fmt.Printf("%-34s %7.2f × %6.2f ×\n", fmt.Sprintf("of the bar, %.0f%% and %d MiB", barCPU*100, barMiB), cpu/barCPU, mib/barMiB)
	if cpu > barCPU || mib > barMiB {
		return errors.New("above the bar")
	}
	return nil
}

// start starts the target.
func (s *settings) start(ctx context.Context, dir string) (address string, end func(), err error) {
	self, err := os.Executable()
	if err != nil {
		return "", nil, err
	}
	cmd := exec.CommandContext(ctx, self)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), targetMode+"="+s.kind)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", nil, err
	}
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	if _, err := fmt.Fscanln(out, &address); err != nil {
		return "", nil, err
	}
	return address, func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }, nil
}

// cost is what a program has used.
type cost struct {
	cpu          float64 // of one core
	mib          float64
	late, missed int
}

func (s *settings) measure(ctx context.Context, dir, program, target string, checks int, every time.Duration) (cost, error) {
	file := filepath.Join(dir, "monitor.yaml")
	if err := os.WriteFile(file, []byte(s.file(target, checks, every)), 0o600); err != nil {
		return cost{}, err
	}
	at, err := free()
	if err != nil {
		return cost{}, err
	}
	args := []string{s.program, "--listen", at, "--ops-listen", "off", "--log-level", "error"}
	if checks > 0 {
		args = append(args, "--monitor", file)
	}
	data := ""
	if s.program == "serve" {
		if data, err = os.MkdirTemp(dir, "data"); err != nil {
			return cost{}, err
		}
		args = append(args, "--store", "sqlite", "--data", data)
	}
	cmd, end, err := begin(ctx, program, args)
	if err != nil {
		return cost{}, err
	}
	if s.full && checks > 0 {
		end()
		if err := fill(ctx, filepath.Join(data, "counterfoil.db"), checks); err != nil {
			return cost{}, err
		}
		if cmd, end, err = begin(ctx, program, args); err != nil {
			return cost{}, err
		}
	}
	defer end()
	before, err := used(cmd.Process.Pid)
	if err != nil {
		return cost{}, err
	}
	begun := time.Now()
	pause(ctx, s.last)
	after, err := used(cmd.Process.Pid)
	if err != nil {
		return cost{}, err
	}
	c := cost{cpu: (after - before).Seconds() / time.Since(begun).Seconds()}
	if c.mib, err = resident(cmd.Process.Pid); err != nil {
		return cost{}, err
	}
	if checks > 0 {
		c.late, c.missed, err = delays(ctx, program, file)
	}
	return c, errors.Join(err, ctx.Err())
}

// begin starts the program, and waits until each check has run once.
func begin(ctx context.Context, program string, args []string) (cmd *exec.Cmd, end func(), err error) {
	cmd = exec.CommandContext(ctx, program, args...)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	pause(ctx, 15*time.Second)
	return cmd, func() { _ = cmd.Process.Signal(syscall.SIGTERM); _ = cmd.Wait() }, nil
}

// fill gives each check a whole day of parts and a whole hour of results, in place of what the store has.
func fill(ctx context.Context, path string, checks int) error {
	db, err := sqlite.Open(ctx, path)
	if err != nil {
		return err
	}
	defer db.Close()
	var parts, results []byte // as monitor/kept packs them
	for n := range uint64(288) {
		if n == 0 {
			parts = append(parts, 0b1111) // which fields differ from those before: 300 seconds up, 30 runs; the milliseconds do each time
			parts = binary.AppendUvarint(parts, 300)
			parts = binary.AppendUvarint(parts, 30)
		} else {
			parts = append(parts, 0b1100)
		}
		parts = binary.AppendUvarint(parts, 300+n)
		parts = binary.AppendUvarint(parts, 20+n%50)
	}
	for n := range uint64(360) {
		results = binary.AppendUvarint(results, 10*min(n, 1))
		results = binary.AppendUvarint(results, (5+n%40)<<2)
	}
	for n := range checks {
		for kind, value := range map[store.Kind]any{"monitorday": map[string][]byte{"buckets": parts}, "monitorraw": map[string][]byte{"results": results}} {
			for rec, err := range db.List(ctx, kind, fmt.Sprint("c", n), "") {
				if err != nil {
					return err
				}
				if rec.Value, err = json.Marshal(value); err != nil {
					return err
				}
				if _, err := db.Commit(ctx, store.Batch{Put: []store.Record{rec}}); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// file is a file of checks.
func (s *settings) file(target string, checks int, every time.Duration) string {
	var text strings.Builder
	text.WriteString("inside: [127.0.0.0/8]\nchecks:\n")
	for i := range checks {
		what := s.kind + ": " + s.kind + "://" + target + "/health"
		switch s.kind {
		case "tcp":
			what = "tcp: '" + target + "'"
		case "https":
			what = "http: https://" + target + "/health"
		}
		fmt.Fprintf(&text, "- {name: c%d, every: %s, %s", i, every, what)
		if s.kind == "https" {
			text.WriteString(", expect: {status: 200}, tls_options: {ca: ca.pem, server_name: example.com}")
		} else if s.kind == "http" {
			text.WriteString(", expect: {status: 200, json: {/status: ok}}")
		}
		text.WriteString("}\n")
	}
	return text.String()
}

// free is an address that no program listens on now.
func free() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// pause waits, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// used is the processor time of a process, as the scheduler has it: its clock (clock_getcpuclockid(3)). The
// figures of /proc/PID/stat are samples.
func used(pid int) (time.Duration, error) {
	var t syscall.Timespec
	clock := int32(^pid<<3 | 2)
	if _, _, wrong := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, uintptr(clock), uintptr(unsafe.Pointer(&t)), 0); wrong != 0 {
		return 0, fmt.Errorf("clock of process %d: %w", pid, wrong)
	}
	return time.Duration(t.Nano()), nil
}

// resident is the memory of a process.
func resident(pid int) (mib float64, err error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(data)) {
		if rest, found := strings.CutPrefix(line, "VmRSS:"); found {
			kib, err := strconv.Atoi(strings.Fields(rest)[0])
			return float64(kib) / 1024, err
		}
	}
	return 0, errors.New("/proc/PID/status has no VmRSS")
}

// delays asks the program for the runs that were late, and those that were missed.
func delays(ctx context.Context, program, file string) (late, missed int, err error) {
	out, err := exec.CommandContext(ctx, program, "monitor", "list", "--json", "--monitor", file).Output()
	if err != nil {
		return 0, 0, err
	}
	var all struct {
		Checks []struct {
			Failure string
			Late    int `json:"late_runs"`
			Missed  int `json:"missed_runs"`
		}
	}
	if err := json.Unmarshal(out, &all); err != nil {
		return 0, 0, err
	}
	for _, c := range all.Checks {
		if c.Failure != "" {
			return 0, 0, errors.New("a check fails: " + c.Failure)
		}
		late, missed = late+c.Late, missed+c.Missed
	}
	return late, missed, nil
}
