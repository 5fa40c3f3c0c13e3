package catalog_test

import (
	"maps"
	"testing"
	"testing/fstest"
	"time"

	"github.com/counterfoil/counterfoil/internal/catalog"
)

func TestRead(t *testing.T) {
	for text, want := range map[string]map[string]string{
		"":                                    {},
		"# a = b\n\n a.b = c = d \r\nb = {0}": {"a.b": "c = d", "b": "{0}"},
		"a = b\na = c":                        nil,
		"a":                                   nil,
		"a = ":                                nil,
		"a=b":                                 nil,
	} {
		got, err := catalog.Read(fstest.MapFS{"en.txt": {Data: []byte(text)}}, "en.txt")
		if !maps.Equal(got, want) || (err == nil) != (want != nil) {
			t.Errorf("%q: %q, %v, want %q", text, got, err, want)
		}
	}
	if _, err := catalog.Read(fstest.MapFS{}, "en.txt"); err == nil {
		t.Error("a file that is not there is read")
	}
}

func TestMoment(t *testing.T) {
	texts := map[string]string{"time.months": "1 2 3 4 5 6 7 8 9 10 Nov Dec", "time.moment": "{1} {0} {2}, {3}"}
	at := time.Date(2026, 12, 1, 0, 5, 0, 0, time.FixedZone("", 3600))
	if got := catalog.Moment(texts, at); got != "Nov 30 2026, 23:05" {
		t.Error(got)
	}
}
