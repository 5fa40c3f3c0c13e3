package repotest

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	goRun    = regexp.MustCompile(`go run (\./[a-z/]+)`)
	goTest   = regexp.MustCompile(`^(?:[A-Z_]+=\S+ )*(?:chrt -r 1 )?go test(?: |$)`)
	inline   = regexp.MustCompile("`([^`\n]+)`")
	function = regexp.MustCompile(`(?m)^func ((?:Test|Benchmark|Fuzz)\w*)\(`)
)

// A "go run" command that a document shows has a program. A "go test" command that a document shows has packages, tests and flags that are there.
func TestGoCommands(t *testing.T) {
	commands := 0
	for _, page := range append(pages(t), "docs/decisions/0006-dependencies.md") {
		for line := range strings.Lines(inline.ReplaceAllString(text(t, page), "\n$1\n")) {
			if m := goRun.FindStringSubmatch(line); m != nil && !strings.Contains(testCode(t, page, m[1]+"/..."), "package main") {
				t.Errorf("%s: %s: no program there", page, m[0])
			}
			if line = strings.TrimSpace(line); goTest.MatchString(line) {
				commands++
				checkGoTest(t, page, line)
			}
		}
	}
	if commands < 20 {
		t.Errorf("found %d commands only", commands)
	}
}

func checkGoTest(t *testing.T, page, command string) {
	t.Helper()
	folder, code := ".", ""
	var patterns, flags []string
	words := strings.Fields(goTest.ReplaceAllString(command, ""))
	for n := 0; n < len(words); n++ {
		word := strings.Trim(words[n], "'")
		next := ""
		if n+1 < len(words) {
			next = strings.Trim(words[n+1], "'")
		}
		switch {
		case word == "-C":
			folder = next
			n++
		case word == "-run" || word == "-bench":
			patterns = append(patterns, next)
			n++
		case word == "." || strings.HasPrefix(word, "./"):
			code += testCode(t, page, filepath.Join(folder, word))
		case strings.HasPrefix(word, "-") && strings.Contains(word, "."):
			flags = append(flags, strings.TrimPrefix(word, "-"))
		}
	}
	for _, pattern := range patterns {
		for alternative := range strings.SplitSeq(strings.Split(pattern, "/")[0], "|") {
			if alternative == "-" || alternative == "XXX" || alternative == "^$" {
				continue
			}
			match, err := regexp.Compile(alternative)
			if err != nil {
				t.Errorf("%s: %s: %v", page, command, err)
				continue
			}
			found := false
			for _, m := range function.FindAllStringSubmatch(code, -1) {
				found = found || match.MatchString(m[1])
			}
			if !found {
				t.Errorf("%s: %s: no test or benchmark %s", page, command, alternative)
			}
		}
	}
	for _, flag := range flags {
		if !strings.Contains(code, `"`+flag+`"`) && !strings.Contains(importedCode(t, code, flag), `"`+flag+`"`) {
			t.Errorf("%s: %s: no flag -%s", page, command, flag)
		}
	}
}

// importedCode returns the code of the package that a flag is named after, if code imports it.
func importedCode(t *testing.T, code, flag string) (all string) {
	t.Helper()
	name, _, _ := strings.Cut(flag, ".")
	for _, m := range regexp.MustCompile(`"github.com/counterfoil/counterfoil/([a-z/]+)"`).FindAllStringSubmatch(code, -1) {
		if filepath.Base(m[1]) == name {
			all += source(t, m[1])
		}
	}
	return all
}

// testCode returns the tests of a package, or of a tree that ends with "...".
func testCode(t *testing.T, page, path string) (code string) {
	t.Helper()
	root, tree := strings.CutSuffix(path, "/...")
	err := fs.WalkDir(os.DirFS(root), ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if e.IsDir() && name != "." && !tree {
			return fs.SkipDir
		}
		if strings.HasSuffix(name, "_test.go") || tree && strings.HasSuffix(name, ".go") {
			code += text(t, filepath.Join(root, name))
		}
		return nil
	})
	if err != nil {
		t.Errorf("%s: %v", page, err)
	}
	return code
}
