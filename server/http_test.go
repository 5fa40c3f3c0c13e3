package server_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/clients"
	"github.com/counterfoil/counterfoil/inspect/inspector"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/server"
)

// answer lets the server answer without a listener.
func (b *bench) answer(method, path, body string, header ...string) *httptest.ResponseRecorder {
	b.Helper()
	r := httptest.NewRequestWithContext(b.Context(), method, path, strings.NewReader(body))
	for n := 0; n < len(header); n += 2 {
		r.Header.Add(header[n], header[n+1])
	}
	if r.Header.Get("Content-Type") == "" {
		r.Header.Set("Content-Type", "application/json")
	}
	w := httptest.NewRecorder()
	b.server.ServeHTTP(w, r)
	b.conform(method, path, body, r.Header, w.Code, w.Header(), w.Body.String())
	return w
}

// SES-06, SES-07, SES-20: the cookies, byte for byte.
func TestSetCookie(t *testing.T) {
	for _, c := range []struct {
		url, carrier, sameSite string
		want                   []string
	}{
		{"https://auth.test", "cookie", "", []string{
			"__Host-Http-cf_dev=#68; Path=/; Max-Age=34560000; Secure; HttpOnly; SameSite=Strict",
			"__Host-Http-cf=#43; Path=/; Max-Age=86399; Secure; HttpOnly; SameSite=Lax",
			"__Host-Http-cf_rt=; Path=/; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:01 GMT; Secure; HttpOnly; SameSite=Strict",
		}},
		{"https://auth.test", "jwt-cookie", "strict", []string{
			"__Host-Http-cf_dev=#68; Path=/; Max-Age=34560000; Secure; HttpOnly; SameSite=Strict",
			"__Host-Http-cf=#jwt; Path=/; Max-Age=86399; Secure; HttpOnly; SameSite=Strict",
			"__Host-Http-cf_rt=#79; Path=/; Max-Age=86399; Secure; HttpOnly; SameSite=Strict",
		}},
		{"http://127.0.0.1:8080", "cookie", "lax", []string{
			"cf_dev=#68; Path=/; Max-Age=34560000; HttpOnly; SameSite=Strict",
			"cf=#43; Path=/; Max-Age=86399; HttpOnly; SameSite=Lax",
			"cf_rt=; Path=/; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:01 GMT; HttpOnly; SameSite=Strict",
		}},
	} {
		b := assemble(t, server.Config{URL: c.url, ClearSiteData: true})
		b.client("web", clients.Client{SameSite: c.sameSite})
		w := b.answer("POST", "/v1/login", `{"identifier":"alice","password":"`+pass+`","client":"web","carrier":"`+c.carrier+`"}`)
		got := w.Header().Values("Set-Cookie")
		masked := slices.Clone(got)
		for n, line := range masked {
			name, rest, _ := strings.Cut(line, "=")
			value, attributes, _ := strings.Cut(rest, ";")
			switch {
			case strings.Count(value, ".") == 2:
				value = "#jwt"
			case value != "":
				value = fmt.Sprintf("#%d", len(value))
			}
			// The clock may tick between the login and the answer.
			masked[n] = name + "=" + value + ";" + strings.Replace(attributes, "Max-Age=86400", "Max-Age=86399", 1)
		}
		if !slices.Equal(masked, c.want) {
			t.Errorf("%s by %s sets %q, want %q", c.url, c.carrier, masked, c.want)
		}
		var cookies []string
		for _, line := range got {
			pair, _, _ := strings.Cut(line, ";")
			cookies = append(cookies, pair)
		}
		w = b.answer("POST", "/v1/logout", "", "Cookie", strings.Join(cookies, "; "), "Origin", c.url)
		deletions := w.Header().Values("Set-Cookie")
		for n, line := range deletions {
			// The mark of the browser stays, and the cookie of the session is the last: some
			// clients delete that one alone.
			name, _, _ := strings.Cut(c.want[len(deletions)-n], "=")
			if !strings.HasPrefix(line, name+"=; Path=/; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:01 GMT; ") {
				t.Errorf("logout sets %q", line)
			}
		}
		if w.Code != http.StatusNoContent || w.Header().Get("Clear-Site-Data") != `"cache", "cookies", "storage"` {
			t.Errorf("logout = %d, Clear-Site-Data %q", w.Code, w.Header().Get("Clear-Site-Data"))
		}
	}
}

// HDR-01, SES-19: every route's answer to somebody without a credential, and every
// kind of miss.
func TestHeadersEverywhere(t *testing.T) {
	b := assemble(t, server.Config{URL: "https://auth.test", Registration: true})
	patterns := append(b.server.Patterns(), "GET /nothing", "GET /v1/nothing", "DELETE /v1/login", "BREW /v1/session", "OPTIONS /v1/login", "GET //v1/session", "GET /v1/../login")
	for _, pattern := range patterns {
		method, path, _ := strings.Cut(pattern, " ")
		path = strings.NewReplacer("{id}", "x", "{sid}", "x", "{$}", "").Replace(path)
		w := b.answer(method, path, "{}")
		h := w.Header()
		// CSRF-01: with no-referrer the browser would send the forms of a page from "null".
		referrer := "no-referrer"
		if strings.HasPrefix(h.Get("Content-Type"), "text/html") {
			referrer = "same-origin"
		}
		opener, form := "same-origin", "form-action 'self'"
		if pattern == "GET /inspector" { // it has no origin to be the same as, and a policy of its own
			referrer, opener, form = "no-referrer", "", "form-action 'none'"
			if csp := h.Get("Content-Security-Policy"); csp != inspector.Policy() {
				t.Errorf("%s: CSP %q", pattern, csp)
			}
		}
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "Referrer-Policy": referrer, "Cross-Origin-Opener-Policy": opener,
			"Strict-Transport-Security": "max-age=31536000",
		} {
			if h.Get(name) != want {
				t.Errorf("%s: %s is %q, want %q", pattern, name, h.Get(name), want)
			}
		}
		csp := h.Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'none'", "base-uri 'none'", "frame-ancestors 'none'", form} {
			if !strings.Contains(csp, want) {
				t.Errorf("%s: CSP %q lacks %s", pattern, csp, want)
			}
		}
		// HDR-01: a page has scripts of our own origin alone, and in no line of it. One of them asks us
		// something (LOGIN-12).
		html := strings.HasPrefix(h.Get("Content-Type"), "text/html") && pattern != "GET /inspector"
		if script := strings.Contains(csp, "script-src 'self'"); script != html || strings.Contains(csp, "connect-src 'self'") != (pattern == "GET /welcome") || strings.Contains(csp, "unsafe") {
			t.Errorf("%s: CSP %q", pattern, csp)
		}
		public := strings.HasPrefix(path, "/.well-known/") || strings.HasPrefix(path, "/static/") || path == "/favicon.ico" || path == "/openapi.json" || path == "/inspector" || path == "/client.js"
		if cache := h.Get("Cache-Control"); (cache != "no-store") && !(public && cache == "public, max-age=300") {
			t.Errorf("%s: Cache-Control is %q", pattern, cache)
		}
		// CORS-01: what is not the same for everybody names what says who the caller is, and once.
		vary := strings.Join(h.Values("Vary"), ", ")
		for _, name := range []string{"Cookie", "Authorization", "Origin", "Sec-Fetch-Site"} {
			want := 1
			if h.Get("Cache-Control") != "no-store" && name != "Origin" {
				want = 0
			}
			if n := strings.Count(vary, name); n != want {
				t.Errorf("%s varies by %q, which has %s %d times, want %d", pattern, vary, name, n, want)
			}
		}
		if len(h.Get("X-Request-Id")) != 16 {
			t.Errorf("%s: X-Request-Id is %q", pattern, h.Get("X-Request-Id"))
		}
		if strings.HasPrefix(path, "/v1/") && w.Code >= 400 && h.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s = %d as %s", pattern, w.Code, h.Get("Content-Type"))
		}
		if strings.HasPrefix(path, "/oauth/") && (h.Get("Content-Type") != "application/json" || !strings.Contains(w.Body.String(), `"error":"`)) {
			t.Errorf("%s = %d as %s: %s", pattern, w.Code, h.Get("Content-Type"), w.Body)
		}
	}
}

// CSRF-06, CSRF-11: methods are what they are, and a miss says which there are.
func TestMethods(t *testing.T) {
	b := newBench(t)
	bearer := "Bearer " + b.session("alice", issuer.Request{Carrier: counterfoil.CarrierBearer}).Access.Reveal()
	for _, c := range []struct {
		method, path string
		header       []string
		want         int
		allow        string
	}{
		{"GET", "/v1/logout", nil, http.StatusMethodNotAllowed, "POST"},
		{"PUT", "/v1/sessions", nil, http.StatusMethodNotAllowed, "DELETE, GET, HEAD"},
		{"GET", "/oauth/introspect", nil, http.StatusMethodNotAllowed, "POST"},
		{"GET", "/oauth/nothing", nil, http.StatusNotFound, ""},
		{"GET", "/v1/nothing", nil, http.StatusNotFound, ""},
		{"HEAD", "/v1/session", nil, http.StatusOK, ""},
		{"HEAD", "/v1/logout", nil, http.StatusMethodNotAllowed, "POST"},
		{"POST", "/v1/session", []string{"X-HTTP-Method-Override", "GET"}, http.StatusMethodNotAllowed, "GET, HEAD"},
		{"GET", "/v1/sessions?_method=DELETE", nil, http.StatusBadRequest, ""},
		{"GET", "/v1/sessions", []string{"X-HTTP-Method-Override", "DELETE", "X-HTTP-Method", "DELETE", "X-Method-Override", "DELETE"}, http.StatusOK, ""},
	} {
		res, body := b.call(c.method, c.path, "", append(c.header, "Authorization", bearer)...)
		if res.StatusCode != c.want || res.Header.Get("Allow") != c.allow || (c.method == "HEAD" && body != "") {
			t.Errorf("%s %s = %d, Allow %q, %s; want %d, %q", c.method, c.path, res.StatusCode, res.Header.Get("Allow"), body, c.want, c.allow)
		}
	}
	if res, body := b.call("GET", "/nothing", ""); res.StatusCode != http.StatusNotFound || !strings.Contains(body, "<html") {
		t.Errorf("a page that is not there = %d %s", res.StatusCode, body)
	}
}

// RFC 6749 section 6, REF-06, REF-07, OPS-05.
func TestTokenEndpoint(t *testing.T) {
	b := newBench(t)
	b.client("mobile", clients.Client{Scopes: []string{"read", "write"}})
	refresh := b.session("alice", issuer.Request{Client: "mobile", Carrier: counterfoil.CarrierBearer}).Refresh.Reveal()
	ask := func(form url.Values) (int, string) {
		res, body := b.call("POST", "/oauth/token", form.Encode())
		if cache := res.Header.Get("Cache-Control"); cache != "no-store" {
			t.Errorf("Cache-Control is %q", cache)
		}
		return res.StatusCode, body
	}
	for _, c := range []struct {
		form   url.Values
		status int
		want   string
	}{
		{url.Values{}, 400, `{"error":"invalid_request","error_description":"grant_type is missing"}`},
		{url.Values{"grant_type": {"password"}}, 400, `{"error":"unsupported_grant_type"}`},
		{url.Values{"grant_type": {"refresh_token"}}, 400, `{"error":"invalid_request","error_description":"refresh_token is missing"}`},
		{url.Values{"grant_type": {"refresh_token"}, "refresh_token": {"junk"}, "client_id": {"mobile"}}, 400, `{"error":"invalid_grant"}`},
		{url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}}, 400, `{"error":"invalid_grant"}`},
		{url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}, "client_id": {"app"}}, 400, `{"error":"invalid_grant"}`},
		{url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}, "client_id": {"mobile"}, "scope": {"read drop"}}, 400, `{"error":"invalid_scope"}`},
		{url.Values{"grant_type": {"refresh_token", "refresh_token"}}, 400, `{"error":"invalid_request","error_description":"parameter 'grant_type' is given twice"}`},
	} {
		if status, body := ask(c.form); status != c.status || body != c.want {
			t.Errorf("token %s = %d %s, want %d %s", c.form.Encode(), status, body, c.status, c.want)
		}
	}
	status, body := ask(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}, "client_id": {"mobile"}, "scope": {"read"}})
	if status != http.StatusOK || !strings.Contains(body, `"scope":"read"`) || !strings.Contains(body, `"token_type":"Bearer"`) || !strings.Contains(body, `"refresh_token":"cfr_`) {
		t.Errorf("token = %d %s", status, body)
	}
}

// REF-02: the owner of the login is told that somebody else may have had its tokens.
func TestReuseIsToldToTheUser(t *testing.T) {
	b := newBench(t)
	stolen := b.session("alice", issuer.Request{Carrier: counterfoil.CarrierBearer, UserAgent: "phone"})
	first := stolen.Refresh.Reveal()
	second, err := b.issuer.Refresh(t.Context(), first, issuer.Renewal{})
	must(t, err)
	_, err = b.issuer.Refresh(t.Context(), second.Refresh.Reveal(), issuer.Renewal{})
	must(t, err)
	if res, body := b.call("POST", "/v1/refresh", `{"refresh_token":"`+first+`"}`); res.StatusCode != http.StatusUnauthorized {
		t.Fatalf("reuse = %d %s", res.StatusCode, body)
	}
	cookie := "cf=" + b.session("alice", issuer.Request{Carrier: counterfoil.CarrierCookie}).Access.Reveal()
	_, body := b.call("GET", "/v1/sessions", "", "Cookie", cookie)
	if !strings.Contains(body, `"kind":"refresh-reuse"`) || !strings.Contains(body, stolen.Session.ID) {
		t.Fatalf("sessions = %s, want a notice of %s", body, stolen.Session.ID)
	}
	if _, page := b.call("GET", "/", "", "Cookie", cookie); !strings.Contains(page, "A session of yours was ended") {
		t.Error("the page does not say it")
	}
	_, rest, _ := strings.Cut(body, `"id":"ntc_`)
	id, _, _ := strings.Cut(rest, `"`)
	path := "/v1/notices/ntc_" + id
	mallory := "cf=" + b.session("mallory", issuer.Request{Carrier: counterfoil.CarrierCookie}).Access.Reveal()
	if res, _ := b.call("DELETE", path, "", "Cookie", mallory, "Origin", b.url); res.StatusCode != http.StatusNotFound {
		t.Errorf("somebody else dismisses it: %d", res.StatusCode)
	}
	if res, _ := b.call("DELETE", path, "", "Cookie", cookie, "Origin", b.url); res.StatusCode != http.StatusNoContent {
		t.Errorf("dismiss = %d", res.StatusCode)
	}
	if _, body = b.call("GET", "/v1/sessions", "", "Cookie", cookie); strings.Contains(body, "refresh-reuse") {
		t.Errorf("sessions = %s after the dismissal", body)
	}
}

// SES-08: two session cookies: neither is believed, and ours is taken away.
func TestPlantedCookie(t *testing.T) {
	b := newBench(t)
	good := b.session("alice", issuer.Request{Carrier: counterfoil.CarrierCookie}).Access.Reveal()
	res, body := b.call("GET", "/v1/session", "", "Cookie", "cf="+good+"; cf=planted")
	if res.StatusCode != http.StatusUnauthorized || len(res.Cookies()) != 1 || res.Cookies()[0].MaxAge >= 0 {
		t.Errorf("two cookies = %d %s, sets %v", res.StatusCode, body, res.Header.Values("Set-Cookie"))
	}
}

// SES-10: claims that fit no cookie are the operator's mistake, said before anything is
// written.
func TestTooLargeForACookie(t *testing.T) {
	b := assemble(t, server.Config{URL: "http://127.0.0.1:8080"})
	var long []string
	for n := range 32 {
		long = append(long, strings.Repeat("x", 60)+fmt.Sprint(n))
	}
	b.client("wide", clients.Client{Scopes: long[:15], Audience: long[16:]})
	before := b.dump()
	ask := func(carrier string) *httptest.ResponseRecorder {
		body := `{"subject":"alice","client":"wide","carrier":"` + carrier + `","roles":["` + strings.Join(long, `","`) + `"]}`
		return b.answer("POST", "/v1/admin/sessions", body, "Authorization", "Bearer "+b.key)
	}
	if w := ask("jwt-cookie"); w.Code != http.StatusInternalServerError || !strings.Contains(w.Body.String(), "credential-too-large") || b.dump() != before {
		t.Errorf("jwt-cookie = %d %s", w.Code, w.Body)
	}
	if w := ask("bearer"); w.Code != http.StatusCreated {
		t.Errorf("bearer = %d %s, want it to fit a header", w.Code, w.Body)
	}
}
