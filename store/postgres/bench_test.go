package postgres_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/internal/testsvc"
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/postgres"
)

// The engine's own share is measured in the same run, in turns with ours, so that
// a busy machine slows both: pgx with one prepared statement on a table with one
// index, through a pool as large, every write flushed.

const rounds = 11 // of each side; the median counts

// op does one thing; n is never the same twice.
type op func(ctx context.Context, n int64) error

// compare runs raw and ours in turns by as many callers, b.N times each.
func compare(b *testing.B, callers int, raw, ours op) {
	b.Helper()
	ctx, cancel := context.WithCancel(context.Background()) // as a request's is: it can end
	defer cancel()
	var counter atomic.Int64
	each := max(b.N/rounds, callers)
	rate := func(do op) float64 {
		var wg sync.WaitGroup
		var next atomic.Int64
		began := time.Now()
		for range callers {
			wg.Go(func() {
				for next.Add(1) <= int64(each) {
					if err := do(ctx, counter.Add(1)); err != nil {
						b.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
		return float64(each) / time.Since(began).Seconds()
	}
	rate(ours) // plans and connections are made
	rate(raw)
	var rawRates, ourRates, ratios []float64
	for range rounds {
		r, o := rate(raw), rate(ours)
		rawRates, ourRates, ratios = append(rawRates, r), append(ourRates, o), append(ratios, r/o)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(median(rawRates), "raw/s")
	b.ReportMetric(median(ourRates), "ours/s")
	b.ReportMetric(median(ratios), "x-raw")
}

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}

// engines opens our store and a bare pool on one server that flushes.
func engines(b *testing.B) (*postgres.Store, *pgxpool.Pool) {
	b.Helper()
	_, dsn := testsvc.StartPostgres(b, testsvc.Durable).Database(b, "")
	s := open(b, dsn)
	config, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		b.Fatal(err)
	}
	config.MaxConns = 16
	raw, err := pgxpool.NewWithConfig(b.Context(), config)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(raw.Close)
	if _, err := raw.Exec(b.Context(), `CREATE TABLE raw (id text PRIMARY KEY, rev bigint NOT NULL, value bytea NOT NULL) WITH (fillfactor = 75)`); err != nil {
		b.Fatal(err)
	}
	return s, raw
}

const rows = 10_000

var value = []byte(fmt.Sprintf(`{"client":"web","device":"%0360d"}`, 0)) // a session row

func sessionID(n int64) string { return fmt.Sprintf("ses_%032d", n) }
func grantID(n int64) string   { return fmt.Sprintf("%022d", n) }

func session(n int64, rev uint64) store.Record {
	return store.Record{Key: store.Key{Kind: "session", ID: sessionID(n)}, Owner: fmt.Sprintf("usr_%d", n%1000), Rev: rev, Value: value, Expires: time.Unix(4e9, 0)}
}

func grant(n int64, rev uint64) store.Record {
	r := session(n, rev)
	r.Key = store.Key{Kind: "grant", ID: grantID(n)}
	return r
}

// conditions are what a login and a refresh rest on: no cutoff, and the subject.
func conditions(n int64) []store.Require {
	return []store.Require{
		{Key: store.Key{Kind: "cutoff", ID: "client:web"}}, {Key: store.Key{Kind: "cutoff", ID: "all"}},
		{Key: store.Key{Kind: "subject", ID: fmt.Sprintf("usr_%d", n%1000)}},
	}
}

// fill puts sessions with their grants into both.
func fill(b *testing.B, s *postgres.Store, raw *pgxpool.Pool) {
	b.Helper()
	for from := int64(0); from < rows; from += 500 {
		var batch store.Batch
		for n := from; n < from+500; n++ {
			batch.Put = append(batch.Put, session(n, 0), grant(n, 0))
			if _, err := raw.Exec(b.Context(), `INSERT INTO raw VALUES ($1, 1, $2)`, sessionID(n), value); err != nil {
				b.Fatal(err)
			}
		}
		if _, err := s.Commit(b.Context(), batch); err != nil {
			b.Fatal(err)
		}
	}
	if _, err := raw.Exec(b.Context(), `VACUUM ANALYZE`); err != nil {
		b.Fatal(err)
	}
}

func callers(b *testing.B, run func(b *testing.B, callers int)) {
	for _, n := range []int{1, 16} {
		b.Run(fmt.Sprintf("callers=%d", n), func(b *testing.B) { run(b, n) })
	}
}

// BenchmarkLookup finds a session; raw is one indexed read.
func BenchmarkLookup(b *testing.B) {
	s, raw := engines(b)
	fill(b, s, raw)
	callers(b, func(b *testing.B, callers int) {
		compare(b, callers, func(ctx context.Context, n int64) error {
			var rev int64
			var value []byte
			return raw.QueryRow(ctx, `SELECT rev, value FROM raw WHERE id = $1`, sessionID(n*7919%rows)).Scan(&rev, &value)
		}, func(ctx context.Context, n int64) error {
			_, err := s.Get(ctx, store.Key{Kind: "session", ID: sessionID(n * 7919 % rows)})
			return err
		})
	})
}

// BenchmarkCreate is a login: a session and its grant, under three conditions. Raw
// inserts one row.
func BenchmarkCreate(b *testing.B) {
	s, raw := engines(b)
	var from int64 = rows
	callers(b, func(b *testing.B, callers int) {
		from += 100_000_000
		compare(b, callers, func(ctx context.Context, n int64) error {
			_, err := raw.Exec(ctx, `INSERT INTO raw VALUES ($1, 1, $2)`, sessionID(from+n), value)
			return err
		}, func(ctx context.Context, n int64) error {
			_, err := s.Commit(ctx, store.Batch{Require: conditions(n), Put: []store.Record{session(from+n, 0), grant(from+n, 0)}})
			return err
		})
	})
}

// BenchmarkRotate is a refresh: grant and session are replaced at their revisions,
// under three conditions. Raw updates one row at its revision.
func BenchmarkRotate(b *testing.B) {
	s, raw := engines(b)
	fill(b, s, raw)
	var mu sync.Mutex
	var revs, rawRevs [rows]uint64
	turn := func(revs *[rows]uint64, n int64) uint64 {
		mu.Lock()
		defer mu.Unlock()
		revs[n]++
		return revs[n]
	}
	callers(b, func(b *testing.B, callers int) {
		compare(b, callers, func(ctx context.Context, n int64) error {
			n = n * 7919 % rows
			done, err := raw.Exec(ctx, `UPDATE raw SET rev = rev + 1, value = $3 WHERE id = $1 AND rev = $2`, sessionID(n), int64(turn(&rawRevs, n)), value)
			if err == nil && done.RowsAffected() != 1 {
				return store.ErrConflict
			}
			return err
		}, func(ctx context.Context, n int64) error {
			n = n * 7919 % rows
			rev := turn(&revs, n)
			_, err := s.Commit(ctx, store.Batch{Require: conditions(n), Put: []store.Record{grant(n, rev), session(n, rev)}})
			return err
		})
	})
}

// BenchmarkRevoke appends an entry and deletes a session that is not there. Raw
// inserts one row.
func BenchmarkRevoke(b *testing.B) {
	s, raw := engines(b)
	var from int64
	callers(b, func(b *testing.B, callers int) {
		from += 100_000_000
		compare(b, callers, func(ctx context.Context, n int64) error {
			_, err := raw.Exec(ctx, `INSERT INTO raw VALUES ($1, 1, '')`, sessionID(from+n))
			return err
		}, func(ctx context.Context, n int64) error {
			_, err := s.Commit(ctx, store.Batch{
				Delete: []store.Key{session(n, 0).Key, grant(n, 0).Key},
				Revoke: []counterfoil.Revocation{{Scope: counterfoil.ScopeSession, ID: sessionID(n), Expires: time.Unix(4e9, 0)}},
			})
			return err
		})
	})
}
