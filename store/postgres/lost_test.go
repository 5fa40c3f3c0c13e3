package postgres_test

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/internal/testsvc"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/postgres"
)

// wantLost checks two nodes that have seen the lost head seen. Both refuse Log and Commit
// until a commit of s begins an epoch. Then both go on, with one log.
func wantLost(t *testing.T, s, other *postgres.Store, seen counterfoil.Cursor) {
	t.Helper()
	for _, s := range []*postgres.Store{s, other} {
		for range 2 {
			if _, at, err := s.Log(t.Context(), seen, 1); !errors.Is(err, store.ErrLost) {
				t.Errorf("Log after a loss = %v, %v, want ErrLost", at, err)
			}
			if at, err := s.Commit(t.Context(), store.Batch{Put: []store.Record{thing("late")}}); !errors.Is(err, store.ErrLost) {
				t.Errorf("Commit after a loss = %v, %v, want ErrLost", at, err)
			}
		}
	}
	if _, err := store.One(t.Context(), s, thing("late").Key); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Get of a record whose commit was refused = %v, want ErrNotFound", err)
	}
	if _, err := s.Commit(t.Context(), store.Batch{NewEpoch: true, Put: []store.Record{{Key: thing("late").Key, Rev: 1}}}); !errors.Is(err, store.ErrConflict) {
		t.Errorf("a new epoch under a condition that does not hold = %v, want ErrConflict", err)
	}
	if _, _, err := s.Log(t.Context(), seen, 1); !errors.Is(err, store.ErrLost) {
		t.Errorf("Log after that = %v, want ErrLost", err)
	}
	began := commit(t, s, store.Batch{NewEpoch: true})
	if began.Epoch == seen.Epoch {
		t.Errorf("the new epoch has the number of the old one: %v", began)
	}
	for _, s := range []*postgres.Store{s, other} {
		if at := head(t, s); at != began {
			t.Errorf("head = %v, want %v, which a commit began", at, began)
		}
	}
	at := commit(t, other, store.Batch{Put: []store.Record{thing("late")}, Revoke: []source.Revocation{entry("on")}})
	if is := head(t, s); is != at || at.Epoch != began.Epoch {
		t.Errorf("head = %v, want %v of epoch %d", is, at, began.Epoch)
	}
}

// REV-09: a data folder is put back. Its history has the same name. But the nodes that have
// seen a later head see that entries are missing. A node that has not seen it finds another
// epoch.
func TestRolledBackDisk(t *testing.T) {
	t.Parallel()
	server := testsvc.StartPostgres(t, testsvc.Durable)
	_, dsn := server.Database(t, "")
	s, other := open(t, dsn), open(t, dsn)
	commit(t, s, store.Batch{Revoke: []source.Revocation{entry("kept")}})
	server.Stop()
	backup := filepath.Join(t.TempDir(), "backup")
	run(t, "cp", "-a", server.Dir(), backup)
	server.Restart(t)
	waitUntilUp(t, s)
	was := commit(t, s, store.Batch{Revoke: []source.Revocation{entry("lost")}})
	waitUntilUp(t, other)
	if at := head(t, other); at != was {
		t.Fatalf("head = %v, want %v", at, was)
	}
	server.Stop()
	run(t, "rm", "-r", server.Dir())
	run(t, "cp", "-a", backup, server.Dir())
	server.Restart(t)
	waitUntilUp(t, s)
	waitUntilUp(t, other)
	if at := head(t, open(t, dsn)); at.Epoch == was.Epoch {
		t.Errorf("a new node goes on in the old epoch at %v", at)
	}
	wantLost(t, s, other, was)
}

// The same without a restart: an administrator puts old rows back.
func TestRowsPutBack(t *testing.T) {
	t.Parallel()
	server := testsvc.SharedPostgres(t)
	name, dsn := server.Database(t, "")
	s, other := open(t, dsn), open(t, dsn)
	commit(t, s, store.Batch{Revoke: []source.Revocation{entry("kept")}})
	server.Exec(t, name, "CREATE TABLE backup AS SELECT epoch, seq FROM counterfoil.head")
	was := commit(t, s, store.Batch{Revoke: []source.Revocation{entry("lost")}})
	head(t, other)
	server.Exec(t, name, "UPDATE counterfoil.head SET epoch = backup.epoch, seq = backup.seq FROM backup")
	server.Exec(t, name, "DELETE FROM counterfoil.log WHERE seq > (SELECT seq FROM backup)")
	for _, s := range []*postgres.Store{s, other} {
		if _, _, err := s.Log(t.Context(), was, 1); !errors.Is(err, store.ErrLost) {
			t.Errorf("Log = %v, want ErrLost", err)
		}
	}
	wantLost(t, s, other, was)
}

// REV-09: a standby that lacks the last commits is promoted.
func TestFailoverToLaggingStandby(t *testing.T) {
	t.Parallel()
	primary := testsvc.StartPostgres(t, testsvc.Durable)
	name, dsn := primary.Database(t, "")
	s := open(t, dsn)
	commit(t, s, store.Batch{Revoke: []source.Revocation{entry("kept")}})
	standby := primary.StartStandby(t)
	both := "postgres://cf@" + standby.Addr() + "," + primary.Addr() + "/" + name
	s, other := open(t, both), open(t, both)
	standby.Stop()
	was := commit(t, s, store.Batch{Revoke: []source.Revocation{entry("lost")}})
	head(t, other)
	primary.Kill()
	standby.Restart(t)
	standby.Promote(t)
	waitUntilUp(t, s)
	waitUntilUp(t, other)
	wantLost(t, s, other, was)
}

// An administrator replaces the database with a backup while a node runs. A session that was
// revoked after the backup stays revoked: neither its token nor its restored row is accepted.
// A person who signs in afterwards has a session.
func TestRestoredWhileNodesRun(t *testing.T) {
	t.Parallel()
	server := testsvc.StartPostgres(t, testsvc.Fast)
	name, dsn := server.Database(t, "")
	i := newIssuer(t, open(t, dsn))
	proof := login.Proof{Subject: "alice", Methods: []string{"pwd"}, At: time.Now()}
	var issued []*issuer.Issued
	for _, c := range []counterfoil.Carrier{counterfoil.CarrierCookie, counterfoil.CarrierBearer} {
		got, err := i.Login(t.Context(), proof, issuer.Request{Carrier: c})
		if err != nil {
			t.Fatal(err)
		}
		issued = append(issued, got)
	}
	server.Exec(t, "postgres", "ALTER DATABASE "+name+" ALLOW_CONNECTIONS false")
	cut := "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE datname = '" + name + "'"
	server.Exec(t, "postgres", cut)
	backup, _ := server.Database(t, name)
	server.Exec(t, "postgres", "ALTER DATABASE "+name+" ALLOW_CONNECTIONS true")
	for _, got := range issued {
		untilOK(t, func() error {
			_, err := i.Revoke(t.Context(), source.ScopeSession, got.Session.ID, audit.Act{})
			return err
		})
	}
	server.Exec(t, "postgres", "ALTER DATABASE "+name+" ALLOW_CONNECTIONS false")
	server.Exec(t, "postgres", cut)
	server.Exec(t, "postgres", "ALTER DATABASE "+name+" RENAME TO "+name+"_lost")
	server.Exec(t, "postgres", "ALTER DATABASE "+backup+" RENAME TO "+name)
	untilOK(t, func() error {
		_, err := i.Head(t.Context())
		return err
	})
	for _, got := range issued {
		if _, err := i.Lookup(t.Context(), got.Access.Reveal()); !errors.Is(err, counterfoil.ErrInvalidToken) {
			t.Errorf("%s: Lookup of a session that was revoked before the restore = %v, want ErrInvalidToken", got.Session.Carrier, err)
		}
	}
	if got, err := i.Refresh(t.Context(), issued[1].Refresh.Reveal(), issuer.Renewal{}); err == nil {
		t.Errorf("Refresh of a session that was revoked before the restore = %v", got)
	}
	got, err := i.Login(t.Context(), proof, issuer.Request{Carrier: counterfoil.CarrierCookie})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := i.Lookup(t.Context(), got.Access.Reveal()); err != nil {
		t.Errorf("Lookup of a session that began after the restore = %v", err)
	}
}

// untilOK repeats do until it succeeds: the first calls after a loss of all connections fail.
func untilOK(t *testing.T, do func() error) {
	t.Helper()
	err := do()
	for err != nil && t.Context().Err() == nil {
		err = do()
	}
}
