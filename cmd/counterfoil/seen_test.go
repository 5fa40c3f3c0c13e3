package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/internal/testsvc"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/source"
)

// backed is an installation whose sessions can be put back to what they were.
type backed struct {
	*settings
	backup, restore func(t *testing.T)
}

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

func onSQLite(t *testing.T) backed {
	c := &settings{Data: t.TempDir()}
	file, kept := filepath.Join(c.Data, databaseName), filepath.Join(t.TempDir(), "backup.db")
	return backed{c, func(t *testing.T) { copyFile(t, file, kept) }, func(t *testing.T) { copyFile(t, kept, file) }}
}

func onPostgres(t *testing.T) backed {
	server := testsvc.SharedPostgres(t)
	name, dsn := server.Database(t, "")
	var backup string
	return backed{&settings{Data: t.TempDir(), Store: dsn}, func(t *testing.T) { backup, _ = server.Database(t, name) }, func(t *testing.T) {
		server.Exec(t, "postgres", "ALTER DATABASE "+name+" RENAME TO "+name+"_lost")
		server.Exec(t, "postgres", "ALTER DATABASE "+backup+" RENAME TO "+name)
	}}
}

func onRedis(t *testing.T) backed {
	server := testsvc.StartRedis(t)
	return backed{&settings{Data: t.TempDir(), Sessions: "redis://" + server.Addr()}, func(t *testing.T) {
		if _, err := server.Do("SAVE"); err != nil {
			t.Fatal(err)
		}
	}, func(t *testing.T) {
		server.Kill()
		server.Restart(t) // with what was saved
	}}
}

// REV-09, KEY-05: a backup is put back while no node runs. The one that starts knows by the head
// that it kept: what was revoked since stays so, everybody signs in again, and the next
// start is an ordinary one.
func TestRestoredWhileNobodyRan(t *testing.T) {
	for name, on := range map[string]func(*testing.T) backed{"sqlite": onSQLite, "postgres": onPostgres, "redis": onRedis} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := on(t)
			b.Issuer = "https://auth.test"
			run := func(do func(i *issuer.Issuer)) {
				t.Helper()
				p, err := b.open(t.Context(), openOptions{commits: newMetrics().commits, hook: func(audit.Entry) {}})
				if err != nil {
					t.Fatal(err)
				}
				do(p.issuer)
				if err := errors.Join(p.passwords.Close(), p.closeStores()); err != nil {
					t.Error(err)
				}
			}
			head := func(i *issuer.Issuer) counterfoil.Cursor {
				t.Helper()
				at, err := i.Head(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				return at
			}
			signIn := func(i *issuer.Issuer) *issuer.Issued {
				t.Helper()
				got, err := i.Login(t.Context(), login.Proof{Subject: "alice", Methods: []string{"pwd"}, At: time.Now()}, issuer.Request{Carrier: counterfoil.CarrierBearer})
				if err != nil {
					t.Fatal(err)
				}
				return got
			}
			var ended, kept *issuer.Issued
			var was, now counterfoil.Cursor
			var leaked string // a signing key
			run(func(i *issuer.Issuer) {
				ended, kept = signIn(i), signIn(i)
				if err := b.seen().keep(head(i)); err != nil {
					t.Fatal(err)
				}
			})
			b.backup(t)
			run(func(i *issuer.Issuer) {
				got, err := i.Refresh(t.Context(), kept.Refresh.Reveal(), issuer.Renewal{})
				if err != nil {
					t.Fatalf("Refresh after an ordinary start = %v", err)
				}
				kept = got
				if _, err := i.Revoke(t.Context(), source.ScopeSession, ended.Session.ID, audit.Act{}); err != nil {
					t.Fatal(err)
				}
				leaked = i.SigningKeys()[0].ID
				if _, err := i.Revoke(t.Context(), source.ScopeKey, leaked, audit.Act{}); err != nil {
					t.Fatal(err)
				}
				was = head(i)
				if err := b.seen().keep(was); err != nil {
					t.Fatal(err)
				}
			})
			b.restore(t)
			run(func(i *issuer.Issuer) {
				if now = head(i); now.Epoch == was.Epoch {
					t.Errorf("head after the restore = %v, want another epoch than that of %v", now, was)
				}
				if keys, err := i.Keys(t.Context()); err != nil || strings.Contains(string(keys), leaked) {
					t.Errorf("Keys = %s, %v, want none of %s", keys, err, leaked)
				}
				for what, issued := range map[string]*issuer.Issued{"revoked since": ended, "of before": kept} {
					if _, err := i.Lookup(t.Context(), issued.Access.Reveal()); !errors.Is(err, counterfoil.ErrInvalidToken) {
						t.Errorf("%s: Lookup = %v, want ErrInvalidToken", what, err)
					}
					if _, err := i.Refresh(t.Context(), issued.Refresh.Reveal(), issuer.Renewal{}); !errors.Is(err, counterfoil.ErrInvalidToken) {
						t.Errorf("%s: Refresh = %v, want ErrInvalidToken", what, err)
					}
				}
				kept = signIn(i)
				if err := b.seen().keep(head(i)); err != nil {
					t.Fatal(err)
				}
			})
			run(func(i *issuer.Issuer) {
				if at := head(i); at.Epoch != now.Epoch {
					t.Errorf("head after the next start = %v, want the epoch of %v", at, now)
				}
				if _, err := i.Lookup(t.Context(), kept.Access.Reveal()); err != nil {
					t.Errorf("Lookup of a session of after the restore = %v", err)
				}
			})
		})
	}
}

// REV-09: a store that was put back does not move either before its server has seen it:
// in the new one nobody could know.
func TestRestoredDoesNotMove(t *testing.T) {
	t.Parallel()
	b := onSQLite(t)
	b.Issuer = "https://auth.test"
	run := func(revoke string) {
		t.Helper()
		p, err := b.open(t.Context(), openOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if revoke != "" {
			if _, err := p.issuer.Revoke(t.Context(), source.ScopeSubject, revoke, audit.Act{}); err != nil {
				t.Fatal(err)
			}
		}
		at, err := p.issuer.Head(t.Context())
		if err := errors.Join(err, b.seen().keep(at), p.passwords.Close(), p.closeStores()); err != nil {
			t.Fatal(err)
		}
	}
	run("")
	b.backup(t)
	run("alice")
	b.restore(t)
	target := t.TempDir()
	move := &migrateCommand{placeFlags: placeFlags{Data: b.Data}, To: "sqlite", ToData: target}
	if err := move.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "backup") {
		t.Errorf("Run = %v, want that a backup was restored", err)
	}
	if there, err := os.ReadDir(target); err != nil || len(there) > 0 {
		t.Errorf("the folder to move to has %v, %v", there, err)
	}
	run("") // sees it
	if err := move.Run(t.Context()); err != nil {
		t.Errorf("Run after the server has seen it = %v", err)
	}
}

// A node that cannot read what it kept says so, and does not guess.
func TestSeenIsDamaged(t *testing.T) {
	b := onSQLite(t)
	b.Issuer = "https://auth.test"
	if err := os.WriteFile(b.seen().path, []byte("0123"), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := b.open(t.Context(), openOptions{})
	if err == nil {
		_ = p.closeStores()
	}
	if err == nil || !strings.Contains(err.Error(), b.seen().path) {
		t.Errorf("open = %v, want an error that names the file", err)
	}
}
