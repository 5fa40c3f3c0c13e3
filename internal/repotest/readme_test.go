package repotest

import (
	"slices"
	"strings"
	"testing"
)

// The code of README.md is compiled: it stands word for word in example_test.go.
func TestREADME(t *testing.T) {
	code, blocks := trimmed(text(t, "example_test.go")), 0
	for _, part := range strings.Split(text(t, "README.md"), "```go\n")[1:] {
		block, _, _ := strings.Cut(part, "```")
		lines := trimmed(block)
		blocks++
		at := slices.Index(code, lines[0])
		if at < 0 || len(code) < at+len(lines) || !slices.Equal(code[at:at+len(lines)], lines) {
			t.Errorf("README.md shows code that is not in example_test.go:\n%s", block)
		}
	}
	if blocks == 0 {
		t.Error("README.md shows no code")
	}
}

// trimmed returns the lines of text that are not empty, without the space around them.
func trimmed(text string) (lines []string) {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	return lines
}
