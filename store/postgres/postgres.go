// Package postgres is the store of many nodes. They share one PostgreSQL, and each node may
// be killed at any time. An acknowledged commit is as durable as the server's
// synchronous_commit, which the store never lets be weaker than "on".
//
// Call [Open]. Or call [Migrate] as the owner of the schema, and then [Open] as a role that
// may use the schema but not change it (roles.sql). All tables are in the schema
// "counterfoil". The views counterfoil.sessions and counterfoil.users are for people.
//
// How the store keeps the contract of package store:
//
//   - Commit is one call of counterfoil.commit_2: one round trip, one commit.
//   - Ordinary commits share an advisory lock. A commit that revokes, or deletes by owner,
//     holds that lock exclusively. PostgreSQL releases a lock after the commit is visible. So
//     the log is numbered in commit order (REV-02), and the head that an ordinary commit reads
//     orders it against every revocation.
//   - An ordinary commit locks the keys that it names, shared or exclusively. So Require holds
//     for an absent record too, which has no row to lock. All commits lock in one order, so
//     no two deadlock.
//   - The store reads from the primary alone: it refuses a connection to a standby (REV-03).
//     NOTIFY only wakes; the log is the truth.
//   - The head row names the history that it belongs to: system identifier, timeline,
//     database, table. The store compares it with the server's on every new connection. They
//     differ after a restored backup, a point-in-time recovery or a failover. Then
//     acknowledged entries may be lost, and the store begins a new epoch (REV-09).
//   - The head row also keeps where each earlier epoch ended. A process that has seen a later
//     head of that epoch knows that acknowledged entries are lost. It answers
//     [store.ErrLost] until a commit begins an epoch.
//
// A snapshot of the machine can roll back the disk below the server. Then the history has
// the same name. A process that started after the rollback can detect it only by the head
// that an earlier process kept ([Store.Remember]). A verifier that has seen a later head
// than the store's detects it too. After a rollback, follow docs/operations-postgres.md.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/store"
)

// Options name the database.
type Options struct {
	// URL is a connection string, as psql takes it. It may name several hosts: Open finds
	// the primary among them. pool_max_conns is 16 if the URL does not set it. Connect to
	// the server itself, or to a pooler in session mode: a pooler in transaction mode breaks
	// LISTEN, prepared statements and settings.
	URL string

	Log *slog.Logger // nil: slog.Default(); gets new epochs and lost connections
}

// Store is a [store.Store] in one open database.
type Store struct {
	pool        *pgxpool.Pool
	log         *slog.Logger
	description store.Description

	unreplicated atomic.Uint64 // how many waits for a synchronous standby were given up, see acknowledged

	queue queue // of exclusive commits
	reads reads

	stop     context.CancelFunc // ends listen
	listened chan struct{}      // closed when listen has ended

	mu     sync.Mutex         // guards the rest; held for a few assignments
	seen   counterfoil.Cursor // the latest head that this process has seen
	lost   bool               // the server's log is behind seen, or its epoch ended behind seen
	moved  chan struct{}      // closed when the head moves, or the store closes
	closed bool
}

const (
	defaultConns   = 16
	connectWithin  = 5 * time.Second
	callWithin     = 15 * time.Second // for a call whose context has no deadline
	statementLimit = "10s"
	// When a context ends, the driver waits cancelAfter for the server, then asks it to
	// cancel, and closes the connection after giveUpAfter. So the outcome of almost every
	// cancelled commit is known, and a caller that hangs up seldom costs a connection.
	cancelAfter = 250 * time.Millisecond
	giveUpAfter = 2 * time.Second
)

// Open connects, brings the schema up to date, and listens for notifications.
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
	config.ConnConfig.OnNotice = s.notice
	if err := Migrate(ctx, o.URL); err != nil {
		stop()
		return nil, err
	}
	if s.pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		stop()
		return nil, fmt.Errorf("postgres: %w", err)
	}
	go s.listen(listening, config.ConnConfig.Copy())
	if err := s.readDurability(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("postgres: %w", err), s.Close())
	}
	return s, nil
}

// noFsync says why a server that does not flush is not durable.
const noFsync = "fsync is off: a crash of the machine loses acknowledged commits"

// readDurability asks the server whether it flushes. Its query is the first on the pool, so
// it also shows that the database can be used.
func (s *Store) readDurability(ctx context.Context) error {
	var fsync bool
	if err := s.pool.QueryRow(ctx, `SELECT current_setting('fsync')::boolean`).Scan(&fsync); err != nil {
		return err
	}
	s.description = store.Description{Durability: store.Durable, Indexed: true}
	if !fsync {
		s.description = store.Description{Durability: store.Lossy, WhyLossy: noFsync, Indexed: true}
	}
	return nil
}

// Describe implements [store.Store]. The store is durable, unless the server's setting fsync
// is off.
func (s *Store) Describe() store.Description { return s.description }

// prepareConfig sets the configuration of every connection.
func prepareConfig(c *pgx.ConnConfig) {
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = connectWithin
	}
	wanted := c.ValidateConnect
	if wanted == nil { // with several hosts: skip a standby
		wanted = pgconn.ValidateConnectTargetSessionAttrsPrimary
	}
	c.ValidateConnect = func(ctx context.Context, conn *pgconn.PgConn) error {
		if err := plain(ctx, conn); err != nil {
			return err
		}
		return wanted(ctx, conn)
	}
	if c.RuntimeParams["application_name"] == "" {
		c.RuntimeParams["application_name"] = "counterfoil"
	}
	c.RuntimeParams["client_encoding"] = "UTF8" // at once: a database may have no conversion to what the role has
	c.BuildContextWatcherHandler = func(conn *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.CancelRequestContextWatcherHandler{Conn: conn, CancelRequestDelay: cancelAfter, DeadlineDelay: giveUpAfter}
	}
}

// bounded adds a deadline to a context that has none, so that a server that hangs does not
// hang its callers.
func bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, has := ctx.Deadline(); has {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, callWithin)
}

// failed wraps err with the operation that failed. If the context has ended, the error is
// also that of the context: the server's own error may not say so.
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

const (
	listOwnSQL = `SELECT id, owner, rev, expires, value FROM counterfoil.records WHERE kind = $1 AND id > $2 AND owner = $4 ORDER BY id LIMIT $3`
	listAllSQL = `SELECT id, owner, rev, expires, value FROM counterfoil.records WHERE kind = $1 AND id > $2 ORDER BY id LIMIT $3`
)

// List implements [store.Store]. It reads in pages: it holds no transaction and no
// connection while the caller works.
func (s *Store) List(ctx context.Context, kind store.Kind, owner, after string) iter.Seq2[store.Record, error] {
	return store.Paged(after, func(after string, limit int) ([]store.Record, error) {
		page, err := s.page(ctx, kind, owner, after, limit)
		if err != nil {
			return nil, failed(ctx, "list "+string(kind), err)
		}
		return page, nil
	})
}

func (s *Store) page(ctx context.Context, kind store.Kind, owner, after string, limit int) ([]store.Record, error) {
	if !storable(owner) {
		return nil, nil
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	query, args := listAllSQL, []any{string(kind), after, limit}
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

// Close wakes every caller of Wait and closes all connections.
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

// toUnix rounds t up to the second, so that no record is swept early.
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
