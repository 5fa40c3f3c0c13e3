package postgres_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/internal/testsvc"
	"github.com/counterfoil/counterfoil/store/storebench"
)

// BenchmarkSize counts table and indexes, as they are after the loading alone.
func BenchmarkSize(b *testing.B) {
	storebench.Size(b, func(b *testing.B) storebench.Engine {
		_, dsn := testsvc.StartPostgres(b, testsvc.Fast).Database(b, "")
		s := open(b, dsn)
		conn, err := pgx.Connect(b.Context(), dsn)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = conn.Close(context.Background()) })
		return storebench.Engine{Store: s, Bytes: func() (n int64) {
			if err := conn.QueryRow(context.Background(), `SELECT pg_total_relation_size('counterfoil.records')`).Scan(&n); err != nil {
				b.Fatal(err)
			}
			return n
		}}
	}, counterfoil.CarrierCookie, counterfoil.CarrierBearer)
}
