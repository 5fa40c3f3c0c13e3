package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/internal/secret"
	"github.com/counterfoil/counterfoil/rights"
	"github.com/counterfoil/counterfoil/server"
	"github.com/counterfoil/counterfoil/store/memory"
)

// demoOf returns the live page of a server with the users of the demo. before is called before
// each login that the server answers, with its number.
func demoOf(t *testing.T, before func(e *server.Embedded, alice directory.User, login int)) (*livePageServer, *server.Embedded) {
	t.Helper()
	var e *server.Embedded
	var alice directory.User
	var logins atomic.Int64
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/login" && before != nil {
			before(e, alice, int(logins.Add(1)))
		}
		e.ServeHTTP(w, r)
	}))
	t.Cleanup(web.Close)
	quiet := slog.New(slog.DiscardHandler)
	var err error
	e, err = server.Open(t.Context(), server.Config{Store: memory.New(), URL: web.URL, Logger: quiet, Audit: func(audit.Entry) {}, Demo: true, NoVerifier: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	if err := demoUsers(t.Context(), e.Users(), quiet); err != nil {
		t.Fatal(err)
	}
	if alice, err = e.Users().ByIdentifier(t.Context(), demoUser); err != nil {
		t.Fatal(err)
	}
	return newLivePage(web.URL, web.URL), e
}

// set changes the status of a user.
func set(t *testing.T, e *server.Embedded, id string, status string) {
	t.Helper()
	_, err := e.Users().Update(t.Context(), rights.Owner(), id, audit.Act{}, func(u *directory.User) error { u.Status = status; return nil })
	if err != nil {
		t.Error(err)
	}
}

// A user who is changed while the server checks the password is refused: the client tries again,
// and the demo goes on.
func TestDemoTriesAgain(t *testing.T) {
	l, _ := demoOf(t, func(e *server.Embedded, alice directory.User, login int) {
		switch login {
		case 1:
			set(t, e, alice.ID, directory.Disabled)
		case 3:
			set(t, e, alice.ID, directory.Active)
		}
	})
	if err := l.signIn(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, s := range l.states() {
		if s.Session == "" || s.Failed {
			t.Errorf("%s: %+v", s.Name, s)
		}
	}
}

// A demo that is ready before its clients are signed in goes on trying, and the page shows when
// they are.
func TestDemoGoesOnTrying(t *testing.T) {
	l, _ := demoOf(t, nil)
	l.run(t.Context(), 0, slog.New(slog.DiscardHandler))
	web := httptest.NewServer(http.HandlerFunc(l.events))
	t.Cleanup(web.Close)
	res, err := http.Get(web.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	for events := bufio.NewScanner(res.Body); events.Scan(); {
		data, found := strings.CutPrefix(events.Text(), "data: ")
		var shown struct{ Clients []clientState }
		if err := json.Unmarshal([]byte(data), &shown); found && err != nil {
			t.Fatal(err)
		}
		if len(shown.Clients) == len(l.clients) && !slices.ContainsFunc(shown.Clients, func(s clientState) bool { return s.Session == "" }) {
			return
		}
	}
	t.Error("the page ended before all clients were signed in")
}

// A demo whose clients cannot sign in does not end: it says why, in the log and on the page, and
// the button of the page tries again.
func TestDemoWithoutItsClients(t *testing.T) {
	l, e := demoOf(t, nil)
	alice, err := e.Users().ByIdentifier(t.Context(), demoUser)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Users().SetPassword(t.Context(), rights.Owner(), alice.ID, audit.Act{}, secret.New("somebody chose another")); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	l.run(t.Context(), signInWithin, slog.New(slog.NewTextHandler(&log, nil)))
	if !strings.Contains(log.String(), "not every client") || !strings.Contains(log.String(), "begin a new demo") {
		t.Errorf("the log says %s", log.String())
	}
	for _, s := range l.states() {
		if s.Verdict != "cannot sign in" || !strings.Contains(s.Answer, "password is wrong") {
			t.Errorf("%s: %+v", s.Name, s)
		}
	}
	page := httptest.NewRecorder()
	l.page(page, nil)
	if strings.Count(page.Body.String(), `class="refused"`) != len(l.clients) {
		t.Errorf("the page: %s", page.Body)
	}
	mux := http.NewServeMux()
	l.routes(mux)
	press := func(path, body string) int {
		r := httptest.NewRequest("POST", path, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", l.origin)
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		return w.Code
	}
	// To revoke one that has no session revokes nothing, and not everything.
	for _, body := range []string{"", "session="} {
		if status := press("/live/revoke", body); status != http.StatusSeeOther {
			t.Errorf("revoke %q = %d", body, status)
		}
	}
}
