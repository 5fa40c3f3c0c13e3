package server_test

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/internal/catalog"
	"github.com/counterfoil/counterfoil/server"
)

// keysOf returns the texts of a language by their keys.
func keysOf(t *testing.T, file string) map[string]string {
	t.Helper()
	all, err := catalog.Read(os.DirFS("."), file)
	must(t, err)
	return all
}

var place = regexp.MustCompile(`\{\d\}`)

// Each language has all texts, with the same places in them, and each text is used somewhere.
func TestTexts(t *testing.T) {
	files, err := filepath.Glob("texts/*.txt")
	must(t, err)
	english := keysOf(t, "texts/en.txt")
	for _, file := range files {
		other := keysOf(t, file)
		for key, text := range english {
			want, got := place.FindAllString(text, -1), place.FindAllString(other[key], -1)
			slices.Sort(want)
			slices.Sort(got)
			if other[key] == "" || !slices.Equal(slices.Compact(want), slices.Compact(got)) {
				t.Errorf("%s: %s = %q, in English %q", file, key, other[key], text)
			}
		}
		for key := range other {
			if english[key] == "" {
				t.Errorf("%s: %s is in no other language", file, key)
			}
		}
	}
	if len(files) < 2 || len(english) < 100 {
		t.Fatalf("%d languages, %d texts", len(files), len(english))
	}

	sources, err := filepath.Glob("*.go")
	must(t, err)
	templates, err := filepath.Glob("templates/*.html")
	must(t, err)
	var code strings.Builder
	sources = append(sources, "../internal/catalog/catalog.go")
	for _, file := range append(sources, templates...) {
		if !strings.HasSuffix(file, "_test.go") {
			data, err := os.ReadFile(file)
			must(t, err)
			code.Write(data)
		}
	}
	for key := range english {
		base := strings.TrimSuffix(strings.TrimSuffix(key, ".one"), ".other")
		made := slices.ContainsFunc(server.MadeKeys(), func(m string) bool { return m == base })
		if !made && !strings.Contains(code.String(), `"`+base+`"`) {
			t.Errorf("%s is used nowhere", key)
		}
	}
}

// A page speaks the language that the visitor chose, or that the browser asks for, and says which it is.
func TestLanguages(t *testing.T) {
	b := assemble(t, server.Config{URL: authURL, Registration: true})
	for accepted, want := range map[string]string{
		"": "en", "de": "de", "de-AT,de;q=0.9,en;q=0.5": "de", "fr,de;q=0.1": "de", "fr": "en", "en-GB,de;q=0.9": "en", "*": "en",
		"x;;;": "en", strings.Repeat("de,", 400): "en", "de\"><script>": "en",
	} {
		w := b.answer("GET", "/login", "", "Accept-Language", accepted)
		title := map[string]string{"en": "<h1>Sign in</h1>", "de": "<h1>Anmelden</h1>"}[want]
		if body := w.Body.String(); !strings.Contains(body, `<html lang="`+want+`">`) || !strings.Contains(body, title) || !strings.Contains(strings.Join(w.Header().Values("Vary"), ", "), "Accept-Language") {
			t.Errorf("for %.40q: want %s: %v %s", accepted, want, w.Header(), body)
		}
	}
	v := b.visitor().open("/login?return_to=/notes")
	choose := func(from, code string) {
		v.keep(v.form("/language", typed("lang", code), append(v.headers(), "Origin", v.url, "Referer", from)...))
	}
	for from, to := range map[string]string{
		v.url + "/login?return_to=/notes": "/login?return_to=/notes", v.url + "/session/step-up": "/", "https://evil.test/login": "/", v.url + "//evil.test": "/", v.url + ".evil.test/login": "/", "": "/",
	} {
		if choose(from, "de"); v.page.Code != http.StatusSeeOther || v.page.Header().Get("Location") != to {
			t.Errorf("from %q: %d to %q, want %q", from, v.page.Code, v.page.Header().Get("Location"), to)
		}
	}
	v.open("/register").at(http.StatusOK, `<html lang="de">`).send("/register", typed("identifier", "bob", "password", "short"))
	v.at(http.StatusUnprocessableEntity, "<title>Fehler: Konto anlegen").at(http.StatusUnprocessableEntity, "Dieses Passwort ist zu kurz")
	v.open("/choose").at(http.StatusOK, `<html lang="en">`)
	if choose("", "xx"); v.page.Code != http.StatusBadRequest {
		t.Errorf("a language that is none = %d", v.page.Code)
	}
}
