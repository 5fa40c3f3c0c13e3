package server_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
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
	"github.com/counterfoil/counterfoil/server"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/memory"
	"github.com/counterfoil/counterfoil/store/postgres"
	"github.com/counterfoil/counterfoil/store/redis"
	"github.com/counterfoil/counterfoil/store/sqlite"
)

// backed is where an embedded server lives, which can be put back to what it was.
type backed struct {
	open            func(t *testing.T) server.Config // stores and head
	backup, restore func(t *testing.T)               // while nobody has it open
}

// files copies what SQLite has of a database to another folder. What is there and is not
// copied is removed.
func files(t *testing.T, from, to string) {
	t.Helper()
	for _, end := range []string{"", "-wal", "-shm"} {
		data, err := os.ReadFile(from + end)
		if errors.Is(err, os.ErrNotExist) {
			_ = os.Remove(to + end)
			continue
		}
		must(t, err)
		must(t, os.WriteFile(to+end, data, 0o600))
	}
}

// backups are the durable stores. The head of SQLite is kept where it is kept by default.
var backups = map[string]func(t *testing.T) backed{
	"sqlite": func(t *testing.T) backed {
		file, aside := filepath.Join(t.TempDir(), "app.db"), filepath.Join(t.TempDir(), "backup.db")
		return backed{
			func(t *testing.T) server.Config {
				return server.Config{Store: opened(t)(sqlite.Open(t.Context(), file))}
			},
			func(t *testing.T) { files(t, file, aside) }, func(t *testing.T) { files(t, aside, file) },
		}
	},
	"postgres": func(t *testing.T) backed {
		cluster := testsvc.SharedPostgres(t)
		name, dsn := cluster.Database(t, "")
		head, backup := server.HeadFile(filepath.Join(t.TempDir(), "head")), ""
		return backed{
			func(t *testing.T) server.Config {
				return server.Config{Store: opened(t)(postgres.Open(t.Context(), postgres.Options{URL: dsn})), Head: head}
			},
			func(t *testing.T) { backup, _ = cluster.Database(t, name) },
			func(t *testing.T) {
				cluster.Exec(t, "postgres", "ALTER DATABASE "+name+" RENAME TO "+name+"_lost")
				cluster.Exec(t, "postgres", "ALTER DATABASE "+backup+" RENAME TO "+name)
			},
		}
	},
	"redis": func(t *testing.T) backed { // the sessions alone; users in SQLite
		cache, file := testsvc.StartRedis(t), filepath.Join(t.TempDir(), "users.db")
		return backed{
			func(t *testing.T) server.Config {
				return server.Config{
					Store:    opened(t)(sqlite.Open(t.Context(), file)),
					Sessions: opened(t)(redis.Open(t.Context(), redis.Options{URL: "redis://" + cache.Addr()})),
				}
			},
			func(t *testing.T) {
				_, err := cache.Do("SAVE")
				must(t, err)
			},
			func(t *testing.T) {
				cache.Kill()
				cache.Restart(t) // with what was saved
			},
		}
	},
}

func opened(t *testing.T) func(store.Store, error) store.Store {
	return func(s store.Store, err error) store.Store {
		t.Helper()
		must(t, err)
		return s
	}
}

// run is one life of the server: its end closes the stores.
func (b backed) run(t *testing.T, do func(e *server.Embedded)) {
	t.Helper()
	c := b.open(t)
	c.URL, c.SealKey, c.Logger, c.Audit = "https://auth.test", [32]byte{1}, slog.New(slog.DiscardHandler), func(audit.Entry) {}
	c.InsecureHashes = true
	e, err := server.Open(t.Context(), c)
	must(t, err)
	do(e)
	err = e.Close()
	if c.Sessions != nil {
		err = errors.Join(err, c.Sessions.Close())
	}
	must(t, errors.Join(err, c.Store.Close()))
}

// REV-09, KEY-05: a backup is put back while no server runs. The one that starts knows by the
// head that was kept: what was revoked since stays so, everybody signs in again, and the next
// start is an ordinary one.
func TestRestoredWhileNobodyRan(t *testing.T) {
	for name, on := range backups {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := on(t)
			head := func(e *server.Embedded) counterfoil.Cursor {
				t.Helper()
				at, err := e.Issuer().Head(t.Context())
				must(t, err)
				return at
			}
			signIn := func(e *server.Embedded, subject string) *issuer.Issued {
				t.Helper()
				got, err := e.Issuer().Login(t.Context(), login.Proof{Subject: subject, At: time.Now()}, issuer.Request{Carrier: counterfoil.CarrierBearer})
				must(t, err)
				return got
			}
			var ended, kept *issuer.Issued
			var was, now counterfoil.Cursor
			var leaked string // a signing key
			b.run(t, func(e *server.Embedded) { ended, kept = signIn(e, "alice"), signIn(e, "bob") })
			b.backup(t)
			b.run(t, func(e *server.Embedded) {
				got, err := e.Issuer().Refresh(t.Context(), kept.Refresh.Reveal(), issuer.Renewal{})
				if err != nil {
					t.Fatalf("Refresh after an ordinary start = %v", err)
				}
				kept = got
				_, err = e.Issuer().Revoke(t.Context(), source.ScopeSubject, "alice", audit.Act{})
				must(t, err)
				leaked = e.Issuer().SigningKeys()[0].ID
				_, err = e.Issuer().Revoke(t.Context(), source.ScopeKey, leaked, audit.Act{})
				must(t, err)
				was = head(e)
			})
			b.restore(t)
			b.run(t, func(e *server.Embedded) {
				if now = head(e); now.Epoch == was.Epoch {
					t.Errorf("head after the restore = %v, want another epoch than that of %v", now, was)
				}
				if keys, err := e.Issuer().Keys(t.Context()); err != nil || strings.Contains(string(keys), leaked) {
					t.Errorf("Keys = %s, %v, want none of %s", keys, err, leaked)
				}
				for what, issued := range map[string]*issuer.Issued{"revoked since": ended, "of before": kept} {
					if _, err := e.Issuer().Refresh(t.Context(), issued.Refresh.Reveal(), issuer.Renewal{}); !errors.Is(err, counterfoil.ErrInvalidToken) {
						t.Errorf("%s: Refresh = %v, want ErrInvalidToken", what, err)
					}
					if _, err := e.Verifier().Verify(t.Context(), issued.Access.Reveal()); !errors.Is(err, counterfoil.ErrInvalidToken) {
						t.Errorf("%s: Verify = %v, want ErrInvalidToken", what, err)
					}
				}
				kept = signIn(e, "bob")
			})
			b.run(t, func(e *server.Embedded) {
				if at := head(e); at.Epoch != now.Epoch {
					t.Errorf("head after the next start = %v, want the epoch of %v", at, now)
				}
				if _, err := e.Verifier().Verify(t.Context(), kept.Access.Reveal()); err != nil {
					t.Errorf("Verify of a session of after the restore = %v", err)
				}
			})
		})
	}
}

// elsewhere is a durable store that is no file of this machine.
type elsewhere struct{ store.Store }

func (elsewhere) Describe() store.Description { return store.Description{Durability: store.Durable} }

// A durable store whose head nothing keeps says so at the start; others do not.
func TestNothingKeepsTheHead(t *testing.T) {
	file := server.HeadFile(filepath.Join(t.TempDir(), "head"))
	for name, c := range map[string]struct {
		server.Config
		warns bool
	}{
		"lossy":             {server.Config{Store: memory.New()}, false},
		"a file":            {server.Config{Store: opened(t)(sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "app.db")))}, false},
		"elsewhere":         {server.Config{Store: elsewhere{memory.New()}}, true},
		"elsewhere, a head": {server.Config{Store: elsewhere{memory.New()}, Head: file}, false},
	} {
		var log bytes.Buffer
		c.URL, c.SealKey, c.Logger, c.Audit = "https://auth.test", [32]byte{1}, slog.New(slog.NewTextHandler(&log, nil)), func(audit.Entry) {}
		c.InsecureHashes = true
		e, err := server.Open(t.Context(), c.Config)
		must(t, err)
		must(t, errors.Join(e.Close(), c.Store.Close()))
		if warns := strings.Contains(log.String(), "set Config.Head"); warns != c.warns {
			t.Errorf("%s: the log says %s", name, &log)
		}
	}
}

// brokenKeeper is one that cannot be asked, or takes nothing.
type brokenKeeper struct {
	read, keep error
	kept       []counterfoil.Cursor
}

func (k *brokenKeeper) Read(context.Context) (counterfoil.Cursor, error) {
	return counterfoil.Cursor{}, k.read
}

func (k *brokenKeeper) Keep(_ context.Context, head counterfoil.Cursor) error {
	k.kept = append(k.kept, head)
	return k.keep
}

// A server that cannot learn what was kept does not guess. One that cannot keep the head
// says so at the end.
func TestBrokenHeadKeeper(t *testing.T) {
	broken := errors.New("broken")
	open := func(k *brokenKeeper) (*server.Embedded, error) {
		return server.Open(t.Context(), server.Config{
			Store: memory.New(), URL: "https://auth.test", Head: k, Offline: true, Logger: slog.New(slog.DiscardHandler), Audit: func(audit.Entry) {},
		})
	}
	if _, err := open(&brokenKeeper{read: broken}); !errors.Is(err, broken) {
		t.Errorf("Open = %v, want that the keeper is broken", err)
	}
	k := &brokenKeeper{keep: broken}
	e, err := open(k)
	must(t, err)
	head, err := e.Issuer().Head(t.Context())
	must(t, err)
	for range 2 {
		if err := e.Close(); !errors.Is(err, broken) || len(k.kept) != 1 || k.kept[0] != head {
			t.Errorf("Close = %v and keeps %v, want the error and %v", err, k.kept, head)
		}
	}
}

// A file that is damaged is named, and is no head.
func TestHeadFile(t *testing.T) {
	file := server.HeadFile(filepath.Join(t.TempDir(), "head"))
	if at, err := file.Read(t.Context()); err != nil || at != (counterfoil.Cursor{}) {
		t.Errorf("Read of no file = %v, %v", at, err)
	}
	for n := range uint64(2) {
		want := counterfoil.Cursor{Epoch: 7, Seq: 100 + n}
		must(t, file.Keep(t.Context(), want))
		if at, err := file.Read(t.Context()); err != nil || at != want {
			t.Errorf("Read = %v, %v, want %v", at, err, want)
		}
	}
	if info, err := os.Stat(string(file)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file: %v, %v", info.Mode(), err)
	}
	must(t, os.WriteFile(string(file), []byte("0123"), 0o600))
	if _, err := file.Read(t.Context()); err == nil || !strings.Contains(err.Error(), string(file)) {
		t.Errorf("Read of a damaged file = %v, want an error that names it", err)
	}
}
