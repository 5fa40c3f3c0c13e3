package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/clients"
	"github.com/counterfoil/counterfoil/internal/secret"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/rights"
)

func cors(res *http.Response) (names []string) {
	for name := range res.Header {
		if strings.HasPrefix(name, "Access-Control-") {
			names = append(names, name)
		}
	}
	return names
}

// CORS-01, CORS-02: exactly the origins of clients, on the paths that pages use, and
// for everybody else not a word.
func TestCORS(t *testing.T) {
	b := newBench(t)
	b.client("spa", clients.Client{Origins: []string{"https://app.test"}})
	b.client("off", clients.Client{Origins: []string{"https://off.test"}, Disabled: true})
	preflight := func(path, origin string) *http.Response {
		res, _ := b.call("OPTIONS", path, "", "Origin", origin, "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "content-type")
		return res
	}
	res := preflight("/v1/login", "https://app.test")
	h := res.Header
	if res.StatusCode != http.StatusNoContent || h.Get("Access-Control-Allow-Origin") != "https://app.test" || h.Get("Access-Control-Allow-Credentials") != "true" ||
		h.Get("Access-Control-Allow-Methods") != "POST" || !strings.HasPrefix(h.Get("Access-Control-Allow-Headers"), "Authorization, Content-Type, X-CSRF-Token, Counterfoil-Device, X-Request-Id, Counterfoil-Refresh, ") || !strings.Contains(h.Get("Vary"), "Origin") {
		t.Errorf("preflight = %d %v", res.StatusCode, h)
	}
	for _, origin := range []string{"https://evil.test", "https://app.test.evil.test", "https://x.app.test", "http://app.test", "https://app.test:8443", "https://app.test/", "null", "*", "https://off.test"} {
		for _, path := range []string{"/v1/login", "/v1/session", "/oauth/token"} {
			if res := preflight(path, origin); len(cors(res)) > 0 || res.StatusCode == http.StatusNoContent {
				t.Errorf("preflight of %s to %s = %d %v", origin, path, res.StatusCode, cors(res))
			}
			if res, _ := b.call("GET", path, "", "Origin", origin); len(cors(res)) > 0 {
				t.Errorf("GET of %s to %s answers %v", origin, path, cors(res))
			}
		}
	}
	for _, path := range []string{"/v1/admin/users", "/v1/log", "/oauth/introspect", "/", "/login", "/v1/nothing"} {
		if res := preflight(path, "https://app.test"); len(cors(res)) > 0 {
			t.Errorf("preflight to %s answers %v", path, cors(res))
		}
	}
	if res, _ := b.call("GET", "/v1/session", ""); !strings.Contains(res.Header.Get("Vary"), "Origin") {
		t.Error("an answer without Origin does not vary by it: a cache could serve it to a page")
	}
}

// CORS-01, CSRF-02, CSRF-07: an origin acts for its own client and for no other.
func TestOriginsOfOneClient(t *testing.T) {
	b := newBench(t)
	b.client("spa", clients.Client{Origins: []string{"https://app.test"}})
	b.client("other", clients.Client{Origins: []string{"https://other.test"}})
	cookie := "cf=" + b.session("alice", issuer.Request{Client: "spa", Carrier: counterfoil.CarrierCookie}).Access.Reveal()
	for origin, want := range map[string]int{
		"https://app.test": http.StatusOK, "https://other.test": http.StatusForbidden, "https://evil.test": http.StatusForbidden, "null": http.StatusForbidden, b.url: http.StatusOK,
	} {
		for _, site := range []string{"cross-site", "same-site", ""} {
			header := []string{"Cookie", cookie, "Origin", origin}
			if site != "" {
				header = append(header, "Sec-Fetch-Site", site)
			}
			if res, body := b.call("GET", "/v1/session", "", header...); res.StatusCode != want {
				t.Errorf("GET by %s, %q = %d %s, want %d", origin, site, res.StatusCode, body, want)
			}
			if res, _ := b.call("HEAD", "/v1/session", "", header...); res.StatusCode != want {
				t.Errorf("HEAD by %s, %q = %d, want %d", origin, site, res.StatusCode, want)
			}
			if res, body := b.call("DELETE", "/v1/sessions", "", header...); res.StatusCode != want {
				t.Errorf("DELETE by %s, %q = %d %s, want %d", origin, site, res.StatusCode, body, want)
			}
		}
	}
	wrong := `{"identifier":"alice","password":"not the one at all","client":`
	for _, c := range []struct {
		client, origin string
		want           int
	}{
		{"spa", "https://app.test", http.StatusUnauthorized}, {"other", "https://app.test", http.StatusForbidden},
		{"default", "https://app.test", http.StatusForbidden}, {"spa", b.url, http.StatusUnauthorized}, {"spa", "", http.StatusUnauthorized},
	} {
		header := []string{}
		if c.origin != "" {
			header = []string{"Origin", c.origin}
		}
		res, body := b.call("POST", "/v1/login", wrong+`"`+c.client+`"}`, header...)
		// What is let through is refused for its password, or for coming too soon after another.
		if refused := res.StatusCode == http.StatusForbidden; refused != (c.want == http.StatusForbidden) {
			t.Errorf("login for %s by %q = %d %s, want %d", c.client, c.origin, res.StatusCode, body, c.want)
		}
	}
}

// A browser keeps no cookie from the answer to a page of another site, so no session is made for one.
func TestNoCookieForAnotherSite(t *testing.T) {
	b := newBench(t)
	b.client("spa", clients.Client{Origins: []string{"https://app.test", "http://tauri.localhost", "capacitor://localhost"}})
	for n, c := range []struct {
		origin, site, carrier string
		want                  int
	}{
		{"https://app.test", "cross-site", "cookie", 400}, {"https://app.test", "cross-site", "jwt-cookie", 400}, {"https://app.test", "cross-site", "jwe-cookie", 400},
		{"https://app.test", "cross-site", "", 400}, {"https://app.test", "cross-site", "bearer", 200}, {"https://app.test", "cross-site", "jwe", 200},
		{"http://tauri.localhost", "cross-site", "cookie", 400}, {"capacitor://localhost", "cross-site", "bearer", 200},
		{"https://app.test", "same-site", "cookie", 200}, {"https://app.test", "", "cookie", 200},
	} {
		header := []string{"Origin", c.origin}
		if c.site != "" {
			header = append(header, "Sec-Fetch-Site", c.site)
		}
		name := fmt.Sprint("visitor-", n)
		_, err := b.users.Register(t.Context(), rights.Owner(), audit.Act{}, name, "", secret.New(pass), nil)
		must(t, err)
		w := b.answer("POST", "/v1/login", `{"identifier":"`+name+`","password":"`+pass+`","client":"spa","carrier":"`+c.carrier+`"}`, header...)
		if w.Code != c.want || c.want == 400 && (w.Header().Get("Set-Cookie") != "" || !strings.Contains(w.Body.String(), "use carrier bearer")) {
			t.Errorf("%s, %s, %q = %d %s", c.origin, c.site, c.carrier, w.Code, w.Body)
		}
	}
}

// CSRF-10: the token is of one session, and stands in for absent headers alone.
func TestCSRFToken(t *testing.T) {
	b := newBench(t)
	cookie := func() string {
		return "cf=" + b.session("alice", issuer.Request{Carrier: counterfoil.CarrierCookie}).Access.Reveal()
	}
	own, other := cookie(), cookie()
	tokenOf := func(cookie string) string {
		var got struct {
			Token string `json:"csrf_token"`
		}
		res, body := b.call("GET", "/v1/csrf", "", "Cookie", cookie)
		if res.StatusCode != http.StatusOK {
			t.Fatalf("csrf = %d %s", res.StatusCode, body)
		}
		must(t, json.Unmarshal([]byte(body), &got))
		return got.Token
	}
	good := tokenOf(own)
	flipped := []byte(good)
	flipped[0] ^= 1
	for name, c := range map[string]struct {
		header []string
		want   int
	}{
		"none":                  {nil, http.StatusForbidden},
		"own":                   {[]string{"X-CSRF-Token", good}, http.StatusOK},
		"another session's":     {[]string{"X-CSRF-Token", tokenOf(other)}, http.StatusForbidden},
		"another's, own origin": {[]string{"X-CSRF-Token", tokenOf(other), "Origin", b.url}, http.StatusForbidden},
		"flipped":               {[]string{"X-CSRF-Token", string(flipped)}, http.StatusForbidden},
		"longer":                {[]string{"X-CSRF-Token", good + "AAAA"}, http.StatusForbidden},
		"empty":                 {[]string{"X-CSRF-Token", ""}, http.StatusForbidden},
		"twice":                 {[]string{"X-CSRF-Token", good, "X-CSRF-Token", good}, http.StatusForbidden},
		"own, foreign origin":   {[]string{"X-CSRF-Token", good, "Origin", "https://evil.test"}, http.StatusForbidden},
		"own, cross-site":       {[]string{"X-CSRF-Token", good, "Sec-Fetch-Site", "cross-site"}, http.StatusForbidden},
	} {
		method, path := "DELETE", "/v1/notices/ntc_none" // 404: nothing to see, but let through
		want := c.want
		if want == http.StatusOK {
			want = http.StatusNotFound
		}
		if res, body := b.call(method, path, "", append(c.header, "Cookie", own)...); res.StatusCode != want {
			t.Errorf("%s: %d %s, want %d", name, res.StatusCode, body, want)
		}
	}
	if good == tokenOf(own) {
		t.Error("two tokens of a session are equal: they say that it is the same one")
	}
}

// TOK-21: what is meant for a service alone does not open the account here, and can
// still be given up here.
func TestAudienceOfAService(t *testing.T) {
	b := newBench(t)
	b.client("svc", clients.Client{Audience: []string{"https://api.test"}})
	b.client("both", clients.Client{Audience: []string{"https://api.test", b.url}, Opens: clients.OpensAccount})
	for client, want := range map[string]int{"svc": http.StatusUnauthorized, "both": http.StatusOK, "app": http.StatusOK} {
		bearer := "Bearer " + b.session("alice", issuer.Request{Client: client, Carrier: counterfoil.CarrierBearer}).Access.Reveal()
		if res, body := b.call("GET", "/v1/sessions", "", "Authorization", bearer); res.StatusCode != want {
			t.Errorf("%s: sessions = %d %s, want %d", client, res.StatusCode, body, want)
		}
		// A client that has it can send it as a cookie, and say that it comes from here.
		res, body := b.call("GET", "/v1/sessions", "", "Cookie", "cf="+bearer[len("Bearer "):], "Sec-Fetch-Site", "same-origin")
		if res.StatusCode != want {
			t.Errorf("%s: sessions by cookie = %d %s, want %d", client, res.StatusCode, body, want)
		}
		if res, body := b.call("POST", "/v1/logout", "", "Authorization", bearer); res.StatusCode != http.StatusNoContent {
			t.Errorf("%s: logout = %d %s, want 204", client, res.StatusCode, body)
		}
	}
	// What was made for a cookie opens the account by cookie, and not by header.
	cookie := b.session("carol", issuer.Request{Client: "svc", Carrier: counterfoil.CarrierJWTCookie}).Access.Reveal()
	if res, body := b.call("GET", "/v1/sessions", "", "Cookie", "cf="+cookie); res.StatusCode != http.StatusOK {
		t.Errorf("sessions by its own cookie = %d %s", res.StatusCode, body)
	}
	if res, body := b.call("GET", "/v1/sessions", "", "Authorization", "Bearer "+cookie); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("sessions by what was in the cookie = %d %s", res.StatusCode, body)
	}
	rows, _, err := b.issuer.Sessions(t.Context(), "alice", "", 0)
	if err != nil || len(rows) != 0 {
		t.Errorf("%d sessions outlived their logout, %v", len(rows), err)
	}
}

// CORS-01, CSRF-06: administration is for the server's own pages, also where a request needs
// no preflight because it has no body; and so is whatever is not shared with clients' pages.
func TestUnsharedPathsAreForOwnPages(t *testing.T) {
	b := newBench(t)
	b.client(clients.Default, clients.Client{Origins: []string{"https://app.test"}})
	cookie := "cf=" + b.session("boss", issuer.Request{Carrier: counterfoil.CarrierCookie}, "admin").Access.Reveal()
	for _, pattern := range append(b.server.AdminPatterns(), "POST /sessions/others", "GET /") {
		method, path, _ := strings.Cut(pattern, " ")
		path = strings.NewReplacer("{id}", "nobody", "{sid}", "ses_none").Replace(path)
		refused := func(header ...string) bool {
			t.Helper()
			w := b.answer(method, path, "", append([]string{"Cookie", cookie}, header...)...)
			return w.Code == http.StatusForbidden
		}
		if !refused("Origin", "https://app.test", "Sec-Fetch-Site", "same-site") {
			t.Errorf("%s from the page of a client is let through", pattern)
		}
		if !strings.HasPrefix(path, "/v1/admin/") || method == "GET" {
			continue
		}
		for _, form := range []string{"text/plain", "application/x-www-form-urlencoded"} {
			if !refused("Origin", b.url, "Sec-Fetch-Site", "same-origin", "Content-Type", form) {
				t.Errorf("%s as a form of %q is let through", pattern, form)
			}
		}
		if refused("Origin", b.url, "Sec-Fetch-Site", "same-origin", "Content-Type", "application/json") {
			t.Errorf("%s as JSON is refused", pattern)
		}
	}
}
