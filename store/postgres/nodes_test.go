package postgres_test

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/internal/testsvc"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/postgres"
)

func TestNodesStartAtOnce(t *testing.T) {
	t.Parallel()
	_, dsn := testsvc.SharedPostgres(t).Database(t, "")
	heads := make([]counterfoil.Cursor, 6)
	var wg sync.WaitGroup
	for n := range heads {
		wg.Go(func() {
			s, err := postgres.Open(t.Context(), postgres.Options{URL: dsn})
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			_, heads[n], err = s.Log(t.Context(), counterfoil.Cursor{}, 1)
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, at := range heads {
		if at != heads[0] || at.Epoch == 0 {
			t.Errorf("nodes that created the schema at the same time have the heads %v", heads)
		}
	}
}

// The listening connection of a node is cut. Commits of another node still wake its callers.
func TestWaitSurvivesALostConnection(t *testing.T) {
	t.Parallel()
	server := testsvc.SharedPostgres(t)
	name, dsn := server.Database(t, "")
	a, b := open(t, dsn), open(t, dsn)
	for n := range 5 {
		at := head(t, a)
		woken := make(chan error)
		go func() { woken <- a.Wait(context.Background(), at) }()
		if n%2 == 1 {
			server.Exec(t, name, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'")
		}
		commit(t, b, store.Batch{Revoke: []source.Revocation{entry("x")}})
		if err := <-woken; err != nil {
			t.Errorf("Wait = %v", err)
		}
	}
}

// A node works with a schema that is one version newer.
func TestNewerSchemaIsNoError(t *testing.T) {
	t.Parallel()
	server := testsvc.SharedPostgres(t)
	name, dsn := server.Database(t, "")
	open(t, dsn)
	server.Exec(t, name, "INSERT INTO counterfoil.goose_db_version (version_id, is_applied) VALUES (99999, true)")
	commit(t, open(t, dsn), store.Batch{Put: []store.Record{thing("a")}})
}

//go:embed roles.sql
var roles string

// OPS-11: a node needs no right to change the schema, and readers see no secret.
func TestLeastPrivilege(t *testing.T) {
	server := testsvc.StartPostgres(t, testsvc.Fast) // its own: roles belong to a whole server
	name, dsn := server.Database(t, "")
	server.Exec(t, name, `CREATE ROLE node LOGIN; CREATE ROLE person LOGIN`)
	as := func(role string) string { return strings.Replace(dsn, "cf@", role+"@", 1) }
	if _, err := postgres.Open(t.Context(), postgres.Options{URL: as("node")}); err == nil || !strings.Contains(err.Error(), "migrate as its owner") {
		t.Errorf("Open before the schema is made = %v, want the hint to migrate", err)
	}
	if err := postgres.Migrate(t.Context(), dsn); err != nil {
		t.Fatal(err)
	}
	server.Exec(t, name, roles)
	server.Exec(t, name, `GRANT counterfoil_node TO node; GRANT counterfoil_read TO person`)

	s := open(t, as("node"))
	commit(t, s, store.Batch{
		Put: []store.Record{
			{Key: store.Key{Kind: "session", ID: "ses_1"}, Owner: "alice", Value: []byte(`{"client":"web","created":"2026-01-02T03:04:05Z"}`)},
			{Key: store.Key{Kind: "user", ID: "usr_1"}, Value: []byte(`{"identifier":"alice","roles":["admin"]}`)},
		},
		DeleteOwned: []store.Owned{{Kind: "session", Owner: "bob"}}, Revoke: []source.Revocation{entry("x")},
	})
	commit(t, s, store.Batch{NewEpoch: true})
	if _, err := s.Sweep(t.Context(), time.Now()); err != nil {
		t.Errorf("Sweep = %v", err)
	}
	if _, err := postgres.Examine(t.Context(), postgres.Options{URL: as("node")}, time.Now()); err != nil {
		t.Errorf("Examine = %v", err)
	}
	for role, allowed := range map[string]map[string]bool{
		"node": {"CREATE TABLE counterfoil.t ()": false, "TRUNCATE counterfoil.log": false, "DROP TABLE counterfoil.log": false},
		"person": {
			"SELECT client, created FROM counterfoil.sessions WHERE subject = 'alice'": true,
			"SELECT identifier, roles FROM counterfoil.users":                          true,
			"SELECT value FROM counterfoil.records":                                    false, "DELETE FROM counterfoil.log": false,
		},
	} {
		conn, err := pgx.Connect(t.Context(), as(role))
		if err != nil {
			t.Fatal(err)
		}
		for query, ok := range allowed {
			if done, err := conn.Exec(t.Context(), query); (err == nil) != ok || ok && done.RowsAffected() != 1 {
				t.Errorf("%s: %s = %v, %v, want allowed: %v and one row", role, query, done, err, ok)
			}
		}
		_ = conn.Close(t.Context())
	}
}

// REV-01: no setting of the role or the database makes an acknowledgement weaker.
func TestSettingsOfConnections(t *testing.T) {
	t.Parallel()
	server := testsvc.SharedPostgres(t)
	name, dsn := server.Database(t, "")
	for set, want := range map[string]string{"off": "on", "local": "on", "remote_write": "on", "on": "on", "remote_apply": "remote_apply"} {
		server.Exec(t, name, "ALTER DATABASE "+name+" SET synchronous_commit = "+set+"; ALTER DATABASE "+name+" SET default_transaction_isolation = 'serializable'")
		s := open(t, dsn)
		for setting, want := range map[string]string{"synchronous_commit": want, "transaction_isolation": "read committed", "statement_timeout": "10s"} {
			if got, err := s.Setting(t.Context(), setting); err != nil || got != want {
				t.Errorf("with synchronous_commit = %s, %s is %q, %v, want %q", set, setting, got, err, want)
			}
		}
	}
	if is := open(t, dsn).Describe(); is.Durability != store.Lossy || is.WhyLossy == "" {
		t.Errorf("a server that does not flush is %+v, want lossy, and why", is)
	}
}

// The deadline of a caller ends a commit that waits for a lock of another node. The commit
// writes nothing later.
func TestDeadlineEndsACommit(t *testing.T) {
	t.Parallel()
	_, dsn := testsvc.SharedPostgres(t).Database(t, "")
	s := open(t, dsn)
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(t.Context(), "SELECT pg_advisory_lock($1)", postgres.LogLock); err != nil {
		t.Fatal(err)
	}
	for what, b := range map[string]store.Batch{
		"an ordinary commit": {Put: []store.Record{thing("a")}}, "a revocation": {Put: []store.Record{thing("b")}, Revoke: []source.Revocation{entry("x")}},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		if _, err := s.Commit(ctx, b); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s = %v, want %v", what, err, context.DeadlineExceeded)
		}
		cancel()
	}
	if _, err := conn.Exec(t.Context(), "SELECT pg_advisory_unlock($1)", postgres.LogLock); err != nil {
		t.Fatal(err)
	}
	if _, err := store.One(t.Context(), s, thing("a").Key); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Get after the deadline = %v, want ErrNotFound", err)
	}
}

// The store refuses invalid text before it sends it: at the server it would make the commits
// of other callers fail.
func TestInvalidTextIsRefusedBeforeSending(t *testing.T) {
	t.Parallel()
	_, dsn := testsvc.SharedPostgres(t).Database(t, "")
	s := open(t, dsn)
	for _, bad := range []string{"a\x00b", "\xff"} {
		if _, err := s.Commit(t.Context(), store.Batch{Revoke: []source.Revocation{{Scope: "session", ID: "x", Reason: bad}}}); err == nil {
			t.Errorf("Commit accepts the reason %q", bad)
		}
		if _, err := store.One(t.Context(), s, store.Key{Kind: "session", ID: bad}); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("Get(%q) = %v, want ErrNotFound", bad, err)
		}
	}
	if at := head(t, s); at.Seq != 0 {
		t.Errorf("head = %v after refusals only", at)
	}
}

// Many readers at once each get their own record, or ErrNotFound if it is absent.
func TestManyReaders(t *testing.T) {
	t.Parallel()
	_, dsn := testsvc.SharedPostgres(t).Database(t, "")
	s := open(t, dsn)
	var b store.Batch
	for n := range 50 {
		b.Put = append(b.Put, thing(fmt.Sprint(n)))
		b.Put[n].Value = []byte(fmt.Sprint(n))
	}
	commit(t, s, b)
	var wg sync.WaitGroup
	for reader := range 40 {
		wg.Go(func() {
			for n := range 200 {
				want := (reader*31 + n) % 100 // the upper half is absent
				got, err := store.One(t.Context(), s, thing(fmt.Sprint(want)).Key)
				if want >= 50 != errors.Is(err, store.ErrNotFound) || want < 50 && (err != nil || string(got.Value) != got.ID || got.ID != fmt.Sprint(want)) {
					t.Errorf("Get(%d) = %+v, %v", want, got, err)
				}
			}
		})
	}
	wg.Wait()
}
