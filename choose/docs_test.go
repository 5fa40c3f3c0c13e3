package choose_test

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/choose"
)

var update = flag.Bool("update", false, "write the tables of docs/choosing.md")

// The tables of docs/choosing.md are those of the code.
func TestDocs(t *testing.T) {
	const file = "../docs/choosing.md"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	head, _, _ := strings.Cut(string(text), "\n## Questions\n")
	want := head + "\n## Questions\n\n" + questions() + `
## Rules

Each topic takes its first rule whose conditions hold. A topic concerns everybody, unless its title says whom.
` + rules()
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if want != string(text) {
		t.Error("docs/choosing.md is out of date: go test ./choose -update")
	}
}

func questions() string {
	var b strings.Builder
	b.WriteString("| flag | question | answers |\n|---|---|---|\n")
	for _, q := range choose.Questions {
		var options []string
		for _, o := range q.Options {
			text := "`" + o.ID + "` " + o.Text
			if slices.Contains(q.Default, o.ID) {
				text += " (default)"
			}
			options = append(options, text)
		}
		many := ""
		if q.Many {
			many = " Several may be named."
		}
		fmt.Fprintf(&b, "| `--%s` | %s%s | %s |\n", q.ID, q.Text, many, strings.Join(options, "; "))
	}
	return b.String()
}

func rules() string {
	var b strings.Builder
	for _, topic := range choose.Topics {
		fmt.Fprintf(&b, "\n### %s\n\n", topic.Title)
		if len(topic.If) > 0 {
			fmt.Fprintf(&b, "If %s.\n\n", conditions(topic.If))
		}
		b.WriteString("| if | then | because | rows |\n|---|---|---|---|\n")
		for n, r := range topic.Rules {
			when := conditions(r.If)
			if when == "" {
				when = "otherwise"
				if n == 0 {
					when = "always"
				}
			}
			choice := strings.TrimSuffix(r.Choice, ".")
			for _, name := range slices.Sorted(maps.Keys(r.Set)) {
				choice += fmt.Sprintf(" (`%s: %s`)", name, r.Set[name])
			}
			fmt.Fprintf(&b, "| %s | %s | %s | `%s` |\n", when, choice, r.Because, strings.Join(r.Rows, "`, `"))
		}
	}
	return b.String()
}

func conditions(all []choose.Condition) string {
	var texts []string
	for _, c := range all {
		if len(c.Any) > 0 {
			texts = append(texts, c.Question+" has `"+strings.Join(c.Any, "` or `")+"`")
		}
		if len(c.Not) > 0 {
			texts = append(texts, c.Question+" has no `"+strings.Join(c.Not, "` and no `")+"`")
		}
	}
	return strings.Join(texts, ", and ")
}
