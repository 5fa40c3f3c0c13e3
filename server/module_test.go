package server_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/client"
	"github.com/counterfoil/counterfoil/clients"
)

// REF-09: a page that asks for it has its refresh token in a cookie, and no script ever sees it: not at
// the login, not at a refresh, not at a step-up. The token goes as it came.
func TestRefreshTokenOfAPageIsACookie(t *testing.T) {
	b := newBench(t)
	login := `{"identifier":"alice","password":"` + pass + `","client":"app","carrier":"bearer"}`
	cookies := func(res *http.Response) (refresh, access, device string) {
		for _, c := range res.Cookies() {
			if !c.HttpOnly || c.Path != "/" || c.Domain != "" {
				t.Errorf("cookie %v", c)
			}
			switch c.Name {
			case "cf_rt":
				if refresh = c.Value; c.SameSite != http.SameSiteStrictMode || c.MaxAge <= 0 {
					t.Errorf("cookie %v", c)
				}
			case "cf":
				if access = "set"; c.Value == "" && c.MaxAge < 0 {
					access = "deleted"
				}
			case "cf_dev":
				device = c.Value
			}
		}
		return refresh, access, device
	}
	page := []string{"Origin", b.url, "Counterfoil-Refresh", "cookie"}
	res, body := b.call("POST", "/v1/login", login, page...)
	got := b.issued(res, body)
	refresh, access, device := cookies(res)
	if refresh == "" || access != "deleted" || device == "" || got.Access == "" || strings.Contains(body, "cfr_") || strings.Contains(body, `"device"`) {
		t.Fatalf("login = %q, %q, %q: %s", refresh, access, device, body)
	}

	// A script that leaves the header out does not get the token either.
	res, body = b.call("POST", "/v1/refresh", `{"client":"app"}`, "Origin", b.url, "Cookie", "cf_rt="+refresh+"; cf_dev="+device)
	next := b.issued(res, body)
	again, _, _ := cookies(res)
	if again == "" || again == refresh || next.Access == "" || strings.Contains(body, "cfr_") {
		t.Fatalf("refresh = %q: %s", again, body)
	}
	res, body = b.call("POST", "/v1/session/step-up", `{"password":"`+pass+`"}`, append(page, "Authorization", "Bearer "+next.Access)...)
	stepped := b.issued(res, body)
	again, _, _ = cookies(res)
	if again == "" || strings.Contains(body, "cfr_") || b.status(stepped) != http.StatusOK {
		t.Fatalf("step-up = %q: %s", again, body)
	}

	// Another site can do nothing with the cookie.
	if res, _ := b.call("POST", "/v1/refresh", `{"client":"app"}`, "Origin", "https://evil.test", "Cookie", "cf_rt="+again); res.StatusCode != http.StatusForbidden {
		t.Errorf("refresh from another origin = %d", res.StatusCode)
	}
	if res, _ := b.call("POST", "/v1/logout", "", "Authorization", "Bearer "+stepped.Access, "Cookie", "cf_rt="+again); res.StatusCode != http.StatusNoContent || b.status(stepped) != http.StatusUnauthorized {
		t.Errorf("logout = %d", res.StatusCode)
	}

	// A browser keeps no cookie of the answer to another site, so such a page gets the token itself.
	b.client("web", clients.Client{Origins: []string{appOrigin}})
	res, body = b.call("POST", "/v1/login", strings.Replace(login, `"app"`, `"web"`, 1), "Origin", appOrigin, "Sec-Fetch-Site", "cross-site", "Counterfoil-Refresh", "cookie")
	if refresh, _, _ := cookies(res); refresh != "" || !strings.Contains(body, `"refresh_token":"cfr_`) {
		t.Errorf("a page of another site = %q: %s", refresh, body)
	}

	// Without the header nothing changes, and the cookies of the carriers stay what they are.
	if _, body := b.call("POST", "/v1/login", login); !strings.Contains(body, `"refresh_token":"cfr_`) {
		t.Errorf("a program's login: %s", body)
	}
	res, _ = b.call("POST", "/v1/login", strings.Replace(login, "bearer", "jwt-cookie", 1), page...)
	if refresh, access, _ := cookies(res); refresh == "" || access != "set" {
		t.Errorf("jwt-cookie = %q, %q", refresh, access)
	}
}

// The browser client is served as it is. CORS-01: a page of an origin that a client lists may import
// it, and a page of another origin may not.
func TestModule(t *testing.T) {
	b := newBench(t)
	b.client("web", clients.Client{Origins: []string{appOrigin}})
	w := b.answer("GET", "/client.js", "", "Origin", appOrigin)
	h := w.Header()
	if w.Code != http.StatusOK || w.Body.String() != string(client.Module()) || h.Get("Content-Type") != "text/javascript; charset=utf-8" ||
		h.Get("Access-Control-Allow-Origin") != appOrigin || h.Get("ETag") != client.Tag() || h.Get("Cache-Control") != "public, max-age=300" {
		t.Errorf("/client.js = %d %v", w.Code, h)
	}
	if w := b.answer("GET", "/client.js", "", "If-None-Match", client.Tag()); w.Code != http.StatusNotModified {
		t.Errorf("/client.js once more = %d", w.Code)
	}
	if w := b.answer("GET", "/client.js", "", "Origin", "https://evil.test"); w.Header().Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("another origin: %v", w.Header())
	}
}
