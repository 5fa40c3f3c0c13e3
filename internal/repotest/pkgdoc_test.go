package repotest

import (
	"os/exec"
	"strings"
	"testing"
)

// Every package says what it is for, in a form that go doc shows.
func TestPackageDocs(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-f", "{{.Name}}\t{{.ImportPath}}\t{{len .GoFiles}}\t{{.Doc}}", "./...").Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		fields := strings.SplitN(strings.TrimSpace(line), "\t", 4)
		if len(fields) == 3 && fields[2] == "0" {
			continue // tests only
		}
		begin := "Package " + fields[0] + " "
		if fields[0] == "main" {
			begin = "Command "
		}
		if len(fields) < 4 || !strings.HasPrefix(fields[3], begin) {
			t.Errorf("%s: the package doc does not begin with %q", fields[1], begin)
		}
	}
}
