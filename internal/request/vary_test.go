package request_test

import (
	"net/http"
	"slices"
	"testing"

	"github.com/counterfoil/counterfoil/internal/request"
)

// What is named stays, what is missing is added, and nothing is named twice.
func TestAddVary(t *testing.T) {
	names := []string{"Cookie, Authorization, Origin"}
	for _, c := range []struct{ before, want []string }{
		{nil, names},
		{names, names},
		{[]string{"Accept-Encoding"}, []string{"Accept-Encoding", names[0]}},
		{[]string{"origin,COOKIE"}, []string{"origin,COOKIE", "Authorization"}},
		{[]string{"Accept", " Authorization , Origin"}, []string{"Accept", " Authorization , Origin", "Cookie"}},
		{[]string{"Cookie, Authorization", "Origin"}, []string{"Cookie, Authorization", "Origin"}},
		{[]string{"Cookies, X-Origin"}, []string{"Cookies, X-Origin", names[0]}},
		{[]string{"*"}, []string{"*"}},
		{[]string{"Accept", "*"}, []string{"Accept", "*"}},
		{[]string{""}, []string{"", names[0]}},
	} {
		h := http.Header{}
		if c.before != nil {
			h["Vary"] = slices.Clone(c.before)
		}
		for range 2 {
			if request.AddVary(h, names); !slices.Equal(h["Vary"], c.want) {
				t.Errorf("to %q: %q, want %q", c.before, h["Vary"], c.want)
			}
		}
		h.Add("Vary", "More")
	}
	if names[0] != "Cookie, Authorization, Origin" || len(names) != 1 {
		t.Errorf("the names have become %q", names)
	}
}
