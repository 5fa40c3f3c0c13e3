package postgres_test

import (
	"log/slog"
	"testing"

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

func TestIsLinearizable(t *testing.T) {
	linear.Run(t, func(t *testing.T) store.Store {
		_, dsn := testsvc.SharedPostgres(t).Database(t, "")
		return open(t, dsn)
	})
}
