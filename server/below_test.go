package server_test

import (
	"encoding/json"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/server"
)

// links are the URLs that a page has. All are paths of this host.
var links = regexp.MustCompile(`(?:href|src|action)="([^"#][^"]*)"`)

// The server answers below the path of its issuer and nowhere else, and no page or redirect leads
// out of it. Probes need no path.
func TestBelowAPath(t *testing.T) {
	for _, base := range []string{"", "/auth", "/login", "/t/auth.1"} {
		b := assemble(t, server.Config{URL: "https://auth.test" + base, Registration: true})
		route := "" // of the last request, as those see it who observe the requests
		ask := func(method, path, body string, header ...string) *httptest.ResponseRecorder {
			r := httptest.NewRequest(method, path, strings.NewReader(body))
			r.Header.Set("Content-Type", urlencoded)
			for n := 0; n < len(header); n += 2 {
				r.Header.Set(header[n], header[n+1])
			}
			w := httptest.NewRecorder()
			b.server.ServeHTTP(w, r)
			route = r.Pattern
			for _, link := range links.FindAllStringSubmatch(w.Body.String(), -1) {
				if strings.HasPrefix(w.Header().Get("Content-Type"), "text/html") && !strings.HasPrefix(link[1], base+"/") {
					t.Errorf("%s %s leads to %q", method, path, link[1])
				}
				if u, err := url.Parse(html.UnescapeString(link[1])); err != nil || u.Query().Has("return_to") && !strings.HasPrefix(u.Query().Get("return_to"), base+"/") {
					t.Errorf("%s %s leads to %q, and from there out of the path", method, path, link[1])
				}
			}
			if to := w.Header().Get("Location"); to != "" && !strings.HasPrefix(to, base+"/") {
				t.Errorf("%s %s redirects to %q", method, path, to)
			}
			return w
		}
		cookie := "__Host-Http-cf=" + b.session("alice", issuer.Request{Carrier: counterfoil.CarrierCookie}, "admin").Access.Reveal()
		signedIn := []string{"Cookie", cookie, "Origin", "https://auth.test"}
		for _, pattern := range b.server.Patterns() {
			method, path, _ := strings.Cut(pattern, " ")
			path = strings.NewReplacer("{id}", "x", "{sid}", "x", "{client}", "x", "{$}", "").Replace(path)
			if path == "/v1/log" || path == "/v1/admin/log/events" {
				continue // they wait
			}
			if w := ask(method, base+path, "", signedIn...); route != pattern {
				t.Errorf("%s %s = %d by the route %q, want %q", method, base+path, w.Code, route, pattern)
			}
			// As it comes from a proxy that takes the path away.
			w, inside := ask(method, path, "", signedIn...), path == "/healthz" || path == "/readyz" || path == "/.well-known/change-password" || strings.HasPrefix(path+"/", base+"/")
			if outside := w.Code == http.StatusNotFound && strings.Contains(w.Body.String(), "This server is below "+base); outside == inside {
				t.Errorf("%s %s = %d %s", method, path, w.Code, w.Body)
			}
		}
		cookie = "__Host-Http-cf=" + b.session("alice", issuer.Request{Carrier: counterfoil.CarrierCookie}).Access.Reveal()
		for path, status := range map[string]int{
			base: http.StatusOK, base + "/": http.StatusOK, base + "/login": http.StatusOK, base + "x/login": http.StatusNotFound,
			base + base + "/login": http.StatusNotFound, base + "/readyz": http.StatusOK, "/readyz": http.StatusOK, "/readyz/x": http.StatusNotFound, base + "/nothing": http.StatusNotFound, base + "//login": http.StatusNotFound,
			"/x" + base + "/login": http.StatusNotFound, "/%61uth/login": http.StatusNotFound, base + "/%6cogin": http.StatusOK,
		} {
			if base == "" {
				break // there is nothing to take away
			}
			if w := ask("GET", path, "", "Cookie", cookie, "Origin", "https://auth.test"); w.Code != status {
				t.Errorf("GET %s = %d, want %d", path, w.Code, status)
			}
		}

		if w := ask("GET", base+"/?cursor=x", ""); !strings.Contains(w.Body.String(), "return_to="+url.QueryEscape(base+"/?cursor=x")) {
			t.Errorf("signed out, the start does not lead back to itself: %s", w.Body)
		}

		// Signing in: the cookies are for the whole host, for the services there, as their names demand.
		w := ask("POST", base+"/login", url.Values{"identifier": {"alice"}, "password": {pass}}.Encode(), "Origin", "https://auth.test")
		if w.Code != http.StatusSeeOther || w.Header().Get("Location") != base+"/" {
			t.Errorf("sign in = %d to %q", w.Code, w.Header().Get("Location"))
		}
		for _, line := range w.Header().Values("Set-Cookie") {
			if !strings.Contains(line, "; Path=/; ") {
				t.Errorf("sets %q", line)
			}
		}

		// What the documents name is there, and RFC 8414 section 3.1 finds the first of them.
		for _, path := range []string{base + "/.well-known/oauth-authorization-server", "/.well-known/oauth-authorization-server" + base} {
			w := ask("GET", path, "")
			var metadata map[string]any
			if err := json.Unmarshal(w.Body.Bytes(), &metadata); err != nil || metadata["issuer"] != "https://auth.test"+base {
				t.Fatalf("GET %s = %d %s", path, w.Code, w.Body)
			}
			for name, value := range metadata {
				text, _ := value.(string)
				if at, found := strings.CutPrefix(text, "https://auth.test"); found && name != "issuer" {
					if w := ask("GET", at, ""); !strings.HasPrefix(at, base+"/") || w.Code == http.StatusNotFound {
						t.Errorf("%s = %s, which is answered %d", name, text, w.Code)
					}
				}
			}
		}
		var document struct{ Servers []struct{ URL string } }
		if w := ask("GET", base+"/openapi.json", ""); json.Unmarshal(w.Body.Bytes(), &document) != nil || len(document.Servers) != 1 || document.Servers[0].URL != "https://auth.test"+base {
			t.Errorf("openapi.json names the servers %v", document.Servers)
		}
		if w := ask("GET", "/.well-known/oauth-authorization-server"+base+"/x", ""); w.Code != http.StatusNotFound {
			t.Errorf("the metadata of another issuer = %d", w.Code)
		}
	}
}

// What is asked for at the root of the host is no path of an issuer.
func TestPathOfTheIssuerIsNoneOfOurs(t *testing.T) {
	b := newBench(t)
	for path, good := range map[string]bool{
		"/.well-known": false, "/.well-known/auth": false, "/healthz": false, "/readyz/x": false,
		"/auth": true, "/login": true, "/v1/x": true, "/x/healthz": true, "/healthzz": true,
	} {
		e, err := server.Open(t.Context(), server.Config{Store: b.db, SealKey: [32]byte{1}, URL: "https://auth.test" + path, Offline: true})
		if (err == nil) != good || err != nil && !strings.Contains(err.Error(), "https://auth.test/auth") {
			t.Errorf("%s: %v", path, err)
		}
		if err == nil {
			must(t, e.Close())
		}
	}
}
