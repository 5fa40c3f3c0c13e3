package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/clients"
	"github.com/counterfoil/counterfoil/internal/api"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/server"
	"github.com/counterfoil/counterfoil/store"
)

// newLimited is newBench with another limit of sessions.
func newLimited(t *testing.T, sessions int) *bench {
	web := httptest.NewUnstartedServer(nil)
	b := assemble(t, server.Config{URL: "http://" + web.Listener.Addr().String(), MaxSessions: sessions})
	web.Config.Handler = b.server
	web.Start()
	t.Cleanup(web.Close)
	b.url = web.URL
	return b
}

// Pages of a person's own sessions, and of an administrator's list of them, hold every
// session once, and a cursor is good for its own list alone (KEY-13).
func TestSessionPages(t *testing.T) {
	b := newBench(t)
	var want []string
	var own *issuer.Issued
	for range 23 {
		own = b.session("alice", issuer.Request{Carrier: counterfoil.CarrierCookie})
		want = append(want, own.Session.ID)
	}
	other := b.session("bob", issuer.Request{Carrier: counterfoil.CarrierCookie})
	slices.Sort(want)
	cookie := func(i *issuer.Issued) []string { return []string{"Cookie", "cf=" + i.Access.Reveal()} }
	admin := []string{"Authorization", "Bearer " + b.key}
	read := func(path string, header []string) (got []string, cursor string) {
		for next, pages := "", 0; ; pages++ {
			query := url.Values{"limit": {"5"}}
			if next != "" {
				query.Set("cursor", next)
			}
			res, body := b.call("GET", path+"?"+query.Encode(), "", header...)
			var page api.Sessions
			if err := json.Unmarshal([]byte(body), &page); err != nil || res.StatusCode != http.StatusOK || len(page.Sessions) > 5 {
				t.Fatalf("%s: %d %s, %v", path, res.StatusCode, body, err)
			}
			for _, row := range page.Sessions {
				got = append(got, row.ID)
			}
			if next = page.Next; next == "" {
				return got, cursor
			}
			cursor = next
		}
	}
	got, cursor := read("/v1/sessions", cookie(own))
	if !slices.Equal(got, want) {
		t.Errorf("own sessions by page: %v, want %v", got, want)
	}
	got, adminCursor := read("/v1/admin/users/alice/sessions", admin)
	if !slices.Equal(got, want) {
		t.Errorf("the administrator's pages: %v, want %v", got, want)
	}
	for path, header := range map[string][]string{
		"/v1/sessions?limit=0": cookie(other), "/v1/sessions?limit=201": cookie(other), "/v1/sessions?cursor=x": cookie(other), "/v1/sessions?all=1": cookie(other),
		"/v1/admin/users/alice/sessions?cursor=" + cursor: admin, "/v1/admin/users/bob/sessions?cursor=" + adminCursor: admin,
	} {
		if res, body := b.call("GET", path, "", header...); res.StatusCode != http.StatusBadRequest || !strings.Contains(body, "bad-request") {
			t.Errorf("%s = %d %s", path, res.StatusCode, body)
		}
	}
}

// A record that cannot be read is listed by its id, breaks none of its neighbours, and can
// be ended by its owner and by an administrator.
func TestDamagedSession(t *testing.T) {
	for name, value := range map[string]string{
		"no JSON":              `{"id":`,
		"another's row":        `{"id":"ses_x","subject":"bob"}`,
		"a year beyond 9999":   `{"id":"%s","subject":"alice","client":"default","carrier":"cookie","created":"9999-12-31T23:59:59-23:00","auth_time":"2026-01-01T00:00:00Z","last_seen":"2026-01-01T00:00:00Z","idle_expires":"9999-01-01T00:00:00Z","absolute_expires":"9999-01-01T00:00:00Z"}`,
		"an unknown carrier":   `{"id":"%s","subject":"alice","carrier":"pigeon"}`,
		"a number for a time":  `{"id":"%s","subject":"alice","created":12}`,
		"no value at all":      ``,
		"a list, no object":    `[]`,
		"the year before null": `{"id":"%s","subject":"alice","client":"default","carrier":"cookie","created":"0000-01-01T00:00:00+23:59","auth_time":"2026-01-01T00:00:00Z","last_seen":"2026-01-01T00:00:00Z","idle_expires":"9999-01-01T00:00:00Z","absolute_expires":"9999-01-01T00:00:00Z"}`,
	} {
		b := newBench(t)
		own := b.session("alice", issuer.Request{Carrier: counterfoil.CarrierCookie})
		damage := func() string {
			id := "ses_" + strings.ToLower(own.Session.ID[4:20]) + "damaged"
			text := value
			if strings.Contains(text, "%s") {
				text = fmt.Sprintf(text, id)
			}
			_, err := b.db.Commit(t.Context(), store.Batch{Put: []store.Record{{
				Key: store.Key{Kind: "session", ID: id}, Owner: "alice", Expires: time.Now().Add(time.Hour), Value: []byte(text),
			}}})
			must(t, err)
			return id
		}
		cookie := []string{"Cookie", "cf=" + own.Access.Reveal(), "Origin", b.url}
		admin := []string{"Authorization", "Bearer " + b.key}
		for _, end := range []struct {
			path   string
			header []string
		}{{"/v1/sessions/", cookie}, {"/v1/admin/sessions/", admin}} {
			id := damage()
			for path, header := range map[string][]string{"/v1/sessions": cookie, "/v1/admin/users/alice/sessions": admin} {
				res, body := b.call("GET", path, "", header...)
				if res.StatusCode != http.StatusOK || !strings.Contains(body, `"damaged":["`+id+`"]`) || !strings.Contains(body, `"id":"`+own.Session.ID) {
					t.Errorf("%s: GET %s = %d %s", name, path, res.StatusCode, body)
				}
			}
			if res, page := b.call("GET", "/", "", cookie...); res.StatusCode != http.StatusOK || !strings.Contains(page, id) || !strings.Contains(page, own.Session.ID) {
				t.Errorf("%s: the page = %d", name, res.StatusCode)
			}
			if res, body := b.call("DELETE", end.path+id, "", end.header...); res.StatusCode >= 300 {
				t.Errorf("%s: DELETE %s = %d %s", name, end.path, res.StatusCode, body)
			}
			if _, body := b.call("GET", "/v1/sessions", "", cookie...); strings.Contains(body, "damaged") {
				t.Errorf("%s: after the end: %s", name, body)
			}
		}
		damage()
		if res, body := b.call("DELETE", "/v1/sessions", "", cookie...); res.StatusCode != http.StatusOK {
			t.Errorf("%s: DELETE /v1/sessions = %d %s", name, res.StatusCode, body)
		}
		if _, body := b.call("GET", "/v1/sessions", "", cookie...); strings.Contains(body, "damaged") {
			t.Errorf("%s: after the end of all others: %s", name, body)
		}
	}
}

// The page goes on to the next one, and its first line is the session that looks.
func TestAccountPages(t *testing.T) {
	b := newLimited(t, 200)
	for range 120 {
		b.session("alice", issuer.Request{Carrier: counterfoil.CarrierCookie})
	}
	own := b.session("alice", issuer.Request{Carrier: counterfoil.CarrierCookie})
	cookie := []string{"Cookie", "cf=" + own.Access.Reveal()}
	_, first := b.call("GET", "/", "", cookie...)
	_, rest, more := strings.Cut(first, `href="/?cursor=`)
	if !more || strings.Index(first, own.Session.ID) != strings.Index(first, `name="sid" value="`)+len(`name="sid" value="`) {
		t.Fatalf("the first page has a next one: %v, or does not begin with the own session", more)
	}
	all := strings.Count(first, `name="sid"`)
	for pages := 2; more && pages < 10; pages++ {
		cursor, _, _ := strings.Cut(rest, `"`)
		res, next := b.call("GET", "/?cursor="+cursor, "", cookie...)
		if res.StatusCode != http.StatusOK || strings.Contains(next, own.Session.ID) {
			t.Fatalf("page %d = %d %s", pages, res.StatusCode, next)
		}
		all += strings.Count(next, `name="sid"`)
		_, rest, more = strings.Cut(next, `href="/?cursor=`)
	}
	if all != 121 || more {
		t.Errorf("the pages have %d sessions, want 121", all)
	}
}

// SES-17: a person who has more sessions than the limit is told that the oldest ended, and why.
func TestSessionLimitIsTold(t *testing.T) {
	b := newLimited(t, 2)
	var all []*issuer.Issued
	for range 4 {
		all = append(all, b.session("alice", issuer.Request{Carrier: counterfoil.CarrierCookie, UserAgent: "phone"}))
	}
	cookie := []string{"Cookie", "cf=" + all[3].Access.Reveal(), "Origin", b.url}
	res, body := b.call("GET", "/v1/sessions", "", cookie...)
	var page api.OwnSessions
	must(t, json.Unmarshal([]byte(body), &page))
	if res.StatusCode != http.StatusOK || len(page.Sessions.Sessions) != 2 || len(page.Notices) != 1 || page.Notices[0].Kind != "session-limit" || page.Notices[0].Ended != 1 {
		t.Fatalf("sessions = %d %s", res.StatusCode, body)
	}
	if _, html := b.call("GET", "/", "", cookie...); !strings.Contains(html, "too many sessions: the oldest one was ended") {
		t.Errorf("the page does not say it: %s", html)
	}
	if res, body := b.call("DELETE", "/v1/notices/"+page.Notices[0].ID, "", cookie...); res.StatusCode != http.StatusNoContent {
		t.Errorf("dismiss = %d %s", res.StatusCode, body)
	}
}

// A notice that cannot be read hides none of the others, and can be dismissed.
func TestDamagedNotice(t *testing.T) {
	b := newBench(t)
	own := b.session("alice", issuer.Request{Carrier: counterfoil.CarrierCookie})
	_, err := b.db.Commit(t.Context(), store.Batch{Put: []store.Record{
		{Key: store.Key{Kind: "notice", ID: "ntc_1"}, Owner: "alice", Expires: time.Now().Add(time.Hour), Value: []byte(`{"time":`)},
		{Key: store.Key{Kind: "notice", ID: "ntc_2"}, Owner: "alice", Expires: time.Now().Add(time.Hour), Value: []byte(`{"time":"2026-01-01T00:00:00Z","session":"ses_1","client":"default"}`)},
	}})
	must(t, err)
	cookie := []string{"Cookie", "cf=" + own.Access.Reveal(), "Origin", b.url}
	if res, body := b.call("GET", "/v1/sessions", "", cookie...); res.StatusCode != http.StatusOK || !strings.Contains(body, `{"id":"ntc_1","kind":"damaged"}`) || !strings.Contains(body, `"id":"ntc_2"`) {
		t.Errorf("sessions = %d %s", res.StatusCode, body)
	}
	if res, html := b.call("GET", "/", "", cookie...); res.StatusCode != http.StatusOK || !strings.Contains(html, "ntc_1") {
		t.Errorf("the page = %d", res.StatusCode)
	}
	if res, _ := b.call("DELETE", "/v1/notices/ntc_1", "", cookie...); res.StatusCode != http.StatusNoContent {
		t.Errorf("dismiss = %d", res.StatusCode)
	}
}

// One damaged record is shown as such in each list of an administrator, and breaks none of
// its neighbours. What can be mended by the API can be mended.
func TestDamagedRecords(t *testing.T) {
	b := newBench(t)
	alice, err := b.users.ByIdentifier(t.Context(), "alice")
	must(t, err)
	admin := []string{"Authorization", "Bearer " + b.key}
	far := `{"identifier":"old","status":"active","created":"9999-12-31T23:59:59-23:00"}`
	for _, c := range []struct {
		path, kind, id, value string // the record that is damaged
		shows                 string // of it
		neighbour             string
		mend, body            string
	}{
		{"/v1/admin/users", "user", "usr_0", `{"identifier":`, `"id":"usr_0","identifier":"","status":"damaged"`, `"identifier":"alice"`, "", ""},
		{"/v1/admin/users", "user", "usr_1", far, `"id":"usr_1","identifier":"","status":"damaged"`, `"identifier":"alice"`, "", ""},
		{"/v1/admin/clients", "client", "broken", `[`, `"id":"broken","disabled":false,"damaged":true`, `"id":"app"`, "PUT", `{"name":"Mended","disabled":false}`},
		{"/v1/admin/clients", "client", "gone", `[`, `"id":"gone","disabled":false,"damaged":true`, `"id":"app"`, "DELETE", ""},
		{"/v1/admin/apikeys", "apikey", "0", `{`, `"id":"0","client":"","scopes":[],"state":"damaged"`, `"client":"bench"`, "DELETE", ""},
		{"/v1/admin/audit", "audit", "0000000000000000x", `{`, `"id":"0000000000000000x","time":"2262-04-11T23:47:16.854775807Z","action":"damaged"`, `"action":"apikey.create"`, "", ""},
	} {
		key := store.Key{Kind: store.Kind(c.kind), ID: c.id}
		_, err := b.db.Commit(t.Context(), store.Batch{Put: []store.Record{{Key: key, Expires: time.Now().Add(time.Hour), Value: []byte(c.value)}}})
		must(t, err)
		if res, body := b.call("GET", c.path, "", admin...); res.StatusCode != http.StatusOK || !strings.Contains(body, c.shows) || !strings.Contains(body, c.neighbour) {
			t.Errorf("%s with a damaged %s = %d %s", c.path, c.kind, res.StatusCode, body)
		}
		if c.mend != "" {
			if res, body := b.call(c.mend, c.path+"/"+c.id, c.body, admin...); res.StatusCode >= 300 {
				t.Errorf("%s of a damaged %s = %d %s", c.mend, c.kind, res.StatusCode, body)
			}
			if _, body := b.call("GET", c.path, "", admin...); strings.Contains(body, "damaged") {
				t.Errorf("%s after %s = %s", c.path, c.mend, body)
			}
		}
	}
	// A client that is damaged hides none of the sessions of other clients, and stops no login.
	b.session(alice.ID, issuer.Request{Carrier: counterfoil.CarrierCookie})
	app := b.session(alice.ID, issuer.Request{Client: "app", Carrier: counterfoil.CarrierBearer})
	rec, err := store.One(t.Context(), b.db, store.Key{Kind: "client", ID: "app"})
	must(t, err)
	rec.Value = []byte("{")
	_, err = b.db.Commit(t.Context(), store.Batch{Put: []store.Record{rec}})
	must(t, err)
	revision, err := store.One(t.Context(), b.db, clients.RevisionKey("app")) // as a node that has just started: nothing is cached
	must(t, err)
	_, err = b.db.Commit(t.Context(), store.Batch{Put: []store.Record{revision}})
	must(t, err)
	own := b.session(alice.ID, issuer.Request{Carrier: counterfoil.CarrierCookie})
	res, body := b.call("GET", "/v1/sessions", "", "Cookie", "cf="+own.Access.Reveal())
	if res.StatusCode != http.StatusOK || !strings.Contains(body, `"damaged":["`+app.Session.ID+`"]`) || strings.Count(body, `"id":"ses_`) != 2 {
		t.Errorf("sessions with one of a damaged client = %d %s", res.StatusCode, body)
	}
}
