package repotest

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/internal/markdown"
)

// scripts is the folder of the scripts that run what the pages show: docs/import.md has
// import.txtar, examples/README.md has examples-README.txtar. e2e/docs_test.go runs them.
const scripts = "e2e/testdata/docs"

// handles is a line of a script that is about one block of the page. A text with blanks is
// in quotes.
var handles = regexp.MustCompile(`(?m)^(?:! )?(run|save|shows|leave) (?:'([^']+)'|(\S+))(?: +(.*))?$`)

// What the documents show works: each code block of a page is run or checked by the script of
// the page, or the script says why it is not. A block needs a fence and the name of its
// language; one that is called text is output, or a drawing. A block of nothing but "go test"
// is checked by TestGoCommands: what it runs are tests, and measurements for hours.
func TestBlocks(t *testing.T) {
	for _, page := range pages(t) {
		content := text(t, page)
		for _, line := range markdown.Indented(content) {
			t.Errorf("%s:%d: a code block without a fence", page, line)
		}
		blocks := markdown.Blocks(content)
		script := filepath.Join(scripts, strings.ReplaceAll(strings.TrimSuffix(strings.TrimPrefix(page, "docs/"), ".md"), "/", "-")+".txtar")
		commands := ""
		if slices.ContainsFunc(blocks, needsScript) {
			commands, _, _ = strings.Cut(text(t, script), "\n-- ")
		}
		done := map[int]bool{}
		for _, m := range handles.FindAllStringSubmatch(commands, -1) {
			n, err := markdown.Find(blocks, m[2]+m[3])
			switch {
			case err != nil:
				t.Errorf("%s: %s: %v", script, m[0], err)
				continue
			case m[1] == "leave" && len(m[4]) < 20:
				t.Errorf("%s: %s: no reason", script, m[0])
			case m[1] == "shows":
				shows(t, page, blocks[n], m[4])
			}
			done[n] = true
		}
		rest := strings.Contains(commands, "\nrest ") // every block of sh that no line names
		for n, b := range blocks {
			done[n] = done[n] || rest && b.Info == "sh"
			if b.Info == "" {
				t.Errorf("%s:%d: name the language of the block; text is for output", page, b.Line)
			} else if needsScript(b) && !done[n] {
				t.Errorf("%s:%d: %s neither runs nor checks the block of %s, and does not leave it with a reason", page, b.Line, script, b.Info)
			}
		}
	}
}

// pages returns the documents whose readers do what they say. The decisions are for people who
// want to know why.
func pages(t *testing.T) (all []string) {
	t.Helper()
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/tutorials/*.md", "deploy/*.md", "examples/*.md", "findings/*.md"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, files...)
	}
	return all
}

func needsScript(b markdown.Block) bool {
	if b.Info == "text" {
		return false
	}
	for line := range strings.Lines(b.Text) {
		if !goTest.MatchString(line) {
			return true
		}
	}
	return false
}

// shows checks that a block is a program of the repository, word for word but for the comment
// above the package clause of one in Go.
func shows(t *testing.T, page string, b markdown.Block, file string) {
	t.Helper()
	body := text(t, file)
	if _, rest, found := strings.Cut(body, "\npackage main"); found {
		body = "package main" + rest
	}
	if b.Text != body {
		t.Errorf("%s:%d does not show %s as it is", page, b.Line, file)
	}
}
