package repotest

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// docs/architecture.md names files and functions that are there, and every package.
func TestArchitecture(t *testing.T) {
	architecture := text(t, "docs/architecture.md")
	for _, m := range regexp.MustCompile("`([a-z0-9_/]+\\.go)`").FindAllStringSubmatch(architecture, -1) {
		if _, err := os.Stat(m[1]); err != nil {
			t.Errorf("docs/architecture.md: %v", err)
		}
	}
	for _, m := range regexp.MustCompile("((?:`[A-Za-z.]+`(?:, )?)+) in `([a-z0-9_/]+(?:\\.go)?)`").FindAllStringSubmatch(architecture, -1) {
		code := source(t, m[2])
		for name := range strings.SplitSeq(strings.ReplaceAll(m[1], "`", ""), ", ") {
			name = name[strings.LastIndex(name, ".")+1:]
			if !regexp.MustCompile(`(?m)^func (\([^)]*\) )?` + name + `\(`).MatchString(code) {
				t.Errorf("docs/architecture.md: there is no %s in %s", name, m[2])
			}
		}
	}
	for pkg := range layers {
		name := strings.TrimPrefix(pkg, "/")
		if strings.HasPrefix(name, "examples/") {
			name = "examples/*"
		}
		if name != "" && !strings.Contains(architecture, "`"+name+"`") {
			t.Errorf("docs/architecture.md: no layer has %s", name)
		}
	}
}

// source returns the code of a file, or of the files in a folder.
func source(t *testing.T, path string) (code string) {
	t.Helper()
	if strings.HasSuffix(path, ".go") {
		return text(t, path)
	}
	files, err := filepath.Glob(filepath.Join(path, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		code += text(t, file)
	}
	return code
}

// The map of the code in doc.go has every file.
func TestPackageDocNamesEveryFile(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	doc := text(t, "doc.go")
	for _, file := range files {
		if !strings.HasSuffix(file, "_test.go") && file != "doc.go" && !strings.Contains(doc, file) {
			t.Errorf("doc.go does not say what %s is for", file)
		}
	}
}
