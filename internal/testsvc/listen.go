package testsvc

import (
	"bytes"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"testing"
)

// Listen starts a program, and returns when it listens at address. The end of the test ends it; if
// the test has failed, it shows the last lines that the program wrote to cmd.Stderr. The channel is closed when the
// program has ended.
func Listen(tb testing.TB, cmd *exec.Cmd, address string) (ended <-chan struct{}) {
	tb.Helper()
	if cmd.Stderr == nil {
		cmd.Stderr = new(bytes.Buffer)
	}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	done := make(chan struct{})
	go func() { _ = cmd.Wait(); close(done) }()
	tb.Cleanup(func() {
		_ = cmd.Process.Kill()
		if <-done; tb.Failed() {
			tb.Logf("%s:\n%s", cmd.Path, lastLines(fmt.Sprint(cmd.Stderr), 40))
		}
	})
	err := await(done, startWithin, func() error {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			_ = conn.Close()
		}
		return err
	})
	if err != nil {
		tb.Fatalf("%s %v", cmd.Path, err)
	}
	return done
}

// lastLines is the end of what a program said: more would hide what the test says.
func lastLines(text string, n int) string {
	lines := strings.SplitAfter(text, "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "")
}
