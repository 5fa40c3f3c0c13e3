package e2e_test

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/counterfoil/counterfoil/internal/testsvc"
)

// SES-14: a command disables or deletes a user. The sessions of that user end everywhere, by
// every carrier.
func TestSessionsEndWithTheAccount(t *testing.T) {
	for _, store := range stores[1:] { // a command cannot open a memory store
		t.Run(store.name, func(t *testing.T) {
			t.Parallel()
			data := t.TempDir()
			p := start(t, append(store.flags(t), "--data", data)...)
			for _, command := range []string{"disable", "delete"} {
				var made struct {
					User struct {
						ID string `json:"id"`
					} `json:"user"`
				}
				p.post("/v1/admin/users", map[string]any{"identifier": command}, p.admin, &made)
				var all []*holder
				for _, carrier := range carriers {
					h := p.login(made.User.ID, carrier, "app")
					if got := p.call(h); got != http.StatusOK {
						t.Fatalf("%s: a new session gets %d", carrier, got)
					}
					all = append(all, h)
				}
				run(t, "user", command, made.User.ID, "--data", data)
				for _, h := range all {
					p.refused(h)
					p.neverRefreshed("after "+command, h)
				}
				body := map[string]any{"subject": made.User.ID, "client": "app"}
				if status, answer, err := p.try("/v1/admin/sessions", body, p.admin); err != nil || status != http.StatusConflict {
					t.Errorf("create session after %s = %d %s, %v, want 409", command, status, answer, err)
				}
			}
		})
	}
}

// neverRefreshed fails the test if h has a refresh token and the server accepts it.
func (p *program) neverRefreshed(when string, h *holder) {
	p.t.Helper()
	if h.Refresh == "" {
		return
	}
	status, _, err := p.try("/v1/refresh", map[string]any{"refresh_token": h.Refresh, "client": h.client}, "")
	if err != nil || status != http.StatusUnauthorized {
		p.t.Errorf("%s: refresh of a %s = %d, %v, want 401", when, h.carrier, status, err)
	}
}

// stop ends the program with SIGTERM, as a service manager does.
func (p *program) stop() {
	p.t.Helper()
	if err := errors.Join(p.cmd.Process.Signal(syscall.SIGTERM), p.cmd.Wait()); err != nil {
		p.t.Fatalf("stop: %v\n%s", err, p.output)
	}
}

// backup makes and restores a backup of a store. No server may have the store open.
type backup struct {
	flags         []string
	make, restore func(t *testing.T)
}

var backups = map[string]func(t *testing.T, data string) backup{
	"sqlite": func(t *testing.T, data string) backup {
		file, aside := filepath.Join(data, "counterfoil.db"), filepath.Join(t.TempDir(), "backup.db")
		move := func(t *testing.T, from, to string) {
			t.Helper()
			for _, end := range []string{"", "-wal", "-shm"} {
				content, err := os.ReadFile(from + end)
				if errors.Is(err, os.ErrNotExist) {
					_ = os.Remove(to + end)
					continue
				}
				if err := errors.Join(err, os.WriteFile(to+end, content, 0o600)); err != nil {
					t.Fatal(err)
				}
			}
		}
		return backup{[]string{"--store", "sqlite"}, func(t *testing.T) { move(t, file, aside) }, func(t *testing.T) { move(t, aside, file) }}
	},
	"postgres": func(t *testing.T, _ string) backup {
		server, aside := testsvc.StartPostgres(t, testsvc.Durable), ""
		name, dsn := server.Database(t, "")
		return backup{[]string{"--store", dsn}, func(t *testing.T) { aside, _ = server.Database(t, name) }, func(t *testing.T) {
			server.Exec(t, "postgres", "ALTER DATABASE "+name+" RENAME TO "+name+"_lost")
			server.Exec(t, "postgres", "ALTER DATABASE "+aside+" RENAME TO "+name)
		}}
	},
	"redis": func(t *testing.T, _ string) backup {
		server := testsvc.StartRedis(t)
		return backup{[]string{"--store", "sqlite", "--sessions", "redis://" + server.Addr()}, func(t *testing.T) {
			if _, err := server.Do("SAVE"); err != nil {
				t.Fatal(err)
			}
		}, func(t *testing.T) {
			server.Kill()
			server.Restart(t)
		}}
	},
}

// REV-09: a backup is restored while the program does not run. Sessions that were revoked after
// the backup stay revoked, and every user must sign in again.
func TestRestoredBackup(t *testing.T) {
	for name, on := range backups {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address, data := testsvc.FreeAddress(t), t.TempDir()
			b := on(t, data)
			life := func() *program { return startAt(t, address, append(b.flags, "--data", data)...) }
			p := life()
			var all []*holder
			for _, carrier := range carriers {
				all = append(all, p.login("alice", carrier, "app"), p.login("bob", carrier, "app"))
			}
			p.stop()
			b.make(t)
			p = life()
			for _, h := range all {
				if got := p.call(h); got != http.StatusOK {
					t.Fatalf("after an ordinary start a %s gets %d\n%s", h.carrier, got, p.output)
				}
			}
			p.post("/v1/admin/revocations", map[string]any{"scope": "subject", "id": "alice"}, p.admin, nil)
			p.stop()
			b.restore(t)
			p = life()
			for _, h := range all {
				if got := p.call(h); got != http.StatusUnauthorized {
					t.Errorf("after the restore a %s of %s gets %d", h.carrier, h.Session.Subject, got)
				}
				p.neverRefreshed("after the restore", h)
			}
			if got := p.call(p.login("carol", "bearer", "app")); got != http.StatusOK {
				t.Errorf("after the restore a new session gets %d", got)
			}
		})
	}
}
