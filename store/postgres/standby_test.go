package postgres_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/internal/testsvc"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store"
)

// While the synchronous standby is gone, no timeout of the server ends a commit: it waits for
// the standby. The caller's deadline does, and then the outcome is unknown: the commit is
// visible, and a failover would lose it. So no commit that follows is acknowledged either, not
// even one that writes nothing, until the standby has them all.
func TestStandbyIsGone(t *testing.T) {
	t.Parallel()
	standby, dsn := withStandby(t)
	s := open(t, dsn)
	before := commit(t, s, store.Batch{Put: []store.Record{thing("before")}, Revoke: []source.Revocation{entry("before")}})
	standby.Stop()

	// The first one is held up by nothing but the standby, so it is visible in the end. Those
	// after it may wait for the locks of one another.
	for _, c := range []struct {
		name string
		do   store.Batch
	}{
		{"a record", store.Batch{Put: []store.Record{thing("a")}}},
		{"nothing", store.Batch{}},
		{"a condition", store.Batch{Require: []store.Require{{Key: thing("before").Key, Rev: 1}}}},
		{"nothing to delete", store.Batch{Delete: []store.Key{thing("none").Key}}},
		{"a revocation", store.Batch{Put: []store.Record{thing("b")}, Revoke: []source.Revocation{entry("x")}}},
		{"no owner's to delete", store.Batch{DeleteOwned: []store.Owned{{Kind: "thing", Owner: "nobody"}}}},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		head, err := s.Commit(ctx, c.do)
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a commit of %s without the standby = %v, %v, want that the deadline has passed", c.name, head, err)
		}
	}
	if rec, err := store.One(t.Context(), s, thing("a").Key); err != nil || rec.Rev != 1 {
		t.Errorf("the record whose commit was not acknowledged: revision %d, %v, want 1", rec.Rev, err)
	}
	// Without a deadline of the caller, the store has one. It may end before the commit begins.
	if _, err := s.Commit(t.Context(), store.Batch{Put: []store.Record{thing("c")}}); err == nil || errors.Is(err, store.ErrConflict) {
		t.Errorf("a commit without a deadline = %v, want an outage", err)
	}

	standby.Restart(t)
	if after := commit(t, s, store.Batch{}); after.Epoch != before.Epoch {
		t.Errorf("the head was %v, and is %v when the standby is back", before, after)
	}
	if rec, err := store.One(t.Context(), s, thing("a").Key); err != nil || rec.Rev != 1 {
		t.Errorf("a is at revision %d, %v, want 1", rec.Rev, err)
	}
}

// What a caller does after an unknown outcome: the same again. It gets the receipt of the
// revocation that was written, and the successor of the refresh that was written.
func TestRetryWhenTheStandbyIsBack(t *testing.T) {
	t.Parallel()
	standby, dsn := withStandby(t)
	s := open(t, dsn)
	i := newIssuer(t, s)
	lives, ends := signIn(t, i, "lives"), signIn(t, i, "ends")
	session, err := i.Held(t.Context(), ends.Access.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	refresh := func(ctx context.Context, token string) (*issuer.Issued, error) {
		return i.Refresh(ctx, token, issuer.Renewal{})
	}
	revoke := func(ctx context.Context) (issuer.Receipt, error) {
		return i.Revoke(ctx, source.ScopeSession, session.ID, audit.Act{})
	}
	standby.Stop()
	for _, c := range []struct {
		what string
		do   func(context.Context) error
	}{
		{"refresh", func(ctx context.Context) error { _, err := refresh(ctx, lives.Refresh.Reveal()); return err }},
		{"refresh again", func(ctx context.Context) error { _, err := refresh(ctx, lives.Refresh.Reveal()); return err }}, // finds that it was done
		{"revoke", func(ctx context.Context) error { _, err := revoke(ctx); return err }},
		{"revoke again", func(ctx context.Context) error { _, err := revoke(ctx); return err }}, // finds that it was done
	} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		err := c.do(ctx)
		cancel()
		if !errors.Is(err, counterfoil.ErrUnavailable) {
			t.Errorf("%s without the standby = %v, want an outage", c.what, err)
		}
	}
	standby.Restart(t)
	receipt, err := revoke(t.Context())
	again, err2 := revoke(t.Context())
	if err != nil || err2 != nil || receipt.At != again.At {
		t.Errorf("revoked again = %v, %v, then %v, %v, want one receipt", receipt, err, again, err2)
	}
	entries, head, err := s.Log(t.Context(), counterfoil.Cursor{}, 100)
	if err != nil || len(entries) != 1 || receipt.At != entries[0].At || head != receipt.At {
		t.Errorf("the log has %v, %v, want the one entry of %v", entries, err, receipt)
	}
	next, err := refresh(t.Context(), lives.Refresh.Reveal())
	if err != nil {
		t.Fatalf("the retry of a refresh = %v", err)
	}
	if _, err := refresh(t.Context(), next.Refresh.Reveal()); err != nil {
		t.Errorf("the refresh after the retry = %v", err)
	}
}

// withStandby returns the URL of a new database, and the synchronous standby of its server.
func withStandby(t *testing.T) (standby *testsvc.Postgres, dsn string) {
	t.Helper()
	primary := testsvc.StartPostgres(t, testsvc.Durable)
	_, dsn = primary.Database(t, "")
	standby = primary.StartStandby(t)
	synchronous := func(names string) {
		primary.Exec(t, "postgres", "ALTER SYSTEM SET synchronous_standby_names = '"+names+"'")
		primary.Exec(t, "postgres", "SELECT pg_reload_conf()")
	}
	// The warning that a wait was given up must arrive all the same.
	primary.Exec(t, "postgres", "ALTER SYSTEM SET client_min_messages = 'error'")
	synchronous("*")
	t.Cleanup(func() { synchronous("") }) // or to drop the database would wait for the standby
	return standby, dsn
}
