package counterfoil_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/source"
)

var nothing = http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})

// Every refusal x cookie and header: status, problem type, challenge, and whether
// the cookie is taken away (SES-08, SES-18, SES-19, SES-24; RFC 6750, 9457, 9470).
func TestRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScripted(t)
		v := follow(t, s, counterfoil.Options{Origins: []string{issuerURL}})
		defer v.Close()
		maxAge, acr := counterfoil.Fresh(5*time.Minute), counterfoil.ACR("phr", "mfa")
		old := claims()
		old.AuthTime -= 3600
		old.ID = "tok_old"
		good, aged := s.sign(t, "at+jwt", claims()), s.sign(t, "at+jwt", old)
		gone := claims()
		gone.SID, gone.Subject = "ses_gone", "bob"
		revoked := s.sign(t, "at+jwt", gone)
		gone.SID, gone.Subject = "ses_stale", "carol"
		changed := s.sign(t, "at+jwt", gone)
		ended := claims()
		ended.IssuedAt, ended.Expires = ended.IssuedAt-600, ended.Expires-600
		expired := s.sign(t, "at+jwt", ended)
		dead := s.opaque("ses_gone")
		s.revoke(source.ScopeSession, "ses_gone")
		s.revoke(source.ScopeClaims, "carol")
		synctest.Wait()
		name := source.CookieName
		for _, c := range []struct {
			what, access string
			rule         counterfoil.Rule
			status       int
			kind         string
			challenge    string // of the header; a cookie's client gets none
			cleared      bool   // if it came by cookie
		}{
			{"good", good, counterfoil.Fresh(time.Minute), 200, "", "", false},
			{"junk", "x", nil, 401, "invalid-token", `Bearer error="invalid_token"`, true},
			{"revoked", revoked, nil, 401, "invalid-token", `Bearer error="invalid_token"`, true},
			{"dead opaque", dead, nil, 401, "invalid-token", `Bearer error="invalid_token"`, true},
			{"expired", expired, nil, 401, "invalid-token", `Bearer error="invalid_token"`, false},
			{"claims changed", changed, nil, 401, "stale-claims", `Bearer error="invalid_token"`, false},
			{"too old", aged, maxAge, 401, "step-up", `Bearer error="insufficient_user_authentication", error_description="More recent authentication is required", max_age="300"`, false},
			{"too weak", good, acr, 401, "step-up", `Bearer error="insufficient_user_authentication", error_description="A different authentication level is required", acr_values="phr mfa"`, false},
			{"role", good, counterfoil.Role("admin"), 403, "forbidden", "", false},
			{"scope", good, counterfoil.RequireScope("x"), 403, "forbidden", "", false},
		} {
			for _, carrier := range []counterfoil.Carrier{counterfoil.CarrierBearer, counterfoil.CarrierJWTCookie} {
				var rules []counterfoil.Rule
				if c.rule != nil {
					rules = append(rules, c.rule)
				}
				w := httptest.NewRecorder()
				v.Require(nothing, rules...).ServeHTTP(w, request(carrier, c.access))
				h, cookie := w.Header(), carrier.Transport == counterfoil.Cookie
				if w.Code != c.status {
					t.Errorf("%s by %v: status %d, want %d", c.what, carrier, w.Code, c.status)
				}
				if w.Code == 200 {
					continue
				}
				var body struct {
					Type   string
					Status int
					MaxAge int    `json:"max_age"`
					ACR    string `json:"acr_values"`
				}
				if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil || body.Type != "urn:counterfoil:problem:"+c.kind || body.Status != c.status {
					t.Errorf("%s by %v: %s", c.what, carrier, w.Body)
				}
				if strings.Contains(c.challenge, "max_age") != (body.MaxAge == 300) || strings.Contains(c.challenge, "acr_values") != (body.ACR == "phr mfa") {
					t.Errorf("%s by %v: %s", c.what, carrier, w.Body)
				}
				if got := h.Get("WWW-Authenticate"); cookie && got != "" || !cookie && got != c.challenge {
					t.Errorf("%s by %v: WWW-Authenticate %q, want %q", c.what, carrier, got, c.challenge)
				}
				if h.Get("Cache-Control") != "no-store" || h.Get("Vary") != "Cookie, Authorization, Origin, Sec-Fetch-Site, Counterfoil-Min-Cursor" || h.Get("Content-Type") != "application/problem+json" {
					t.Errorf("%s by %v: %v", c.what, carrier, h)
				}
				want := ""
				if cookie && c.cleared {
					want = name + "=; Path=/; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:01 GMT; Secure; HttpOnly; SameSite=Lax"
				}
				if got := h.Get("Set-Cookie"); got != want {
					t.Errorf("%s by %v: Set-Cookie %q, want %q", c.what, carrier, got, want)
				}
			}
		}
		// SES-08: an attacker planted one of two, and it cannot be known which.
		r := request(counterfoil.CarrierJWTCookie, good)
		r.Header.Set("Cookie", name+"="+good+"; "+name+"="+good)
		w := httptest.NewRecorder()
		v.Require(nothing).ServeHTTP(w, r)
		if w.Code != 401 || w.Header().Get("Set-Cookie") == "" {
			t.Errorf("two cookies: %d, %v", w.Code, w.Header())
		}
		// An outage never takes a cookie away.
		s.set(func() { s.down = counterfoil.ErrUnavailable })
		for _, wait := range []time.Duration{time.Second, 11 * time.Second} {
			time.Sleep(wait)
			w := httptest.NewRecorder()
			v.Require(nothing).ServeHTTP(w, request(counterfoil.CarrierCookie, s.opaque("ses_new")))
			if w.Code != 503 || w.Header().Get("Set-Cookie") != "" || w.Header().Get("Retry-After") == "" {
				t.Errorf("an outage: %d, %v", w.Code, w.Header())
			}
		}
	})
}

// TOK-34: a route that takes one transport does not see the other.
func TestRouteTransport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScripted(t)
		v := follow(t, s, counterfoil.Options{})
		defer v.Close()
		access, id := s.sign(t, "at+jwt", claims()), s.opaque("ses_2")
		both := request(counterfoil.CarrierBearer, access)
		both.Header.Set("Cookie", source.CookieName+"="+id)
		for _, c := range []struct {
			name  string
			route counterfoil.Route
			want  counterfoil.Carrier
			err   error
		}{
			{"any", counterfoil.Route{}, counterfoil.Carrier{}, source.ErrMultipleCredentials},
			{"header", counterfoil.Route{Transport: counterfoil.Header}, counterfoil.CarrierBearer, nil},
			{"cookie", counterfoil.Route{Transport: counterfoil.Cookie}, counterfoil.CarrierCookie, nil},
			{"header, opaque", counterfoil.Route{Transport: counterfoil.Header, Formats: []counterfoil.Format{counterfoil.Opaque}}, counterfoil.Carrier{}, counterfoil.ErrInvalidToken},
			{"a rule", counterfoil.Route{Transport: counterfoil.Header, Rules: []counterfoil.Rule{counterfoil.Role("x")}}, counterfoil.Carrier{}, counterfoil.ErrForbidden},
		} {
			for range 2 {
				got, err := v.With(c.route).VerifyRequest(both)
				if !errors.Is(err, c.err) || (err == nil) != (got != nil) || (got != nil && got.Carrier != c.want) {
					t.Errorf("%s: %+v, %v, want %v, %v", c.name, got, err, c.want, c.err)
				}
			}
		}
	})
}

// A copy for one origin is good at the routes that list it, and at no other: a service that sees it
// can use it nowhere else (TOK-21).
func TestCopyForOneOrigin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScripted(t)
		v := follow(t, s, counterfoil.Options{})
		defer v.Close()
		id := s.opaque("ses_1")
		s.set(func() { s.sessions[id].Origin = "https://here.test" })
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Cookie", source.CookieName+"="+id)
		for origin, want := range map[string]error{"https://here.test": nil, "https://there.test": counterfoil.ErrInvalidToken, "": counterfoil.ErrInvalidToken} {
			route := counterfoil.Route{}
			if origin != "" {
				route.Origins = []string{origin}
			}
			for _, policy := range []counterfoil.StalePolicy{counterfoil.FailClosed(), counterfoil.Introspect()} {
				route.Stale = policy
				for range 2 {
					if got, err := v.With(route).VerifyRequest(r); !errors.Is(err, want) || err == nil && got.Origin != origin {
						t.Errorf("%q, %v: %v, want %v", origin, policy, err, want)
					}
				}
			}
		}
		if _, err := v.Verify(t.Context(), id); !errors.Is(err, counterfoil.ErrInvalidToken) {
			t.Errorf("Verify: %v, want ErrInvalidToken", err)
		}
		w := httptest.NewRecorder()
		if v.Require(nothing).ServeHTTP(w, r); w.Code != 401 || w.Header().Get("Set-Cookie") != "" {
			t.Errorf("elsewhere: %d %v; the cookie is good, and stays", w.Code, w.Header())
		}
	})
}

// REV-20: what /debug/revocation shows.
func TestStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScripted(t)
		v := follow(t, s, counterfoil.Options{})
		defer v.Close()
		_, _ = v.Verify(t.Context(), s.sign(t, "at+jwt", claims()))
		_, _ = v.Verify(t.Context(), "junk")
		_, _ = v.VerifyRequest(httptest.NewRequest("GET", "/", nil))
		head := s.revoke(source.ScopeSession, "ses_2")
		synctest.Wait()
		time.Sleep(100 * time.Millisecond)
		st := v.Status()
		if st.Epoch != epoch || st.Applied != head || st.Entries != 1 || st.Seen != 1 || st.Keys != 1 || st.Policy != "fail_closed" ||
			st.Stale || st.Staleness != 100*time.Millisecond || st.Refused["invalid"] != 1 || st.Refused["no_credential"] != 1 || st.Refused["revoked"] != 0 {
			t.Errorf("Status = %+v", st)
		}
		w := httptest.NewRecorder()
		v.ServeDebug(w, nil)
		var shown map[string]any
		if err := json.Unmarshal(w.Body.Bytes(), &shown); err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]any{"applied": head.String(), "staleness_seconds": 0.1, "entries": 1.0, "policy": "fail_closed", "stale": false} {
			if shown[name] != want {
				t.Errorf("%s = %v, want %v", name, shown[name], want)
			}
		}
	})
}

// P1 and P3 under the race detector: while many verify, sessions end. No session is
// accepted after the verifier has applied its end, and no
// session is refused that has not ended (P2). Sessions, a subject and an epoch end.
func TestConcurrentRevocation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScripted(t)
		v := follow(t, s, counterfoil.Options{MaxSeen: 64}) // small: entries are evicted all the time
		defer v.Close()
		const sessions = 100
		access := make([]string, sessions)
		var revoked, known [sessions]atomic.Bool // begun, and applied
		for i := range access {
			c := claims()
			c.SID = "ses_" + string(rune('A'+i%26)) + string(rune('a'+i/26))
			access[i] = s.sign(t, "at+jwt", c)
		}
		sid := func(i int) string { return "ses_" + string(rune('A'+i%26)) + string(rune('a'+i/26)) }
		var all sync.WaitGroup
		stop := make(chan struct{})
		for g := range 8 {
			all.Go(func() {
				for i := g; ; i = (i + 7) % sessions {
					select {
					case <-stop:
						return
					default:
					}
					before := known[i].Load()
					_, err := v.Verify(t.Context(), access[i])
					after := revoked[i].Load()
					switch {
					case err == nil && before:
						t.Errorf("%s is accepted after its end was applied", sid(i))
					case err != nil && !after:
						t.Errorf("%s is refused, and has not ended: %v", sid(i), err)
					}
				}
			})
		}
		for i := 0; i < sessions; i += 2 {
			revoked[i].Store(true)
			if err := v.WaitFor(t.Context(), s.revoke(source.ScopeSession, sid(i))); err != nil {
				t.Fatal(err)
			}
			known[i].Store(true)
		}
		for i := range revoked {
			revoked[i].Store(true)
		}
		if err := v.WaitFor(t.Context(), s.revoke(source.ScopeSubject, "alice")); err != nil {
			t.Fatal(err)
		}
		for i := range known {
			known[i].Store(true)
		}
		next := counterfoil.Cursor{Epoch: 0xfeed, Seq: 1}
		s.set(func() { s.head, s.entries = next, nil })
		if err := v.WaitFor(t.Context(), next); err != nil {
			t.Fatal(err)
		}
		close(stop)
		all.Wait()
	})
}

// SES-18: a cookie that another service or route takes is left, and junk is taken away.
func TestCookieThatIsGoodElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScripted(t)
		v := follow(t, s, counterfoil.Options{MaxLifetime: 10 * time.Minute})
		defer v.Close()
		elsewhere, long := claims(), claims()
		elsewhere.Audience = []string{"https://other.test"}
		long.Expires += 600
		for _, c := range []struct {
			name, access string
			route        counterfoil.Route
			cleared      bool
		}{
			{"another audience", s.sign(t, "at+jwt", elsewhere), counterfoil.Route{}, false},
			{"made for longer than this service takes", s.sign(t, "at+jwt", long), counterfoil.Route{}, false},
			{"another format", s.sign(t, "at+jwt", claims()), counterfoil.Route{Formats: []counterfoil.Format{counterfoil.Opaque}}, false},
			{"another's signature", sign(t, newSigner(t, "k1"), "at+jwt", claims()), counterfoil.Route{}, true},
			{"junk", "junk", counterfoil.Route{}, true},
		} {
			w := httptest.NewRecorder()
			v.With(c.route).Require(http.NotFoundHandler()).ServeHTTP(w, request(counterfoil.CarrierJWTCookie, c.access))
			if got := w.Header().Get("Set-Cookie") != ""; w.Code != 401 || got != c.cleared {
				t.Errorf("%s: %d, cleared %v, want 401 and %v", c.name, w.Code, got, c.cleared)
			}
		}
	})
}
