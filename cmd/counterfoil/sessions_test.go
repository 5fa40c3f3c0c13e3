package main

import (
	"errors"
	"testing"

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
