package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

var inText = regexp.MustCompile("`counterfoil ([a-z][^`]*)`")

// The documents and the help name commands and flags that there are. Code blocks are run by
// e2e/docs_test.go; this is what stands in the text.
func TestCommandsInText(t *testing.T) {
	var p program
	parser, err := kong.New(&p)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range [][2]string{
		{"user frobnicate", "frobnicate"}, {"frobnicate", "frobnicate"}, {"serve --bogus", "--bogus"}, {"audit --json", ""},
		{"session revoke ID --wait", ""}, {"config print --no-production", ""}, {"audit verify --anchors FILE", ""},
	} {
		if got := unknownIn(parser.Model.Node, strings.Fields(c[0])); got != c[1] {
			t.Errorf("unknownIn(%s) = %q, want %q", c[0], got, c[1])
		}
	}
	found := 0
	for _, pattern := range []string{"../../*.md", "../../docs/*.md", "../../docs/tutorials/*.md", "../../deploy/*.md", "../../examples/*.md"} {
		pages, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, page := range pages {
			text, err := os.ReadFile(page)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range inText.FindAllStringSubmatch(strings.ReplaceAll(string(text), "\n", " "), -1) {
				found++
				if problem := unknownIn(parser.Model.Node, strings.Fields(m[1])); problem != "" {
					t.Errorf("%s: `counterfoil %s`: no %s", page, m[1], problem)
				}
			}
		}
	}
	if found < 20 {
		t.Errorf("found %d commands only", found)
	}
}

// unknownIn returns the first word that is no command and no flag. Arguments are not checked.
func unknownIn(node *kong.Node, words []string) string {
	for n, word := range words {
		if name, flag := strings.CutPrefix(word, "--"); flag {
			name, _, _ = strings.Cut(name, "=")
			if node.DefaultCmd != nil {
				node = node.DefaultCmd
			}
			if !slices.ContainsFunc(node.AllFlags(true), func(group []*kong.Flag) bool {
				return slices.ContainsFunc(group, func(f *kong.Flag) bool { return f.Name == name || "no-"+f.Name == name })
			}) {
				return word
			}
			continue
		}
		at := slices.IndexFunc(node.Children, func(child *kong.Node) bool { return child.Name == word })
		switch {
		case at >= 0:
			node = node.Children[at]
		case node.Type == kong.ApplicationNode || len(node.Children) > 0 && node.DefaultCmd == nil && n < 2:
			return word
		case node.DefaultCmd != nil:
			node = node.DefaultCmd
		}
	}
	return ""
}
