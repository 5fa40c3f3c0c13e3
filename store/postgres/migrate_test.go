package postgres_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/counterfoil/counterfoil/internal/testsvc"
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/postgres"
)

// A node of the first version works while a newer program migrates. The migration must wait
// for a transaction that stays open. It gives up its place again and again, so that no commit
// of the node fails, and it finishes when the transaction ends.
func TestMigratesWhileANodeRuns(t *testing.T) {
	t.Parallel()
	_, dsn := testsvc.SharedPostgres(t).Database(t, "")
	if err := postgres.MigrateTo(t.Context(), dsn, 1); err != nil {
		t.Fatal(err)
	}
	old, reader, watcher := connect(t, dsn), connect(t, dsn), connect(t, dsn)
	n := 0
	work := func() { // the statement is prepared once, as in a running node
		n++
		b := store.Batch{Put: []store.Record{thing(fmt.Sprint(n))}}
		var done bool
		if err := old.QueryRow(t.Context(), postgres.OldCommitSQL, postgres.OldArguments(b)...).Scan(&done, nil, nil, nil); err != nil || !done {
			t.Fatalf("commit %d of the old node = %v, %v", n, done, err)
		}
	}
	work()
	long, err := reader.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := long.Exec(t.Context(), `SELECT FROM counterfoil.head`); err != nil {
		t.Fatal(err)
	}
	migrated := make(chan error, 1)
	go func() { migrated <- postgres.Migrate(context.Background(), dsn) }()
	running := func() {
		select {
		case err := <-migrated:
			t.Fatalf("Migrate = %v while a transaction locks the table that it changes", err)
		default:
		}
	}
	for !waitsForHead(t, watcher) {
		running()
	}
	work() // queues behind the migration, which gives up its place
	running()
	if err := long.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	for err, running := error(nil), true; running; {
		work()
		select {
		case err = <-migrated:
			if running = false; err != nil {
				t.Errorf("Migrate = %v", err)
			}
		default:
		}
	}
	work() // on the new schema
	commit(t, open(t, dsn), store.Batch{Put: []store.Record{thing("new")}})
}

func connect(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// waitsForHead reports whether a transaction waits for a lock on the table head.
func waitsForHead(t *testing.T, conn *pgx.Conn) (waits bool) {
	t.Helper()
	if err := conn.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted
		AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND relation = 'counterfoil.head'::regclass)`).Scan(&waits); err != nil {
		t.Fatal(err)
	}
	return waits
}
