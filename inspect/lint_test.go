package inspect

import (
	"slices"
	"testing"
	"time"
)

// found returns the ids of the rules that a token breaks.
func found(t *testing.T, v Vector, text string) (ids []string) {
	t.Helper()
	o := LintOptions{Now: time.Unix(v.Now, 0)}
	if v.Key != nil {
		key, err := parseJWK(v.Key)
		if err != nil && key.Type == "" {
			t.Fatalf("%s: %v", v.Rule, err)
		}
		o.Key = &key
	}
	for _, f := range Lint(text, o) {
		ids = append(ids, f.ID)
	}
	return ids
}

func TestLintVectors(t *testing.T) {
	for _, v := range vectors() {
		if ids := found(t, v, v.Token); !slices.Contains(ids, v.Rule) {
			t.Errorf("%s (%s): found %q", v.Rule, v.About, ids)
		}
		if ids := found(t, v, v.Neighbour); slices.Contains(ids, v.Rule) {
			t.Errorf("%s (%s): the neighbour has it too: %q", v.Rule, v.About, ids)
		}
	}
}

// The token that the vectors are made of has no finding.
func TestLintFindsNothing(t *testing.T) {
	for name, text := range map[string]string{
		"access token": signed(baseHeader, baseClaims),
		"ID token":     signed(with(baseHeader, `typ="JWT"`), with(baseClaims, "client_id=", `nonce="n"`, `email="a@b.example"`)),
	} {
		if list := Lint(text, LintOptions{Now: time.Unix(now, 0)}); len(list) > 0 {
			t.Errorf("%s: %+v", name, list)
		}
	}
}
