package gateway_test

import (
	"net/http"
	"testing"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/source"
)

// GW-17: no answer is kept: what a credential opens on one route says nothing of another route, nor of
// the next request.
func TestNothingIsKept(t *testing.T) {
	b := newBench(t)
	for _, k := range b.kinds() {
		in := b.issuer.Login("alice", counterfoil.CarrierBearer, "staff")
		token := in.Access.Reveal()
		steps := []struct {
			method, path, token string
			want                int
		}{
			{"GET", "/x", token, 200}, {"GET", "/admin", token, 403}, {"GET", "/x", "", 401}, {"GET", "/x", token, 200}, {"GET", "/fresh", token, 401},
			{"GET", "/public", "", 200}, {"GET", "/x", "", 401}, {"GET", "/public/not", token, 200}, {"POST", "/public/not", token, 403}, {"GET", "/x", token + "x", 401},
			{"GET", "/admin", b.issuer.Token("root", "admin"), 200}, {"GET", "/admin", token, 403},
		}
		for n, s := range steps {
			r := k.ask(s.method, app+s.path)
			if s.token != "" {
				signed(r, s.token)
			}
			if w := answer(k.handler, r); w.Code != s.want {
				t.Errorf("%s: step %d, %s %s = %d, want %d", k.name, n, s.method, s.path, w.Code, s.want)
			}
		}
		b.issuer.Revoke(source.ScopeSession, in.Session.ID)
		if w := answer(k.handler, signed(k.ask("GET", app+"/x"), token)); w.Code != 401 {
			t.Errorf("%s: after the revocation: %d, want 401", k.name, w.Code)
		}
	}
}

// GW-21: a path that ends as a file does is decided by the same route, and no answer may be kept.
func TestPathThatLooksStatic(t *testing.T) {
	b := newBench(t)
	alice := b.issuer.Token("alice")
	for _, suffix := range []string{".css", "/x.css", "/x.js", "/favicon.ico", "/x.png?v=1", ".well-known", "/robots.txt", ".css%20", "/%78.css"} {
		for _, k := range b.kinds() {
			for path, want := range map[string]map[string]int{"/me": {"": 401, alice: 200}, "/admin/me": {"": 401, alice: 403}} {
				for token, want := range want {
					r := k.ask("GET", app+path+suffix)
					if token != "" {
						signed(r, token)
					}
					w := answer(k.handler, r)
					if w.Code != want || w.Result().Header.Get("Cache-Control") != "no-store" {
						t.Errorf("%s: %s%s = %d, %q, want %d and no-store", k.name, path, suffix, w.Code, w.Result().Header.Get("Cache-Control"), want)
					}
				}
			}
		}
	}
}

// CSRF-11: the method is the one of the request, whatever a header or a parameter says.
func TestMethodOverride(t *testing.T) {
	b := newBench(t)
	cookie := b.issuer.Login("alice", counterfoil.CarrierCookie).Access.Reveal()
	for _, k := range b.kinds() {
		for _, c := range []struct {
			method, target string
			header         []string
			want           int
		}{
			{"GET", "/public/not?_method=DELETE", nil, 200},
			{"GET", "/public/not", []string{"X-HTTP-Method-Override", "DELETE"}, 200},
			{"GET", "/public/not", []string{"X-Method-Override", "DELETE"}, 200},
			{"POST", "/public/not?_method=GET", nil, 403},
			{"POST", "/public/not", []string{"X-HTTP-Method", "GET"}, 403},
			{"POST", "/x?_method=GET", nil, 403}, // a cookie, and no page of this service
			{"POST", "/x", []string{"X-HTTP-Method-Override", "GET"}, 403},
			{"GET", "/x", []string{"X_HTTP_Method_Override", "DELETE"}, 400},
		} {
			r := k.ask(c.method, app+c.target)
			r.AddCookie(&http.Cookie{Name: source.InsecureCookieName, Value: cookie})
			for n := 0; n < len(c.header); n += 2 {
				r.Header[http.CanonicalHeaderKey(c.header[n])] = []string{c.header[n+1]}
			}
			want := c.want
			if k.name == "auth-request" && want == 400 {
				want = 403
			}
			if w := answer(k.handler, r); w.Code != want {
				t.Errorf("%s: %s %s %v = %d, want %d", k.name, c.method, c.target, c.header, w.Code, want)
			}
		}
	}
}
