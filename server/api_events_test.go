package server_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/accounts"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/internal/api"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/rights"
	"github.com/counterfoil/counterfoil/source"
)

// event is a server-sent event.
type event struct{ kind, id, data string }

// events reads a stream until it ends: then the channel is closed.
func (b *bench) events(credential, after string) <-chan event {
	b.Helper()
	return b.eventsBy(after, "Authorization", "Bearer "+credential)
}

func (b *bench) eventsBy(after, name, value string) <-chan event {
	b.Helper()
	ctx, cancel := context.WithCancel(b.Context())
	r, err := http.NewRequestWithContext(ctx, "GET", b.url+"/v1/admin/log/events", nil)
	must(b.T, err)
	r.Header.Set(name, value)
	r.Header.Set("Last-Event-ID", after)
	res, err := http.DefaultClient.Do(r)
	must(b.T, err)
	b.Cleanup(func() { cancel(); res.Body.Close() })
	if res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != "text/event-stream" || res.Header.Get("Cache-Control") != "no-store" {
		b.Fatalf("%d %v", res.StatusCode, res.Header)
	}
	got := make(chan event, 100)
	go func() {
		defer close(got)
		var e event
		for lines := bufio.NewScanner(res.Body); lines.Scan(); {
			name, value, _ := strings.Cut(lines.Text(), ": ")
			switch name {
			case "event":
				e.kind = value
			case "id":
				e.id = value
			case "data":
				e.data = value
			}
			if lines.Text() == "" && e.kind != "" {
				got <- e
				e = event{}
			}
		}
	}()
	if hello := <-got; hello.kind != "hello" {
		b.Fatalf("the first event is %+v", hello)
	}
	return got
}

// next is the next event of a kind.
func (b *bench) next(events <-chan event, kind string) (e event) {
	b.Helper()
	for e = range events {
		if e.kind == kind {
			return e
		}
	}
	b.Fatalf("the stream ended before %s", kind)
	return e
}

// The stream tells who revoked what, when the verifiers have it, and goes on where it ended.
func TestLogEvents(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.verifier()
	all := b.events(b.key, "")
	sid := b.session("usr_x", issuer.Request{Carrier: counterfoil.CarrierBearer}).Session.ID
	b.admin(http.StatusOK, "DELETE", "/v1/admin/sessions/"+sid, "")
	first := b.next(all, "revocation")
	var told api.LogEvent
	must(t, json.Unmarshal([]byte(first.data), &told))
	if told.Scope != source.ScopeSession || told.ID != sid || told.Cursor.String() != first.id || told.Author == nil || told.Author.By != "key:bench" || told.Author.Action != audit.Revoke {
		t.Errorf("the event is %+v", first)
	}
	var confirmed api.LogConfirmed
	must(t, json.Unmarshal([]byte(b.next(all, "confirmed").data), &confirmed))
	if confirmed.Cursor != told.Cursor || confirmed.Verifiers != 1 || confirmed.BoundMS <= 0 {
		t.Errorf("confirmed is %+v", confirmed)
	}
	b.admin(http.StatusOK, "POST", "/v1/admin/revocations", `{"scope":"subject","id":"usr_y"}`)
	second := b.next(all, "revocation")
	again := b.next(b.events(b.key, first.id), "revocation")
	if again != second || again.id == first.id {
		t.Errorf("after %s comes %+v, want %+v", first.id, again, second)
	}
	// Nothing is known beyond the head: a stream from there is one from now on.
	forged := b.events(b.key, first.id[:17]+"4503599627370496")
	b.admin(http.StatusOK, "POST", "/v1/admin/revocations", `{"scope":"all"}`)
	if e := b.next(forged, "revocation"); !strings.Contains(e.data, `"scope":"all"`) || !strings.Contains(e.data, `"by":"key:bench"`) {
		t.Errorf("after a forged id comes %+v", e)
	}
	for _, bad := range []string{"?after=x", "?after=1&after=2", "?x=1", "?after=%zz"} {
		b.admin(http.StatusBadRequest, "GET", "/v1/admin/log/events"+bad, "")
	}
	// Who may not see the audit trail does not see it here.
	support := b.session("usr_s", issuer.Request{Client: "console", Carrier: counterfoil.CarrierBearer}, accounts.RoleSupport)
	if e := b.next(b.events(support.Access.Reveal(), first.id), "revocation"); strings.Contains(e.data, `"author"`) {
		t.Errorf("support sees %+v", e)
	}
	// Every entry has its author, whatever wrote it.
	events := b.events(b.key, "")
	user, err := b.users.Create(t.Context(), rights.Owner(), audit.Act{By: audit.ByLocal}, directory.User{Identifier: "zoe", Roles: []string{"staff"}})
	must(t, err)
	held := b.session(user.ID, issuer.Request{Carrier: counterfoil.CarrierBearer})
	b.session(user.ID, issuer.Request{Carrier: counterfoil.CarrierBearer})
	for scope, do := range map[source.Scope]func() error{
		source.ScopeOthers: func() error {
			_, err := b.issuer.EndOthers(t.Context(), held.Session, audit.Act{By: "subject:" + user.ID})
			return err
		},
		source.ScopeClaims: func() error {
			_, err := b.users.Update(t.Context(), rights.Owner(), user.ID, audit.Act{By: audit.ByLocal}, func(u *directory.User) error { u.Roles = nil; return nil })
			return err
		},
		source.ScopeClient: func() error {
			_, err := b.issuer.Revoke(t.Context(), source.ScopeClient, "app", audit.Act{})
			return err
		},
		source.ScopeToken: func() error {
			_, err := b.issuer.Revoke(t.Context(), source.ScopeToken, "a-token", audit.Act{})
			return err
		},
	} {
		must(t, do())
		e := b.next(events, "revocation")
		if !strings.Contains(e.data, `"scope":"`+string(scope)+`"`) || !strings.Contains(e.data, `"author":`) {
			t.Errorf("%s: %+v", scope, e)
		}
		if named, about := strings.Contains(e.data, `"users":{"`+user.ID+`":{"identifier":"zoe"}}`), scope == source.ScopeOthers || scope == source.ScopeClaims; named != about {
			t.Errorf("%s: it says what the user is called: %t: %+v", scope, named, e)
		}
	}
}

// A stream ends when who reads it may not any more: it does not tell even of the revocation that ends
// it. It makes room for another. At most 16 are open at a time.
func TestLogEventsEnd(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.server.Beat(10 * time.Millisecond)
	reader := func(subject string) *issuer.Issued {
		return b.session(subject, issuer.Request{Client: "console", Carrier: counterfoil.CarrierBearer}, accounts.RoleAdmin)
	}
	one := reader("usr_one")
	of := b.events(one.Access.Reveal(), "")
	_, err := b.issuer.Revoke(t.Context(), source.ScopeSession, one.Session.ID, audit.Act{})
	must(t, err)
	admin, err := b.users.Create(t.Context(), rights.Owner(), audit.Act{}, directory.User{Identifier: "two", Roles: []string{accounts.RoleAdmin}})
	must(t, err)
	two := b.events(reader(admin.ID).Access.Reveal(), "")
	_, err = b.users.Update(t.Context(), rights.Owner(), admin.ID, audit.Act{}, func(u *directory.User) error { u.Roles = nil; return nil })
	must(t, err)
	k, key, err := b.users.NewKey(t.Context(), rights.Owner(), audit.Act{}, directory.APIKey{Client: "watcher", Scopes: []string{"admin"}})
	must(t, err)
	three := b.events(key.Reveal(), "")
	must(t, b.users.DeleteKey(t.Context(), rights.Owner(), k.ID, audit.Act{}))
	for name, events := range map[string]<-chan event{"session": of, "role": two, "key": three} {
		t.Log(name) // the test times out if the stream goes on
		for e := range events {
			if e.kind == "revocation" {
				t.Errorf("%s: it tells %+v", name, e)
			}
		}
	}
	for n := range 16 {
		b.events(b.watcher(fmt.Sprint("watcher", n/4)), "")
	}
	if got := b.admin(http.StatusTooManyRequests, "GET", "/v1/admin/log/events", ""); got["type"] != "urn:counterfoil:problem:too-many-streams" {
		t.Error(got)
	}
	b.issuer.Feed().Stop() // a server that ends does not wait for them
}

// watcher makes an API key that reads the administration.
func (b *bench) watcher(client string) string {
	b.Helper()
	_, key, err := b.users.NewKey(b.Context(), rights.Owner(), audit.Act{}, directory.APIKey{Client: client, Scopes: []string{directory.ScopeAdminRead}})
	must(b.T, err)
	return key.Reveal()
}

// One caller does not take the streams of all others, whatever sessions or keys it makes.
func TestStreamsOfOneReader(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.server.Beat(10 * time.Millisecond)
	person := func(subject string) *issuer.Issued {
		return b.session(subject, issuer.Request{Client: "console", Carrier: counterfoil.CarrierBearer}, accounts.RoleSupport)
	}
	full := func(credential string) bool {
		res, body := b.call("GET", "/v1/admin/log/events", "", "Authorization", "Bearer "+credential)
		return res.StatusCode == http.StatusTooManyRequests && strings.Contains(body, "too-many-streams") && res.Header.Get("Retry-After") != ""
	}
	var first *issuer.Issued
	var open []<-chan event
	for range 4 {
		first = person("usr_reader")
		open = append(open, b.events(first.Access.Reveal(), ""))
		b.events(b.watcher("dashboard"), "")
	}
	if !full(person("usr_reader").Access.Reveal()) {
		t.Error("a fifth session of a person has a fifth stream")
	}
	if !full(b.watcher("dashboard")) {
		t.Error("a fifth key of a client has a fifth stream")
	}
	b.events(person("usr_other").Access.Reveal(), "")
	_, err := b.issuer.Revoke(t.Context(), source.ScopeSession, first.Session.ID, audit.Act{})
	must(t, err)
	for range open[3] { // it ends
	}
	b.events(person("usr_reader").Access.Reveal(), "")
	b.issuer.Feed().Stop()
}

// Who loses the right to see the audit trail does not see it in a stream that goes on with the rights that are left.
func TestStreamFollowsTheRoles(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	u, err := b.users.Create(t.Context(), rights.Owner(), audit.Act{}, directory.User{Identifier: "both"})
	must(t, err)
	give := func(roles ...string) {
		_, err := b.users.Update(t.Context(), rights.Owner(), u.ID, audit.Act{}, func(u *directory.User) error { u.Roles = roles; return nil })
		must(t, err)
	}
	give(accounts.RoleAdmin, accounts.RoleSupport)
	own := b.session(u.ID, issuer.Request{Carrier: counterfoil.CarrierCookie}, accounts.RoleAdmin, accounts.RoleSupport)
	events := b.eventsBy("", "Cookie", source.InsecureCookieName+"="+own.Access.Reveal())
	revoke := func() event {
		b.admin(http.StatusOK, "POST", "/v1/admin/revocations", `{"scope":"subject","id":"usr_y"}`)
		for e := range events {
			if strings.Contains(e.data, "usr_y") {
				return e
			}
		}
		t.Fatal("the stream ended")
		return event{}
	}
	if e := revoke(); !strings.Contains(e.data, `"author"`) {
		t.Errorf("an administrator sees %+v", e)
	}
	give(accounts.RoleSupport)
	if e := revoke(); strings.Contains(e.data, `"author"`) {
		t.Errorf("with the role %s alone it sees %+v", accounts.RoleSupport, e)
	}
	b.issuer.Feed().Stop()
}
