package postgres

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/source"
)

// logSQL reads head and entries in one statement, so from one snapshot.
const (
	headSQL = `SELECT epoch, seq FROM counterfoil.head`
	logSQL  = `SELECT h.epoch, h.seq, l.seq, l.scope, l.id, l.expires, l.reason
  FROM counterfoil.head h LEFT JOIN LATERAL (
    SELECT * FROM counterfoil.log WHERE seq > CASE WHEN h.epoch = $1 THEN $2 ELSE 0 END ORDER BY seq LIMIT $3
  ) l ON true ORDER BY l.seq`
)

// Log implements [store.Store].
func (s *Store) Log(ctx context.Context, after counterfoil.Cursor, limit int) ([]source.Revocation, counterfoil.Cursor, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	if err := s.intact(ctx); err != nil {
		return nil, counterfoil.Cursor{}, failed(ctx, "log", err)
	}
	seen := s.latest() // taken before the head is read: the head cannot be older, unless entries are lost
	entries, head, err := s.readLog(ctx, after, limit)
	if err == nil && seen.Epoch != 0 && (head.Epoch != seen.Epoch || head.Before(seen)) {
		err = s.checkHead(ctx, seen)
	}
	if err != nil {
		return nil, counterfoil.Cursor{}, failed(ctx, "log", err)
	}
	s.noteHead(head)
	return entries, head, nil
}

func (s *Store) readLog(ctx context.Context, after counterfoil.Cursor, limit int) (entries []source.Revocation, head counterfoil.Cursor, err error) {
	rows, err := s.pool.Query(ctx, logSQL, int64(after.Epoch), int64(after.Seq), limit)
	if err != nil {
		return nil, head, err
	}
	return scanLog(rows)
}

func scanLog(rows pgx.Rows) (entries []source.Revocation, head counterfoil.Cursor, err error) {
	defer rows.Close()
	for rows.Next() {
		var epoch, seq int64
		var at, expires *int64 // null: no entry, only the head
		var scope, id, reason *string
		if err := rows.Scan(&epoch, &seq, &at, &scope, &id, &expires, &reason); err != nil {
			return nil, head, err
		}
		head = counterfoil.Cursor{Epoch: uint64(epoch), Seq: uint64(seq)}
		if at == nil {
			continue
		}
		entries = append(entries, source.Revocation{
			At:    counterfoil.Cursor{Epoch: head.Epoch, Seq: uint64(*at)},
			Scope: source.Scope(*scope), ID: *id, Expires: fromUnix(*expires), Reason: *reason,
		})
	}
	return entries, head, rows.Err()
}

var errClosed = errors.New("postgres: the store is closed")

// Wait implements [store.Store].
func (s *Store) Wait(ctx context.Context, after counterfoil.Cursor) error {
	s.mu.Lock()
	moved, closed := s.moved, s.closed // taken before the head is read, so that Wait misses no move
	s.mu.Unlock()
	if closed {
		return errClosed
	}
	head, err := s.head(ctx)
	if err != nil {
		return failed(ctx, "wait", err)
	}
	if head != after {
		return nil
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-moved:
		return nil
	}
}

func (s *Store) head(ctx context.Context) (counterfoil.Cursor, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	var epoch, seq int64
	err := s.pool.QueryRow(ctx, headSQL).Scan(&epoch, &seq)
	return counterfoil.Cursor{Epoch: uint64(epoch), Seq: uint64(seq)}, err
}

const (
	retryFirst = 50 * time.Millisecond
	retryMost  = time.Second
	pingEvery  = 5 * time.Second
)

// listen wakes every caller of Wait at each notification, until ctx ends. It reconnects
// when the connection is lost, with jitter, so that the nodes do not reconnect all at once.
// After it has reconnected it wakes all callers, because it may have missed notifications.
func (s *Store) listen(ctx context.Context, config *pgx.ConnConfig) {
	defer close(s.listened)
	// In next a context ends every few seconds. That must not cancel or close anything.
	config.BuildContextWatcherHandler = func(conn *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.DeadlineContextWatcherHandler{Conn: conn.Conn()}
	}
	retry := retryFirst
	for ctx.Err() == nil {
		listening, err := s.follow(ctx, config)
		if ctx.Err() != nil {
			return
		}
		if listening {
			s.log.Warn("store: the connection for notifications is lost: until it is back, waiting callers are woken late", "error", err)
			retry = retryFirst
		}
		select {
		case <-ctx.Done():
		case <-time.After(retry/2 + rand.N(retry/2)):
		}
		retry = min(2*retry, retryMost)
	}
}

// follow listens on one connection until the connection fails or ctx ends. It reports
// whether LISTEN succeeded.
func (s *Store) follow(ctx context.Context, config *pgx.ConnConfig) (listening bool, err error) {
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return false, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if err := s.prepare(ctx, conn); err != nil {
		return false, err
	}
	if _, err := conn.Exec(ctx, `LISTEN counterfoil`); err != nil {
		return false, err
	}
	for {
		s.wake()
		if err := next(ctx, conn); err != nil {
			return true, err
		}
	}
}

// next returns at the next notification. When there is none for some time it pings the
// server: a connection that the network has dropped without notice is silent for ever.
func next(ctx context.Context, conn *pgx.Conn) error {
	for {
		quiet, cancel := context.WithTimeout(ctx, pingEvery)
		_, err := conn.WaitForNotification(quiet)
		cancel()
		if err == nil || ctx.Err() != nil || !pgconn.Timeout(err) {
			return err
		}
		asking, cancel := context.WithTimeout(ctx, pingEvery)
		err = conn.Ping(asking)
		cancel()
		if err != nil {
			return err
		}
	}
}

func (s *Store) wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wakeLocked()
}

// sweepBatch bounds how long one statement of a sweep locks its rows. A sweep skips a row
// that another transaction has locked, and leaves it to the next sweep.
const (
	sweepBatch = 1000
	sweepSQL   = `WITH old AS MATERIALIZED (
  SELECT kind, id FROM counterfoil.records WHERE expires > 0 AND expires < $1 LIMIT $2 FOR UPDATE SKIP LOCKED
) DELETE FROM counterfoil.records r USING old WHERE r.kind = old.kind AND r.id = old.id AND r.expires > 0 AND r.expires < $1`
	sweepLogSQL = `DELETE FROM counterfoil.log WHERE seq = ANY (ARRAY(
  SELECT seq FROM counterfoil.log WHERE expires > 0 AND expires < $1 LIMIT $2))`
)

const timeSQL = `SELECT clock_timestamp()`

// Time implements [store.Store]. It is the clock of the server.
func (s *Store) Time(ctx context.Context) (at time.Time, err error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	if err := s.pool.QueryRow(ctx, timeSQL).Scan(&at); err != nil {
		return time.Time{}, failed(ctx, "time", err)
	}
	return at, nil
}

// Sweep implements [store.Store].
func (s *Store) Sweep(ctx context.Context, before time.Time) (int, error) {
	total := 0
	for _, query := range []string{sweepSQL, sweepLogSQL} {
		for {
			n, err := s.sweep(ctx, query, before)
			if err != nil {
				return total, failed(ctx, "sweep", err)
			}
			if query == sweepSQL {
				total += n
			}
			if n < sweepBatch {
				break
			}
		}
	}
	return total, nil
}

func (s *Store) sweep(ctx context.Context, query string, before time.Time) (int, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	done, err := s.pool.Exec(ctx, query, before.Unix(), sweepBatch)
	return int(done.RowsAffected()), err
}
