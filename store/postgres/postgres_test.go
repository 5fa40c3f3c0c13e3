package postgres_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/counterfoil/counterfoil/internal/testsvc"
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/postgres"
	"github.com/counterfoil/counterfoil/store/storetest"
	"github.com/counterfoil/counterfoil/store/storetest/linear"
)

func TestMain(m *testing.M) { testsvc.Main(m) }

func open(tb testing.TB, dsn string) *postgres.Store {
	tb.Helper()
	s, err := postgres.Open(tb.Context(), postgres.Options{URL: dsn, Log: slog.New(slog.NewTextHandler(tb.Output(), nil))})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = s.Close() })
	return s
}

// The store is the same for a role with any settings, in a database that is not UTF-8. The other
// tests have the settings of a new server.
func TestContract(t *testing.T) {
	server := testsvc.SharedPostgres(t)
	as := unusualRole(t, server)
	template, dsn := server.Database(t, latin1)
	if err := postgres.Migrate(t.Context(), as(dsn)); err != nil {
		t.Fatal(err)
	}
	storetest.Run(t, func(t *testing.T) store.Store {
		_, dsn := server.Database(t, template)
		return open(t, as(dsn))
	})
}

func TestMove(t *testing.T) {
	server := testsvc.SharedPostgres(t)
	template, dsn := server.Database(t, "")
	if err := postgres.Migrate(t.Context(), dsn); err != nil {
		t.Fatal(err)
	}
	storetest.RunMove(t, func(t *testing.T) storetest.Place {
		_, dsn := server.Database(t, template)
		o := postgres.Options{URL: dsn, Log: slog.New(slog.NewTextHandler(t.Output(), nil))}
		return storetest.Place{
			Open:  func() (store.Store, error) { return postgres.Open(t.Context(), o) },
			Mover: func() (store.Mover, error) { return postgres.OpenToMove(t.Context(), o) },
		}
	})
}

// The lock of a connection that was closed is held until the server has noticed. A move waits for that.
func TestMoveOfNodesThatStop(t *testing.T) {
	_, dsn := testsvc.SharedPostgres(t).Database(t, "")
	if err := postgres.Migrate(t.Context(), dsn); err != nil {
		t.Fatal(err)
	}
	node, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer node.Close(context.Background())
	if _, err := node.Exec(t.Context(), `SELECT pg_advisory_lock_shared($1)`, postgres.UseLock); err != nil {
		t.Fatal(err)
	}
	released := make(chan error, 1)
	go func() {
		for refused := false; !refused; {
			// The move has asked once, and was told that the lock is taken.
			if err := node.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM pg_stat_activity
				WHERE datname = current_database() AND pid <> pg_backend_pid() AND state = 'idle' AND query LIKE '%pg_try_advisory_lock($1)%')`).Scan(&refused); err != nil {
				released <- err
				return
			}
		}
		_, err := node.Exec(t.Context(), `SELECT pg_advisory_unlock_shared($1)`, postgres.UseLock)
		released <- err
	}()
	m, err := postgres.OpenToMove(t.Context(), postgres.Options{URL: dsn, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatalf("OpenToMove = %v", err)
	}
	if err := errors.Join(<-released, m.Close()); err != nil {
		t.Fatal(err)
	}
}

func TestIsLinearizable(t *testing.T) {
	linear.Run(t, func(t *testing.T) store.Store {
		_, dsn := testsvc.SharedPostgres(t).Database(t, "")
		return open(t, dsn)
	})
}
