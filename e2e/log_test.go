package e2e_test

import (
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// A log that nobody reads holds up no request, and a reader that dies does not end the server.
// What was dropped is told when somebody reads again.
func TestLogThatNobodyReads(t *testing.T) {
	t.Parallel()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	p := &program{t: t, output: &output{}, cmd: exec.Command(binary, "serve", "--store", "memory", "--data", t.TempDir(), "--issuer", "http://127.0.0.1:8080",
		"--listen", "127.0.0.1:0", "--ops-listen", "off", "--log-level", "debug")}
	p.cmd.Stderr = write
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	_ = write.Close()
	text := make([]byte, 0, 1<<16)
	for !strings.Contains(string(text), `"listening"`) {
		n, err := read.Read(text[len(text):cap(text)])
		if text = text[:len(text)+n]; err != nil {
			t.Fatalf("the program ended: %v\n%s", err, text)
		}
	}
	_, at, _ := strings.Cut(string(text), `"listening","address":"`)
	at, _, _ = strings.Cut(at, `"`)
	client := &http.Client{Timeout: hung} // no bar: a server that waits for its log waits for ever
	ask := func(when string, times int) {
		t.Helper()
		path := "http://" + at + "/nothing"
		for range times {
			res, err := client.Get(path)
			if err != nil {
				t.Fatalf("%s: %v", when, err)
			}
			_, _ = io.Copy(io.Discard, res.Body)
			_ = res.Body.Close()
		}
	}
	ask("nobody reads the log", 12_000) // lines of some 200 bytes: the pipe has room for 64 KiB, the program for 1 MiB
	told := make(chan bool, 1)
	go func() { // reads until the line, then goes away
		defer read.Close()
		var all strings.Builder
		b := make([]byte, 1<<16)
		for !strings.Contains(all.String(), "lines of the log were dropped") {
			n, err := read.Read(b)
			if all.Write(b[:n]); err != nil {
				told <- false
				return
			}
		}
		told <- true
	}()
	ask("somebody reads it again", 10)
	if !<-told {
		t.Error("nothing tells of the lines that were dropped")
	}
	ask("the reader is gone", 100)
	if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	ask("after SIGHUP", 10)
}
