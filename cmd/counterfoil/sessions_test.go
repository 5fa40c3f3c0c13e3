package main

import (
	"errors"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/internal/api"
	"github.com/counterfoil/counterfoil/source"
)

// A misspelt user is an error, because the session that was meant would live on. A subject that
// has a session needs no user.
func TestRevokeNamesSomebody(t *testing.T) {
	a, err := (&settings{Data: t.TempDir()}).ownAdmin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer a.close()
	if _, err := a.withSessions(t.Context(), "machine-9", true); !errors.Is(err, errDenied) {
		t.Errorf("withSessions of nobody = %v, want an error of denial", err)
	}
	if _, err := a.CreateSession(t.Context(), api.NewSession{Subject: "machine-9", Carrier: "bearer"}); err != nil {
		t.Fatal(err)
	}
	if id, err := a.withSessions(t.Context(), "machine-9", true); err != nil || id != "machine-9" {
		t.Errorf("withSessions = %s, %v", id, err)
	}
	made, err := a.CreateUser(t.Context(), api.NewUser{Identifier: "alice"})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"alice", made.User.ID} {
		if id, err := a.withSessions(t.Context(), name, true); err != nil || id != made.User.ID {
			t.Errorf("withSessions(%s) = %s, %v, want the user, who has no session", name, id, err)
		}
	}
	if _, err := a.Revoke(t.Context(), api.Revocation{Scope: source.ScopeSubject, ID: "machine-9"}); err != nil {
		t.Fatal(err)
	}
	if _, err := a.withSessions(t.Context(), "machine-9", true); !errors.Is(err, errDenied) {
		t.Errorf("withSessions after all sessions ended = %v, want an error of denial", err)
	}
}

// inUse is a session that another client and two hosts use.
func inUse() api.SessionRow {
	at := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	return api.SessionRow{
		ID: "ses_x", Subject: "usr_x", Client: "web", Carrier: counterfoil.CarrierCookie, Methods: []string{"pwd"},
		Created: at, AuthTime: at, LastSeen: at.Add(time.Hour), IdleExpires: at.Add(2 * time.Hour), AbsoluteExpires: at.Add(24 * time.Hour),
		Grants: []api.Grant{{Client: "web"}, {Client: "orders", Granted: at.Add(time.Minute), LastUsed: at.Add(9 * time.Minute)}},
		Hosts: []api.Host{
			{ID: "hst_a", Origin: "https://app.example.com", Granted: at.Add(2 * time.Minute), LastUsed: at.Add(time.Hour)},
			{ID: "hst_b", Origin: "https://wiki.example.com", Granted: at.Add(3 * time.Minute), LastUsed: at.Add(4 * time.Minute)},
		},
	}
}

// session show says who uses a session, since when and until when, and by which id a host ends.
func Example_sessionShow() {
	if err := printSession(inUse()); err != nil {
		panic(err)
	}
	// Output:
	// id             ses_x
	// subject        usr_x
	// client         web
	// carrier        cookie
	// signed in      2026-03-04 05:06 UTC
	// by             pwd
	// from           -
	// last seen      2026-03-04 06:06 UTC
	// from           -
	// ends           2026-03-04 07:06 UTC
	// at the latest  2026-03-05 05:06 UTC
	// roles          -
	// scopes         -
	// device         -
	// user agent     -
	// used by        orders since 2026-03-04 05:07 UTC, last seen 2026-03-04 05:15 UTC
	// used at        https://app.example.com since 2026-03-04 05:08 UTC, last seen 2026-03-04 06:06 UTC (hst_a)
	// used at        https://wiki.example.com since 2026-03-04 05:09 UTC, last seen 2026-03-04 05:10 UTC (hst_b)
}

// session list says at how many hosts each session is used.
func Example_sessionList() {
	if err := printSessions([]api.SessionRow{inUse()}, false, time.Date(2026, 3, 4, 6, 36, 7, 0, time.UTC)); err != nil {
		panic(err)
	}
	// Output:
	// ID     CARRIER  SEEN     LEFT  HOSTS  DEVICE
	// ses_x  cookie   30m ago  30m   2      -
}
