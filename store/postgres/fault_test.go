package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/internal/testsvc"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/postgres"
)

func thing(id string) store.Record {
	return store.Record{Key: store.Key{Kind: "thing", ID: id}, Owner: "o", Value: []byte(`{}`)}
}

func entry(id string) source.Revocation {
	return source.Revocation{Scope: source.ScopeSession, ID: id, Expires: time.Now().Add(time.Hour)}
}

func commit(t *testing.T, s *postgres.Store, b store.Batch) counterfoil.Cursor {
	t.Helper()
	head, err := s.Commit(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	return head
}

func head(t *testing.T, s *postgres.Store) counterfoil.Cursor {
	t.Helper()
	_, at, err := s.Log(t.Context(), counterfoil.Cursor{}, 1)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// waitUntilUp waits until the store answers again: after a restart of the server the old
// connections fail first.
func waitUntilUp(t *testing.T, s *postgres.Store) {
	t.Helper()
	for t.Context().Err() == nil {
		_, err := store.One(t.Context(), s, thing("a").Key)
		if err == nil || errors.Is(err, store.ErrNotFound) {
			return
		}
	}
}

// OPS-02: every acknowledged commit is stored after kill -9 of a server that flushes, and
// the log goes on in its epoch.
func TestNothingAcknowledgedIsLost(t *testing.T) {
	t.Parallel()
	server := testsvc.StartPostgres(t, testsvc.Durable)
	_, dsn := server.Database(t, "")
	s := open(t, dsn)
	if d := s.Describe().Durability; d != store.Durable {
		t.Fatalf("Durability = %q, want %q", d, store.Durable)
	}
	epoch := head(t, s).Epoch
	for round := range 3 {
		acked := hammer(t, s, round, server)
		server.Restart(t)
		waitUntilUp(t, s)
		entries, at, err := s.Log(t.Context(), counterfoil.Cursor{}, 1_000_000)
		if err != nil || at.Epoch != epoch {
			t.Fatalf("after kill -9: head %v, %v, want epoch %d", at, err, epoch)
		}
		revoked := map[string]bool{}
		for _, e := range entries {
			revoked[e.ID] = true
		}
		for _, id := range acked {
			if _, err := store.One(t.Context(), s, thing(id).Key); err != nil || !revoked[id] {
				t.Errorf("%s was acknowledged; after kill -9: Get = %v, in the log: %v", id, err, revoked[id])
			}
		}
	}
}

// hammer writes from several goroutines and kills the server meanwhile. It returns the
// acknowledged ids once every writer has failed.
func hammer(t *testing.T, s *postgres.Store, round int, server *testsvc.Postgres) (acked []string) {
	t.Helper()
	const writers, before = 8, 100
	var mu sync.Mutex
	var total atomic.Int64
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for n := 0; ; n++ {
				id := fmt.Sprintf("%d.%d.%d", round, w, n)
				_, err := s.Commit(context.Background(), store.Batch{Put: []store.Record{thing(id)}})
				if err == nil {
					_, err = s.Commit(context.Background(), store.Batch{Revoke: []source.Revocation{entry(id)}})
				}
				if err != nil {
					return
				}
				mu.Lock()
				acked = append(acked, id)
				mu.Unlock()
				if total.Add(1) == before {
					wg.Go(server.Kill)
				}
			}
		})
	}
	wg.Wait()
	if len(acked) < before {
		t.Fatalf("%d acknowledged before the kill, want %d", len(acked), before)
	}
	return acked
}

// During an outage every method returns an error, and never says that a record is absent.
// The store recovers without help.
func TestOutageIsAnError(t *testing.T) {
	t.Parallel()
	server := testsvc.StartPostgres(t, testsvc.Fast)
	_, dsn := server.Database(t, "")
	s := open(t, dsn)
	commit(t, s, store.Batch{Put: []store.Record{thing("a")}})
	at := head(t, s)
	server.Stop()
	for range 20 {
		if _, err := store.One(t.Context(), s, thing("a").Key); err == nil || errors.Is(err, store.ErrNotFound) {
			t.Errorf("Get without a server = %v, want an outage", err)
		}
		if _, err := s.Commit(t.Context(), store.Batch{Put: []store.Record{thing("b")}}); err == nil || errors.Is(err, store.ErrConflict) {
			t.Errorf("Commit without a server = %v, want an outage", err)
		}
		if err := s.Wait(t.Context(), at); err == nil {
			t.Error("Wait without a server says that the head may have moved")
		}
	}
	server.Restart(t)
	waitUntilUp(t, s)
	other := open(t, dsn)
	woken := make(chan error)
	go func() { woken <- s.Wait(context.Background(), at) }()
	commit(t, other, store.Batch{Revoke: []source.Revocation{entry("x")}})
	if err := <-woken; err != nil {
		t.Errorf("Wait after the outage = %v", err)
	}
}

// REV-09: a copy of the database is another history. So is a restored dump.
func TestRestoredDumpIsANewEpoch(t *testing.T) {
	t.Parallel()
	server := testsvc.SharedPostgres(t)
	name, dsn := server.Database(t, "")
	s := open(t, dsn)
	was := commit(t, s, store.Batch{Put: []store.Record{thing("a")}, Revoke: []source.Revocation{entry("x")}})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dsn)
	if again := head(t, s); again != was {
		t.Errorf("a restart of the node moved the head from %v to %v", was, again)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	server.Exec(t, "postgres", "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE datname = '"+name+"'")
	_, copied := server.Database(t, name)
	restored := open(t, copied)
	if entries, is, err := restored.Log(t.Context(), was, 10); err != nil || is.Epoch == was.Epoch || is.Seq != 0 || len(entries) != 0 {
		t.Errorf("after a restore: %v at %v, %v, want an empty log of another epoch than %d", entries, is, err, was.Epoch)
	}
	if _, err := store.One(t.Context(), restored, thing("a").Key); err != nil {
		t.Errorf("Get after a restore = %v", err)
	}
}

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
}

// REV-03, REV-09: the store refuses a standby. Once promoted, the standby is another history.
func TestFailoverIsANewEpoch(t *testing.T) {
	t.Parallel()
	primary := testsvc.StartPostgres(t, testsvc.Durable)
	name, dsn := primary.Database(t, "")
	s := open(t, dsn)
	was := commit(t, s, store.Batch{Put: []store.Record{thing("a")}, Revoke: []source.Revocation{entry("x")}})
	standby := primary.StartStandby(t)
	if s, err := postgres.Open(t.Context(), postgres.Options{URL: standby.URL(name)}); err == nil {
		t.Errorf("Open of a standby = %v, want a refusal", s.Close())
	}
	// The URL names both servers. The store uses the primary, before and after the failover.
	both := fmt.Sprintf("postgres://cf@%s,%s/%s", standby.Addr(), primary.Addr(), name)
	s = open(t, both)
	if is := head(t, s); is != was {
		t.Errorf("head by both names = %v, want %v", is, was)
	}
	primary.Kill()
	standby.Promote(t)
	waitUntilUp(t, s)
	if is := head(t, s); is.Epoch == was.Epoch {
		t.Errorf("after a failover the epoch is still %d", is.Epoch)
	}
}
