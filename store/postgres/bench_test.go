package postgres_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/internal/testsvc"
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/storebench"
)

// bare uses pgx alone: one prepared statement for each operation, a table with one index, and
// a pool as large as the store's.
type bare struct{ *pgxpool.Pool }

func (p bare) Read(ctx context.Context, id string) error {
	var rev int64
	var value []byte
	return p.QueryRow(ctx, `SELECT rev, value FROM raw WHERE id = $1`, id).Scan(&rev, &value)
}

func (p bare) Insert(ctx context.Context, id string, value []byte) error {
	_, err := p.Exec(ctx, `INSERT INTO raw VALUES ($1, 1, $2)`, id, value)
	return err
}

func (p bare) Update(ctx context.Context, id string, value []byte) error {
	_, err := p.Exec(ctx, `UPDATE raw SET rev = rev + 1, value = $2 WHERE id = $1`, id, value)
	return err
}

// engines starts a server that flushes every write. Each call of opened returns the store of
// another node on it.
func engines(b *testing.B) (raw bare, opened func(*testing.B) store.Store) {
	b.Helper()
	_, dsn := testsvc.StartPostgres(b, testsvc.Durable).Database(b, "")
	config, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		b.Fatal(err)
	}
	config.MaxConns = 16
	pool, err := pgxpool.NewWithConfig(b.Context(), config)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(pool.Close)
	if _, err := pool.Exec(b.Context(), `CREATE TABLE raw (id text PRIMARY KEY, rev bigint NOT NULL, value bytea NOT NULL) WITH (fillfactor = 75)`); err != nil {
		b.Fatal(err)
	}
	return bare{pool}, func(b *testing.B) store.Store { return open(b, dsn) }
}

func BenchmarkSteps(b *testing.B) {
	raw, opened := engines(b)
	storebench.Steps(b, opened(b), raw)
}

func BenchmarkRates(b *testing.B) {
	raw, opened := engines(b)
	storebench.Rates(b, raw, opened, 1, 2, 3)
}

func BenchmarkGrowth(b *testing.B) {
	raw, opened := engines(b)
	storebench.Growth(b, raw, opened(b))
}

// BenchmarkSize counts the bytes of the table and its indexes right after loading.
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

func BenchmarkSearch(b *testing.B) {
	_, opened := engines(b)
	storebench.Search(b, opened(b), true)
}

func BenchmarkSearchTrail(b *testing.B) {
	_, opened := engines(b)
	storebench.SearchTrail(b, opened(b))
}

func BenchmarkTexts(b *testing.B) {
	_, opened := engines(b)
	storebench.Texts(b, opened(b))
}
