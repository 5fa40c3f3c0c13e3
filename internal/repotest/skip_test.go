package repotest

import (
	"os/exec"
	"strings"
	"testing"
)

// A test that skips proves nothing, and nobody notices. What a test needs is installed by .ci/run;
// what it cannot do as this user, it does in another way.
func TestNothingSkips(t *testing.T) {
	out, err := exec.Command("git", "grep", "-nE", `\b[tbfs]\.(Skip|SkipNow|Skipf)\(|testing\.Short\(`, "--", "*_test.go").Output()
	if len(out) > 0 || err == nil {
		t.Errorf("these tests skip:\n%s", out)
	}
	scripts, _ := exec.Command("git", "grep", "-nE", `^(\[.*\] *)?(skip|stop)( |$)`, "--", "*.txtar").Output()
	for line := range strings.Lines(string(scripts)) {
		t.Errorf("this script skips: %s", line)
	}
}
