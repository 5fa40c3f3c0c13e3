package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/internal/api"
	"github.com/counterfoil/counterfoil/internal/secret"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/rights"
	"github.com/counterfoil/counterfoil/server"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store/memory"
	"github.com/counterfoil/counterfoil/store/storetest"
)

// outageBench is the whole server over a store that fails when it is told. Nothing
// runs in the background, so the store's calls are those of the request at hand.
type outageBench struct {
	bench
	store  *storetest.FaultyStore
	issuer *issuer.Issuer
	begun  time.Time
	later  atomic.Int64 // since begun: the clock moves when a test says so, however slow the machine is
	device string
}

func (b *outageBench) now() time.Time { return b.begun.Add(time.Duration(b.later.Load())) }

func newOutageBench(t *testing.T) *outageBench {
	t.Helper()
	b := &outageBench{store: storetest.Faulty(memory.New()), begun: time.Now()}
	var handler http.Handler
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.ServeHTTP(w, r) }))
	t.Cleanup(web.Close)
	b.bench = bench{T: t, url: web.URL}
	b.open(server.Config{
		Store: b.store, SealKey: [32]byte{1}, URL: web.URL, Registration: true, Offline: true, InsecureHashes: true,
		Logger: slog.New(slog.DiscardHandler), Audit: func(audit.Entry) {}, Now: b.now,
	})
	b.issuer, handler = b.bench.issuer, b.server
	_, err := b.users.Register(t.Context(), rights.Owner(), audit.Act{}, "alice", "", secret.New(pass), nil)
	must(t, err)
	return b
}

// holder is what a request needs: the one session of alice, by cookie or by header.
type holder struct {
	*issuer.Issued
	header []string
}

func (b *outageBench) holder(carrier counterfoil.Carrier) holder {
	b.Helper()
	user, err := b.users.ByIdentifier(b.Context(), "alice")
	must(b.T, err)
	_, err = b.issuer.Revoke(b.Context(), source.ScopeSubject, user.ID, audit.Act{})
	must(b.T, err)
	rev, err := b.issuer.SubjectRev(b.Context(), user.ID)
	must(b.T, err)
	i, err := b.issuer.Login(b.Context(), login.Proof{Subject: user.ID, At: b.now(), SubjectRev: rev}, issuer.Request{Carrier: carrier})
	must(b.T, err)
	if carrier.Transport == counterfoil.Header {
		return holder{i, []string{"Authorization", "Bearer " + i.Access.Reveal()}}
	}
	cookies := source.InsecureCookieName + "=" + i.Access.Reveal()
	if r := i.Refresh.Reveal(); r != "" {
		cookies += "; " + source.InsecureRefreshCookieName + "=" + r
	}
	return holder{i, []string{"Cookie", cookies, "Origin", b.url}}
}

// request is one call of the API or of a page. Its body may use the holder and a number that is new each time.
type request struct {
	method, path string
	carrier      counterfoil.Carrier
	body         func(h holder, n int) string // nil: empty
	path2        func(h holder) string        // appended to path
	byKey        bool                         // with the API key, not as the holder
	writes       bool                         // never a success while no commit can be made
}

func form(pairs ...string) func(holder, int) string {
	return func(_ holder, n int) string {
		v := url.Values{}
		for i := 0; i < len(pairs); i += 2 {
			v.Set(pairs[i], strings.ReplaceAll(pairs[i+1], "#", fmt.Sprint(n)))
		}
		return v.Encode()
	}
}

func text(s string) func(holder, int) string {
	return func(_ holder, n int) string { return strings.ReplaceAll(s, "#", fmt.Sprint(n)) }
}

var requests = []request{
	{method: "POST", path: "/v1/login", body: text(`{"identifier":"alice","password":"` + pass + `"}`), writes: true},
	{method: "POST", path: "/v1/register", body: text(`{"identifier":"user#","password":"` + pass + `","carrier":"bearer"}`), writes: true},
	{method: "POST", path: "/v1/refresh", carrier: counterfoil.CarrierBearer, writes: true,
		body: func(h holder, _ int) string { return `{"refresh_token":"` + h.Refresh.Reveal() + `"}` }},
	{method: "POST", path: "/v1/refresh", carrier: counterfoil.CarrierJWTCookie, body: text(`{}`), writes: true},
	{method: "POST", path: "/v1/logout", carrier: counterfoil.CarrierCookie, writes: true},
	{method: "POST", path: "/v1/logout", carrier: counterfoil.CarrierJWTCookie, writes: true},
	{method: "GET", path: "/v1/session", carrier: counterfoil.CarrierCookie},
	{method: "GET", path: "/v1/session", carrier: counterfoil.CarrierJWE},
	{method: "GET", path: "/v1/sessions", carrier: counterfoil.CarrierBearer},
	{method: "DELETE", path: "/v1/sessions/", path2: func(h holder) string { return h.Session.ID }, carrier: counterfoil.CarrierBearer, writes: true},
	{method: "DELETE", path: "/v1/sessions", carrier: counterfoil.CarrierBearer, writes: true},
	{method: "POST", path: "/v1/admin/sessions", byKey: true, body: text(`{"subject":"s#","carrier":"jwe"}`), writes: true},
	{method: "POST", path: "/v1/admin/revocations", byKey: true, writes: true,
		body: func(h holder, _ int) string { return `{"scope":"session","id":"` + h.Session.ID + `"}` }},
	{method: "POST", path: "/v1/admin/revocations", byKey: true, body: text(`{"scope":"subject","id":"s#"}`), writes: true},
	{method: "POST", path: "/v1/admin/revocations", byKey: true, body: text(`{"scope":"client","id":"default"}`), writes: true},
	{method: "GET", path: "/v1/admin/users", byKey: true},
	{method: "GET", path: "/v1/admin/users?q=alice", byKey: true},
	{method: "GET", path: "/v1/admin/sessions", byKey: true},
	{method: "GET", path: "/v1/admin/sessions/", path2: func(h holder) string { return h.Session.ID }, byKey: true},
	{method: "GET", path: "/v1/admin/clients", byKey: true},
	{method: "GET", path: "/v1/admin/clients/default", byKey: true},
	{method: "GET", path: "/v1/admin/apikeys", byKey: true},
	{method: "GET", path: "/v1/admin/outbox", byKey: true},
	{method: "GET", path: "/v1/admin/audit?action=login", byKey: true},
	{method: "GET", path: "/v1/log", byKey: true},
	{method: "POST", path: "/oauth/introspect", byKey: true, carrier: counterfoil.CarrierBearer,
		body: func(h holder, _ int) string { return url.Values{"token": {h.Access.Reveal()}}.Encode() }},
	{method: "POST", path: "/oauth/revoke", carrier: counterfoil.CarrierBearer, writes: true,
		body: func(h holder, _ int) string { return url.Values{"token": {h.Access.Reveal()}}.Encode() }},
	{method: "POST", path: "/oauth/revoke", carrier: counterfoil.CarrierBearer, writes: true,
		body: func(h holder, _ int) string { return url.Values{"token": {h.Refresh.Reveal()}}.Encode() }},
	{method: "GET", path: "/readyz"},
	{method: "GET", path: "/", carrier: counterfoil.CarrierCookie},
	{method: "POST", path: "/login", carrier: counterfoil.CarrierCookie, body: form("identifier", "alice", "password", pass), writes: true},
	{method: "POST", path: "/register", carrier: counterfoil.CarrierCookie, body: form("identifier", "page#", "password", pass), writes: true},
	{method: "POST", path: "/logout", carrier: counterfoil.CarrierCookie, writes: true},
	{method: "POST", path: "/sessions/revoke", carrier: counterfoil.CarrierCookie, writes: true,
		body: func(h holder, _ int) string { return url.Values{"sid": {h.Session.ID}}.Encode() }},
	{method: "POST", path: "/sessions/others", carrier: counterfoil.CarrierCookie, body: form(), writes: true},
}

func (b *outageBench) parts(r request, h holder, n int) (path, body string, header []string) {
	path, header = r.path, h.header
	if r.byKey {
		header = []string{"Authorization", "Bearer " + b.key}
	}
	if r.body != nil {
		body = r.body(h, n)
	}
	if r.path2 != nil {
		path += r.path2(h)
	}
	return path, body, header
}

func (b *outageBench) send(r request, h holder, n int) *http.Response {
	b.Helper()
	path, body, header := b.parts(r, h, n)
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	defer func(before *http.Client) { http.DefaultClient = before }(http.DefaultClient)
	http.DefaultClient = client
	res, _ := b.call(r.method, path, body, header...)
	return res
}

// apologises fails the test unless res is how an outage is answered: try again, and
// keep what you have.
func (b *outageBench) apologises(name string, res *http.Response) {
	b.Helper()
	if res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") == "" {
		b.Errorf("%s: %d, Retry-After %q, want 503 with one", name, res.StatusCode, res.Header.Get("Retry-After"))
	}
	if cookies := res.Cookies(); len(cookies) != 0 {
		b.Errorf("%s: sets cookies %v", name, cookies)
	}
}

// RVK-01: the store is gone from the first, the second, … call of each request on.
// The answer is 503 with Retry-After, no cookie is touched, and once the store is
// back the credential is as good as before.
func TestOutageAtEveryStep(t *testing.T) {
	b := newOutageBench(t)
	serial := 0
	for _, r := range requests {
		steps := 0
		for ; ; steps++ {
			b.later.Add(int64(time.Minute)) // the throttles are not what this is about
			name := fmt.Sprintf("%s %s (%v), outage from call %d on", r.method, r.path, r.carrier, steps)
			h := b.holder(carrierOr(r.carrier))
			serial++
			b.store.Inject(storetest.Fault{After: steps})
			calls, commits := b.calls(), b.store.Calls(storetest.OpCommit)
			res := b.send(r, h, serial)
			calls, commits = b.calls()-calls, b.store.Calls(storetest.OpCommit)-commits
			b.store.Heal()
			if !r.writes && commits == 1 && calls == steps+1 {
				continue // it is the note that the session is in use, which may be lost
			}
			if calls <= steps {
				if res.StatusCode >= 400 {
					t.Errorf("%s: %d though nothing failed", name, res.StatusCode)
				}
				break
			}
			b.apologises(name, res)
			if _, err := b.issuer.Lookup(t.Context(), h.Access.Reveal()); err != nil {
				t.Errorf("%s: the session is over after it: %v", name, err)
			}
		}
		if steps == 0 {
			t.Errorf("%s %s needs no store", r.method, r.path)
		}
	}
}

func carrierOr(c counterfoil.Carrier) counterfoil.Carrier {
	if c == (counterfoil.Carrier{}) {
		return counterfoil.CarrierBearer
	}
	return c
}

func (b *outageBench) calls() (n int) {
	for _, op := range []storetest.Op{storetest.OpGet, storetest.OpList, storetest.OpSearch, storetest.OpCount, storetest.OpCommit, storetest.OpLog, storetest.OpWait, storetest.OpSweep} {
		n += b.store.Calls(op)
	}
	return n
}

// Only commits fail, and what is being read is fine: no write is a success, and
// nothing changed.
func TestNoCommitNoSuccess(t *testing.T) {
	b := newOutageBench(t)
	for n, r := range requests {
		h := b.holder(carrierOr(r.carrier))
		b.store.Inject(storetest.Fault{Op: storetest.OpCommit})
		res := b.send(r, h, n)
		b.store.Heal()
		if name := r.method + " " + r.path; r.writes {
			b.apologises(name, res)
		} else if res.StatusCode != http.StatusOK {
			t.Errorf("%s = %d, want 200: it writes nothing that matters", name, res.StatusCode)
		}
		if _, err := b.issuer.Lookup(t.Context(), h.Access.Reveal()); err != nil {
			t.Errorf("%s %s: the session is over after it: %v", r.method, r.path, err)
		}
	}
}

// docs/revocation.md 4.2: the commit was made and its answer was lost. The caller hears
// 503, does the same again, and it is done: with the place in the log that the first
// call took.
func TestLostAnswers(t *testing.T) {
	b := newOutageBench(t)
	for n, r := range requests {
		if !r.writes || strings.HasSuffix(r.path, "/register") {
			continue // what is taken says so the second time
		}
		name := r.method + " " + r.path
		h := b.holder(carrierOr(r.carrier))
		_, head, err := b.store.Log(t.Context(), counterfoil.Cursor{}, 10_000)
		must(t, err)
		b.store.Inject(storetest.Fault{Op: storetest.OpCommit, Lost: true, Times: 1})
		b.apologises(name, b.send(r, h, n))
		first, _, err := b.store.Log(t.Context(), head, 10)
		must(t, err)
		again := b.send(r, h, n)
		gone := strings.HasPrefix(r.path, "/v1/sessions") || strings.HasPrefix(r.path, "/sessions/")
		switch {
		case again.StatusCode < 400:
		case gone && again.StatusCode == http.StatusUnauthorized && len(first) == 1:
			// The session has ended itself.
		default:
			t.Errorf("%s again = %d", name, again.StatusCode)
		}
	}
}

func TestLostRevocationHasOneReceipt(t *testing.T) {
	b := newOutageBench(t)
	h := b.holder(counterfoil.CarrierBearer)
	body := `{"scope":"session","id":"` + h.Session.ID + `"}`
	revoke := func() (*http.Response, string) {
		res, body := b.call("POST", "/v1/admin/revocations", body, "Authorization", "Bearer "+b.key)
		var receipt struct{ Cursor string }
		if res.StatusCode == http.StatusOK {
			must(t, json.Unmarshal([]byte(body), &receipt))
		}
		return res, receipt.Cursor
	}
	_, before, err := b.store.Log(t.Context(), counterfoil.Cursor{}, 10)
	must(t, err)
	b.store.Inject(storetest.Fault{Op: storetest.OpCommit, Lost: true, Times: 1})
	res, _ := revoke()
	b.apologises("revoke", res)
	entries, _, err := b.store.Log(t.Context(), before, 10)
	must(t, err)
	if len(entries) != 1 {
		t.Fatalf("%d entries, want the one that was committed", len(entries))
	}
	for range 2 {
		if res, cursor := revoke(); res.StatusCode != http.StatusOK || cursor != entries[0].At.String() {
			t.Errorf("revoke again = %d %s, want %v", res.StatusCode, cursor, entries[0].At)
		}
	}
	if entries, _, err = b.store.Log(t.Context(), before, 10); err != nil || len(entries) != 1 {
		t.Errorf("%d entries after doing it again, %v, want 1", len(entries), err)
	}
}

// LOGIN-14: the password was changed and the other sessions were not ended, or
// nobody can say. The same call again finishes it, or is refused, for the password is another
// one; everybody is out all the same.
func TestPasswordChangeThroughAnOutage(t *testing.T) {
	for _, lost := range []bool{false, true} {
		for spared := 0; ; spared++ {
			b := newOutageBench(t)
			own := b.holder(counterfoil.CarrierBearer)
			name := fmt.Sprintf("lost %v, outage from commit %d on", lost, spared)
			change := func() *http.Response {
				res, _ := b.call("POST", "/v1/password", `{"current":"`+pass+`","next":"another long afternoon"}`, own.header...)
				return res
			}
			b.store.Inject(storetest.Fault{Op: storetest.OpCommit, After: spared, Lost: lost, Times: 1})
			before := b.store.Calls(storetest.OpCommit)
			res := change()
			hit := b.store.Calls(storetest.OpCommit)-before > spared
			b.store.Heal()
			if !hit {
				break
			}
			// Or all is done, and the server only failed to note that nothing is due any more.
			if res.StatusCode != http.StatusOK {
				b.apologises(name, res)
				res = change()
			}
			switch {
			case res.StatusCode == http.StatusOK:
			case res.StatusCode == http.StatusUnauthorized:
				// It was all done, or at least everybody is out: also the session that asked.
			default:
				t.Errorf("%s: the same again = %d", name, res.StatusCode)
			}
			if _, err := b.issuer.Lookup(t.Context(), own.Access.Reveal()); err == nil {
				t.Errorf("%s: the old session is still good", name)
			}
			for text, want := range map[string]int{pass: http.StatusUnauthorized, "another long afternoon": http.StatusOK} {
				if res, _ := b.call("POST", "/v1/login", `{"identifier":"alice","password":"`+text+`"}`); res.StatusCode != want {
					t.Errorf("%s: login with %q = %d, want %d", name, text, res.StatusCode, want)
				}
			}
		}
	}
}

// LOGIN-19: the password is changed between the check of the old one and the
// session that would come of it.
func TestPasswordChangesDuringLogin(t *testing.T) {
	b := newOutageBench(t)
	own := b.holder(counterfoil.CarrierBearer)
	b.store.Inject(storetest.Fault{Op: storetest.OpCommit, Kind: "session", Times: 1, Slow: true, Before: func() {
		res, body := b.call("POST", "/v1/password", `{"current":"`+pass+`","next":"another long afternoon"}`, own.header...)
		if res.StatusCode != http.StatusOK {
			t.Errorf("change = %d %s", res.StatusCode, body)
		}
	}})
	res, body := b.call("POST", "/v1/login", `{"identifier":"alice","password":"`+pass+`"}`)
	if res.StatusCode != http.StatusUnauthorized || len(res.Cookies()) != 0 {
		t.Errorf("login with the old password = %d %s, cookies %v, want 401 and none", res.StatusCode, body, res.Cookies())
	}
	user, err := b.users.ByIdentifier(t.Context(), "alice")
	must(t, err)
	if rows, _, err := b.issuer.Sessions(t.Context(), user.ID, "", 0); err != nil || len(rows) != 1 {
		t.Errorf("%d sessions, %v, want the one that made the change", len(rows), err)
	}
}

// LOGIN-09: a browser that signed in before is let in while strangers guess.
func TestDeviceCookie(t *testing.T) {
	b := newOutageBench(t)
	login := func(password string, header ...string) *http.Response {
		res, _ := b.call("POST", "/v1/login", `{"identifier":"alice","password":"`+password+`"}`, header...)
		return res
	}
	cookie := func(res *http.Response) (found string) {
		for _, line := range res.Header.Values("Set-Cookie") {
			if strings.HasPrefix(line, "cf_dev=") {
				found = line
			}
		}
		return found
	}
	line := cookie(login(pass))
	value, attributes, _ := strings.Cut(line, ";")
	if attributes != " Path=/; Max-Age=34560000; HttpOnly; SameSite=Strict" {
		t.Errorf("Set-Cookie: %q", line)
	}
	for range 5 {
		if res := login("not the password"); res.StatusCode != http.StatusUnauthorized || cookie(res) != "" {
			t.Fatalf("a guess = %d, %q", res.StatusCode, cookie(res))
		}
	}
	if res := login(pass); res.StatusCode != http.StatusTooManyRequests {
		t.Errorf("a stranger with the password = %d, want 429", res.StatusCode)
	}
	if res := login(pass, "Cookie", value+"; "+value); res.StatusCode != http.StatusTooManyRequests {
		t.Errorf("two device cookies = %d, want 429", res.StatusCode)
	}
	if res := login(pass, "Cookie", value); res.StatusCode != http.StatusOK || !strings.HasPrefix(cookie(res), value+";") {
		t.Errorf("the known browser = %d, %q", res.StatusCode, cookie(res))
	}
	if res, _ := b.call("POST", "/v1/login", `{"identifier":"alice","password":"`+pass+`","carrier":"bearer"}`, "Cookie", value); res.StatusCode != http.StatusOK || len(res.Cookies()) != 0 {
		t.Errorf("bearer = %d with cookies %v", res.StatusCode, res.Cookies())
	}
	res, _ := b.call("GET", "/v1/session", "", "Authorization", "Bearer "+strings.TrimPrefix(value, "cf_dev="))
	if res.StatusCode != http.StatusUnauthorized {
		t.Errorf("a device credential as a session = %d, want 401", res.StatusCode)
	}
}

// LOGIN-09: a client without cookies that signed in before is let in while strangers guess,
// and so at a step-up.
func TestDeviceHeader(t *testing.T) {
	b := newOutageBench(t)
	login := func(password string, header ...string) (int, issuedDevice) {
		res, body := b.call("POST", "/v1/login", `{"identifier":"alice","password":"`+password+`","carrier":"bearer"}`, header...)
		if len(res.Cookies()) != 0 {
			t.Errorf("cookies %v", res.Cookies())
		}
		var got issuedDevice
		must(t, json.Unmarshal([]byte(body), &got))
		return res.StatusCode, got
	}
	_, first := login(pass)
	if !strings.HasPrefix(first.Device, "cfd_") {
		t.Fatalf("device %q", first.Device)
	}
	for range 5 {
		if status, got := login("not the password", "Counterfoil-Device", "cfd_x"); status != http.StatusUnauthorized || got.Device != "" {
			t.Fatalf("a guess = %d, %q", status, got.Device)
		}
	}
	if status, _ := login(pass); status != http.StatusTooManyRequests {
		t.Errorf("a stranger with the password = %d, want 429", status)
	}
	if status, _ := login(pass, "Counterfoil-Device", first.Device, "Counterfoil-Device", first.Device); status != http.StatusTooManyRequests {
		t.Errorf("two credentials = %d, want 429", status)
	}
	status, again := login(pass, "Counterfoil-Device", first.Device)
	if status != http.StatusOK || again.Device != first.Device {
		t.Errorf("the known client = %d, %q, want 200 and the same credential", status, again.Device)
	}
	res, body := b.call("POST", "/v1/session/step-up", `{"password":"`+pass+`"}`, "Authorization", "Bearer "+again.Access, "Counterfoil-Device", first.Device)
	if res.StatusCode != http.StatusOK || !strings.Contains(body, first.Device) {
		t.Errorf("step-up = %d %s", res.StatusCode, body)
	}
	client := api.Client{URL: b.url, HTTP: http.DefaultClient, Device: first.Device}
	if _, err := client.Login(t.Context(), api.Login[string]{Identifier: "alice", Password: pass, Carrier: "jwe"}); err != nil || client.Device != first.Device {
		t.Errorf("our own client: %v, device %q", err, client.Device)
	}
}

type issuedDevice struct {
	Access string `json:"access_token"`
	Device string `json:"device"`
}

// LOGIN-09: an owner with a known device signs in 20 of 20 times while 24 clients try from
// /64s that change with each request.
func TestOwnerAmongStrangers(t *testing.T) {
	b := newOutageBench(t)
	ask := func(n int, identifier, password, device string) int {
		r := httptest.NewRequest("POST", "/v1/login", strings.NewReader(`{"identifier":"`+identifier+`","password":"`+password+`","carrier":"bearer"}`))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Counterfoil-Device", device)
		r.RemoteAddr = fmt.Sprintf("[2001:%x:%x:1::1]:1", n>>16&0xffff, n&0xffff)
		w := httptest.NewRecorder()
		b.server.ServeHTTP(w, r)
		if identifier == "alice" && w.Code == http.StatusOK {
			var got issuedDevice
			must(t, json.Unmarshal(w.Body.Bytes(), &got))
			if device != "" && got.Device != device {
				t.Errorf("device %q, want %q", got.Device, device)
			}
			b.device = got.Device
		}
		return w.Code
	}
	if status := ask(0, "alice", pass, ""); status != http.StatusOK {
		t.Fatalf("the first login = %d", status)
	}
	var strangers sync.WaitGroup
	var tried, refused atomic.Int64
	stop := make(chan struct{})
	for range 24 {
		strangers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				n := tried.Add(1)
				if ask(int(n), []string{"alice", fmt.Sprint("name", n)}[n%2], "not the password", "") == http.StatusTooManyRequests {
					refused.Add(1)
				}
			}
		})
	}
	signedIn := 0
	for n := range 20 {
		for was := refused.Load(); refused.Load() < was+24; { // what strangers may have is used up
			runtime.Gosched()
		}
		if status := ask(1<<20+n, "alice", pass, b.device); status == http.StatusOK {
			signedIn++
		} else {
			t.Errorf("login %d = %d", n+1, status)
		}
		b.later.Add(int64(200 * time.Millisecond))
	}
	close(stop)
	strangers.Wait()
	if signedIn != 20 {
		t.Errorf("the owner signed in %d of 20 times", signedIn)
	}
}

// OPS-04: a client that ends a request may still read the answer. It is no 2xx: nothing was
// done, or nobody knows.
func TestEndedRequestIsNoSuccess(t *testing.T) {
	b := newOutageBench(t)
	for _, r := range requests {
		if !r.writes {
			continue
		}
		h := b.holder(carrierOr(r.carrier))
		ctx, cancel := context.WithCancel(t.Context())
		b.store.Inject(storetest.Fault{Op: storetest.OpGet, Err: context.Canceled, Before: cancel})
		path, body, header := b.parts(r, h, 1)
		sent := httptest.NewRequestWithContext(ctx, r.method, path, strings.NewReader(body))
		sent.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if strings.HasPrefix(body, "{") {
			sent.Header.Set("Content-Type", "application/json")
		}
		for n := 0; n < len(header); n += 2 {
			sent.Header.Set(header[n], header[n+1])
		}
		res := httptest.NewRecorder()
		b.server.ServeHTTP(res, sent)
		b.store.Heal()
		if ctx.Err() == nil {
			t.Fatalf("%s %s read nothing", r.method, r.path)
		}
		if res.Code < 400 {
			t.Errorf("%s %s = %d %s", r.method, r.path, res.Code, res.Body)
		}
	}
}

// Roles and status stand in two records. Whichever write fails, nobody has more than was
// written before or is written now, and the same call again makes both the same.
func TestChangeOfAUserThroughAnOutage(t *testing.T) {
	for _, change := range []struct{ from, to, status string }{
		{"[]", `["staff"]`, ""}, {`["staff"]`, "[]", ""}, {`["staff"]`, `["admin"]`, `,"status":"disabled"`}, {`["admin"]`, `["admin","staff"]`, `,"status":"active"`},
	} {
		for _, lost := range []bool{false, true} {
			for spared := 0; ; spared++ {
				b := newOutageBench(t)
				name := fmt.Sprintf("%+v, lost %v, outage of commit %d", change, lost, spared)
				user, err := b.users.ByIdentifier(t.Context(), "alice")
				must(t, err)
				patch := func(body string) *http.Response {
					res, _ := b.call("PATCH", "/v1/admin/users/"+user.ID, body, "Authorization", "Bearer "+b.key)
					return res
				}
				roles := func() string {
					res, body := b.call("POST", "/v1/login", `{"identifier":"alice","password":"`+pass+`"}`)
					var got struct{ Session struct{ Roles []string } }
					if res.StatusCode != http.StatusOK {
						return "none at all"
					}
					must(t, json.Unmarshal([]byte(body), &got))
					text, err := json.Marshal(append([]string{}, got.Session.Roles...))
					must(t, err)
					return string(text)
				}
				for _, begin := range []string{`["other"]`, change.from} {
					if res := patch(`{"roles":` + begin + `}`); res.StatusCode != http.StatusOK {
						t.Fatalf("%s: to begin with = %d", name, res.StatusCode)
					}
				}
				want := change.to
				if strings.Contains(change.status, "disabled") {
					want = "none at all"
				}
				b.store.Inject(storetest.Fault{Op: storetest.OpCommit, After: spared, Lost: lost, Times: 1})
				before := b.store.Calls(storetest.OpCommit)
				res := patch(`{"roles":` + change.to + change.status + "}")
				hit := b.store.Calls(storetest.OpCommit)-before > spared
				b.store.Heal()
				if !hit {
					break
				}
				b.apologises(name, res)
				if got := roles(); len(got) > max(len(change.from), len(change.to)) && got != "none at all" {
					t.Errorf("%s: roles are %s in between", name, got)
				}
				if res := patch(`{"roles":` + change.to + change.status + "}"); res.StatusCode != http.StatusOK {
					t.Errorf("%s: the same again = %d", name, res.StatusCode)
				}
				if got := roles(); got != want {
					t.Errorf("%s: roles are %s after the same again, want %s", name, got, want)
				}
			}
		}
	}
}
