package server_test

import (
	"cmp"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/server"
)

// The trail is told of each proof that was refused, and of each that came too early, once
// and without what was typed. It is not told of an outage, which says nothing about a proof.
func TestTrailIsToldOfRefusals(t *testing.T) {
	var mu sync.Mutex // guards refused
	var refused []audit.Entry
	begun, later := time.Now(), atomic.Int64{}
	var handler http.Handler
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.ServeHTTP(w, r) }))
	t.Cleanup(web.Close)
	b := assemble(t, server.Config{URL: web.URL, Registration: true, Now: func() time.Time { return begun.Add(time.Duration(later.Load())) }, Audit: func(e audit.Entry) {
		mu.Lock()
		defer mu.Unlock()
		if e.Outcome == audit.Refused {
			refused = append(refused, e)
		}
	}})
	handler = b.server
	alice := b.login("bearer")
	u, err := b.users.ByIdentifier(t.Context(), "alice")
	must(t, err)
	self := audit.BySubject(u.ID)
	var account string // what stands for alice
	const wrong = `"password":"not this one at all"`
	told := func(what string, want ...audit.Entry) {
		t.Helper()
		mu.Lock()
		defer mu.Unlock()
		same := slices.EqualFunc(refused, want, func(got, want audit.Entry) bool {
			if want.Action == audit.Login {
				account = cmp.Or(account, got.Detail)
			}
			named := want.Action != audit.Login || got.Detail == account && account != "" && !strings.Contains(strings.ToLower(account), "alice")
			return got.Action == want.Action && got.By == want.By && got.Session == want.Session && got.Reason != "" && named
		})
		if !same {
			t.Errorf("%s: told of %+v, want %+v", what, refused, want)
		}
		refused = nil
	}
	login := audit.Entry{Action: audit.Login, By: audit.ByUnknown}
	up := audit.Entry{Action: audit.StepUp, By: self, Session: alice.Session.ID}

	b.call("POST", "/v1/login", `{"identifier":" ALICE",`+wrong+`}`)
	told("a wrong password", login)
	b.call("POST", "/v1/session/step-up", `{`+wrong+`}`, alice.credential()...)
	told("a wrong password of a step-up", up)
	b.call("POST", "/v1/password", `{"current":"not this one at all","next":"another long afternoon"}`, alice.credential()...)
	told("a wrong password of a change", audit.Entry{Action: audit.ChangePassword, By: self})

	b.riddled()
	attempt, _ := b.challenged(b.call("POST", "/v1/login", `{"identifier":"alice","method":"riddle","carrier":"bearer"}`))
	b.call("POST", "/v1/login/continue", answering(attempt, "a fish"))
	told("a wrong answer", login)
	attempt, _ = b.challenged(b.call("POST", "/v1/session/step-up", `{"method":"riddle"}`, alice.credential()...))
	b.call("POST", "/v1/login/continue", answering(attempt, "a fish"), alice.credential()...)
	told("a wrong answer of a step-up", up)

	for n := range 20 { // more than an account has, and more than an address
		b.call("POST", "/v1/login", `{"identifier":"alice",`+wrong+`}`)
		b.call("POST", "/v1/login", fmt.Sprintf(`{"identifier":"nobody%d",%s}`, n, wrong))
	}
	mu.Lock()
	refused = nil
	mu.Unlock()
	b.call("POST", "/v1/login", `{"identifier":"alice","password":"`+pass+`"}`)
	told("a login too early", audit.Entry{Action: audit.Limit, By: audit.ByUnknown})
	b.call("POST", "/v1/session/step-up", `{"password":"`+pass+`"}`, alice.credential()...)
	told("a step-up too early", audit.Entry{Action: audit.Limit, By: self, Session: alice.Session.ID})
	b.call("POST", "/v1/password", `{"current":"`+pass+`","next":"another long afternoon"}`, alice.credential()...)
	told("a change too early", audit.Entry{Action: audit.Limit, By: self})
	b.call("POST", "/v1/register", `{"identifier":"bob","password":"`+pass+`"}`)
	told("a registration too early", audit.Entry{Action: audit.Limit, By: audit.ByUnknown})

	later.Store(int64(2 * time.Minute)) // nobody has to wait any more, and the session lives
	attempt, _ = b.challenged(b.call("POST", "/v1/login", `{"identifier":"alice","method":"riddle","carrier":"bearer"}`))
	must(t, b.db.Close())
	b.call("POST", "/v1/login", `{"identifier":"alice","password":"`+pass+`"}`)
	b.call("POST", "/v1/login/continue", answering(attempt, "a fish"))
	b.call("POST", "/v1/session/step-up", `{"password":"`+pass+`"}`, alice.credential()...)
	told("an outage")
}

// The trail is told who asked for administration in vain, and of requests that another site made.
func TestTrailIsToldOfDenied(t *testing.T) {
	var mu sync.Mutex // guards told
	var told []audit.Entry
	b := assemble(t, server.Config{URL: "https://auth.test", Audit: func(e audit.Entry) {
		mu.Lock()
		defer mu.Unlock()
		if e.Action == audit.Deny || e.Action == audit.CrossSite {
			told = append(told, e)
		}
	}})
	alice := "Bearer " + b.session("alice", issuer.Request{Carrier: counterfoil.CarrierBearer}).Access.Reveal()
	if w := b.answer("GET", "/v1/admin/users", "", "Authorization", alice); w.Code != http.StatusForbidden {
		t.Errorf("administration by a user = %d", w.Code)
	}
	cookie := "__Host-Http-cf=" + b.session("alice", issuer.Request{Carrier: counterfoil.CarrierCookie}).Access.Reveal()
	if w := b.answer("GET", "/v1/admin/users", "", "Cookie", cookie); w.Code != http.StatusForbidden { // the client may, the user may not
		t.Errorf("administration by a user's page = %d", w.Code)
	}
	helper := b.session("helper", issuer.Request{}, "support").Access.Reveal()
	boss := b.session("boss", issuer.Request{}, "admin").Session.ID
	if w := b.answer("DELETE", "/v1/admin/sessions/"+boss, "{}", "Cookie", "__Host-Http-cf="+helper, "Origin", "https://auth.test"); w.Code != http.StatusForbidden {
		t.Errorf("the end of an administrator's session by support = %d", w.Code)
	}
	if w := b.answer("POST", "/v1/login", `{"identifier":"alice","password":"x","carrier":"cookie"}`, "Origin", "https://evil.test"); w.Code != http.StatusForbidden {
		t.Errorf("a login of another site = %d", w.Code)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(told) != 4 {
		t.Fatalf("told of %+v, want four", told)
	}
	for _, e := range told[:2] {
		if e.Action != audit.Deny || e.By != audit.BySubject("alice") || e.Target != "GET /v1/admin/users" || e.Outcome != audit.Refused {
			t.Errorf("told of %+v", e)
		}
	}
	if e := told[2]; e.Action != audit.Deny || e.By != audit.BySubject("helper") || e.Target != "DELETE /v1/admin/sessions/{sid}" || !strings.Contains(e.Reason, "only the role admin") {
		t.Errorf("told of %+v", e)
	}
	if e := told[3]; e.Action != audit.CrossSite || e.By != audit.ByUnknown || e.Target != "POST /v1/login" || e.Outcome != audit.Refused {
		t.Errorf("told of %+v", e)
	}
}
