package gateway_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/counterfoiltest"
	"github.com/counterfoil/counterfoil/gateway"
	"github.com/counterfoil/counterfoil/source"
)

// bff is a gateway in front of a service that verifies tokens by the root package, and of a browser
// app with a cookie.
type bff struct {
	*proxied
	cookie    string
	in        *counterfoil.Session
	gateway   *gateway.Gateway
	exchanges atomic.Int64
	down      atomic.Bool // nothing is exchanged
}

// newBFF starts a service whose answers are as answer makes them, which gets the token.
func newBFF(t *testing.T, answer func(w http.ResponseWriter, r *http.Request, token string)) *bff {
	is := counterfoiltest.New(t)
	b := &bff{proxied: &proxied{T: t, issuer: is}}
	register(t, is, "orders", `{"audience":["https://orders.test"],"scopes":["read"]}`)
	remote, err := counterfoil.Remote(is.URL, counterfoil.RemoteOptions{Credential: is.APIKey})
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := counterfoil.NewVerifier(t.Context(), remote, counterfoil.Options{Issuer: is.URL, Audience: "https://orders.test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(verifier.Close)
	service := httptest.NewServer(verifier.Require(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.mu.Lock()
		b.got = append(b.got, r.Clone(r.Context()))
		b.mu.Unlock()
		answer(w, r, strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
	}), counterfoil.RequireScope("read")))
	t.Cleanup(service.Close)
	var h http.Handler
	b.web = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.ServeHTTP(w, r) }))
	t.Cleanup(b.web.Close)
	b.origin = b.web.URL
	exchange, err := gateway.RemoteExchange(is.URL, is.APIKey, nil)
	if err != nil {
		t.Fatal(err)
	}
	g, err := gateway.New(gateway.Options{
		Verifier: is.Verifier(), TrustedProxies: loopback,
		Routes: []gateway.Route{{Origin: b.origin, Prefix: "/api", Upstreams: []string{service.URL}, BFF: "orders"}},
		Exchange: func(ctx context.Context, cookie, client string) (gateway.Token, error) {
			if b.exchanges.Add(1); b.down.Load() {
				return gateway.Token{}, errors.New("down")
			}
			return exchange(ctx, cookie, client)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	h, b.gateway = g.Proxy(), g
	b.signIn("alice")
	return b
}

// register makes a client at the auth server.
func register(t *testing.T, is *counterfoiltest.Issuer, id, settings string) {
	t.Helper()
	r, err := http.NewRequest("PUT", is.URL+"/v1/admin/clients/"+id, strings.NewReader(settings))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+is.APIKey)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if body, _ := io.ReadAll(res.Body); res.StatusCode != http.StatusOK {
		t.Fatalf("register %s = %d %s", id, res.StatusCode, body)
	}
}

func (b *bff) signIn(subject string) {
	issued := b.issuer.Login(subject, counterfoil.CarrierCookie, "staff")
	b.in, b.cookie = issued.Session, issued.Access.Reveal()
}

// browse sends a request of the app.
func (b *bff) browse(method, path string, header ...string) *http.Response {
	b.Helper()
	return b.ask(method, path, "", append([]string{"Cookie", "theme=dark; cf=" + b.cookie}, header...)...)
}

// GW-14, GW-26, CSRF-01: a browser app has a cookie and no token. The service gets a token of its own
// client, which a verifier accepts, and whatever it does with it, no header of an answer shows it to
// the browser.
func TestBFF(t *testing.T) {
	b := newBFF(t, func(w http.ResponseWriter, r *http.Request, token string) {
		h := w.Header()
		h.Set("Trailer", "X-Late")
		h.Set("Access-Control-Allow-Origin", "https://evil.test")
		h.Set("Access-Control-Allow-Credentials", "true")
		h.Set("X-Token", "it is "+token)
		h.Add("Set-Cookie", "seen=1")
		h.Add("Set-Cookie", "token="+token)
		h.Set("Link", "<x>; rel=preload; title="+token)
		w.WriteHeader(http.StatusEarlyHints)
		h.Set("Link", "<x>; rel=preload")
		h.Set("X-Fine", "yes")
		s, _ := counterfoil.FromContext(r.Context())
		fmt.Fprint(w, s.Subject)
		w.(http.Flusher).Flush()
		h.Set("X-Late", token)
	})
	const many = 50
	var all sync.WaitGroup
	for range many {
		all.Go(func() {
			res := b.browse("POST", "/api/x?y", "Origin", b.origin, "Authorization", "Basic eDp5", "Content-Length", "0")
			if res.StatusCode != http.StatusOK && res.StatusCode != http.StatusEarlyHints {
				t.Error(res.Status)
			}
		})
	}
	all.Wait()
	if n := b.exchanges.Load(); n != 1 {
		t.Errorf("%d exchanges for %d requests of one browser, want 1", n, many)
	}
	token := ""
	for _, r := range b.reached() {
		scheme, value, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		if token = value; scheme != "Bearer" || len(r.Header["Authorization"]) != 1 || r.Header.Get("Cookie") != "theme=dark" || r.Header.Get("Counterfoil-Subject") != "alice" {
			t.Fatalf("the service gets %v", r.Header)
		}
	}
	answers := b.whole("GET /api/x HTTP/1.1\r\nHost: " + strings.TrimPrefix(b.origin, "http://") + "\r\nCookie: cf=" + b.cookie + "\r\nTE: trailers\r\nConnection: close\r\n\r\n")
	for _, want := range []string{"HTTP/1.1 103", "HTTP/1.1 200", "X-Fine: yes", "Cross-Origin-Resource-Policy: same-origin", "alice"} {
		if !strings.Contains(answers, want) {
			t.Errorf("the answer lacks %q:\n%s", want, answers)
		}
	}
	for _, never := range []string{token, "Access-Control", "X-Token", "evil"} {
		if strings.Contains(answers, never) {
			t.Errorf("the browser gets %q:\n%s", never, answers)
		}
	}

	// When the roles change, the service gets a token that says so; when the session ends, none.
	b.issuer.SetRoles("alice", "manager")
	if res := b.browse("GET", "/api/x", "Sec-Fetch-Site", "same-origin"); res.StatusCode/100 > 2 {
		t.Fatalf("after a change of roles: %d", res.StatusCode)
	}
	got := b.reached()
	if now := strings.TrimPrefix(got[len(got)-1].Header.Get("Authorization"), "Bearer "); now == token || !strings.Contains(payload(now), "manager") {
		t.Errorf("after a change of roles the service gets the token of before")
	}
	b.issuer.Revoke(source.ScopeSession, b.in.ID)
	if res := b.browse("GET", "/api/x"); res.StatusCode != http.StatusUnauthorized || len(b.reached()) != 0 {
		t.Errorf("a revoked session = %d, want 401", res.StatusCode)
	}
}

func payload(token string) string {
	parts := strings.Split(token, ".")
	data, _ := base64.RawURLEncoding.DecodeString(parts[1%len(parts)])
	return string(data)
}

// whole sends bytes, and returns all that comes back.
func (b *bff) whole(text string) string {
	b.Helper()
	conn, err := net.Dial("tcp", b.web.Listener.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, text); err != nil {
		b.Fatal(err)
	}
	data, err := io.ReadAll(conn)
	if err != nil {
		b.Fatal(err)
	}
	return string(data)
}

// CSRF-01, CSRF-12, GW-19, GW-26: neither a page of another origin reaches the service with the token of a
// visitor, nor does a visitor choose another service. A proxy that asks gets no token for it.
func TestBFFRefuses(t *testing.T) {
	b := newBFF(t, func(w http.ResponseWriter, _ *http.Request, _ string) { fmt.Fprint(w, "reached") })
	host := strings.TrimPrefix(b.origin, "http://")
	for _, c := range []struct {
		want   int
		method string
		header []string
	}{
		{200, "GET", nil}, // a browser without Fetch Metadata
		{200, "GET", []string{"Sec-Fetch-Site", "same-origin"}},
		{200, "GET", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"}},
		{200, "DELETE", []string{"Sec-Fetch-Site", "same-origin", "Origin", b.origin}},
		{403, "GET", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "cors"}},
		{403, "GET", []string{"Sec-Fetch-Site", "same-site", "Sec-Fetch-Mode", "cors"}},
		{403, "GET", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "script"}},
		{403, "GET", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "iframe"}},
		{403, "GET", []string{"Origin", "https://evil.test"}},
		{403, "GET", []string{"Origin", "null"}},
		{403, "GET", []string{"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Site", "same-origin"}},
		{403, "DELETE", nil},
		{403, "DELETE", []string{"Origin", "https://evil.test"}},
		{403, "DELETE", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"}},
		{403, "GET", []string{"Upgrade", "websocket", "Connection", "Upgrade", "Origin", "https://evil.test"}},
	} {
		if res := b.browse(c.method, "/api/x", c.header...); res.StatusCode != c.want {
			t.Errorf("%s %v = %d, want %d", c.method, c.header, res.StatusCode, c.want)
		}
	}
	b.reached()
	for _, line := range []string{
		"GET http://evil.test/api/x HTTP/1.1\r\nHost: evil.test", "GET http://evil.test/api/x HTTP/1.1\r\nHost: " + host, "GET //evil.test/api/x HTTP/1.1\r\nHost: " + host,
		"GET /api/../x HTTP/1.1\r\nHost: " + host, "GET /api/..%2fx HTTP/1.1\r\nHost: " + host, "GET /api//evil.test HTTP/1.1\r\nHost: " + host, "GET /api/%2e%2e/x HTTP/1.1\r\nHost: " + host,
		`GET /api/\evil.test HTTP/1.1` + "\r\nHost: " + host, "GET /api/x#@evil.test HTTP/1.1\r\nHost: " + host, "GET /api/x HTTP/1.1\r\nHost: evil.test", "GET /api/x HTTP/1.1\r\nHost: " + host + "@evil.test",
		"GET /api/x HTTP/1.1\r\nHost: " + host + "\r\nHost: evil.test", "GET @evil.test/api/x HTTP/1.1\r\nHost: " + host, "CONNECT evil.test:443 HTTP/1.1\r\nHost: evil.test:443", "TRACE /api/x HTTP/1.1\r\nHost: " + host,
	} {
		res := b.raw(line + "\r\nCookie: cf=" + b.cookie + "\r\nX-Forwarded-Host: evil.test\r\n\r\n")
		if res.StatusCode != 400 && res.StatusCode != 403 && res.StatusCode != 501 || len(b.reached()) != 0 {
			t.Errorf("%q = %d, want 400 or 403", line, res.StatusCode)
		}
	}
	for name, header := range map[string][]string{"nobody": nil, "a token": {"Authorization", "Bearer " + b.issuer.Token("alice")}} {
		if res := b.ask("GET", "/api/x", "", header...); res.StatusCode != 401 || len(b.reached()) != 0 {
			t.Errorf("%s = %d, want 401", name, res.StatusCode)
		}
	}
	asked := httptest.NewRequest("GET", "/forward-auth", nil)
	asked.RemoteAddr = "127.0.0.1:1"
	asked.Header = http.Header{
		"X-Forwarded-Method": {"GET"}, "X-Forwarded-Proto": {"http"}, "X-Forwarded-Host": {host}, "X-Forwarded-Uri": {"/api/x"},
		"Cookie": {"cf=" + b.cookie}, "Sec-Fetch-Site": {"same-origin"},
	}
	w := httptest.NewRecorder()
	b.gateway.ForwardAuth().ServeHTTP(w, asked)
	if w.Code != 403 || b.exchanges.Load() != 1 {
		t.Errorf("a proxy that asks gets %d, want 403", w.Code)
	}
}

// An auth server that is down does not sign anybody out: who has a token goes on, and others get 503.
func TestBFFOutage(t *testing.T) {
	b := newBFF(t, func(w http.ResponseWriter, _ *http.Request, _ string) { fmt.Fprint(w, "reached") })
	if res := b.browse("GET", "/api/x"); res.StatusCode != 200 {
		t.Fatal(res.Status)
	}
	b.down.Store(true)
	if res := b.browse("GET", "/api/x"); res.StatusCode != 200 {
		t.Errorf("with a token that lives = %d", res.StatusCode)
	}
	b.signIn("bob")
	res := b.browse("GET", "/api/x")
	if body, _ := io.ReadAll(res.Body); res.StatusCode != 503 || res.Header.Get("Retry-After") != "1" || res.Header["Set-Cookie"] != nil || !strings.Contains(string(body), "no-token") {
		t.Errorf("without = %d %v %s, want 503", res.StatusCode, res.Header, body)
	}
}

// A route for a browser app is refused if it cannot be what it says.
func TestBFFRoutes(t *testing.T) {
	for text, want := range map[string]string{
		"bff: orders, upstreams: [\"http://127.0.0.1:1\"]": "",
		"bff: orders": "upstreams",
		"bff: orders, upstreams: [\"http://127.0.0.1:1\"], anonymous: true":          "everybody",
		"bff: orders, upstreams: [\"http://127.0.0.1:1\"], strip_credentials: false": "credentials",
		"bff: orders, upstreams: [\"http://127.0.0.1:1\"], carriers: [bearer]":       "cookies",
		"bff: orders, upstreams: [\"http://127.0.0.1:1\"], carriers: [cookie]":       "",
		"bff: orders, upstreams: [\"http://127.0.0.1:1\", \"https://127.0.0.1:2\"]":  "",
	} {
		routes, err := gateway.ReadRoutes([]byte("routes:\n- {origin: \"https://app.test\", prefix: /, " + text + "}"))
		if err == nil {
			err = gateway.Check(routes)
		}
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want an error with %q", text, err, want)
		}
	}
}

// jwt is a token of a session, as far as a gateway reads it.
func jwt(session string, n int64) string {
	return fmt.Sprintf("e30.%s.sig%d", base64.RawURLEncoding.EncodeToString([]byte(`{"sid":"`+session+`"}`)), n)
}

// A token is renewed after two thirds of its life while requests go on with it, once for all that ask.
// It is sent no more when it is about to end, and what failed is asked again after a second.
func TestBFFTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const life = 300 * time.Second
		var asked atomic.Int64
		var down, other atomic.Bool
		tokens := gateway.NewTokens(func(ctx context.Context, cookie, client string) (gateway.Token, error) {
			n := asked.Add(1)
			time.Sleep(time.Second)
			switch {
			case down.Load():
				return gateway.Token{}, errors.New("down")
			case other.Load():
				return gateway.Token{Value: jwt("ses_other", n), Life: life}, nil
			}
			return gateway.Token{Value: jwt(strings.TrimPrefix(cookie, "cookie of "), n), Life: life}, nil
		})
		s := &counterfoil.Session{ID: "ses_1", Born: counterfoil.Cursor{Epoch: 1, Seq: 1}}
		get := func(s *counterfoil.Session) (string, error) { return tokens.Of(t.Context(), s) }
		want := func(what string, n, total int64) {
			t.Helper()
			synctest.Wait() // for what ends just now
			if got, err := get(s); err != nil || got != jwt(s.ID, n) {
				t.Errorf("%s: %q, %v, want token %d", what, got, err, n)
			}
			synctest.Wait()
			if asked.Load() != total {
				t.Errorf("%s: %d exchanges, want %d", what, asked.Load(), total)
			}
		}
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				if got, err := get(s); err != nil || got != jwt(s.ID, 1) {
					t.Errorf("many at once: %q, %v, want token 1", got, err)
				}
			})
		}
		all.Wait()
		want("after many at once", 1, 1)
		time.Sleep(life*2/3 - 2*time.Second)
		want("before two thirds", 1, 1)
		time.Sleep(2 * time.Second)
		want("after two thirds, at once", 1, 2)
		time.Sleep(time.Second)
		want("renewed", 2, 2)

		down.Store(true)
		time.Sleep(life * 2 / 3)
		want("the auth server is down", 2, 3)
		time.Sleep(time.Second)
		want("within a second", 2, 3)
		time.Sleep(time.Second)
		want("asked again", 2, 4)
		time.Sleep(life/3 - 6*time.Second)
		want("shortly before its end", 2, 5)
		time.Sleep(4 * time.Second)
		if got, err := get(s); err == nil {
			t.Errorf("a token that has ended: %q", got)
		}
		down.Store(false)
		time.Sleep(time.Second)
		want("it is back", 7, 7)

		tokens.Doubt(s, jwt(s.ID, 7))
		want("refused by the service when it was new", 7, 7)
		time.Sleep(10 * time.Second)
		tokens.Doubt(s, jwt(s.ID, 1))
		want("an older one was refused", 7, 7)
		tokens.Doubt(s, jwt(s.ID, 7))
		want("refused by the service", 8, 8)

		s = &counterfoil.Session{ID: "ses_1", Born: counterfoil.Cursor{Epoch: 1, Seq: 2}} // its roles are others
		want("another copy", 9, 9)
		other.Store(true)
		if got, err := get(&counterfoil.Session{ID: "ses_2"}); err == nil {
			t.Errorf("a token of another session: %q", got)
		}
	})
}

// GW-16: an auth server that takes questions and does not answer keeps no request waiting, however many
// sessions need a token at once.
func TestBFFAuthServerHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tokens := gateway.NewTokens(func(ctx context.Context, _, _ string) (gateway.Token, error) {
			<-ctx.Done()
			return gateway.Token{}, ctx.Err()
		})
		begun := time.Now()
		var all sync.WaitGroup
		for n := range 100 {
			all.Go(func() {
				if got, err := tokens.Of(t.Context(), &counterfoil.Session{ID: fmt.Sprint("ses_", n)}); err == nil {
					t.Errorf("session %d: %q, and nothing was exchanged", n, got)
				}
			})
		}
		all.Wait()
		if waited := time.Since(begun); waited > 5*time.Second {
			t.Errorf("the last request waited for %v, want at most 5s", waited)
		}
	})
}

// What is kept has a bound, and goes when it has ended.
func TestBFFTokensAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tokens := gateway.NewTokens(func(_ context.Context, cookie, _ string) (gateway.Token, error) {
			return gateway.Token{Value: jwt(strings.TrimPrefix(cookie, "cookie of "), 1), Life: time.Minute}, nil
		})
		get := func(n int) {
			if _, err := tokens.Of(t.Context(), &counterfoil.Session{ID: fmt.Sprint("ses_", n)}); err != nil {
				t.Fatal(err)
			}
		}
		for n := range gateway.MostTokens + 100 {
			get(n)
		}
		if n := tokens.Kept(); n > gateway.MostTokens {
			t.Errorf("%d are kept, want at most %d", n, gateway.MostTokens)
		}
		time.Sleep(time.Minute)
		get(-1)
		if n := tokens.Kept(); n != 1 {
			t.Errorf("%d are kept, and all but one have ended", n)
		}
	})
}
