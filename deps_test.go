package counterfoil_test

import (
	"os/exec"
	"strings"
	"testing"
)

// What other programs import must bring nothing with it, and must not reach the
// server's side: the table of docs/architecture.md, row by row.
func TestLayers(t *testing.T) {
	const module = "github.com/counterfoil/counterfoil"
	for _, row := range []struct {
		pkg    string
		may    []string // beside the standard library and itself
		reason string
	}{
		{"/internal/token", nil, "pure functions on the standard library"},
		{"/internal/secret", nil, "every package may use it"},
		{"", []string{"/internal/token"}, "services import it: no dependency, no server"},
		{"/store", []string{"", "/internal/token"}, "a contract, not an engine"},
		{"/login", []string{"/internal/secret"}, "types only"},
	} {
		out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", module+row.pkg).Output()
		if err != nil {
			t.Fatal(err)
		}
		allowed := map[string]bool{module + row.pkg: true}
		for _, p := range row.may {
			allowed[module+p] = true
		}
		for _, dep := range strings.Fields(string(out)) {
			if !allowed[dep] {
				t.Errorf("%s imports %s: %s", module+row.pkg, dep, row.reason)
			}
		}
	}
}
