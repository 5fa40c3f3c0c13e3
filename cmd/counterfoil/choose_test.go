package main

import (
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/choose"
	"github.com/counterfoil/counterfoil/compare"
)

// Every combination of answers gives a configuration that config check accepts without a warning.
func TestEveryChoiceIsAConfiguration(t *testing.T) {
	file := filepath.Join(t.TempDir(), "counterfoil.yaml")
	tried := make(map[string]bool)
	count := 0
	for a := range choose.Combinations() {
		count++
		config := choose.Choose(a).Config()
		_, settings, _ := strings.Cut(config, "\n#\n") // without the answers, which are a comment
		if tried[settings] {
			continue
		}
		tried[settings] = true
		if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
		v, err := (&configFlags{ConfigFile: file}).load(nil)
		if err != nil || len(v.Warnings) > 0 {
			t.Fatalf("%s: %v, %v\n%s", a.Flags(), err, v.Warnings, config)
		}
	}
	if count != 43740 {
		t.Errorf("%d combinations of answers", count)
	}
	t.Logf("%d combinations, %d different configurations", count, len(tried))
}

// A recommendation rests on rows that compare has.
func TestChoicesRestOnRows(t *testing.T) {
	var rows []string
	for _, g := range compare.Groups() {
		rows = append(rows, g.Rows...)
	}
	for _, topic := range choose.Topics {
		for _, rule := range topic.Rules {
			for _, row := range rule.Rows {
				if !slices.ContainsFunc(rows, func(pattern string) bool { ok, _ := path.Match(pattern, row); return ok }) {
					t.Errorf("%s rests on row %q, which compare has not: %v", rule.ID, row, rows)
				}
			}
		}
	}
}

// The flags are the questions.
func TestFlagsOfChoose(t *testing.T) {
	c := chooseCommand{Clients: []string{"x"}, Servers: "x", Sites: "x", Languages: "x", Revocation: "x", Claims: "x", Outage: "x", Store: "x", Users: "x"}
	for _, q := range choose.Questions {
		if len(c.given()[q.ID]) != 1 {
			t.Errorf("no flag gives an answer to %s", q.ID)
		}
	}
}

// Who does not need this program reads so before what follows.
func TestChoiceOfALibrary(t *testing.T) {
	for given, want := range map[string]bool{"pages": true, "mobile": false} {
		a, err := choose.Parse(map[string][]string{"clients": {given}})
		if err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		advice := choose.Choose(a)
		printAdvice(&out, advice, new(compare.Result))
		if got := strings.Contains(out.String(), "\nIf you take Counterfoil all the same:\n"); got != want {
			t.Errorf("with %s: %s", given, &out)
		}
		if config := advice.Config(); strings.Contains(config, "\n# Do you need Counterfoil? No: a session library") != want {
			t.Errorf("with %s: %s", given, config)
		}
		if strings.Contains(out.String(), ".,") {
			t.Errorf("with %s, a sentence goes on behind its end: %s", given, &out)
		}
	}
}
