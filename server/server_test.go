package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/accounts"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/clients"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/internal/nodetime"
	"github.com/counterfoil/counterfoil/internal/secret"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/rights"
	"github.com/counterfoil/counterfoil/server"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store/memory"
)

const pass = "a long and quiet afternoon"

type bench struct {
	*testing.T
	url, key string
	db       *memory.Store
	users    *accounts.Accounts
	issuer   *issuer.Issuer
	server   *server.Server
	embedded *server.Embedded
	clock    *nodetime.Clock
	box      *letterbox
	seen     sync.Map      // operations that were granted
	log      *bytes.Buffer // everything that was logged; read it when nothing runs
}

// newBench is the whole server over a memory store, with the user alice and a key
// that may do everything.
func newBench(t *testing.T) *bench {
	t.Helper()
	var handler http.Handler
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.ServeHTTP(w, r) }))
	t.Cleanup(web.Close)
	b := assemble(t, server.Config{URL: web.URL, Registration: true})
	handler = b.server
	return b
}

// assemble is the server without a listener, and with nothing in the background.
func assemble(t *testing.T, c server.Config) *bench {
	t.Helper()
	db := memory.New()
	t.Cleanup(func() { db.Close() })
	b := &bench{T: t, url: c.URL, db: db, log: new(bytes.Buffer), box: &letterbox{store: db}}
	if c.Post == nil {
		c.Post = b.box
	}
	if c.Post == (noPost{}) {
		c.Post = nil
	}
	c.Store, c.SealKey, c.Offline, c.InsecureHashes = db, [32]byte{1}, true, true
	c.Methods = []login.Method{riddle{}}
	c.Logger = slog.New(slog.NewJSONHandler(&guarded{w: b.log}, &slog.HandlerOptions{Level: slog.LevelDebug}))
	b.open(c)
	_, err := b.users.Register(t.Context(), rights.Owner(), audit.Act{}, "alice", "Alice", secret.New(pass), nil)
	must(t, err)
	b.client("app", clients.Client{Opens: clients.OpensAccount})
	b.client("console", clients.Client{Opens: clients.OpensAdministration})
	return b
}

// noPost says that a bench sends no mail.
type noPost struct{ accounts.Post }

// open makes the server of c, and a key that may do everything.
func (b *bench) open(c server.Config) {
	c.Hosts = append(c.Hosts, "example.com") // of httptest.NewRequest
	b.Helper()
	e, err := server.Open(b.Context(), c)
	must(b.T, err)
	b.Cleanup(func() { _ = e.Close() })
	b.embedded = e
	b.issuer, b.users, b.server, b.clock = e.Issuer(), e.Users(), e.Server, e.Clock()
	_, key, err := b.users.NewKey(b.Context(), rights.Owner(), audit.Act{}, directory.APIKey{Client: "bench", Scopes: []string{"admin", "revocation:read", "introspect"}})
	must(b.T, err)
	b.key = key.Reveal()
	_, err = b.users.Authenticate(b.Context(), b.key) // notes its use: in tests that count what is written, no request does
	must(b.T, err)
}

func (b *bench) client(id string, c clients.Client) {
	b.Helper()
	must(b.T, b.issuer.Clients().Set(b.Context(), rights.Owner(), id, audit.Act{}, func(into *clients.Client) { *into = c }))
}

// guarded lets one writer in at a time.
type guarded struct {
	mu sync.Mutex
	w  io.Writer
}

func (g *guarded) Write(data []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.w.Write(data)
}

// session makes a session of subject without a password: hashing is not what most
// tests are about.
func (b *bench) session(subject string, r issuer.Request, roles ...string) *issuer.Issued {
	b.Helper()
	rev, err := b.issuer.SubjectRev(b.Context(), subject)
	must(b.T, err)
	got, err := b.issuer.Login(b.Context(), login.Proof{Subject: subject, Methods: []string{"pwd"}, At: time.Now(), SubjectRev: rev, Roles: roles}, r)
	must(b.T, err)
	return got
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// call sends a JSON body (or a form, if it does not begin with "{") and returns
// the answer with its body read.
func (b *bench) call(method, path, body string, header ...string) (*http.Response, string) {
	b.Helper()
	r, err := http.NewRequestWithContext(b.Context(), method, b.url+path, strings.NewReader(body))
	must(b.T, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if strings.HasPrefix(body, "{") {
		r.Header.Set("Content-Type", "application/json")
	}
	for n := 0; n < len(header); n += 2 {
		r.Header.Add(header[n], header[n+1])
	}
	res, err := http.DefaultClient.Do(r)
	must(b.T, err)
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	must(b.T, err)
	b.conform(method, path, body, r.Header, res.StatusCode, res.Header, string(data))
	return res, string(data)
}

type issued struct {
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
	Session struct {
		ID      string   `json:"id"`
		Client  string   `json:"client"`
		Carrier string   `json:"carrier"`
		Methods []string `json:"amr"`
	} `json:"session"`
	cookies []*http.Cookie
}

func (b *bench) issued(res *http.Response, body string) issued {
	b.Helper()
	if res.StatusCode != http.StatusOK {
		b.Fatalf("%s = %d %s", res.Request.URL.Path, res.StatusCode, body)
	}
	var got issued
	must(b.T, json.Unmarshal([]byte(body), &got))
	got.cookies = res.Cookies()
	return got
}

func (i issued) cookieHeader() string {
	var all []string
	for _, c := range i.cookies {
		if c.MaxAge >= 0 { // others are taken away
			all = append(all, c.Name+"="+c.Value)
		}
	}
	return strings.Join(all, "; ")
}

func (b *bench) login(carrier string) issued {
	b.Helper()
	return b.issued(b.call("POST", "/v1/login", `{"identifier":"alice","password":"`+pass+`","carrier":"`+carrier+`"}`))
}

func (b *bench) verifier() *counterfoil.Verifier {
	b.Helper()
	source, err := counterfoil.Remote(b.url, counterfoil.RemoteOptions{Credential: b.key})
	must(b.T, err)
	v, err := counterfoil.NewVerifier(b.Context(), source, counterfoil.Options{Issuer: b.url, Audience: b.url})
	must(b.T, err)
	b.Cleanup(func() { v.Close() })
	return v
}

func TestEveryCarrier(t *testing.T) {
	b := newBench(t)
	v := b.verifier()
	for _, carrier := range []string{"cookie", "bearer", "jwt-cookie", "jwe"} {
		t.Run(carrier, func(t *testing.T) {
			cookie := strings.HasSuffix(carrier, "cookie")
			got := b.login(carrier)
			if cookie && (got.Access != "" || got.Refresh != "") {
				t.Fatal("tokens of a cookie carrier are in the body")
			}
			credential := func(i issued) string {
				for _, c := range i.cookies {
					if c.Name == source.InsecureCookieName {
						return c.Value
					}
				}
				return i.Access
			}
			s, err := v.Verify(t.Context(), credential(got))
			if err != nil || s.ID != got.Session.ID {
				t.Fatalf("Verify = %v, %v; want session %s", s, err, got.Session.ID)
			}

			next := got
			switch carrier {
			case "bearer", "jwe":
				next = b.issued(b.call("POST", "/v1/refresh", `{"refresh_token":"`+got.Refresh+`"}`))
			case "jwt-cookie":
				next = b.issued(b.call("POST", "/v1/refresh", `{}`, "Cookie", got.cookieHeader(), "Origin", b.url))
			}
			if s, err = v.Verify(t.Context(), credential(next)); err != nil || s.ID != got.Session.ID {
				t.Fatalf("Verify after refresh = %v, %v; want session %s", s, err, got.Session.ID)
			}

			res, body := b.call("POST", "/v1/admin/revocations", `{"scope":"session","id":"`+s.ID+`"}`, "Authorization", "Bearer "+b.key)
			if res.StatusCode != http.StatusOK || !strings.Contains(body, `"cursor":"`) {
				t.Fatalf("revoke = %d %s", res.StatusCode, body)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			for err = nil; !errors.Is(err, counterfoil.ErrInvalidToken); _, err = v.Verify(ctx, credential(next)) {
				if ctx.Err() != nil {
					t.Fatalf("Verify after revocation = %v, want %v", err, counterfoil.ErrRevoked)
				}
			}
		})
	}
}

func TestCrossSiteIsRefused(t *testing.T) {
	b := newBench(t)
	got := b.login("cookie")
	for name, header := range map[string][]string{
		"cross-site":  {"Sec-Fetch-Site", "cross-site"},
		"same-site":   {"Sec-Fetch-Site", "same-site"},
		"null origin": {"Origin", "null"},
		"no header":   nil,
	} {
		res, body := b.call("POST", "/v1/logout", "", append(header, "Cookie", got.cookieHeader())...)
		if res.StatusCode != http.StatusForbidden {
			t.Errorf("%s: logout = %d %s, want 403", name, res.StatusCode, body)
		}
	}
	if res, _ := b.call("GET", "/v1/session", "", "Cookie", got.cookieHeader()); res.StatusCode != http.StatusOK {
		t.Errorf("session after refused logouts = %d", res.StatusCode)
	}
	res, _ := b.call("POST", "/v1/login", `{"identifier":"alice","password":"`+pass+`"}`, "Origin", "https://evil.test")
	if res.StatusCode != http.StatusForbidden {
		t.Errorf("cross-site login = %d, want 403", res.StatusCode)
	}
	res, _ = b.call("POST", "/v1/logout", "", "Cookie", got.cookieHeader(), "Sec-Fetch-Site", "same-origin")
	if res.StatusCode != http.StatusNoContent || len(res.Cookies()) != 2 {
		t.Errorf("logout = %d with %d cookies, want 204 with 2 deletions", res.StatusCode, len(res.Cookies()))
	}
	if res, _ := b.call("GET", "/v1/session", "", "Cookie", got.cookieHeader()); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("session after logout = %d, want 401", res.StatusCode)
	}
}

func TestLoginRefusalsAreAlike(t *testing.T) {
	b := newBench(t)
	unknown, body1 := b.call("POST", "/v1/login", `{"identifier":"nobody","password":"`+pass+`"}`)
	wrong, body2 := b.call("POST", "/v1/login", `{"identifier":"alice","password":"not the one at all"}`)
	if unknown.StatusCode != http.StatusUnauthorized || wrong.StatusCode != http.StatusUnauthorized || body1 != body2 {
		t.Errorf("unknown = %d %s\nwrong = %d %s", unknown.StatusCode, body1, wrong.StatusCode, body2)
	}
}

func TestStrictBodies(t *testing.T) {
	b := newBench(t)
	for body, want := range map[string]int{
		`{"identifier":"a","identifier":"b"}`:                  http.StatusBadRequest,
		`{"identifier":"a","surprise":1}`:                      http.StatusBadRequest,
		`{"identifier":"` + strings.Repeat("a", 65<<10) + `"}`: http.StatusRequestEntityTooLarge,
		`identifier=alice`:                                     http.StatusUnsupportedMediaType,
	} {
		res, got := b.call("POST", "/v1/login", body)
		if res.StatusCode != want {
			t.Errorf("login %.40s = %d %s, want %d", body, res.StatusCode, got, want)
		}
	}
	if res, _ := b.call("GET", "/v1/logout", ""); res.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("GET /v1/logout = %d, want 405", res.StatusCode)
	}
}

func TestPages(t *testing.T) {
	b := newBench(t)
	res, body := b.call("GET", "/", "", "Cookie", b.login("cookie").cookieHeader())
	if res.StatusCode != http.StatusOK || !strings.Contains(body, "Sign out") {
		t.Errorf("home = %d %s", res.StatusCode, body)
	}
	if csp := res.Header.Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'") {
		t.Errorf("CSP = %q", csp)
	}
}
