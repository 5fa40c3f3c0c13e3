package server_test

import (
	"encoding/json"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/internal/refusal"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/server"
	"github.com/counterfoil/counterfoil/source"
)

// hostile is what must reach no page as it is.
const hostile = `"><script>alert(1)</script><img src=x onerror=alert(1)>{{.Password}}`

func (b *bench) form(path string, values url.Values, header ...string) *httptest.ResponseRecorder {
	b.Helper()
	return b.answer("POST", path, values.Encode(), append(header, "Content-Type", urlencoded)...)
}

// HDR-02: what came from outside stands on pages as text, or not at all: in a form that
// is shown again, in the list of sessions, and in parameters that no page reads.
func TestPagesEscape(t *testing.T) {
	b := assemble(t, server.Config{URL: "http://127.0.0.1:8080", Registration: true})
	same := []string{"Origin", "http://127.0.0.1:8080"}
	cookie := append([]string{"Cookie", "cf=" + b.session("alice", issuer.Request{Carrier: counterfoil.CarrierCookie, UserAgent: hostile}).Access.Reveal()}, same...)
	pages := map[string]*httptest.ResponseRecorder{
		"sign in again":    b.form("/login", url.Values{"identifier": {hostile}, "password": {hostile}}, same...),
		"register again":   b.form("/register", url.Values{"identifier": {hostile}, "password": {"short"}}, same...),
		"invitation again": b.form("/welcome", url.Values{"token": {hostile}, "password": {"short"}}, same...),
		"list of sessions": b.answer("GET", "/", "", cookie...),
		"wrong password":   b.form("/password", url.Values{"current": {hostile}, "next": {hostile}}, cookie...),
	}
	query := "?" + url.Values{"error": {hostile}, "error_description": {hostile}, "token": {hostile}, "next": {hostile}}.Encode()
	for _, path := range []string{"/", "/login", "/register", "/welcome", "/nothing"} {
		pages[path] = b.answer("GET", path+query, "")
	}
	for name, w := range pages {
		body := strings.NewReplacer(`<script type="module" src="/static/page.js"></script>`, "", `<script type="module" src="/static/welcome.js"></script>`, "").Replace(w.Body.String()) // ours
		if !strings.Contains(body, "</html>") {
			t.Errorf("%s = %d %s", name, w.Code, body)
		}
		for _, bad := range []string{"<script", "<img", "onerror=alert(1)>", pass} {
			if strings.Contains(body, bad) {
				t.Errorf("%s holds %s: %s", name, bad, body)
			}
		}
	}
	// It is there, as text: the page did not just leave it out.
	if again := html.UnescapeString(pages["sign in again"].Body.String()); !strings.Contains(again, hostile) {
		t.Errorf("the form does not show what was sent: %s", again)
	}
}

// HDR-03: no redirect goes where a request says: every one is to a path of our own.
func TestRedirects(t *testing.T) {
	b := assemble(t, server.Config{URL: "https://auth.test", Registration: true})
	same := []string{"Origin", "https://auth.test"}
	home := func(where string, w *httptest.ResponseRecorder) {
		t.Helper()
		to := w.Header().Get("Location")
		u, err := url.Parse(to)
		if to != "" && (err != nil || u.Scheme != "" || u.Host != "" || !strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//") || strings.ContainsAny(to, "\\\r\n")) {
			t.Errorf("%s leads to %q", where, to)
		}
	}
	targets := []string{
		"//evil.test", `/\evil.test`, `\\evil.test`, "/%09/evil.test", "https:evil.test", "https://evil.test", "https://auth.test@evil.test",
		"///evil.test", "javascript:alert(1)", "/%0d%0aSet-Cookie:a=b", "http://auth.test:80@evil.test", "/..//evil.test", "//evil.test/..",
	}
	for i, target := range targets {
		evil := url.Values{}
		for _, name := range []string{"next", "return_to", "redirect_uri", "redirect", "rd", "url", "continue", "post_logout_redirect_uri"} {
			evil.Set(name, target)
		}
		for _, c := range []struct {
			path   string
			fields url.Values
		}{
			{"/login", url.Values{"identifier": {"alice"}, "password": {pass}}},
			{"/logout", url.Values{}},
			{"/sessions/others", url.Values{}},
		} {
			if c.path == "/login" && i > 2 {
				continue // a hash each
			}
			for name := range evil {
				c.fields[name] = evil[name]
			}
			cookie := "__Host-Http-cf=" + b.session("alice", issuer.Request{Carrier: counterfoil.CarrierCookie}).Access.Reveal()
			w := b.form(c.path+"?"+evil.Encode(), c.fields, append(same, "Cookie", cookie, "Referer", target)...)
			if w.Code == http.StatusSeeOther && w.Header().Get("Location") != "/" {
				t.Errorf("%s with %q leads to %q", c.path, target, w.Header().Get("Location"))
			}
			home(c.path+" with "+target, w)
		}
		// A path that the mux would clean, and the headers that name another host.
		r := httptest.NewRequest("GET", "/", nil)
		r.URL = &url.URL{Path: strings.TrimPrefix(target, "https:")}
		r.Host = "evil.test"
		r.Header.Set("X-Forwarded-Host", "evil.test")
		r.Header.Set("Forwarded", "host=evil.test")
		w := httptest.NewRecorder()
		b.server.ServeHTTP(w, r)
		home("GET "+target, w)
	}
}

// CSRF-05: every route that changes something refuses a cookie from another site, and
// no spelling of its path is a way around.
func TestNoRouteIsExempt(t *testing.T) {
	b := assemble(t, server.Config{URL: "https://auth.test", Registration: true})
	cookie := "__Host-Http-cf=" + b.session("alice", issuer.Request{Carrier: counterfoil.CarrierCookie}, "admin").Access.Reveal()
	// A program that is no browser may come here, and its cookie is not looked at.
	withoutCookie := []string{"/v1/login", "/v1/login/continue", "/v1/register", "/v1/invitations", "/v1/invitations/check", "/v1/refresh", "/v1/recovery", "/v1/recovery/code", "/v1/address/undo"}
	before, tried := b.dump(), 0
	for _, pattern := range b.server.Patterns() {
		method, path, _ := strings.Cut(pattern, " ")
		if method == "GET" || strings.HasPrefix(path, "/oauth/") || path == "/v1/handover" || path == "/v1/push/{id}" {
			continue // to these a cookie is no credential
		}
		path = strings.NewReplacer("{id}", "x", "{sid}", "x", "{name}", "x").Replace(path)
		media := urlencoded
		if strings.HasPrefix(path, "/v1/") {
			media = "application/json"
		}
		for _, spelled := range []string{path, path + "/", "/" + path, "/x/.." + path, path + "?x=/static/", strings.Replace(path, "/", "/./", 1), strings.ToUpper(path), path + "%2f", path + ";a=b"} {
			for _, site := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "https://evil.test"}, {"Origin", "http://auth.test"}, {"Origin", "null"}, nil} {
				tried++
				w := b.answer(method, spelled, "{}", append(site, "Cookie", cookie, "Content-Type", media)...)
				miss := spelled != path && (w.Code == http.StatusNotFound || w.Code == http.StatusMethodNotAllowed || w.Code/100 == 3)
				miss = miss || strings.Contains(spelled, "?") && media == "application/json" && w.Code == http.StatusBadRequest // no call of the API that changes something has a query
				program := site == nil && slices.Contains(withoutCookie, path) && w.Code/100 == 4
				if w.Code != http.StatusForbidden && !miss && !program {
					t.Errorf("%s %s from %v = %d %.200s, want 403", method, spelled, site, w.Code, w.Body)
				}
			}
		}
	}
	if after := b.dump(); after != before {
		t.Error("something was changed")
	}
	if tried < 500 {
		t.Errorf("only %d requests were made", tried)
	}
}

// OPS-04: a panic is a 500 that tells its request's id and nothing else; the log has
// the rest, and the server goes on.
func TestPanic(t *testing.T) {
	b := newBench(t)
	cookie := "cf=" + b.session("alice", issuer.Request{Carrier: counterfoil.CarrierCookie}).Access.Reveal()
	for _, path := range []string{"/v1/login", "/oauth/revoke", "/login"} {
		r := httptest.NewRequest("POST", path, wrench{})
		r.Header.Set("Content-Type", urlencoded)
		if strings.HasPrefix(path, "/v1/") {
			r.Header.Set("Content-Type", "application/json")
		}
		r.Header.Set("Cookie", cookie)
		r.Header.Set("Origin", b.url)
		w := httptest.NewRecorder()
		b.server.ServeHTTP(w, r)
		body, id := w.Body.String(), w.Header().Get("X-Request-Id")
		var problem struct {
			Type, Title, Detail string
			Status              int
		}
		must(t, json.Unmarshal([]byte(body), &problem))
		if w.Code != http.StatusInternalServerError || problem.Title != "Internal error" || problem.Detail != "request "+id || w.Header().Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s = %d %s", path, w.Code, body)
		}
		for _, leak := range []string{"wrench", "goroutine", ".go"} {
			if strings.Contains(body, leak) {
				t.Errorf("%s tells the caller: %s", path, body)
			}
		}
		logged := ""
		for line := range strings.Lines(b.log.String()) {
			if strings.Contains(line, "wrench") {
				logged = line
			}
		}
		if !strings.Contains(logged, id) || strings.Contains(logged, "cf=") {
			t.Errorf("%s: the log says %q", path, logged)
		}
	}
	if res, _ := b.call("GET", "/v1/session", "", "Cookie", cookie); res.StatusCode != http.StatusOK {
		t.Errorf("afterwards: %d", res.StatusCode)
	}
}

// wrench is a body that nobody can read.
type wrench struct{}

func (wrench) Read([]byte) (int, error) { panic("wrench") }

// SES-18: a page takes cookies away when the login is over, and not because the access copy has
// expired: the refresh token beside it goes on.
func TestPageKeepsWhatCanBeRefreshed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const url = "https://auth.test"
		b := assemble(t, server.Config{URL: url})
		login := b.answer("POST", "/v1/login", `{"identifier":"alice","password":"`+pass+`","carrier":"jwt-cookie"}`, "Origin", url)
		var cookies []string
		take := func(w *httptest.ResponseRecorder) {
			cookies = nil
			for _, line := range w.Header().Values("Set-Cookie") {
				pair, _, _ := strings.Cut(line, ";")
				cookies = append(cookies, pair)
			}
		}
		take(login)
		home := func() []string {
			return b.answer("GET", "/", "", "Cookie", strings.Join(cookies, "; ")).Header().Values("Set-Cookie")
		}
		time.Sleep(6 * time.Minute)
		if set := home(); len(set) > 0 {
			t.Errorf("when the access copy has expired: sets %q", set)
		}
		refreshed := b.answer("POST", "/v1/refresh", `{}`, "Cookie", strings.Join(cookies, "; "), "Origin", url)
		if refreshed.Code != http.StatusOK {
			t.Fatalf("refresh = %d %s", refreshed.Code, refreshed.Body)
		}
		take(refreshed)
		if _, err := b.issuer.Revoke(t.Context(), source.ScopeAll, "", audit.Act{}); err != nil {
			t.Fatal(err)
		}
		if set := home(); len(set) != 2 {
			t.Errorf("when the login is over: sets %q, want both taken away", set)
		}
	})
}

// A page never tells people to come back too early, and says it as people do.
func TestDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		100 * time.Millisecond:       "1 second",
		1400 * time.Millisecond:      "2 seconds",
		time.Minute:                  "60 seconds",
		2 * time.Minute:              "2 minutes",
		2*time.Minute + time.Second:  "3 minutes",
		15*time.Minute - time.Second: "15 minutes",
	} {
		p := refusal.Problem{RetryAfter: d}
		if got := server.Duration(p.Wait()); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}
