package urls_test

import (
	"encoding/json"
	"errors"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/internal/urls"
)

// returnTo is what a sign-in may lead to, with the origin that each names, and what leads
// elsewhere for some reader, or what nobody who means well sends. The browser tests read the
// same file.
var returnTo = func() (r struct {
	Origins  []string
	Accepted map[string]string
	Refused  []string
}) {
	data, err := os.ReadFile("testdata/return_to.json")
	if err == nil {
		err = json.Unmarshal(data, &r)
	}
	if err != nil {
		panic(err)
	}
	r.Refused = append(r.Refused, "/"+strings.Repeat("a", urls.MaxReturnTo))
	return r
}()

// HDR-03: a visitor is sent to a path of this origin or to a page of an origin that is listed,
// and every other spelling is refused.
func TestReturnTo(t *testing.T) {
	for text, want := range returnTo.Accepted {
		if origin, err := urls.ReturnTo(text, returnTo.Origins); err != nil || origin != want {
			t.Errorf("ReturnTo(%q) = %q, %v, want %q", text, origin, err, want)
		}
		if origin, err := urls.ReturnTo(text, nil); (err == nil) != (want == "") || origin != "" {
			t.Errorf("ReturnTo(%q) without an origin = %q, %v", text, origin, err)
		}
	}
	for _, text := range returnTo.Refused {
		origin, err := urls.ReturnTo(text, returnTo.Origins)
		if refused := (*urls.Error)(nil); !errors.As(err, &refused) || refused.Problem == "" || refused.Hint == "" || origin != "" {
			t.Errorf("ReturnTo(%q) = %q, %v, want it refused", text, origin, err)
		}
	}
}

func FuzzReturnTo(f *testing.F) {
	for text := range returnTo.Accepted {
		f.Add(text)
	}
	for _, text := range returnTo.Refused {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		origin, err := urls.ReturnTo(text, returnTo.Origins)
		if err != nil {
			return
		}
		if origin != "" && !slices.Contains(returnTo.Origins, origin) || origin == "" && text[0] != '/' {
			t.Fatalf("ReturnTo(%q) = %q", text, origin)
		}
		here := "https://auth.test"
		if origin == "" {
			origin = here
		}
		for level := text; ; {
			if got := whereTo(t, here, level); got != origin {
				t.Fatalf("ReturnTo(%q) = %q, and %q leads to %q", text, origin, level, got)
			}
			path, query, _ := strings.Cut(level, "?")
			decoded, err := url.PathUnescape(path)
			if err != nil || decoded == path {
				return
			}
			if level = decoded; query != "" {
				level += "?" + query
			}
		}
	})
}

// whereTo is the origin of text for a page of here, as browsers read it (WHATWG URL, sections
// 4.4 and 5): they strip, they take \ for / before a query, and after two slashes there is a host.
func whereTo(t *testing.T, here, text string) string {
	text = strings.NewReplacer("\t", "", "\n", "", "\r", "").Replace(strings.TrimFunc(text, func(r rune) bool { return r <= ' ' }))
	path := text
	if i := strings.IndexAny(path, "?#"); i >= 0 {
		path = path[:i]
	}
	path = strings.ReplaceAll(path, `\`, "/")
	if strings.HasPrefix(path, "/") && !strings.HasPrefix(path, "//") {
		return here
	}
	scheme, rest, found := strings.Cut(path, ":")
	if !found || strings.Contains(scheme, "/") {
		scheme, _, _ = strings.Cut(here, ":")
		rest = path
	}
	authority, _, _ := strings.Cut(strings.TrimLeft(rest, "/"), "/")
	host := authority[strings.LastIndex(authority, "@")+1:]
	if host != authority {
		t.Errorf("%q has user information", text)
	}
	return strings.ToLower(scheme) + "://" + strings.ToLower(host)
}
