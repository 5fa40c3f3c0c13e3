package monitor_test

import (
	"encoding/json"
	"testing"

	"github.com/counterfoil/counterfoil/monitor"
)

// RFC 6901 section 5.
func TestPointer(t *testing.T) {
	const text = `{"foo": ["bar", "baz"], "": 0, "a/b": 1, "c%d": 2, "e^f": 3, "g|h": 4, "i\\j": 5, "k\"l": 6, " ": 7, "m~n": 8, "~1": 9}`
	for pointer, want := range map[string]string{
		"/foo": `["bar","baz"]`, "/foo/0": `"bar"`, "/": `0`, "/a~1b": `1`, "/c%d": `2`, "/e^f": `3`, "/g|h": `4`, `/i\j`: `5`, `/k"l`: `6`, "/ ": `7`, "/m~0n": `8`, "/~01": `9`,
	} {
		got, err := monitor.Find(text, pointer)
		if err != nil {
			t.Errorf("%q: %v", pointer, err)
			continue
		}
		if data, _ := json.Marshal(got); string(data) != want {
			t.Errorf("%q is %s, want %s", pointer, data, want)
		}
	}
	if whole, err := monitor.Find(text, ""); err != nil || len(whole.(map[string]any)) != 11 {
		t.Errorf("the empty pointer: %v, %v", whole, err)
	}
	for _, pointer := range []string{"foo", "/foo/2", "/foo/-", "/foo/01", "/foo/-1", "/foo/+1", "/foo/0/0", "/bar", "/m~2n", "/m~"} {
		if got, err := monitor.Find(text, pointer); err == nil {
			t.Errorf("%q is %v, want an error", pointer, got)
		}
	}
}

func TestEqualJSON(t *testing.T) {
	for _, test := range []struct {
		a, b  string
		equal bool
	}{
		{"1", "1.0", true}, {"1e2", "100", true}, {"1", `"1"`, false}, {"true", "true", true}, {"null", "null", true}, {"null", "false", false},
		{`{"a": 1, "b": [1, 2]}`, `{"b": [1.0, 2], "a": 1}`, true}, {`[1, 2]`, `[2, 1]`, false}, {`{"a": null}`, `{}`, false}, {`{"a": null}`, `{"b": null}`, false},
		{"9007199254740993", "9007199254740993", true}, {`"x"`, `"x"`, true},
	} {
		if got := monitor.EqualJSON(test.a, test.b); got != test.equal {
			t.Errorf("%s = %s: %v", test.a, test.b, got)
		}
	}
}
