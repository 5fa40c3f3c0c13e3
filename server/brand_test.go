package server_test

import (
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/server"
	"github.com/counterfoil/counterfoil/store/memory"
)

const logo = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 8 8"><script>alert(1)</script><circle cx="4" cy="4" r="4"/></svg>`

// A page has the name, the logo, the accent and the links that are configured. The logo is an image
// to the browser, and no document of ours: nothing in it runs (HDR-01).
func TestBrand(t *testing.T) {
	b := assemble(t, server.Config{URL: authURL, Registration: true, Brand: server.Brand{
		Name: "Harbour & Sons", Logo: []byte(logo), Accent: "#ffe000",
		Links: []server.BrandLink{{Text: "Privacy", URL: "https://example.com/privacy"}},
	}})
	page := b.answer("GET", "/login", "").Body.String()
	for _, want := range []string{"<title>Sign in · Harbour &amp; Sons</title>", "<bdi>Harbour &amp; Sons</bdi>", `<a href="https://example.com/privacy">Privacy</a>`} {
		if !strings.Contains(page, want) {
			t.Errorf("no %s on %s", want, page)
		}
	}
	sent := func(pattern string) (media, policy, body string) {
		t.Helper()
		found := regexp.MustCompile(pattern).FindStringSubmatch(page)
		if found == nil {
			t.Fatalf("no %s on %s", pattern, page)
		}
		w := b.answer("GET", found[1], "")
		return w.Header().Get("Content-Type"), w.Header().Get("Content-Security-Policy"), w.Body.String()
	}
	if media, policy, body := sent(`<img src="([^"]*)"`); media != "image/svg+xml" || body != logo || !strings.Contains(policy, "sandbox;") || strings.Contains(policy, "script-src") {
		t.Errorf("the logo is %s %q with %q", media, body, policy)
	}
	if media, _, body := sent(`<link rel="stylesheet" href="([^"]*)"`); media != "text/css; charset=utf-8" || !strings.HasSuffix(body, "--accent: #ffe000; --on-accent: #0e1114; } }\n") {
		t.Errorf("the style sheet is %s and ends with %s", media, body[len(body)-200:])
	}
	if w := assemble(t, server.Config{URL: authURL}).answer("GET", "/brand/logo", ""); w.Code != http.StatusNotFound {
		t.Errorf("without a logo /brand/logo = %d", w.Code)
	}
}

func TestBrandIsRefused(t *testing.T) {
	for want, brand := range map[string]server.Brand{
		"name: the name has characters that cannot be shown": {Name: "a\nb"},
		"name: the name is longer than 60 characters":        {Name: strings.Repeat("é", 61)},
		"logo: the logo has 70000 bytes":                     {Logo: make([]byte, 70000)},
		"logo: the logo is neither a PNG nor a well-formed":  {Logo: []byte(logo[:len(logo)-6])},
		"logo: the logo is neither a PNG nor an SVG":         {Logo: []byte("<html></html>")},
		`accent: "green" is no colour`:                       {Accent: "green"},
		"links: a link leads to an https, http or mailto":    {Links: []server.BrandLink{{Text: "a", URL: "javascript:alert(1)"}}},
		"links: the text of a link has":                      {Links: []server.BrandLink{{URL: "https://example.com"}}},
		"links: there are 9":                                 {Links: make([]server.BrandLink, 9)},
	} {
		_, err := server.Open(t.Context(), server.Config{Store: memory.New(), URL: authURL, InsecureHashes: true, Offline: true, Brand: brand})
		if err == nil || !strings.Contains(err.Error(), "server: Config.Brand: "+want) {
			t.Errorf("%.60v: %v, want %s", brand, err, want)
		}
	}
}

// Any accent can be read, as text on each ground that the style sheet has and as the ground of text,
// on light pages and on dark ones (WCAG 2.2 1.4.3). One that can be read as it is stays as it is.
func TestAccent(t *testing.T) {
	css, err := os.ReadFile("static/style.css")
	must(t, err)
	var grounds [2][]string
	for _, name := range []string{"paper", "surface", "hover"} {
		found := regexp.MustCompile(`--`+name+`: (#\w+);`).FindAllStringSubmatch(string(css), -1)
		if len(found) != 2 {
			t.Fatalf("--%s is set %d times", name, len(found))
		}
		grounds[0], grounds[1] = append(grounds[0], found[0][1]), append(grounds[1], found[1][1])
	}
	pair := regexp.MustCompile(`--accent: (#\w+); --on-accent: (#\w+);`)
	for red := 0; red < 256; red += 51 {
		for green := 0; green < 256; green += 51 {
			for blue := 0; blue < 256; blue += 51 {
				accent := fmt.Sprintf("#%02x%02x%02x", red, green, blue)
				found := pair.FindAllStringSubmatch(server.AccentStyle(accent), -1)
				for i, one := range found {
					least := server.Contrast(one[1], one[2])
					for _, ground := range grounds[i] {
						least = min(least, server.Contrast(one[1], ground))
					}
					if least < 4.5 {
						t.Errorf("%s: %v has a contrast of %.2f", accent, one, least)
					}
				}
				if len(found) != 2 {
					t.Fatalf("%s: %v", accent, found)
				}
			}
		}
	}
	if style := server.AccentStyle("#0b5c4a"); !strings.HasPrefix(style, ":root { --accent: #0b5c4a; --on-accent: #ffffff; }") {
		t.Errorf("a colour that can be read is %s", style)
	}
}
