package urls_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/internal/urls"
)

// The right answer for each spelling. If Issuer or Origin refuses a spelling, its error
// contains problem and hint.
var spellings = []struct {
	text           string
	issuer, origin bool
	problem, hint  string
}{
	{"https://a", true, true, "", ""},
	{"https://auth.example.com", true, true, "", ""},
	{"https://auth.example.com:8443", true, true, "", ""},
	{"https://my_service.example", true, true, "", ""},
	{"https://xn--bcher-kva.example", true, true, "", ""},
	{"https://10.0.0.1", true, true, "", ""},
	{"https://[2001:db8::1]:8443", true, true, "", ""},
	{"http://localhost", true, true, "", ""},
	{"http://localhost:3000", true, true, "", ""},
	{"http://127.0.0.1:8080", true, true, "", ""},
	{"http://127.8.8.8", true, true, "", ""},
	{"http://[::1]:8080", true, true, "", ""},
	{"http://127.0.0.1:443", true, true, "", ""},
	{"https://127.0.0.1:80", true, true, "", ""},

	// Pages of apps and of browser extensions.
	{"capacitor://localhost", false, true, "neither https nor http", ""},
	{"ionic://localhost", false, true, "neither https nor http", ""},
	{"tauri://localhost", false, true, "neither https nor http", ""},
	{"com.example.app://localhost:8080", false, true, "neither https nor http", ""},
	{"chrome-extension://abcdefghijklmnopabcdefghijklmnop", false, true, "neither https nor http", ""},
	{"moz-extension://5a2f0e2c-1b1d-4c53-8f0e-0c2f6e5d7a10", false, true, "neither https nor http", ""},
	{"capacitor://", false, false, "not a URL", ""},
	{"capacitor://localhost/", false, false, "neither https nor http", ""},
	{"capacitor://localhost/app", false, false, "neither https nor http", ""},
	{"Capacitor://localhost", false, false, "neither https nor http", ""},
	{"capacitor://Localhost", false, false, "neither https nor http", ""},
	{"capacitor://*", false, false, "neither https nor http", ""},
	{"capacitor:localhost", false, false, "not a URL", ""},
	{"wss://a", false, false, "neither https nor http", ""},
	{"blob://a", false, false, "neither https nor http", ""},
	{"filesystem://a", false, false, "neither https nor http", ""},
	{"data://a", false, false, "neither https nor http", ""},

	// The path is part of the issuer's name (RFC 8414 section 2), and never of an origin.
	{"https://a/tenant", true, false, "path", "write https://a"},
	{"https://a/t/Two_2", true, false, "path", "write https://a"},
	{"https://a/", false, false, "ends with a slash", "write https://a"},
	{"https://a/t/", false, false, "slash", "write https://a/t"},
	{"https://a//", false, false, "path", "write https://a"},
	{"https://a//t", false, false, "path", "write https://a/t"},
	{"https://a/./t", false, false, "path", "write https://a/t"},
	{"https://a/b/../t", false, false, "path", "write https://a/t"},
	{"https://a/%74", false, false, "path", "write https://a"},
	{"https://a/t;x", false, false, "path", "write https://a"},
	{"https://a/t@b", false, false, "path", "write https://a"},

	{"http://a", false, false, "plain http", "use https"},
	{"http://auth.example.com", false, false, "plain http", "use https"},
	{"http://10.0.0.1", false, false, "plain http", "use https"},
	{"http://localhost.example", false, false, "plain http", "use https"},
	{"http://127.0.0.1.nip.example", false, false, "plain http", "use https"},
	{"http://localhost@evil.example", false, false, "plain http", "use https"},
	{"http://tauri.localhost", false, true, "plain http", "use https"}, // loopback for browsers alone
	{"http://a.localhost:5173", false, true, "plain http", "use https"},
	{"http://a.localhost.", false, false, "plain http", "use https"},
	{"http://A.localhost", false, false, "plain http", "use https"},
	{"http://alocalhost", false, false, "plain http", "use https"},
	{"ftp://a", false, false, "neither https nor http", ""},
	{"javascript://a", false, false, "neither https nor http", ""},
	{"file:///etc/passwd", false, false, "not a URL", ""},

	{"https://u:canary@a", false, false, "user name", "write https://a"},
	{"https://canary@a", false, false, "user name", "write https://a"},
	{"https://@a", false, false, "user name", "write https://a"},
	{"https://a?canary", false, false, "query", "write https://a"},
	{"https://a?", false, false, "query", "write https://a"},
	{"https://a/?canary", false, false, "query", "write https://a"},
	{"https://a#x", false, false, "fragment", "write https://a"},
	{"https://a#", false, false, "fragment", "write https://a"},

	// Spellings that no browser sends.
	{"https://a:443", false, false, "default port", "write https://a"},
	{"http://localhost:80", false, false, "default port", "write http://localhost"},
	{"https://a:", false, false, "port", "write https://a"},
	{"https://a:08443", false, false, "port", "write https://a:8443"},
	{"https://a:0", false, false, "port", ""},
	{"https://a:65536", false, false, "port", ""},
	{"https://a:x", false, false, "not a URL", ""},
	{"https://Auth.Example.com", false, false, "capital letters", "write https://auth.example.com"},
	{"HTTPS://a", false, false, "capital letters", "write https://a"},
	{"http://LOCALHOST:8080", false, false, "capital letters", "write http://localhost:8080"},
	{"https://bücher.example", false, false, "not ASCII", "xn--"},
	{"https://ａ", false, false, "not ASCII", "xn--"},
	{"https://b%C3%BCcher.example", false, false, "neither a name nor", ""},
	{"https://a.", false, false, "dot", "write https://a"},
	{"https://a..b", false, false, "neither a name nor", ""},
	{"https://-a", false, false, "neither a name nor", ""},
	{"https://*.example.com", false, false, "neither a name nor", ""},
	{"https://a,b", false, false, "neither a name nor", ""},
	{"https://127.1", false, false, "neither a name nor", ""},
	{"https://0x7f.0x1", false, false, "neither a name nor", ""},
	{"https://2130706433", false, false, "neither a name nor", ""},
	{"https://127.0.0.01", false, false, "neither a name nor", ""},
	{"https://[0:0:0:0:0:0:0:1]", false, false, "spell otherwise", "write https://[::1]"},
	{"https://[2001:DB8::1]", false, false, "capital letters", "write https://[2001:db8::1]"},
	{"https://[::ffff:127.0.0.1]", false, false, "spell otherwise", "write https://127.0.0.1"},
	{"https://[fe80::1%25eth0]", false, false, "zone", ""},

	{"", false, false, "not a URL", ""},
	{"null", false, false, "not a URL", ""},
	{"*", false, false, "not a URL", ""},
	{"a", false, false, "not a URL", ""},
	{"//a", false, false, "not a URL", ""},
	{"https:a", false, false, "not a URL", ""},
	{"https:/a", false, false, "not a URL", ""},
	{"https://", false, false, "not a URL", ""},
	{"https://:8080", false, false, "not a URL", ""},
	{" https://a", false, false, "space", ""},
	{"https://a ", false, false, "space", ""},
	{"https://a\n", false, false, "control", ""},
	{"https://a\\b", false, false, "not a URL", ""},
	{"https://" + strings.Repeat("a", 200), false, false, "too long", ""},
}

// Each refusal tells the name that browsers send, if there is one.
func TestHost(t *testing.T) {
	for _, good := range []string{"auth.internal", "a", "my_service", "10.0.0.1", "xn--bcher-kva.example"} {
		if err := urls.Host(good); err != nil {
			t.Errorf("Host(%q) = %v", good, err)
		}
	}
	const example = "want a name such as auth.internal"
	for bad, hint := range map[string]string{
		"Auth.internal": "write auth.internal", "auth.internal:8080": "write auth.internal", "auth.internal.": "write auth.internal",
		"https://Auth.internal:443/x": "write auth.internal", "auth.internal/": "write auth.internal", "u:canary@auth.internal": "write auth.internal",
		"": example, "*.example.com": example, "a b": example, "bücher.example": example, "127.1": example, "auth.internal,": example, "https://": example, "a\n": example,
	} {
		var refused *urls.Error
		if err := urls.Host(bad); !errors.As(err, &refused) || refused.Hint != hint && !strings.HasPrefix(refused.Hint, example) || strings.Contains(err.Error(), "canary") || strings.HasPrefix(hint, "write") != strings.HasPrefix(refused.Hint, "write") {
			t.Errorf("Host(%q) = %v, want the hint %q", bad, err, hint)
		}
	}
}

func TestSpellings(t *testing.T) {
	for _, s := range spellings {
		for name, kind := range map[string]struct {
			parse func(string) (*url.URL, error)
			good  bool
		}{"Issuer": {urls.Issuer, s.issuer}, "Origin": {urls.Origin, s.origin}} {
			u, err := kind.parse(s.text)
			var refused *urls.Error
			switch {
			case kind.good && err != nil:
				t.Errorf("%s(%q) = %v, want it accepted", name, s.text, err)
			case kind.good && u.String() != s.text:
				t.Errorf("%s(%q) = %v", name, s.text, u)
			case kind.good:
			case !errors.As(err, &refused):
				t.Errorf("%s(%q) is accepted", name, s.text)
			case name == "Issuer" && !strings.Contains(refused.Problem, s.problem), name == "Issuer" && !strings.Contains(refused.Hint, s.hint):
				t.Errorf("%s(%q) = %v, want %q and %q", name, s.text, err, s.problem, s.hint)
			case strings.Contains(err.Error(), "canary"): // OPS-01
				t.Errorf("%s(%q) shows a secret: %v", name, s.text, err)
			}
		}
	}
}

// An operator who follows a hint gets an accepted URL.
func TestHintIsAccepted(t *testing.T) {
	for _, s := range spellings {
		for _, parse := range []func(string) (*url.URL, error){urls.Issuer, urls.Origin} {
			var refused *urls.Error
			if _, err := parse(s.text); !errors.As(err, &refused) {
				continue
			}
			if right, found := strings.CutPrefix(refused.Hint, "write https"); found {
				if _, err := parse("https" + right); err != nil {
					t.Errorf("the hint for %q is %q, which is refused: %v", s.text, refused.Hint, err)
				}
			}
		}
	}
}

func TestParts(t *testing.T) {
	for text, want := range map[string]struct{ origin, address string }{
		"https://a/tenant":      {"https://a", "a:443"},
		"https://a:8443":        {"https://a:8443", "a:8443"},
		"http://localhost":      {"http://localhost", "localhost:80"},
		"https://[2001:db8::1]": {"https://[2001:db8::1]", "[2001:db8::1]:443"},
	} {
		u, err := urls.Issuer(text)
		if err != nil {
			t.Fatal(err)
		}
		if urls.OriginOf(u) != want.origin || urls.Address(u) != want.address {
			t.Errorf("%s: origin %s, address %s", text, urls.OriginOf(u), urls.Address(u))
		}
	}
	for _, at := range [][3]string{
		{"http", "127.0.0.1:80", "http://127.0.0.1"}, {"https", "[::1]:443", "https://[::1]"},
		{"http", "127.0.0.1:8080", "http://127.0.0.1:8080"}, {"http", "127.0.0.1:8180", "http://127.0.0.1:8180"},
	} {
		got := urls.At(at[0], at[1])
		if _, err := urls.Issuer(got); err != nil || got != at[2] {
			t.Errorf("At(%s, %s) = %s, %v", at[0], at[1], got, err)
		}
	}
}

func TestLoopback(t *testing.T) {
	for address, want := range map[string]bool{
		"localhost": true, "localhost:8080": true, "127.0.0.1": true, "127.9.9.9:1": true, "::1": true, "[::1]": true, "[::1]:80": true,
		"[::ffff:127.0.0.1]:80": true,
		"":                      false, ":8080": false, "0.0.0.0:80": false, "[::]:80": false, "10.0.0.1": false, "localhost.example:1": false,
		"127.0.0.1.example": false, "a": false, "LOCALHOST": false,
	} {
		if got := urls.Loopback(address); got != want {
			t.Errorf("Loopback(%q) = %v", address, got)
		}
	}
}

func FuzzIssuer(f *testing.F) {
	for _, s := range spellings {
		f.Add(s.text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		u, err := urls.Issuer(text)
		if err != nil {
			return
		}
		if u.String() != text {
			t.Errorf("Issuer(%q) = %q", text, u)
		}
		if _, err := urls.Origin(urls.OriginOf(u)); err != nil {
			t.Errorf("the origin of %q is refused: %v", text, err)
		}
		if !urls.Protected(u) {
			t.Errorf("Issuer(%q) is accepted and not protected", text)
		}
	})
}
