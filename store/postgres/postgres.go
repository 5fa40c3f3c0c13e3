// Package postgres is the store of many nodes: they share one PostgreSQL, and each
// may be killed at any time. What Commit acknowledged is durable as the server's
// synchronous_commit says, which is never weaker than "on" here.
//
// Call Open, or Migrate as the owner of the schema and then Open as a role that
// may only use it (roles.sql). Everything is in the schema "counterfoil"; for people
// there are the views counterfoil.sessions and counterfoil.users.
//
// How the contract of package store is kept:
//
//   - Commit is one call of counterfoil.commit_1: one round trip, one commit.
//   - Ordinary commits share an advisory lock; one that revokes, or deletes by
//     owner, has it alone. PostgreSQL gives locks back after the commit is visible,
//     so the log's numbers follow commit order (REV-02), and the head that an
//     ordinary commit reads orders it against every revocation.
//   - Ordinary commits lock the keys that they name, as readers or as writers, in
//     one order: that makes Require hold for absent records too, where there is no row
//     to lock, and nothing deadlocks.
//   - Every read is on the primary: a connection to a standby is refused (REV-03).
//     NOTIFY only wakes; the log is the truth.
//   - The head row names the history that it belongs to: system identifier, timeline,
//     database, table. On every connection it is compared with what the server says.
//     After a restored backup, a point-in-time recovery or a failover they differ:
//     acknowledged entries may be lost, and a new epoch begins (REV-09). A process that
//     was told of more than the log held when its epoch ended knows that they are, and
//     answers store.ErrLost until a commit begins an epoch.
//
// A rollback of the disk below the server, as by a snapshot of the machine, shows none of
// these signs to a process that was started since, unless an earlier one kept what it was
// told (Remember). After one, do what docs/operations-postgres.md says; a verifier
// that has seen more than the store tells it, too.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/store"
)

// Options say which database it is.
type Options struct {
	// URL is a connection string, as psql takes it. It may name several hosts: the
	// primary among them is found. pool_max_conns is 16 unless it says otherwise.
	// Connect to the server itself: a pooler that hands out connections by
	// transaction breaks LISTEN and prepared statements.
	URL string

	Log *slog.Logger // nil: slog.Default(); told of new epochs and lost connections
}

// Store is one open database.
type Store struct {
	pool        *pgxpool.Pool
	log         *slog.Logger
	description store.Description

	queue queue // of commits that must be alone
	reads reads

	stop     context.CancelFunc // ends listen
	listened chan struct{}      // closed when listen has ended

	mu     sync.Mutex         // guards the rest; held for a few assignments
	seen   counterfoil.Cursor // the latest head that this process was told
	lost   bool               // the server's log is not that of seen any longer
	moved  chan struct{}      // closed when the head moves, or the store closes
	closed bool
}

const (
	defaultConns   = 16
	connectWithin  = 5 * time.Second
	callWithin     = 15 * time.Second // of a call whose context has no deadline
	statementLimit = "10s"
	// When a context ends, the server is left to finish for a moment, then asked to
	// stop, then given up. So the outcome of almost every cancelled commit is known,
	// and callers who hang up do not cost a connection each.
	cancelAfter = 250 * time.Millisecond
	giveUpAfter = 2 * time.Second
)

// Open connects, brings the schema up to date if it is not, and follows the log.
func Open(ctx context.Context, o Options) (*Store, error) {
	config, err := pgxpool.ParseConfig(o.URL)
	if err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	if !strings.Contains(o.URL, "pool_max_conns") {
		config.MaxConns = defaultConns
	}
	prepareConfig(config.ConnConfig)
	config.PingTimeout = connectWithin
	if err := checkSession(ctx, config.ConnConfig); err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	listening, stop := context.WithCancel(context.Background())
	s := &Store{log: o.Log, stop: stop, listened: make(chan struct{}), moved: make(chan struct{})}
	if s.log == nil {
		s.log = slog.Default()
	}
	config.AfterConnect = s.prepare
	if err := Migrate(ctx, o.URL); err != nil {
		stop()
		return nil, err
	}
	if s.pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		stop()
		return nil, fmt.Errorf("postgres: %w", err)
	}
	go s.listen(listening, config.ConnConfig.Copy())
	if err := s.begin(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("postgres: %w", err), s.Close())
	}
	return s, nil
}

// noFsync is why a server that does not flush is not durable.
const noFsync = "fsync is off: a crash of the machine loses what was acknowledged"

// begin proves that the database can be used, and learns its durability.
func (s *Store) begin(ctx context.Context) error {
	var fsync bool
	if err := s.pool.QueryRow(ctx, `SELECT current_setting('fsync')::boolean`).Scan(&fsync); err != nil {
		return err
	}
	s.description = store.Description{Durability: store.Durable}
	if !fsync {
		s.description = store.Description{Durability: store.Lossy, WhyLossy: noFsync}
	}
	return nil
}

// Describe implements store.Store. The store is Durable, unless the server itself was
// told not to flush.
func (s *Store) Describe() store.Description { return s.description }

// prepareConfig sets what every connection needs before it is made.
func prepareConfig(c *pgx.ConnConfig) {
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = connectWithin
	}
	if c.ValidateConnect == nil { // with several hosts: try the next
		c.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsPrimary
	}
	if c.RuntimeParams["application_name"] == "" {
		c.RuntimeParams["application_name"] = "counterfoil"
	}
	c.BuildContextWatcherHandler = func(conn *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.CancelRequestContextWatcherHandler{Conn: conn, CancelRequestDelay: cancelAfter, DeadlineDelay: giveUpAfter}
	}
}

// bounded gives a context without a deadline one: a server that hangs must not
// hold its callers.
func bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, has := ctx.Deadline(); has {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, callWithin)
}

// failed says what failed. An end of the context is named even when the server told
// us in its own words that it had stopped.
func failed(ctx context.Context, what string, err error) error {
	if ended := ctx.Err(); ended != nil && !errors.Is(err, ended) {
		return fmt.Errorf("postgres: %s: %w: %w", what, ended, err)
	}
	return fmt.Errorf("postgres: %s: %w", what, err)
}

// storable reports whether s can be part of a key.
func storable(s string) bool {
	for _, c := range []byte(s) {
		if c < ' ' || c > '~' {
			return false
		}
	}
	return true
}

// pageSize is how many records List reads at a time.
const pageSize = 500

const (
	listOwnSQL = `SELECT id, owner, rev, expires, value FROM counterfoil.records WHERE kind = $1 AND id > $2 AND owner = $3 ORDER BY id LIMIT 500`
	listAllSQL = `SELECT id, owner, rev, expires, value FROM counterfoil.records WHERE kind = $1 AND id > $2 ORDER BY id LIMIT 500`
)

// List implements store.Store, in pages: no transaction and no connection is held
// while the caller works.
func (s *Store) List(ctx context.Context, kind store.Kind, owner string) iter.Seq2[store.Record, error] {
	return func(yield func(store.Record, error) bool) {
		last := ""
		for {
			page, err := s.page(ctx, kind, owner, last)
			if err != nil {
				yield(store.Record{}, failed(ctx, "list "+string(kind), err))
				return
			}
			for _, r := range page {
				if !yield(r, nil) {
					return
				}
			}
			if len(page) < pageSize {
				return
			}
			last = page[len(page)-1].ID
		}
	}
}

func (s *Store) page(ctx context.Context, kind store.Kind, owner, last string) ([]store.Record, error) {
	if !storable(owner) {
		return nil, nil
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	query, args := listAllSQL, []any{string(kind), last}
	if owner != "*" {
		query, args = listOwnSQL, append(args, owner)
	}
	rows, err := s.pool.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (store.Record, error) {
		r, expires := store.Record{Key: store.Key{Kind: kind}}, int64(0)
		err := row.Scan(&r.ID, &r.Owner, &r.Rev, &expires, &r.Value)
		r.Expires = fromUnix(expires)
		return r, err
	})
}

// Close wakes whoever waits and ends all connections.
func (s *Store) Close() error {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		close(s.moved)
	}
	s.mu.Unlock()
	s.queue.close()
	s.reads.close()
	s.stop()
	<-s.listened
	s.pool.Close()
	return nil
}

// Expiries are kept to the second, rounded up: nothing is swept early.
func toUnix(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Add(time.Second - 1).Unix()
}

func fromUnix(s int64) time.Time {
	if s == 0 {
		return time.Time{}
	}
	return time.Unix(s, 0)
}
