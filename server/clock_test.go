package server_test

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/internal/nodetime"
	"github.com/counterfoil/counterfoil/internal/secret"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/rights"
	"github.com/counterfoil/counterfoil/server"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/memory"
	"github.com/counterfoil/counterfoil/store/storetest"
)

// clocks are those of a world in which real time passes only when a test says so.
type clocks struct {
	*testing.T
	passed time.Duration
	engine time.Duration // error of the store's clock
	store  *storetest.FaultyStore
}

func newClocks(t *testing.T) *clocks {
	c := &clocks{T: t, store: storetest.Faulty(memory.New())}
	c.store.SetClock(func() time.Time { return c.now().Add(c.engine) })
	return c
}

func (c *clocks) now() time.Time { return time.Unix(1_800_000_000, 0).Add(c.passed) }

// node is a server whose wall clock is wrong by off.
type node struct {
	bench
	off time.Duration
}

// node starts a server.
func (c *clocks) node(off time.Duration, s store.Store) *node {
	c.Helper()
	n := &node{off: off}
	var handler http.Handler
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.ServeHTTP(w, r) }))
	c.Cleanup(web.Close)
	n.bench = bench{T: c.T, url: web.URL}
	n.open(server.Config{
		Store: s, SealKey: [32]byte{1}, URL: "http://127.0.0.1:8080", Offline: true, InsecureHashes: true, AccessTTL: 15 * time.Minute,
		Logger: slog.New(slog.DiscardHandler), Audit: func(audit.Entry) {},
		Now: func() time.Time { return c.now().Add(n.off) }, Elapsed: func() time.Duration { return c.passed },
	})
	handler = n.server
	return n
}

// look reads the clocks of n, as a running server does once a second.
func (n *node) look() {
	n.Helper()
	must(n.T, n.clock.Look(n.Context()))
}

// OPS-15: a node whose clock is more than 30 s off from the store's says why it is not ready.
// It issues nothing, and touches no cookie. It lives, serves the log with the right time,
// revokes, and answers for signed tokens. When its clock is right it issues again.
func TestNodeWithAWrongClock(t *testing.T) {
	for _, off := range []time.Duration{45 * time.Second, -45 * time.Second, 10 * time.Minute, -10 * time.Minute, 24 * time.Hour, -24 * time.Hour} {
		t.Run(off.String(), func(t *testing.T) {
			c := newClocks(t)
			n := c.node(0, c.store)
			user, err := n.users.Register(t.Context(), rights.Owner(), audit.Act{}, "alice", "", secret.New(pass), nil)
			must(t, err)
			sign := func(carrier counterfoil.Carrier) *issuer.Issued {
				return n.session(user.ID, issuer.Request{Carrier: carrier})
			}
			cookie, jwt, bearer, ended := sign(counterfoil.CarrierCookie), sign(counterfoil.CarrierJWTCookie), sign(counterfoil.CarrierBearer), sign(counterfoil.CarrierCookie)
			key := []string{"Authorization", "Bearer " + n.key}
			jwtCookies := []string{"Cookie", source.InsecureCookieName + "=" + jwt.Access.Reveal() + "; " + source.InsecureRefreshCookieName + "=" + jwt.Refresh.Reveal(), "Origin", "http://127.0.0.1:8080"}
			login := `{"identifier":"alice","password":"` + pass + `"}`

			c.passed += time.Minute
			n.off = off
			n.look()
			entries := func() (p source.Page) {
				t.Helper()
				res, body := n.call("GET", "/v1/log", "", key...)
				if err := json.Unmarshal([]byte(body), &p); err != nil || res.StatusCode != http.StatusOK {
					t.Fatalf("the log = %d %s", res.StatusCode, body)
				}
				return p
			}
			if p := entries(); p.Time.Sub(c.now()).Abs() > time.Second {
				t.Errorf("the page tells %v, want the time of the store, %v", p.Time, c.now())
			}
			refused := func(what, method, path, body string, header ...string) string {
				t.Helper()
				res, text := n.call(method, path, body, header...)
				if res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") == "" || len(res.Header.Values("Set-Cookie")) > 0 {
					t.Errorf("%s = %d %v %s, want 503 and no cookie", what, res.StatusCode, res.Header, text)
				}
				return text
			}
			if text := refused("readiness", "GET", "/readyz", ""); !strings.Contains(text, "clock of this node") || !strings.Contains(text, "set right") {
				t.Errorf("readiness does not say why, and what to do: %s", text)
			}
			refused("login", "POST", "/v1/login", login)
			refused("refresh by cookie", "POST", "/v1/refresh", "", jwtCookies...)
			refused("refresh by token", "POST", "/oauth/token", "grant_type=refresh_token&refresh_token="+bearer.Refresh.Reveal())
			refused("step-up", "POST", "/v1/session/step-up", `{"password":"`+pass+`"}`, "Authorization", "Bearer "+bearer.Access.Reveal())
			refused("a look-up that makes a copy", "POST", "/oauth/introspect", "token="+cookie.Access.Reveal(), key...)
			refused("the page", "POST", "/login", "identifier=alice&password="+strings.ReplaceAll(pass, " ", "+"), "Origin", "http://127.0.0.1:8080")

			goesOn := func(what, method, path, body string, header ...string) string {
				t.Helper()
				res, text := n.call(method, path, body, header...)
				if res.StatusCode >= 300 {
					t.Errorf("%s = %d %s", what, res.StatusCode, text)
				}
				return text
			}
			goesOn("life", "GET", "/healthz", "")
			if text := goesOn("introspection", "POST", "/oauth/introspect", "token="+bearer.Access.Reveal(), key...); !strings.Contains(text, `"active":true`) {
				t.Errorf("introspection of a good token = %s", text)
			}
			goesOn("logout", "POST", "/v1/logout", "", "Cookie", source.InsecureCookieName+"="+ended.Access.Reveal(), "Origin", "http://127.0.0.1:8080")
			goesOn("revoke", "POST", "/v1/admin/revocations", `{"scope":"session","id":"`+jwt.Session.ID+`"}`, key...)
			if p := entries(); len(p.Entries) != 2 {
				t.Errorf("the log has %d entries, want both that were made", len(p.Entries))
			}
			must(t, n.issuer.Sweep(t.Context()))
			if p := entries(); len(p.Entries) != 2 {
				t.Errorf("%d entries are left after a sweep", len(p.Entries))
			}

			n.off = 0
			n.look()
			goesOn("readiness", "GET", "/readyz", "")
			goesOn("login", "POST", "/v1/login", login)
			goesOn("refresh by token", "POST", "/oauth/token", "grant_type=refresh_token&refresh_token="+bearer.Refresh.Reveal())
			goesOn("session", "GET", "/v1/session", "", "Cookie", source.InsecureCookieName+"="+cookie.Access.Reveal())
		})
	}
}

// OPS-15: a token that has expired only by a time that is in doubt is not refused.
func TestNothingExpiresByAClockInDoubt(t *testing.T) {
	c := newClocks(t)
	s := c.node(0, c.store).session("alice", issuer.Request{Carrier: counterfoil.CarrierBearer})
	c.engine = 24 * time.Hour
	c.passed += 10 * time.Minute // nobody remembered the time meanwhile
	n := c.node(0, c.store)
	if res, body := n.call("POST", "/oauth/introspect", "token="+s.Access.Reveal(), "Authorization", "Bearer "+n.key); res.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("introspection = %d %s, want 503", res.StatusCode, body)
	}
}

// SES-15, OPS-15: a login that is old only by a time that is in doubt is not sent to a step-up,
// which this node could not make.
func TestNoLoginIsOldByAClockInDoubt(t *testing.T) {
	c := newClocks(t)
	s := c.node(0, c.store).session("alice", issuer.Request{Carrier: counterfoil.CarrierCookie})
	c.engine = 30 * time.Minute
	c.passed += 10 * time.Minute // nobody remembered the time meanwhile
	n := c.node(0, c.store)
	header := []string{"Cookie", source.InsecureCookieName + "=" + s.Access.Reveal(), "Origin", "http://127.0.0.1:8080"}
	for _, method := range []string{"GET", "DELETE"} {
		if res, body := n.call(method, "/v1/sessions", "", header...); res.StatusCode != http.StatusServiceUnavailable || len(res.Cookies()) > 0 {
			t.Errorf("%s = %d %s, cookies %v, want 503", method, res.StatusCode, body, res.Cookies())
		}
	}
}

// REV-13: a node whose clock is ahead sweeps nothing that a verifier still needs, running or
// after a restart, with a clock of the store or without.
func TestSweepsByNoWrongClock(t *testing.T) {
	for _, engine := range []bool{true, false} {
		for _, restarted := range []bool{true, false} {
			for _, off := range []time.Duration{10 * time.Minute, 20 * time.Minute, 24 * time.Hour} {
				c := newClocks(t)
				if !engine {
					c.store.SetClock(nil)
				}
				n := c.node(0, c.store)
				c.passed += nodetime.Settled
				n.look()
				must(t, n.issuer.Sweep(t.Context()))
				s := n.session("alice", issuer.Request{Carrier: counterfoil.CarrierBearer})
				_, err := n.issuer.Revoke(t.Context(), source.ScopeSession, s.Session.ID, audit.Act{})
				must(t, err)
				if restarted {
					n = c.node(off, c.store)
				}
				n.off = off
				for range 15 { // while its token is alive
					c.passed += time.Minute
					n.look()
					must(t, n.issuer.Sweep(t.Context()))
				}
				page, err := n.issuer.Log(t.Context(), source.Follow{})
				must(t, err)
				if len(page.Entries) != 1 || !page.Entries[0].Covers(s.Session.Names()) {
					t.Errorf("engine %v, restarted %v, %v ahead: the entry is gone", engine, restarted, off)
				}
				n.off = 0
				for range 30 {
					c.passed += time.Minute
					n.look()
					must(t, n.issuer.Sweep(t.Context()))
				}
				page, err = n.issuer.Log(t.Context(), source.Follow{})
				must(t, err)
				if left := len(page.Entries); left > 0 && (engine || !restarted) {
					t.Errorf("engine %v, restarted %v, %v ahead: the entry is kept for ever", engine, restarted, off)
				}
			}
		}
	}
}

// REV-13: an entry outlives a token that a node dated a day ahead, because its clock was, and
// no store could tell.
func TestEntryOutlivesWhatIsDatedAhead(t *testing.T) {
	c := newClocks(t)
	c.store.SetClock(nil)
	ahead, right := c.node(24*time.Hour, c.store), c.node(0, c.store)
	s := ahead.session("alice", issuer.Request{Carrier: counterfoil.CarrierBearer})
	if s.Session.Expires.Before(c.now().Add(24 * time.Hour)) {
		t.Fatalf("the token expires %v: the clock was not ahead", s.Session.Expires)
	}
	for name, end := range map[source.Scope]string{source.ScopeToken: s.Session.TokenID, source.ScopeSession: s.Session.ID} {
		_, err := right.issuer.Revoke(t.Context(), name, end, audit.Act{})
		must(t, err)
	}
	page, err := right.issuer.Log(t.Context(), source.Follow{})
	must(t, err)
	for _, e := range page.Entries {
		if e.Expires.Before(s.Session.Expires.Add(time.Minute)) { // the largest leeway
			t.Errorf("the entry of %s expires %v before the token", e.Scope, s.Session.Expires.Sub(e.Expires))
		}
	}
	if len(page.Entries) != 2 {
		t.Errorf("the log has %d entries", len(page.Entries))
	}
}

// REV-13: the same if the node that is ahead dates its first token while the revocation is on
// its way to the store.
func TestHorizonMovesDuringARevocation(t *testing.T) {
	c := newClocks(t)
	c.store.SetClock(nil)
	right := c.node(0, c.store)
	right.session("alice", issuer.Request{Carrier: counterfoil.CarrierBearer})
	var s *issuer.Issued
	c.store.Inject(storetest.Fault{Op: storetest.OpCommit, Kind: "subject", Times: 1, Slow: true, Before: func() {
		s = c.node(24*time.Hour, c.store).session("alice", issuer.Request{Carrier: counterfoil.CarrierBearer})
	}})
	_, err := right.issuer.Revoke(t.Context(), source.ScopeSubject, "alice", audit.Act{})
	must(t, err)
	page, err := right.issuer.Log(t.Context(), source.Follow{})
	must(t, err)
	if s == nil || len(page.Entries) != 1 || !page.Entries[0].Covers(s.Session.Names()) {
		t.Fatalf("the log is %+v, want one entry that covers %+v", page, s)
	}
	if e := page.Entries[0]; e.Expires.Before(s.Session.Expires.Add(time.Minute)) {
		t.Errorf("the entry expires %v before the token", s.Session.Expires.Sub(e.Expires))
	}
}

// A clock that was set back by ten minutes, as an operator vouches for, brings nothing back:
// copies from before count no longer, and sessions go on.
func TestClockWasSetBack(t *testing.T) {
	c := newClocks(t)
	c.store.SetClock(nil)
	n := c.node(time.Hour, c.store)
	s := n.session("alice", issuer.Request{Carrier: counterfoil.CarrierBearer})
	c.passed += nodetime.Settled
	n.look()
	must(t, n.issuer.Sweep(t.Context()))

	behind := c.node(0, c.store)
	if res, body := behind.call("GET", "/readyz", ""); res.StatusCode != http.StatusServiceUnavailable || !strings.Contains(body, "--clock-was-set-back") {
		t.Errorf("without a word of the operator readiness = %d %s", res.StatusCode, body)
	}
	again := func(vouched bool) *server.Embedded {
		t.Helper()
		e, err := server.Open(t.Context(), server.Config{
			Store: c.store, SealKey: [32]byte{1}, URL: "http://127.0.0.1:8080", Offline: true, InsecureHashes: true, ClockWasSetBack: vouched,
			Logger: slog.New(slog.DiscardHandler), Audit: func(audit.Entry) {}, Now: c.now, Elapsed: func() time.Duration { return c.passed },
		})
		must(t, err)
		return e
	}
	e := again(true)
	if _, err := e.Issuer().Lookup(t.Context(), s.Access.Reveal()); err == nil {
		t.Error("a copy from before counts")
	}
	if _, err := e.Issuer().Refresh(t.Context(), s.Refresh.Reveal(), issuer.Renewal{}); err != nil {
		t.Errorf("Refresh = %v: the session has ended", err)
	}
	before, err := e.Issuer().Head(t.Context())
	must(t, err)
	next, err := again(true).Issuer().Head(t.Context()) // the flag was left where it is
	if err != nil || next != before {
		t.Errorf("Head after another start = %v, %v, want %v", next, err, before)
	}
	if err := again(false).Clock().Err(); err != nil {
		t.Errorf("the next start = %v", err)
	}
}
