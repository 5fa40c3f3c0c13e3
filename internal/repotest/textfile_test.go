package repotest

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// wholeFiles may read a file as it is: what is not text, or was written by the program itself or the system.
var wholeFiles = []string{"cmd/counterfoil/brand.go", "compare/system_linux.go", "keyring/sealfile.go", "internal/wholefile/wholefile.go", "store/sqlite/backup.go"}

// Files that people write are read by internal/textfile, which knows byte order marks and UTF-16.
func TestTextFilesHaveOneReader(t *testing.T) {
	out, err := exec.Command("git", "grep", "-lE", `os\.ReadFile\(|os\.Open\(|LoadX509KeyPair\(`, "--", "*.go", ":!*_test.go",
		":!bench", ":!e2e", ":!examples", ":!findings", ":!tools", ":!internal/testsvc", ":!internal/repotest", ":!prove").Output()
	if err != nil {
		t.Fatal(err)
	}
	for file := range strings.FieldsSeq(string(out)) {
		if !strings.HasPrefix(file, "internal/textfile/") && !slices.Contains(wholeFiles, file) && !strings.Contains(text(t, file), "textfile.Reader(") {
			t.Errorf("%s reads a file, and not by internal/textfile", file)
		}
	}
}
