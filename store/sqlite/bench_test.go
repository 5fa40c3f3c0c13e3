package sqlite_test

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/counterfoil/counterfoil/store"
)

// perSecond runs write b.N times by as many goroutines as writers, and reports the rate.
func perSecond(b *testing.B, writers int, write func(n int64) error) float64 {
	b.Helper()
	var next atomic.Int64
	var wg sync.WaitGroup
	b.ResetTimer()
	for range writers {
		wg.Go(func() {
			for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
				if err := write(n); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	rate := float64(b.N) / b.Elapsed().Seconds()
	b.ReportMetric(rate, "commits/s")
	return rate
}

// BenchmarkCommit creates records, each durable when its writer goes on. The driver's own
// single-row insert, with the same pragmas and the same flush, is the measure.
func BenchmarkCommit(b *testing.B) {
	var raw float64
	value := make([]byte, 400) // a session row
	b.Run("driver", func(b *testing.B) {
		db, err := sql.Open("sqlite", "file:"+filepath.Join(b.TempDir(), "raw.db")+"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)")
		if err != nil {
			b.Fatal(err)
		}
		defer db.Close()
		db.SetMaxOpenConns(1)
		if _, err := db.Exec(`CREATE TABLE t (id TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID`); err != nil {
			b.Fatal(err)
		}
		insert, err := db.Prepare(`INSERT INTO t VALUES (?, ?)`)
		if err != nil {
			b.Fatal(err)
		}
		raw = perSecond(b, 1, func(n int64) error {
			_, err := insert.Exec(fmt.Sprintf("ses_%032d", n), value)
			return err
		})
	})
	for _, writers := range []int{1, 16, 100} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			s := fresh(b)
			rate := perSecond(b, writers, func(n int64) error {
				_, err := s.Commit(context.Background(), puts(store.Record{
					Key: store.Key{Kind: "session", ID: fmt.Sprintf("ses_%032d", n)}, Owner: fmt.Sprint("usr_", n%1000), Value: value,
				}))
				return err
			})
			if raw > 0 {
				b.ReportMetric(rate/raw, "x-driver")
			}
		})
	}
}
