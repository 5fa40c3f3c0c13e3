package repotest

import (
	"flag"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const requirements = "docs/requirements.md"

var (
	writeRequirements = flag.Bool("requirements", false, "write the last column of "+requirements)

	requirementID  = regexp.MustCompile(`\b(TOK|JWE|KEY|SES|CSRF|CORS|HDR|REF|LOGIN|MFA|GW|OAUTH|INTRO|RVK|REV|OPS)-[0-9]{2}\b`)
	requirementRow = regexp.MustCompile(`^\| ([A-Z]+-[0-9]{2}) \| (.+) \| (.*) \|$`)
	namedFile      = regexp.MustCompile("`([^`]+)`")
)

// The catalogue lists every ID that the repository uses, and nothing else. Each file that
// the catalogue names for an ID names that ID.
func TestRequirements(t *testing.T) {
	using := requirementUse(t)
	text, err := os.ReadFile(requirements)
	if err != nil {
		t.Fatal(err)
	}
	var written strings.Builder
	listed := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		m := requirementRow.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
		if m == nil {
			written.WriteString(line)
			continue
		}
		id, claimed := m[1], m[3]
		if listed[id] || len(using[id]) == 0 {
			t.Errorf("%s lists %s, which is listed already or used nowhere", requirements, id)
		}
		listed[id] = true
		if *writeRequirements {
			claimed = whoNames(using[id])
			written.WriteString("| " + id + " | " + m[2] + " | " + claimed + " |\n")
		}
		files := namedFile.FindAllStringSubmatch(claimed, -1)
		if len(files) == 0 {
			t.Errorf("%s says of %s where it is not: run this test with -args -requirements", requirements, id)
		}
		for _, file := range files {
			if !slices.Contains(using[id], file[1]) {
				t.Errorf("%s says that %s names %s, which it does not: run this test with -args -requirements", requirements, file[1], id)
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(using)) {
		if !listed[id] {
			t.Errorf("%s names %s, which %s does not list", using[id][0], id, requirements)
		}
	}
	if *writeRequirements && !t.Failed() {
		if err := os.WriteFile(requirements, []byte(written.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// requirementUse returns the files that name each ID, in order.
func requirementUse(t *testing.T) map[string][]string {
	t.Helper()
	using := map[string][]string{}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() && d.Name() == ".git" {
			return errOr(err, filepath.SkipDir)
		}
		path = filepath.ToSlash(path)
		if d.IsDir() || path == requirements || !slices.Contains([]string{".go", ".txtar", ".md"}, filepath.Ext(path)) {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, id := range requirementID.FindAllString(string(text), -1) {
			if !slices.Contains(using[id], path) {
				using[id] = append(using[id], path)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return using
}

func errOr(err, other error) error {
	if err != nil {
		return err
	}
	return other
}

// whoNames is the last column: the tests among files, or else the code.
func whoNames(files []string) string {
	var tests, code []string
	for _, f := range files {
		switch name := "`" + f + "`"; {
		case strings.HasSuffix(f, "_test.go"), strings.HasSuffix(f, ".txtar"), strings.HasPrefix(f, "prove/"), strings.HasPrefix(f, "store/storetest/"):
			tests = append(tests, name)
		case strings.HasSuffix(f, ".go"):
			code = append(code, name)
		}
	}
	if len(tests) == 0 {
		return "none; see " + strings.Join(code, ", ")
	}
	return strings.Join(tests, ", ")
}
