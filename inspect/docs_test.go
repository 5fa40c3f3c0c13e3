package inspect

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

const document = "../docs/inspect.md"

// The tables of docs/inspect.md are those of the data. go test ./inspect -run TestDocument
// -update writes them.
func TestDocument(t *testing.T) {
	data, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	want := between(t, between(t, text, "kinds", kindTable()), "rules", ruleTable())
	if *update {
		if err := os.WriteFile(document, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		text = want
	}
	if text != want {
		t.Errorf("%s has other tables than the data: run this test with -update", document)
	}
	for _, list := range [][]string{SignatureAlgorithms(), KeyAlgorithms(), ContentAlgorithms()} {
		for _, alg := range list {
			if !strings.Contains(text, alg) {
				t.Errorf("%s does not name %s", document, alg)
			}
		}
	}
}

// between replaces what stands between two comments.
func between(t *testing.T, text, name, table string) string {
	t.Helper()
	before, rest, ok := strings.Cut(text, "<!-- "+name+":")
	comment, rest, ok2 := strings.Cut(rest, "-->\n")
	_, after, ok3 := strings.Cut(rest, "<!-- end -->")
	if !ok || !ok2 || !ok3 {
		t.Fatalf("%s has no place for %s", document, name)
	}
	return before + "<!-- " + name + ":" + comment + "-->\n" + table + "<!-- end -->" + after
}

func kindTable() string {
	var b strings.Builder
	b.WriteString("| kind | typ | or it has one of | needs | source |\n|---|---|---|---|---|\n")
	for _, k := range Kinds() {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", k.Title, strings.Join(k.Types, ", "), strings.Join(k.Marks, ", "), strings.Join(k.Needs, ", "), k.Source)
	}
	return b.String()
}

func ruleTable() string {
	var b strings.Builder
	b.WriteString("| rule | severity | | why | source |\n|---|---|---|---|---|\n")
	for _, r := range Rules() {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", r.ID, r.Severity, r.Title, r.Why, r.Source)
	}
	return b.String()
}
