package olddata

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/server"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/storetest"
)

// The current code opens each installation of an earlier version. The credentials of its
// people and programs still work. Sessions that had ended stay ended.
func TestOldInstallations(t *testing.T) {
	folders, err := filepath.Glob("testdata/*/*")
	if err != nil || len(folders) == 0 {
		t.Fatalf("testdata has %v, %v", folders, err)
	}
	for _, folder := range folders {
		t.Run(strings.TrimPrefix(folder, "testdata/"), func(t *testing.T) {
			n := slices.IndexFunc(engines, func(e engine) bool { return e.name == filepath.Base(folder) })
			i := restore(t, engines[n], folder)
			i.start()
			i.warned()
			i.sessionsGoOn()
			i.searchesFind()
			i.passwordsWork()
			i.keysWork()
			i.recordsAreComplete()
			i.restart()
			i.sessionsGoOn()
			i.oldSecretsEndSessions()
			i.revocationsReachOldSessions()
			i.restart()
			i.revocationsReachOldSessions()
		})
	}
}

// installation is an old installation that runs with the current code.
type installation struct {
	*testing.T
	engine engine
	held   held
	seal   [32]byte
	head   counterfoil.Cursor
	now    func() time.Time
	open   func() (all, sessions store.Store)

	web   *server.Embedded
	log   *log // warnings since the last start
	close func()
	calls int
}

// log is a log that may be read while a server writes to it.
type log struct {
	mu   sync.Mutex // guards text
	text strings.Builder
}

func (l *log) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(line)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// restore restores the engine from a copy of the folder.
func restore(t *testing.T, e engine, folder string) *installation {
	t.Helper()
	data := t.TempDir()
	if err := os.CopyFS(data, os.DirFS(folder)); err != nil {
		t.Fatal(err)
	}
	i := &installation{T: t, engine: e, open: e.restore(t, data)}
	text, err := os.ReadFile(filepath.Join(data, "held.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &i.held); err != nil {
		t.Fatal(err)
	}
	seal, err := os.ReadFile(filepath.Join(data, "counterfoil.key"))
	if err != nil || copy(i.seal[:], seal) != len(i.seal) {
		t.Fatalf("sealing key: %d bytes, %v", len(seal), err)
	}
	if i.head, err = source.ParseCursor(i.held.Head); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	i.now = func() time.Time { return i.held.Made.Add(time.Since(begun)) } // so that its access copies have not expired
	return i
}

// start opens the installation as the program does, which remembers the head that it saw.
func (i *installation) start() {
	i.Helper()
	i.log = new(log)
	all, sessions := i.open()
	if at, err := sessions.Time(i.Context()); err != nil {
		i.Fatal(err)
	} else if !at.IsZero() { // its clock is of today, and the installation is of the day when it was made
		set := storetest.Faulty(sessions)
		set.SetClock(i.now)
		if all == sessions {
			all = set
		}
		sessions = set
	}
	web, err := server.Open(i.Context(), server.Config{
		Store: all, Sessions: sessions, URL: issuerURL, SealKey: i.seal, Now: i.now, LoginsPerSecond: 50,
		AccessTTL: 15 * time.Minute, Idle: 8760 * time.Hour, Absolute: 8760 * time.Hour,
		Logger: slog.New(slog.NewJSONHandler(i.log, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		i.Fatal(err)
	}
	if err := web.Issuer().Remember(i.Context(), i.head); err != nil {
		i.Fatal(err)
	}
	i.web, i.close = web, func() {
		web.Close()
		_ = sessions.Close()
		_ = all.Close()
	}
	i.Cleanup(func() { i.close() })
}

// warned checks that the first start said for each store that nodes of the earlier version must
// be stopped.
func (i *installation) warned() {
	i.Helper()
	want := 1
	if i.engine.name == "redis" { // and its users are in SQLite
		want = 2
	}
	if got := strings.Count(i.log.String(), "nodes of the earlier version must be stopped"); got != want {
		i.Errorf("the first start warns %d times, want %d: %s", got, want, i.log.String())
	}
}

// restart stops the installation and starts it again.
func (i *installation) restart() {
	i.Helper()
	head, err := i.web.Issuer().Head(i.Context())
	if err != nil {
		i.Fatal(err)
	}
	i.head = head
	i.close()
	i.close = func() {}
	i.start()
	if text := i.log.String(); strings.Contains(text, "must be stopped") {
		i.Errorf("a second start warns again: %s", text)
	}
}

// call sends a request, and decodes a 2xx answer.
func (i *installation) call(method, path, bearer string, body, into any) (status int, cookies []*http.Cookie) {
	i.Helper()
	var data []byte
	if body != nil {
		var err error
		if data, err = json.Marshal(body); err != nil {
			i.Fatal(err)
		}
	}
	r := httptest.NewRequest(method, issuerURL+path, bytes.NewReader(data))
	r.Header.Set("Content-Type", "application/json")
	return i.send(r, bearer, into)
}

func (i *installation) send(r *http.Request, bearer string, into any) (status int, cookies []*http.Cookie) {
	i.Helper()
	i.calls++
	r.RemoteAddr = fmt.Sprintf("203.0.113.%d:1", i.calls%250) // another address for each call, because one address may not sign in so often
	if bearer != "" {
		r.Header.Set("Authorization", "Bearer "+bearer)
	}
	w := httptest.NewRecorder()
	i.web.ServeHTTP(w, r)
	if w.Code/100 == 2 && into != nil {
		if err := json.Unmarshal(w.Body.Bytes(), into); err != nil {
			i.Fatal(err)
		}
	}
	return w.Code, w.Result().Cookies()
}

func (i *installation) key(client string) string {
	for _, k := range i.held.Keys {
		if k.Client == client {
			return k.Key
		}
	}
	panic("no key of " + client)
}

// active introspects an access copy, and returns its session.
func (i *installation) active(access string) (sid string, is bool) {
	i.Helper()
	form := url.Values{"token": {access}}.Encode()
	r := httptest.NewRequest("POST", issuerURL+"/oauth/introspect", strings.NewReader(form))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	var answer struct {
		Active bool
		SID    string
	}
	if status, _ := i.send(r, i.key("gateway"), &answer); status != http.StatusOK {
		i.Fatalf("introspect = %d", status)
	}
	return answer.SID, answer.Active
}

// refresh gets the next copy of s, and returns the status.
func (i *installation) refresh(s *session, refresh string) int {
	i.Helper()
	var is issued
	status, cookies := i.call("POST", "/v1/refresh", "", map[string]string{"refresh_token": refresh, "client": s.Client}, &is)
	if status/100 == 2 {
		before := *s
		s.take(is, cookies)
		if before.ID != s.ID || before.Subject != s.Subject || before.Client != s.Client || before.Carrier != s.Carrier ||
			!slices.Equal(before.Roles, s.Roles) || !slices.Equal(before.Scopes, s.Scopes) {
			i.Errorf("%s: refreshed from %+v to %+v", s.Name, before, *s)
		}
	}
	return status
}

// sessionsGoOn uses every copy and every refresh token.
func (i *installation) sessionsGoOn() {
	i.Helper()
	for n := range i.held.Sessions {
		s := &i.held.Sessions[n]
		opaque := s.Carrier == "cookie"
		want := !s.Ended && !s.Stale && (opaque || !i.engine.newEpoch)
		if sid, is := i.active(s.Access); is != want || is && sid != s.ID {
			i.Errorf("%s: its copy is active: %v for %s, want %v for %s", s.Name, is, sid, want, s.ID)
		}
		if opaque {
			continue
		}
		want = !s.Ended
		if status := i.refresh(s, s.Refresh); (status == http.StatusOK) != want || !want && status != http.StatusUnauthorized {
			i.Errorf("%s: refresh = %d, want success: %v", s.Name, status, want)
		}
		if want {
			s.Stale = false
			if sid, is := i.active(s.Access); !is || sid != s.ID {
				i.Errorf("%s: its next copy is active: %v for %s", s.Name, is, sid)
			}
		}
	}
	i.engine.newEpoch = false // every session has a copy of the new epoch now
	var mine struct{ Sessions []struct{ ID string } }
	bob := i.held.the("bob by bearer")
	live := 0
	for _, s := range i.held.Sessions {
		if s.Subject == bob.Subject && !s.Ended {
			live++
		}
	}
	if status, _ := i.call("GET", "/v1/admin/users/"+bob.Subject+"/sessions", i.key("operator"), nil, &mine); status != http.StatusOK || len(mine.Sessions) != live {
		i.Errorf("bob's sessions = %d, %d of them, want %d", status, len(mine.Sessions), live)
	}
}

// searchesFind finds every user by the identifier, and every living session by its client and carrier.
func (i *installation) searchesFind() {
	i.Helper()
	for _, p := range i.held.Users {
		var found struct{ Users []struct{ ID string } }
		want := 1
		if p.State == "deleted" {
			want = 0
		}
		query := url.Values{"q": {strings.ToUpper(p.Identifier)}}.Encode()
		if status, _ := i.call("GET", "/v1/admin/users?"+query, i.key("operator"), nil, &found); status != http.StatusOK || len(found.Users) != want || want == 1 && found.Users[0].ID != p.ID {
			i.Errorf("the search for %s = %d, %v, want %d users", p.Identifier, status, found.Users, want)
		}
	}
	for _, s := range i.held.Sessions {
		var found struct{ Sessions []struct{ ID string } }
		query := url.Values{"client": {s.Client}, "carrier": {s.Carrier}, "since": {"2020-01-01T00:00:00Z"}}
		if s.Client == "" {
			query.Set("client", "default")
		}
		status, _ := i.call("GET", "/v1/admin/sessions?"+query.Encode(), i.key("operator"), nil, &found)
		if is := slices.ContainsFunc(found.Sessions, func(o struct{ ID string }) bool { return o.ID == s.ID }); status != http.StatusOK || is == s.Ended {
			i.Errorf("%s: the search for its client and carrier = %d, found: %v", s.Name, status, is)
		}
	}
}

// passwordsWork signs every user in and out.
func (i *installation) passwordsWork() {
	i.Helper()
	login := func(identifier, password string) (status int, is issued) {
		status, _ = i.call("POST", "/v1/login", "", map[string]string{"identifier": identifier, "password": password, "carrier": "bearer"}, &is)
		return status, is
	}
	for _, p := range i.held.Users {
		want := http.StatusUnauthorized
		if p.State == "active" && p.Password != "" {
			want = http.StatusOK
		}
		status, is := login(p.Identifier, words)
		if status != want || status == http.StatusOK && (is.Session.Subject != p.ID || !slices.Equal(is.Session.Roles, p.Roles)) {
			i.Errorf("login of %s = %d %+v, want %d", p.Identifier, status, is.Session, want)
		}
		if status == http.StatusOK {
			if status, _ := i.call("POST", "/v1/logout", is.Access, nil, nil); status != http.StatusNoContent {
				i.Errorf("logout of %s = %d", p.Identifier, status)
			}
		}
	}
	if status, _ := login("bob", "four other words here"); status != http.StatusUnauthorized {
		i.Errorf("login with another password = %d", status)
	}
	welcome := map[string]string{"token": i.held.Welcome, "password": words}
	if status, _ := i.call("POST", "/v1/invitations", "", welcome, nil); status != http.StatusNoContent {
		i.Errorf("the invitation = %d", status)
	}
	if status, is := login("dave", words); status != http.StatusOK || is.Session.Subject != i.held.as("dave").ID {
		i.Errorf("login of dave, who was invited = %d", status)
	}
}

// keysWork calls the API with every API key, and compares with the scopes of the key.
func (i *installation) keysWork() {
	i.Helper()
	for _, k := range i.held.Keys {
		admin, creates := slices.Contains(k.Scopes, "admin"), slices.Contains(k.Scopes, "sessions:create")
		if status, _ := i.call("GET", "/v1/admin/users", k.Key, nil, nil); (status == http.StatusOK) != admin {
			i.Errorf("users for the key of %s = %d", k.Client, status)
		}
		var is issued
		made := map[string]string{"subject": "machine-9", "carrier": "bearer"}
		if status, _ := i.call("POST", "/v1/admin/sessions", k.Key, made, &is); (status == http.StatusCreated) != (creates || admin) {
			i.Errorf("a session for the key of %s = %d", k.Client, status)
		}
	}
	if status, _ := i.call("GET", "/v1/log", i.key("gateway"), nil, nil); status != http.StatusOK {
		i.Errorf("the log for the key of gateway = %d", status)
	}
}

// recordsAreComplete compares users, clients, notices and the audit trail.
func (i *installation) recordsAreComplete() {
	i.Helper()
	operator := i.key("operator")
	for _, p := range i.held.Users {
		var is struct{ Identifier, Status string }
		status, _ := i.call("GET", "/v1/admin/users/"+p.ID, operator, nil, &is)
		if p.State == "deleted" {
			if status != http.StatusNotFound {
				i.Errorf("user %s, who was deleted = %d", p.Identifier, status)
			}
		} else if status != http.StatusOK || is.Identifier != p.Identifier || is.Status != p.State {
			i.Errorf("user %s = %d %+v", p.Identifier, status, is)
		}
	}
	for id, kept := range i.held.Clients {
		var is map[string]any
		if status, _ := i.call("GET", "/v1/admin/clients/"+id, operator, nil, &is); status != http.StatusOK {
			i.Errorf("client %s = %d", id, status)
		}
		for member, value := range kept {
			if !reflect.DeepEqual(is[member], value) {
				i.Errorf("client %s: %s = %v, want %v", id, member, is[member], value)
			}
		}
	}
	var hal issued
	i.call("POST", "/v1/login", "", map[string]string{"identifier": "hal", "password": words, "carrier": "bearer"}, &hal)
	var mine struct {
		Notices []struct{ Kind, Session string }
	}
	i.call("GET", "/v1/sessions", hal.Access, nil, &mine)
	if len(mine.Notices) != 1 || mine.Notices[0].Session != i.held.the("reused").ID {
		i.Errorf("notices for hal = %+v, want one about the reused refresh token", mine.Notices)
	}
	var trail struct{ Entries []any }
	if i.call("GET", "/v1/admin/audit?limit=200", operator, nil, &trail); len(trail.Entries) < i.held.Audit {
		i.Errorf("the trail has %d entries, want %d and more", len(trail.Entries), i.held.Audit)
	}
}

// oldSecretsEndSessions presents a refresh token that was already used. The issuer must treat
// it as stolen, and end the session.
func (i *installation) oldSecretsEndSessions() {
	i.Helper()
	s := i.held.the("refreshed")
	if status := i.refresh(s, s.Used); status != http.StatusUnauthorized {
		i.Errorf("refresh with an old refresh token = %d", status)
	}
	s.Ended = true
	if status := i.refresh(s, s.Refresh); status != http.StatusUnauthorized {
		i.Errorf("refresh of a session that ended by reuse = %d", status)
	}
}

// revocationsReachOldSessions revokes by scopes that name no session. They must end sessions
// that the earlier version made.
func (i *installation) revocationsReachOldSessions() {
	i.Helper()
	bob := i.held.as("bob").ID
	for scope, id := range map[string]string{"subject": bob, "client": "app"} {
		body := map[string]string{"scope": scope, "id": id}
		if status, _ := i.call("POST", "/v1/admin/revocations", i.key("operator"), body, nil); status != http.StatusOK {
			i.Errorf("revoke %s = %d", scope, status)
		}
	}
	for n := range i.held.Sessions {
		s := &i.held.Sessions[n]
		s.Ended = s.Ended || s.Subject == bob || s.Client == "app"
		if _, is := i.active(s.Access); is == s.Ended {
			i.Errorf("%s: after the revocation its copy is active: %v", s.Name, is)
		}
		if s.Carrier == "cookie" {
			continue
		}
		if status := i.refresh(s, s.Refresh); (status == http.StatusOK) == s.Ended {
			i.Errorf("%s: after the revocation a refresh = %d", s.Name, status)
		}
	}
}
