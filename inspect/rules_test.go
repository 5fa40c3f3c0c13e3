package inspect

import (
	"slices"
	"testing"
)

// Each rule says all that there is to say about it, and has a vector.
func TestRules(t *testing.T) {
	seen, tested := map[string]bool{}, map[string]bool{}
	for _, v := range vectors() {
		tested[v.Rule] = true
	}
	for _, r := range Rules() {
		if r.ID == "" || r.Title == "" || r.Why == "" || r.Source == "" || !slices.Contains([]Severity{Error, Warning, Note}, r.Severity) {
			t.Errorf("%+v lacks something", r)
		}
		if seen[r.ID] {
			t.Errorf("there are two rules %q", r.ID)
		}
		if !tested[r.ID] {
			t.Errorf("no vector is for rule %q", r.ID)
		}
		seen[r.ID] = true
	}
	for id := range tested {
		if !seen[id] {
			t.Errorf("a vector is for %q, which is no rule", id)
		}
	}
}

// No secret is twice in the list.
func TestSecrets(t *testing.T) {
	if len(secrets) < 400 {
		t.Errorf("%d secrets: the list was not read", len(secrets))
	}
	seen := map[string]bool{}
	for _, s := range secrets {
		if seen[s] {
			t.Errorf("%q is twice in secrets.txt", s)
		}
		seen[s] = true
	}
}
