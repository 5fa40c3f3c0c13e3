package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/server"
	"github.com/counterfoil/counterfoil/source"
)

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// REV-09: a restored store does not move before its server has noticed: the server of the new
// store could not notice.
func TestRestoredDoesNotMove(t *testing.T) {
	t.Parallel()
	c := &settings{Data: t.TempDir(), Issuer: "https://auth.test"}
	file, backup := filepath.Join(c.Data, databaseName), filepath.Join(t.TempDir(), "backup.db")
	run := func(revoke string) {
		t.Helper()
		in, err := c.open(t.Context(), nil, server.Config{Offline: true})
		if err != nil {
			t.Fatal(err)
		}
		if revoke != "" {
			if _, err := in.Issuer().Revoke(t.Context(), source.ScopeSubject, revoke, audit.Act{}); err != nil {
				t.Fatal(err)
			}
		}
		if err := in.close(); err != nil {
			t.Fatal(err)
		}
	}
	run("")
	copyFile(t, file, backup)
	run("alice")
	copyFile(t, backup, file)
	target := t.TempDir()
	move := &migrateCommand{placeFlags: placeFlags{Data: c.Data}, To: "sqlite", ToData: target}
	if err := move.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "backup") {
		t.Errorf("Run = %v, want that a backup was restored", err)
	}
	if there, err := os.ReadDir(target); err != nil || len(there) > 0 {
		t.Errorf("the folder to move to has %v, %v", there, err)
	}
	run("") // the server notices
	if err := move.Run(t.Context()); err != nil {
		t.Errorf("Run after the server has seen it = %v", err)
	}
}

// A node that cannot read its head file does not start.
func TestHeadIsDamaged(t *testing.T) {
	c := &settings{Data: t.TempDir(), Issuer: "https://auth.test"}
	if err := os.WriteFile(string(c.head()), []byte("0123"), 0o600); err != nil {
		t.Fatal(err)
	}
	in, err := c.open(t.Context(), nil, server.Config{})
	if err == nil {
		_ = in.close()
	}
	if err == nil || !strings.Contains(err.Error(), string(c.head())) {
		t.Errorf("open = %v, want an error that names the file", err)
	}
}
