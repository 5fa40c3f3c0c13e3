package request_test

import (
	"encoding/base64"
	"net/http"
	"testing"

	"github.com/counterfoil/counterfoil/internal/request"
)

// RFC 6749 section 2.3.1, and what clients send that do not encode.
func TestBasic(t *testing.T) {
	for plain, want := range map[string][2]string{
		"app:cfk_a-b":                 {"app", "cfk_a-b"},
		"app:cfk%5Fa%2Db":             {"app", "cfk_a-b"},
		"https%3A%2F%2Fapp:cfk_a":     {"https://app", "cfk_a"},
		"https://app:cfk_a":           {"https://app", "cfk_a"}, // as it stands, with a colon
		"a%2Bb:cfk_a":                 {"a+b", "cfk_a"},
		"a+b:cfk_a":                   {"a+b", "cfk_a"}, // no name has a space
		"100%:cfk_a":                  {"100%", "cfk_a"},
		"100%25:cfk_a":                {"100%", "cfk_a"},
		"a%0Ab:cfk_a":                 {"a%0Ab", "cfk_a"},
		"app:":                        {"app", ""},
		":cfk_a":                      {"", "cfk_a"},
		":":                           {"", ""},
		"\u00fc:cfk_a":                {"\u00fc", "cfk_a"},
		"a:b:cfk_a":                   {"a:b", "cfk_a"},
		"client%20with%20space:cfk_a": {"client%20with%20space", "cfk_a"},
	} {
		client, secret, ok := request.Basic(base64.StdEncoding.EncodeToString([]byte(plain)))
		if !ok || client != want[0] || secret != want[1] {
			t.Errorf("Basic(%q) = %q, %q, %v; want %q", plain, client, secret, ok, want)
		}
	}
	for _, field := range []string{"", "app:cfk_a", "YXBw", "YXBwOmNma19h=", "YXBwOmNma19h YXBw"} {
		if client, secret, ok := request.Basic(field); ok || client+secret != "" {
			t.Errorf("Basic of %q = %q, %q, %v; want none", field, client, secret, ok)
		}
	}
}

// RFC 9110 sections 12.4.2 and 12.5.1.
func TestAccepts(t *testing.T) {
	const media, other = "application/x+jwt", "application/json"
	for field, want := range map[string]bool{
		"":                            false,
		media:                         true,
		media + ";q=0":                false,
		media + ";q=0.001":            true,
		media + ";q=1.5":              true, // no weight: as if it were not there
		media + ";q=NaN":              true,
		media + " ; v=1 ; Q=0":        false,
		"*/*":                         false,
		"application/*":               false,
		other:                         false,
		other + "," + media:           true,
		other + "," + media + ";q=.5": false,
		other + ";q=.5," + media:      true,
		"*/*;q=.8," + media + ";q=.5": false,
		"application/*;q=.1," + media: true,
		"*/*," + other + ";q=0," + media + ";q=.1": true,
		media + "x," + "x" + media:                 false,
		",,;,":                                     false,
	} {
		r := &http.Request{Header: http.Header{"Accept": {field}}}
		if got := request.Accepts(r, media, other); got != want {
			t.Errorf("Accepts(%q) = %v, want %v", field, got, want)
		}
	}
}
