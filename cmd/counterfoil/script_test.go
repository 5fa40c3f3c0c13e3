package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/counterfoil/counterfoil/internal/testsvc"
)

func TestMain(m *testing.M) {
	testscript.Main(withServers{m}, map[string]func(){"counterfoil": main})
}

// withServers runs the tests as [testsvc.Main] does. It does nothing in the process that is the
// program under test.
type withServers struct{ m *testing.M }

func (w withServers) Run() int { return testsvc.Run(w.m) }

// The scripts run the real program: this test's binary under another name.
func TestScripts(t *testing.T) {
	t.Parallel() // they wait for programs most of the time
	testscript.Run(t, scripts(t, "testdata/script"))
}

// LOGIN-04: with one processor there is one slot to hash in, and a short queue.
func TestProcessors(t *testing.T) {
	t.Parallel()
	for _, n := range []string{"1", "2", "4"} {
		t.Run(n, func(t *testing.T) {
			t.Parallel()
			run := scripts(t, "testdata/processors")
			setup := run.Setup
			run.Setup = func(e *testscript.Env) error {
				e.Setenv("GOMAXPROCS", n)
				return setup(e)
			}
			testscript.Run(t, run)
		})
	}
}

// scripts is how the scripts of a folder are run.
func scripts(t *testing.T, dir string) testscript.Params {
	return testscript.Params{
		Dir:                 dir,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			for _, name := range []string{"A", "B", "C"} {
				address, err := freeAddress()
				if err != nil {
					return err
				}
				e.Setenv(name, address)
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":      exits,
			"post":       post,
			"mode":       mode,
			"member":     member,
			"narrow":     narrow,
			"eventually": eventually,
			"question":   question,
			"changes":    changes,
			"signal":     signalJob,
			"postgres":   database(t),
			"redis":      redisServer(t),
			"redis-do":   redisDo,
			"smtps":      startMailHost,
		},
	}
}

// freeAddress is an address that no program listens on now.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// database makes an empty PostgreSQL database: postgres VARIABLE puts its URL there.
func database(t *testing.T) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if neg || len(args) != 1 {
			ts.Fatalf("usage: postgres VARIABLE")
		}
		_, url := testsvc.StartPostgres(t, testsvc.Fast).Database(t, "")
		ts.Setenv(args[0], url)
	}
}

// redisServer starts a Redis: redis VARIABLE ARGUMENTS... puts its address there.
func redisServer(t *testing.T) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if neg || len(args) < 1 {
			ts.Fatalf("usage: redis VARIABLE ARGUMENTS...")
		}
		ts.Setenv(args[0], testsvc.StartRedis(t, args[1:]...).Addr())
	}
}

// redisDo sends a Redis one command: redis-do ADDRESS COMMAND....
func redisDo(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: redis-do ADDRESS COMMAND...")
	}
	_, err := testsvc.RedisDo(args[0], args[1:]...)
	ts.Check(err)
}

// exits runs a command and fails if it has another exit code: exits 3 counterfoil config check.
// stdout and stderr then match its output.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARGUMENTS...")
	}
	err := ts.Exec(args[1], args[2:]...)
	code := 0
	if exit, ok := err.(*exec.ExitError); ok {
		code = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if fmt.Sprint(code) != args[0] {
		ts.Fatalf("exit code %d, want %s", code, args[0])
	}
}

// narrow fails if a line of a file is wider than 80 columns.
func narrow(ts *testscript.TestScript, neg bool, args []string) {
	for line := range strings.Lines(ts.ReadFile(args[0])) {
		line = strings.TrimSuffix(line, "\n")
		if n := utf8.RuneCountInString(line); n > 80 {
			ts.Fatalf("%d columns: %s", n, line)
		}
	}
}

// eventually waits until a URL answers with a status: eventually 200 URL.
func eventually(ts *testscript.TestScript, neg bool, args []string) {
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	last := ""
	for range 3000 {
		res, err := http.Get(args[1])
		if err != nil {
			last = err.Error()
		} else {
			last = res.Status
			_ = res.Body.Close()
			if strings.HasPrefix(last, args[0]) {
				return
			}
		}
		<-look.C
	}
	ts.Fatalf("%s answers %s, want %s", args[1], last, args[0])
}

// question asks a gateway as nginx does about GET of a URL, with the token in a file, and writes the
// header of the answer to a file: question STATUS GATEWAY URL TOKEN OUT.
func question(ts *testscript.TestScript, neg bool, args []string) {
	status, head := askGateway(ts, args[1], args[2], args[3])
	if !strings.HasPrefix(status, args[0]) {
		ts.Fatalf("a question about %s = %s, want %s", args[2], status, args[0])
	}
	var text strings.Builder
	ts.Check(head.Write(&text))
	ts.Check(os.WriteFile(ts.MkAbs(args[4]), []byte(text.String()), 0o600))
}

// changes asks as question does, until the answer has the status: changes STATUS GATEWAY URL TOKEN.
func changes(ts *testscript.TestScript, neg bool, args []string) {
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	status := ""
	for range 3000 {
		if status, _ = askGateway(ts, args[1], args[2], args[3]); strings.HasPrefix(status, args[0]) {
			return
		}
		<-look.C
	}
	ts.Fatalf("a question about %s = %s, want %s", args[2], status, args[0])
}

func askGateway(ts *testscript.TestScript, gateway, url, token string) (status string, head http.Header) {
	r, err := http.NewRequest(http.MethodGet, gateway+"/auth-request", nil)
	ts.Check(err)
	r.Header = http.Header{"X-Original-Method": {"GET"}, "X-Original-Url": {url}, "Authorization": {"Bearer " + strings.TrimSpace(ts.ReadFile(token))}}
	res, err := http.DefaultClient.Do(r)
	ts.Check(err)
	ts.Check(res.Body.Close())
	return res.Status, res.Header
}

// signalJob sends each background command that runs a signal: signal TERM NAME. The name is for readers of the script.
func signalJob(ts *testscript.TestScript, neg bool, args []string) {
	signals := map[string]os.Signal{"TERM": syscall.SIGTERM, "INT": os.Interrupt, "HUP": syscall.SIGHUP}
	for _, job := range ts.BackgroundCmds() {
		if job.ProcessState != nil {
			continue
		}
		if err := job.Process.Signal(signals[args[0]]); err != nil {
			ts.Fatalf("%v", err)
		}
	}
}

// post sends a file as JSON: post STATUS URL BODY ANSWER.
func post(ts *testscript.TestScript, neg bool, args []string) {
	res, err := http.Post(args[1], "application/json", strings.NewReader(ts.ReadFile(args[2])))
	if err != nil {
		ts.Fatalf("%v", err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || !strings.HasPrefix(res.Status, args[0]) {
		ts.Fatalf("POST %s = %s %s, %v, want %s", args[1], res.Status, body, err, args[0])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[3]), body, 0o600))
}

// member writes a text member of a JSON file to another file: member NAME FILE OUT.
func member(ts *testscript.TestScript, neg bool, args []string) {
	var object map[string]any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[1])), &object))
	text, ok := object[args[0]].(string)
	if !ok {
		ts.Fatalf("%s has no text %s", args[1], args[0])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), []byte(text), 0o600))
}

// mode fails if a file has another mode: mode 600 FILE.
func mode(ts *testscript.TestScript, neg bool, args []string) {
	info, err := os.Stat(ts.MkAbs(args[1]))
	ts.Check(err)
	if got := fmt.Sprintf("%o", info.Mode().Perm()); got != args[0] {
		ts.Fatalf("%s has mode %s, want %s", args[1], got, args[0])
	}
}
