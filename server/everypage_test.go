package server_test

import (
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/server"
)

var (
	inputs  = regexp.MustCompile(`<input [^>]*>`)
	forms   = regexp.MustCompile(`(?s)<form .*?</form>`)
	isTitle = regexp.MustCompile(`<h1>([^<]*)</h1>`)
)

// Each page names its character set, in the header and in itself. Each password is typed unseen,
// and each form tells a password manager which password it asks for, and whose.
func TestEveryPage(t *testing.T) {
	b := assemble(t, server.Config{URL: authURL, Registration: true, Monitor: checks(t, "http://127.0.0.1:1/")})
	b.riddled()
	right := typed("identifier", "alice", "password", pass)
	pages := map[string]*visitor{
		"login":           b.visitor().open("/login"),
		"login again":     b.visitor().open("/login").send("/login", typed("identifier", "alice", "password", "not hers at all")),
		"register":        b.visitor().open("/register"),
		"register again":  b.visitor().open("/register").send("/register", typed("identifier", "bob", "password", "short")),
		"challenge":       b.visitor().open("/login").send("/login", right),
		"welcome":         b.visitor().open("/welcome"),
		"welcome again":   b.visitor().open("/welcome").send("/welcome", typed("token", "x", "password", "short")),
		"account":         b.own(time.Minute).open("/"),
		"account, out":    b.visitor().open("/"),
		"account, old":    b.own(time.Hour).open("/"),
		"prove":           b.own(time.Hour).open("/login?max_age=60"),
		"resume":          b.keepsForm(),
		"activity":        b.own(time.Minute).open("/activity"),
		"activity, old":   b.own(time.Hour).open("/activity"),
		"apps":            b.own(time.Minute).open("/apps"),
		"apps, old":       b.own(time.Hour).open("/apps"),
		"password":        b.own(time.Hour).open("/password"),
		"password again":  b.own(time.Hour).open("/password").send("/password", typed("current", "not hers", "next", "short")),
		"status":          b.visitor().open("/status"),
		"choose":          b.visitor().open("/choose"),
		"choose, answers": b.visitor().open("/choose?clients=pages&clients=mobile&servers=services"),
		"choose, refused": b.visitor().open("/choose?clients=fax"),
		"problem":         b.visitor().open("/login?return_to=x"),
		"forgot":          b.visitor().open("/forgot"),
		"code":            b.visitor().open("/forgot").send("/forgot", typed("identifier", "alice")),
		"code again":      b.visitor().open("/forgot").send("/forgot", typed("identifier", "alice")).send("/forgot/code", typed("code", "1")),
		"link":            b.visitor().open("/address/confirm"),
		"link again":      b.visitor().open("/address/undo").send("/address/undo", typed("token", "x")),
		"address":         b.own(time.Minute).open("/address"),
		"address, old":    b.own(time.Hour).open("/address"),
		"problem, a miss": b.visitor().open("/nothing"),
	}
	want := map[string]string{ // by the field's name and the page's; the first word of the page is enough
		"login password": "current-password", "register password": "new-password", "welcome password": "new-password",
		"account, password": "current-password", "prove password": "current-password", "password current": "current-password", "activity, password": "current-password", "apps, password": "current-password", "address, password": "current-password", "password next": "new-password",
	}
	passwords := map[string]bool{}
	for name, v := range pages {
		body, h := v.page.Body.String(), v.page.Header()
		if got := h.Get("Content-Type"); got != "text/html; charset=utf-8" || !strings.Contains(body, "<head>\n<meta charset=\"utf-8\">") {
			t.Errorf("%s: Content-Type %q: %.200s", name, got, body)
		}
		if !isTitle.MatchString(body) || !strings.Contains(body, `<html lang="en">`) {
			t.Errorf("%s: no title or no language: %s", name, body)
		}
		page, _, _ := strings.Cut(name, " ")
		for _, form := range forms.FindAllString(body, -1) {
			secret := false
			for _, input := range inputs.FindAllString(form, -1) {
				at := attribute(input, "name")
				if at != "password" && at != "current" && at != "next" {
					continue
				}
				secret = true
				key := page + " " + at
				passwords[key] = true
				if attribute(input, "type") != "password" || attribute(input, "autocomplete") != want[key] || want[key] == "" || attribute(input, "value") != "" || strings.Contains(input, " on") {
					t.Errorf("%s: %s, want a password, %q for managers", name, input, want[key])
				}
			}
			// Whose invitation it is the page does not know.
			if secret && page != "welcome" && strings.Count(form, `autocomplete="username"`) != 1 {
				t.Errorf("%s: no user name for a password manager: %s", name, form)
			}
		}
	}
	if len(passwords) != len(want) {
		t.Errorf("passwords are asked for at %v, want %v", passwords, want)
	}
	templates, err := os.ReadDir("templates")
	must(t, err)
	for _, file := range templates {
		name := strings.TrimSuffix(file.Name(), ".html")
		if pages[name] == nil && name != "layout" && !strings.HasPrefix(name, "console_") { // see TestConsolePages
			t.Errorf("no page of %s was looked at", file.Name())
		}
		text, err := os.ReadFile("templates/" + file.Name())
		must(t, err)
		if strings.Count(string(text), "<script") != strings.Count(string(text), `<script type="module" src="/static/`) {
			t.Errorf("%s has a script that is no module: its names would be those of the others", file.Name())
		}
	}
	for path, media := range map[string]string{
		"/static/style.css": "text/css; charset=utf-8", "/static/welcome.js": "text/javascript; charset=utf-8", "/static/page.js": "text/javascript; charset=utf-8", "/favicon.ico": "image/x-icon",
	} {
		w := b.answer("GET", path, "")
		if w.Code != http.StatusOK || w.Header().Get("Content-Type") != media || w.Body.Len() == 0 {
			t.Errorf("%s = %d, %q, %d bytes", path, w.Code, w.Header().Get("Content-Type"), w.Body.Len())
		}
	}
}

// attribute returns the value of an attribute of a tag.
func attribute(tag, name string) string {
	_, value, _ := strings.Cut(tag, " "+name+`="`)
	value, _, _ = strings.Cut(value, `"`)
	return value
}
