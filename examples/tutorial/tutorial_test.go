// Package tutorial has the programs of docs/tutorial.md. Its test follows the tutorial.
package tutorial

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The tutorial shows the programs word for word. The test starts the programs, and runs the
// commands of the tutorial in one shell. The commands must print what the tutorial says.
func TestTutorial(t *testing.T) {
	page, err := os.ReadFile("../../docs/tutorial.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"app", "reports"} {
		code, err := os.ReadFile(filepath.Join(name, "main.go"))
		if err != nil {
			t.Fatal(err)
		}
		_, body, _ := strings.Cut(string(code), "\npackage main")
		if !strings.Contains(string(page), "```go\npackage main"+body+"```\n") {
			t.Errorf("docs/tutorial.md does not show %s/main.go as it is", name)
		}
	}
	key := start(t, "app", "export COUNTERFOIL_API_KEY=")
	t.Setenv("COUNTERFOIL_API_KEY", key)
	start(t, "reports", "")

	script := "set -eu\n"
	for _, part := range strings.Split(string(page), "```sh\n")[1:] {
		block, _, _ := strings.Cut(part, "```")
		for line := range strings.Lines(strings.ReplaceAll(block, "\\\n", "")) {
			if strings.HasPrefix(line, "curl -s -o refused.json") {
				// The service refuses within milliseconds as a rule, and within its bound at the
				// latest. On a busy machine the test asks as often as it takes.
				line = "for n in $(seq 1000); do answer=$(" + strings.TrimSpace(line) + "); [ \"$answer\" = 401 ] && break; done; echo \"$answer\"\n"
			}
			script += line
		}
	}
	// The service listens a moment after its start, so curl retries.
	script = strings.ReplaceAll(script, "curl -s", "curl -s --retry 50 --retry-delay 1 --retry-connrefused")
	shell := exec.Command("sh")
	shell.Dir, shell.Stdin, shell.Stderr = t.TempDir(), strings.NewReader(script), os.Stderr
	out, err := shell.Output()
	if err != nil {
		t.Fatalf("the commands of docs/tutorial.md: %v\n%s", err, out)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	want := []string{"hello usr_", "three reports for usr_", "bob is signed out everywhere", "401", "401"}
	if len(lines) != len(want) {
		t.Fatalf("the commands printed %q, want lines that begin with %q", lines, want)
	}
	for n := range want {
		if !strings.HasPrefix(lines[n], want[n]) {
			t.Errorf("line %d is %q, want %q…", n, lines[n], want[n])
		}
	}
}

// start builds a program and runs it until the test ends. It returns the rest of the first
// line with the prefix that the program prints; an empty prefix waits for none.
func start(t *testing.T, name, prefix string) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), name)
	if out, err := exec.Command("go", "build", "-o", binary, "./"+name).CombinedOutput(); err != nil {
		t.Fatalf("go build ./%s: %v\n%s", name, err, out)
	}
	program := exec.Command(binary)
	program.Stderr = os.Stderr
	out, err := program.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := program.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = program.Process.Kill()
		_ = program.Wait()
	})
	if prefix == "" {
		return ""
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if rest, ok := strings.CutPrefix(lines.Text(), prefix); ok {
			return rest
		}
	}
	t.Fatalf("%s printed no line that begins with %q", name, prefix)
	return ""
}
