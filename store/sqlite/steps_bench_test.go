package sqlite_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/sqlite"
	"github.com/counterfoil/counterfoil/store/storebench"
)

// bare uses the driver alone: one prepared statement for each operation, as many connections
// as Store has, and the same pragmas.
type bare struct{ read, insert, update *sql.Stmt }

func openBare(b *testing.B) bare {
	b.Helper()
	dsn := "file:" + filepath.Join(b.TempDir(), "raw.db") + "?_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)"
	prepare := func(connections int, query string) *sql.Stmt {
		db, err := sql.Open("sqlite", dsn)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { db.Close() })
		db.SetMaxOpenConns(connections)
		db.SetMaxIdleConns(connections)
		if _, err := db.Exec(`CREATE TABLE IF NOT EXISTS raw (id TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID`); err != nil {
			b.Fatal(err)
		}
		stmt, err := db.Prepare(query)
		if err != nil {
			b.Fatal(err)
		}
		return stmt
	}
	return bare{
		prepare(8, `SELECT value FROM raw WHERE id = ?`), prepare(1, `INSERT INTO raw VALUES (?, ?)`),
		prepare(1, `UPDATE raw SET value = ?2 WHERE id = ?1`),
	}
}

func (r bare) Read(ctx context.Context, id string) error {
	var value []byte
	return r.read.QueryRowContext(ctx, id).Scan(&value)
}

func (r bare) Insert(ctx context.Context, id string, value []byte) error {
	_, err := r.insert.ExecContext(ctx, id, value)
	return err
}

func (r bare) Update(ctx context.Context, id string, value []byte) error {
	_, err := r.update.ExecContext(ctx, id, value)
	return err
}

func BenchmarkSteps(b *testing.B) { storebench.Steps(b, fresh(b), openBare(b)) }

// BenchmarkRates runs one node: the store refuses a second one.
func BenchmarkRates(b *testing.B) {
	storebench.Rates(b, openBare(b), func(b *testing.B) store.Store { return fresh(b) }, 1)
}

func BenchmarkGrowth(b *testing.B) { storebench.Growth(b, openBare(b), fresh(b)) }

// BenchmarkCommit creates records of the size of a session. Each record is on disk before its
// writer goes on. It takes turns with the driver alone: one writer that inserts single rows,
// with the same durability. x-driver is the rate of the store divided by the rate of the
// driver.
func BenchmarkCommit(b *testing.B) {
	value := make([]byte, 400)
	for _, writers := range []int{1, 16, 100} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			raw, s := openBare(b), fresh(b)
			cost := storebench.Compare(b, 1, writers, func(ctx context.Context, n int64) error {
				return raw.Insert(ctx, fmt.Sprintf("ses_%032d", n), value)
			}, func(ctx context.Context, n int64) error {
				_, err := s.Commit(ctx, puts(store.Record{
					Key: store.Key{Kind: "session", ID: fmt.Sprintf("ses_%032d", n)}, Owner: fmt.Sprint("usr_", n%1000), Value: value,
				}))
				return err
			})
			b.ReportMetric(1/cost, "x-driver")
		})
	}
}

func BenchmarkSize(b *testing.B) {
	storebench.Size(b, func(b *testing.B) storebench.Engine {
		path := filepath.Join(b.TempDir(), "c.db")
		s, err := sqlite.Open(b.Context(), path)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { s.Close() })
		return storebench.Engine{Store: s, Bytes: func() int64 {
			if err := s.Checkpoint(); err != nil {
				b.Fatal(err)
			}
			info, err := os.Stat(path)
			if err != nil {
				b.Fatal(err)
			}
			return info.Size()
		}}
	}, counterfoil.CarrierCookie, counterfoil.CarrierBearer)
}

func BenchmarkSearch(b *testing.B) { storebench.Search(b, fresh(b), true) }

func BenchmarkSearchTrail(b *testing.B) { storebench.SearchTrail(b, fresh(b)) }

func BenchmarkTexts(b *testing.B) { storebench.Texts(b, fresh(b)) }
