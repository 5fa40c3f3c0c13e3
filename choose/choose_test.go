package choose_test

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/choose"
)

// Each rule with the fewest answers, besides the defaults, that lead to it.
var ruleTests = map[string]string{
	"need-session-library": "",
	"need-jwt-library":     "clients=machines revocation=expiry",
	"need-counterfoil":     "clients=machines",
	"pages-hosts":          "sites=one-site",
	"pages-services":       "servers=services",
	"pages-cookie":         "",
	"spa-hosts":            "clients=spa sites=several-sites",
	"spa-services":         "clients=spa servers=services",
	"spa-cookie":           "clients=spa servers=services claims=hidden",
	"mobile-jwe":           "clients=mobile claims=hidden",
	"mobile-bearer":        "clients=mobile",
	"machines-jwe":         "clients=machines claims=hidden",
	"machines-bearer":      "clients=machines",
	"checks-go":            "",
	"checks-both":          "languages=mixed",
	"checks-gateway":       "languages=other",
	"access-long":          "revocation=expiry users=millions",
	"access-normal":        "revocation=expiry",
	"login-mobile":         "clients=pages,mobile",
	"login-people":         "clients=pages,machines",
	"login-machines":       "clients=machines",
	"bound-now":            "",
	"bound-soon":           "revocation=soon",
	"bound-expiry":         "revocation=expiry",
	"store-sqlite":         "",
	"store-postgres":       "store=postgres",
	"store-redis":          "store=redis users=millions",
	"store-enough":         "store=redis",
	"stale-closed":         "",
	"stale-mixed":          "outage=serve",
	"stale-serve":          "outage=serve revocation=soon",
	"cookies-each":         "sites=several-sites",
	"cookies-host":         "",
	"cors-exact":           "clients=spa sites=one-site",
	"cors-none":            "clients=spa",
}

func parse(t *testing.T, text string) choose.Answers {
	t.Helper()
	given := make(map[string][]string)
	for field := range strings.FieldsSeq(text) {
		id, options, _ := strings.Cut(field, "=")
		given[id] = strings.Split(options, ",")
	}
	a, err := choose.Parse(given)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func decided(advice *choose.Advice) (rules []string) {
	for _, d := range advice.Decisions {
		rules = append(rules, d.Rule)
	}
	return rules
}

func TestEachRule(t *testing.T) {
	var ids []string
	for _, topic := range choose.Topics {
		for _, r := range topic.Rules {
			ids = append(ids, r.ID)
			answers, ok := ruleTests[r.ID]
			if got := decided(choose.Choose(parse(t, answers))); !ok || !slices.Contains(got, r.ID) {
				t.Errorf("%s: with %q the rules are %v", r.ID, answers, got)
			}
			if r.Choice == "" || r.Because == "" || len(r.Rows) == 0 {
				t.Errorf("%s has no choice, no reason or no row", r.ID)
			}
		}
		if last := topic.Rules[len(topic.Rules)-1]; len(last.If) != 0 {
			t.Errorf("%s: the last rule has conditions: some answers have no choice", topic.ID)
		}
	}
	if slices.Sort(ids); !slices.Equal(ids, slices.Sorted(maps.Keys(ruleTests))) {
		t.Errorf("the rules are %v, and tests are of %v", ids, slices.Sorted(maps.Keys(ruleTests)))
	}
}

// A condition with a word that no question has would never hold, or always.
func TestConditionsNameOptions(t *testing.T) {
	options := make(map[string][]string)
	for _, q := range choose.Questions {
		for _, o := range q.Options {
			options[q.ID] = append(options[q.ID], o.ID)
		}
	}
	if len(choose.Questions) > 9 {
		t.Errorf("there are %d questions: want 9 at most", len(choose.Questions))
	}
	for _, topic := range choose.Topics {
		conditions := slices.Clone(topic.If)
		for _, r := range topic.Rules {
			conditions = append(conditions, r.If...)
		}
		for _, c := range conditions {
			for _, id := range slices.Concat(c.Any, c.Not) {
				if !slices.Contains(options[c.Question], id) {
					t.Errorf("%s: there is no answer %s=%s", topic.ID, c.Question, id)
				}
			}
		}
	}
}

// A flip is true: with the one answer changed, the choice is the one that it names.
func TestFlips(t *testing.T) {
	a := parse(t, "clients=pages,spa servers=services store=redis")
	for _, d := range choose.Choose(a).Decisions {
		for _, flip := range d.Flips() {
			for _, c := range flip.If {
				b := maps.Clone(a)
				switch c.Effect {
				case choose.Instead:
					b[c.Question] = []string{c.Option}
				case choose.Added:
					b[c.Question] = append(slices.Clone(a[c.Question]), c.Option)
				case choose.Removed:
					b[c.Question] = slices.DeleteFunc(slices.Clone(a[c.Question]), func(id string) bool { return id == c.Option })
				}
				found := slices.ContainsFunc(choose.Choose(b).Decisions, func(other choose.Decision) bool {
					return other.Topic == d.Topic && other.Choice == flip.Choice
				})
				if !found {
					t.Errorf("%s: with %v the choice is not %q", d.Topic, c, flip.Choice)
				}
			}
		}
	}
}

// Each topic that is of concern has one choice, and no two rules set one setting.
func TestEveryCombination(t *testing.T) {
	count := 0
	for a := range choose.Combinations() {
		count++
		rules, set := decided(choose.Choose(a)), make(map[string]int)
		for _, topic := range choose.Topics {
			for _, r := range topic.Rules {
				if slices.Contains(rules, r.ID) {
					for name := range r.Set {
						set[name]++
					}
				}
			}
		}
		for name, n := range set {
			if n > 1 {
				t.Fatalf("%s: %d rules set %s", a.Flags(), n, name)
			}
		}
	}
	if count != 43740 {
		t.Errorf("%d combinations: want 15 sets of clients, with 2916 answers to the others", count)
	}
}

func TestParseRefuses(t *testing.T) {
	for _, given := range []map[string][]string{
		{"clients": {"fax"}},
		{"servers": {"one", "several"}},
		{"weather": {"fine"}},
	} {
		if a, err := choose.Parse(given); !errors.Is(err, choose.ErrAnswer) || a != nil {
			t.Errorf("Parse(%v) = %v, %v: want ErrAnswer", given, a, err)
		}
	}
}

// The answers in a configuration lead to it again.
func TestConfigSaysItsAnswers(t *testing.T) {
	a := parse(t, "clients=machines,pages store=postgres")
	if got := choose.Choose(a).Config(); !strings.Contains(got, "counterfoil choose "+a.Flags()+"\n") || !strings.Contains(a.Flags(), "--clients=pages,machines") {
		t.Errorf("Config() = %s", got)
	}
	if _, err := json.Marshal(choose.Choose(a)); err != nil {
		t.Error(err)
	}
}
