package inspect

import (
	"reflect"
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

// The same token has the same findings in the same order, although claims are a map.
func TestLintHasAnOrder(t *testing.T) {
	text := signed(baseHeader, with(baseClaims, `name="a"`, `email="a@b.example"`, `phone="1"`, `address="x"`, `ISS="a"`, `SUB="b"`, `AUD="c"`))
	o := LintOptions{Now: time.Unix(now, 0)}
	first := Lint(text, o)
	for range 50 {
		if again := Lint(text, o); !reflect.DeepEqual(again, first) {
			t.Fatalf("Lint found %+v, and then %+v", first, again)
		}
	}
}

// Times are said to the second within a day, and in two units beyond it.
func TestAway(t *testing.T) {
	for seconds, want := range map[int64]string{
		0: "0s ago", 299: "in 4m59s", -60: "1m0s ago", 86399: "in 23h59m59s", 86400: "in 1d0h", -100000: "1d3h ago", 31557599: "in 365d5h", -279784707: "8y316d ago",
	} {
		if got := away(time.Unix(now+seconds, 0), time.Unix(now, 0)); got != want {
			t.Errorf("away by %d s = %q, want %q", seconds, got, want)
		}
	}
}
