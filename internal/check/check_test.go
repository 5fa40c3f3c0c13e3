package check_test

import (
	"errors"
	"testing"

	"github.com/counterfoil/counterfoil/internal/check"
)

func TestPeople(t *testing.T) {
	for _, good := range []string{
		"", "Łucja Ångström", "علی\u200cرضا", "👩\u200d👩\u200d👧\u200d👦", "क\u094d\u200dष", "שלום\u200f!", "\u200emark", "café\u0301",
		"\U0001F3F4\U000E0067\U000E0062\U000E0065\U000E006E\U000E0067\U000E007F", // a flag with tags
		"\ue000 of private use", "\U0010fffd", "\u0378 unassigned", "\U0001fae9 of Unicode 16", "soft\u00adhyphen", "\ufeffmark", "\ufffd", "\u00a0\u3000",
	} {
		if err := check.People(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for bad, want := range map[string]string{
		"ab\u202ecd":       "has U+202E, which changes the direction of text, as character 3",
		"日本\u2066":         "has U+2066, which changes the direction of text, as character 3",
		"a\u202a":          "has U+202A, which changes the direction of text, as character 2",
		"tab\t":            "has U+0009, a control character, as character 4",
		"\x1b[2J":          "has U+001B, a control character, as character 1",
		"a\u0085":          "has U+0085, a control character, as character 2",
		"\x7f":             "has U+007F, a control character, as character 1",
		"a\u2028b":         "has U+2028, a line break, as character 2",
		"a\u2029":          "has U+2029, a line break, as character 2",
		"\ufdd0":           "has U+FDD0, which is no character, as character 1",
		"\uffff":           "has U+FFFF, which is no character, as character 1",
		"a\U0001fffe":      "has U+1FFFE, which is no character, as character 2",
		"\u00fc\xfc":       "is not UTF-8: byte 3 is 0xfc",
		"\xed\xa0\x80":     "is not UTF-8: byte 1 is 0xed", // half of a pair of UTF-16
		"\xc0\xaf":         "is not UTF-8: byte 1 is 0xc0",
		"\xf4\x90\x80\x80": "is not UTF-8: byte 1 is 0xf4",
	} {
		if err := check.People(bad); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %q", bad, err, want)
		}
	}
}

func TestText(t *testing.T) {
	for text, want := range map[string]string{
		"abc": "", "": "",
		"a b":       "bad request: id must be at most 5 printable ASCII characters without spaces: it has U+0020 as character 2",
		"a\u00fcb":  "bad request: id must be at most 5 printable ASCII characters without spaces: it has U+00FC as character 2",
		"abcdef":    "bad request: id must be at most 5 printable ASCII characters without spaces: it has 6",
		"\xfc":      "bad request: id must be at most 5 printable ASCII characters without spaces: it is not UTF-8",
		"a\u202exx": "bad request: id must be at most 5 printable ASCII characters without spaces: it has 6",
	} {
		err := check.Text("id", text, 5)
		if want == "" && err != nil || want != "" && (err == nil || err.Error() != want || !errors.Is(err, check.ErrBadRequest)) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func TestClip(t *testing.T) {
	for _, c := range []struct {
		text  string
		limit int
		want  string
	}{
		{"", 3, ""}, {"abc", 3, "abc"}, {"abcd", 3, "abc…"}, {"a\r\nb\x1b[2J\u202ec\u2028", 100, "a  b [2J c "}, {"ääh", 4, "ää…"}, {"ää", 3, "ä…"}, {"a\xffb", 10, "a\ufffdb"},
	} {
		if got := check.Clip(c.text, c.limit); got != c.want {
			t.Errorf("Clip(%q, %d) = %q, want %q", c.text, c.limit, got, c.want)
		}
	}
}
