package counterfoil_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/server"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store/memory"
)

const issuerURL = "https://auth.test"

// cuttable is an issuer behind a network that can fail, or answer late.
type cuttable struct {
	*issuer.Issuer
	cut   atomic.Bool
	delay atomic.Int64 // nanoseconds
}

func (c *cuttable) Log(ctx context.Context, f source.Follow) (source.Page, error) {
	if c.cut.Load() {
		return source.Page{}, counterfoil.ErrUnavailable
	}
	page, err := c.Issuer.Log(ctx, f)
	time.Sleep(time.Duration(c.delay.Load())) // in a synctest bubble: no real time passes
	return page, err
}

func newIssuer(t *testing.T) *issuer.Issuer {
	t.Helper()
	auth, err := server.Open(t.Context(), server.Config{
		Store: memory.New(), URL: issuerURL, SealKey: [32]byte{1}, Logger: slog.New(slog.DiscardHandler), Offline: true, InsecureHashes: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	return auth.Issuer()
}

func newVerifier(t *testing.T, from counterfoil.Source) *counterfoil.Verifier {
	t.Helper()
	v, err := counterfoil.NewVerifier(t.Context(), from, counterfoil.Options{Issuer: issuerURL, Audience: issuerURL})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func signIn(t *testing.T, i *issuer.Issuer, c counterfoil.Carrier) *issuer.Issued {
	t.Helper()
	rev, err := i.SubjectRev(t.Context(), "alice")
	if err != nil {
		t.Fatal(err)
	}
	issued, err := i.Login(t.Context(), login.Proof{Subject: "alice", At: time.Now(), SubjectRev: rev, Roles: []string{"staff"}}, issuer.Request{Carrier: c})
	if err != nil {
		t.Fatal(err)
	}
	return issued
}

var presets = []counterfoil.Carrier{
	counterfoil.CarrierCookie, counterfoil.CarrierBearer, counterfoil.CarrierJWTCookie, counterfoil.CarrierJWE,
}

// The promise: a session that was accepted is refused once it is revoked, by
// every carrier; and the next login is good in the same instant (REV-12).
func TestRevokedEverywhere(t *testing.T) {
	for _, carrier := range presets {
		synctest.Test(t, func(t *testing.T) {
			i := newIssuer(t)
			v := newVerifier(t, i)
			defer v.Close()
			issued := signIn(t, i, carrier)
			access := issued.Access.Reveal()
			for range 2 { // first sight, and seen before
				if s, err := v.Verify(t.Context(), access); err != nil || s.Subject != "alice" || !s.HasRole("staff") {
					t.Fatalf("%v: Verify = %v, %v", carrier, s, err)
				}
			}
			if _, err := i.Revoke(t.Context(), source.ScopeSubject, "alice", audit.Act{}); err != nil {
				t.Fatal(err)
			}
			next := signIn(t, i, carrier)
			synctest.Wait() // everything that can happen without time passing has happened
			if s, err := v.Verify(t.Context(), access); !errors.Is(err, counterfoil.ErrInvalidToken) || s != nil {
				t.Errorf("%v: Verify after the revocation = %v, %v, want ErrInvalidToken", carrier, s, err)
			}
			if _, err := v.Verify(t.Context(), next.Access.Reveal()); err != nil {
				t.Errorf("%v: Verify of a login made after it = %v", carrier, err)
			}
		})
	}
}

// REV-04, REV-15: within the bound the verifier goes on without its issuer, and
// beyond it refuses to guess; when the issuer is back, so is the session.
func TestStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		auth := &cuttable{Issuer: newIssuer(t)}
		v := newVerifier(t, auth)
		defer v.Close()
		access := signIn(t, auth.Issuer, counterfoil.CarrierBearer).Access.Reveal()
		if _, err := v.Verify(t.Context(), access); err != nil {
			t.Fatal(err)
		}
		auth.cut.Store(true)
		time.Sleep(7 * time.Second)
		if _, err := v.Verify(t.Context(), access); err != nil {
			t.Errorf("Verify within the bound = %v", err)
		}
		time.Sleep(5 * time.Second)
		if _, err := v.Verify(t.Context(), access); !errors.Is(err, counterfoil.ErrStale) || errors.Is(err, counterfoil.ErrInvalidToken) {
			t.Errorf("Verify beyond the bound = %v, want ErrStale", err)
		}
		auth.cut.Store(false)
		time.Sleep(10 * time.Second)
		if _, err := v.Verify(t.Context(), access); err != nil {
			t.Errorf("Verify after the heal = %v", err)
		}
	})
}

// REV-05: an answer that was on its way for longer than the bound proves
// nothing, however recently it arrived.
func TestLateAnswerIsNotFresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		auth := &cuttable{Issuer: newIssuer(t)}
		v := newVerifier(t, auth)
		defer v.Close()
		access := signIn(t, auth.Issuer, counterfoil.CarrierBearer).Access.Reveal()
		auth.delay.Store(int64(30 * time.Second))
		time.Sleep(65 * time.Second)
		if _, err := v.Verify(t.Context(), access); !errors.Is(err, counterfoil.ErrStale) {
			t.Errorf("Verify = %v, want ErrStale", err)
		}
	})
}

// REV-07: no verifier before the first complete reading.
func TestColdStart(t *testing.T) {
	auth := &cuttable{Issuer: newIssuer(t)}
	auth.cut.Store(true)
	if v, err := counterfoil.NewVerifier(t.Context(), auth, counterfoil.Options{Issuer: issuerURL, Audience: issuerURL}); err == nil || v != nil {
		t.Errorf("NewVerifier without a log = %v, %v, want an error", v, err)
	}
}

// TOK-21: a verifier without audience does not start; another audience, another
// issuer is refused.
func TestIssuerAndAudience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer(t)
		access := signIn(t, i, counterfoil.CarrierBearer).Access.Reveal()
		for _, o := range []counterfoil.Options{{Issuer: issuerURL}, {Audience: issuerURL}} {
			if _, err := counterfoil.NewVerifier(t.Context(), i, o); err == nil {
				t.Errorf("NewVerifier(%+v) = nil error", o)
			}
		}
		for _, o := range []counterfoil.Options{
			{Issuer: issuerURL, Audience: "https://auth"}, {Issuer: issuerURL, Audience: issuerURL + "/"}, {Issuer: issuerURL + "/a", Audience: issuerURL},
		} {
			v, err := counterfoil.NewVerifier(t.Context(), i, o)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := v.Verify(t.Context(), access); !errors.Is(err, counterfoil.ErrInvalidToken) {
				t.Errorf("%+v: Verify = %v, want ErrInvalidToken", o, err)
			}
			v.Close()
		}
	})
}

// REV-18: a live connection ends with its session.
func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer(t)
		v := newVerifier(t, i)
		defer v.Close()
		s, err := v.Verify(t.Context(), signIn(t, i, counterfoil.CarrierBearer).Access.Reveal())
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := v.Watch(t.Context(), s)
		defer stop()
		if ctx.Err() != nil {
			t.Fatal("cancelled before the revocation")
		}
		if _, err := i.Revoke(t.Context(), source.ScopeSession, s.ID, audit.Act{}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if !errors.Is(context.Cause(ctx), counterfoil.ErrRevoked) {
			t.Errorf("Cause = %v, want ErrRevoked", context.Cause(ctx))
		}
	})
}

// wait=all: when it has returned, no verifier accepts (4.7).
func TestWaitAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer(t)
		auth := &cuttable{Issuer: i}
		healthy, partitioned := newVerifier(t, i), newVerifier(t, auth)
		defer healthy.Close()
		defer partitioned.Close()
		time.Sleep(time.Minute) // past the time in which verifiers may be unknown
		issued := signIn(t, i, counterfoil.CarrierBearer)
		for _, v := range []*counterfoil.Verifier{healthy, partitioned} {
			if _, err := v.Verify(t.Context(), issued.Access.Reveal()); err != nil {
				t.Fatal(err)
			}
		}
		auth.cut.Store(true)
		receipt, err := i.Revoke(t.Context(), source.ScopeSession, issued.Session.ID, audit.Act{})
		if err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		if ok, err := i.Feed().WaitAll(t.Context(), receipt.At); !ok || err != nil {
			t.Fatalf("WaitAll = %v, %v", ok, err)
		}
		if waited := time.Since(begun); waited > 11*time.Second {
			t.Errorf("WaitAll took %v, want at most the bound", waited)
		}
		for _, v := range []*counterfoil.Verifier{healthy, partitioned} {
			if _, err := v.Verify(t.Context(), issued.Access.Reveal()); err == nil {
				t.Error("accepted after WaitAll returned")
			}
		}
	})
}

// TOK-33, TOK-34, SES-08, SES-09, CSRF-01, CSRF-02, CSRF-03, CSRF-04, CSRF-08,
// CSRF-12, by the answer's status.
func TestRequire(t *testing.T) {
	i := newIssuer(t)
	v := newVerifier(t, i)
	defer v.Close()
	handler := v.Require(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s, ok := counterfoil.FromContext(r.Context()); !ok || s.Subject != "alice" {
			t.Errorf("FromContext = %v, %v", s, ok)
		}
	}), counterfoil.Role("staff"))
	jwt := signIn(t, i, counterfoil.CarrierBearer).Access.Reveal()
	cookie := source.CookieName + "=" + signIn(t, i, counterfoil.CarrierCookie).Access.Reveal()
	for _, c := range []struct {
		name, method, target string
		header               http.Header
		want                 int
	}{
		{"bearer", "POST", "/", http.Header{"Authorization": {"Bearer " + jwt}}, 200},
		{"cookie", "GET", "/", http.Header{"Cookie": {cookie}}, 200},
		{"none", "GET", "/", nil, 401},
		{"in the query", "GET", "/?access_token=" + jwt, nil, 401},
		{"bearer in lower case, several spaces", "GET", "/", http.Header{"Authorization": {"bearer    " + jwt + "  "}}, 200},
		{"bearer, cookies too long to be read", "GET", "/", http.Header{"Authorization": {"Bearer " + jwt}, "Cookie": {strings.Repeat("a=b; ", 5000) + cookie}}, 200},
		{"bearer, an empty cookie", "GET", "/", http.Header{"Authorization": {"Bearer " + jwt}, "Cookie": {source.CookieName + "="}}, 200},
		{"an empty field, a cookie", "GET", "/", http.Header{"Authorization": {""}, "Cookie": {cookie}}, 200},
		{"an empty cookie, a cookie", "GET", "/", http.Header{"Cookie": {source.CookieName + "=; " + cookie}}, 200},
		{"two headers", "GET", "/", http.Header{"Authorization": {"Bearer " + jwt, "Bearer " + jwt}}, 400},
		{"header and cookie", "GET", "/", http.Header{"Authorization": {"Bearer " + jwt}, "Cookie": {cookie}}, 400},
		{"two cookies", "GET", "/", http.Header{"Cookie": {cookie + "; " + cookie}}, 401},
		{"odd space before the name", "GET", "/", http.Header{"Cookie": {"\u2000" + cookie}}, 401},
		{"same origin", "POST", "/", http.Header{"Cookie": {cookie}, "Sec-Fetch-Site": {"same-origin"}}, 200},
		{"own origin", "POST", "/", http.Header{"Cookie": {cookie}, "Origin": {issuerURL}}, 200},
		{"no header", "POST", "/", http.Header{"Cookie": {cookie}}, 403},
		{"same site", "POST", "/", http.Header{"Cookie": {cookie}, "Sec-Fetch-Site": {"same-site"}}, 403},
		{"cross site", "POST", "/", http.Header{"Cookie": {cookie}, "Sec-Fetch-Site": {"cross-site"}, "Origin": {"https://evil.test"}}, 403},
		{"other scheme", "POST", "/", http.Header{"Cookie": {cookie}, "Origin": {"http://auth.test"}}, 403},
		{"null origin", "POST", "/", http.Header{"Cookie": {cookie}, "Origin": {"null"}}, 403},
		{"WebSocket from elsewhere", "GET", "/", http.Header{"Cookie": {cookie}, "Upgrade": {"websocket"}, "Origin": {"https://evil.test"}}, 403},
		{"WebSocket from nowhere", "GET", "/", http.Header{"Cookie": {cookie}, "Upgrade": {"websocket"}}, 403},
		{"WebSocket", "GET", "/", http.Header{"Cookie": {cookie}, "Upgrade": {"websocket"}, "Origin": {issuerURL}}, 200},
		{"WebSocket by header", "GET", "/", http.Header{"Authorization": {"Bearer " + jwt}, "Upgrade": {"websocket"}}, 200},
		{"stream from elsewhere", "GET", "/", http.Header{"Cookie": {cookie}, "Accept": {"text/event-stream"}, "Sec-Fetch-Site": {"same-site"}}, 403},
		{"stream from elsewhere, one type of several", "GET", "/", http.Header{"Cookie": {cookie}, "Accept": {"*/*, Text/Event-Stream;q=0.5"}, "Sec-Fetch-Site": {"same-site"}}, 403},
		{"stream", "GET", "/", http.Header{"Cookie": {cookie}, "Accept": {"text/event-stream"}, "Sec-Fetch-Site": {"same-origin"}}, 200},
		{"stream without a browser", "GET", "/", http.Header{"Cookie": {cookie}, "Accept": {"text/event-stream"}}, 200},
		{"junk", "GET", "/", http.Header{"Authorization": {"Bearer a.b.c"}}, 401},
		{"basic", "GET", "/", http.Header{"Authorization": {"Basic YTpi"}}, 401},
	} {
		r := httptest.NewRequest(c.method, c.target, nil)
		for name, values := range c.header {
			r.Header[name] = values
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if w.Code != c.want {
			t.Errorf("%s: status %d, want %d: %s", c.name, w.Code, c.want, w.Body)
		}
	}
}
