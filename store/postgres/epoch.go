package postgres

import (
	"context"
	"errors"
	"math/rand/v2"

	"github.com/jackc/pgx/v5"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/store"
)

// settingsSQL is what every connection runs under.
//
// Index scans only: a plan that was made while a table was empty must not read all
// of it a minute later. synchronous_commit is raised where somebody lowered it, and
// left where it is stronger (remote_apply).
const settingsSQL = `
SET statement_timeout = '` + statementLimit + `';
SET idle_in_transaction_session_timeout = '` + statementLimit + `';
SET default_transaction_isolation = 'read committed';
SET enable_seqscan = off;
SET plan_cache_mode = force_generic_plan;
SET jit = off;
SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') NOT IN ('on', 'remote_apply')`

// identitySQL names the history that the server's data belongs to. The timeline is
// that of the log being written: after a promotion the control file still tells the
// old one for a while.
const identitySQL = `SELECT concat_ws('/', (SELECT system_identifier FROM pg_control_system()),
  left(pg_walfile_name(pg_current_wal_lsn()), 8),
  (SELECT oid FROM pg_database WHERE datname = current_database()),
  'counterfoil.head'::regclass::oid), identity, epoch, seq, ended FROM counterfoil.head`

var errPooler = errors.New("a pooler that hands out connections by transaction is in the way: name the server itself, or a pool by session")

// checkSession proves that what is set on a connection stays there: two connections set
// one thing to two values, one after the other, and the first must have kept its own. A
// pooler by transaction gives both the server connection that was free last.
func checkSession(ctx context.Context, config *pgx.ConnConfig) error {
	const set, get = `SELECT set_config('counterfoil.session', $1, false)`, `SELECT current_setting('counterfoil.session', true)`
	var conns [2]*pgx.Conn
	for n := range conns {
		conn, err := pgx.ConnectConfig(ctx, config)
		if err != nil {
			return err
		}
		defer conn.Close(context.WithoutCancel(ctx))
		conns[n] = conn
	}
	values := [...]string{"first", "second"}
	for n, conn := range conns {
		// Nothing is prepared, which such a pooler answers with errors of its own.
		if _, err := conn.Exec(ctx, set, pgx.QueryExecModeSimpleProtocol, values[n]); err != nil {
			return err
		}
	}
	for n, conn := range conns {
		var kept *string
		if err := conn.QueryRow(ctx, get, pgx.QueryExecModeSimpleProtocol).Scan(&kept); err != nil {
			return err
		}
		if kept == nil || *kept != values[n] {
			return errPooler
		}
	}
	return nil
}

var errStandby = errors.New("the server is a standby: the log is read and written on the primary only")

// prepare makes a new connection ready for use, or refuses it.
func (s *Store) prepare(ctx context.Context, conn *pgx.Conn) error {
	if err := admit(ctx, conn); err != nil {
		return err
	}
	return s.prepareAt(ctx, conn)
}

// prepareAt sets the connection up. Its epoch is that of the data it leads to.
func (s *Store) prepareAt(ctx context.Context, conn *pgx.Conn) error {
	if _, err := conn.Exec(ctx, settingsSQL); err != nil {
		return err
	}
	var standby bool
	if err := conn.QueryRow(ctx, `SELECT pg_is_in_recovery()`).Scan(&standby); err != nil {
		return err
	}
	if standby {
		return errStandby
	}
	seen := s.latest() // before the head is read: it can only have moved on since
	var identity, recorded string
	var epoch, seq int64
	var ended []int64
	if err := conn.QueryRow(ctx, identitySQL).Scan(&identity, &recorded, &epoch, &seq, &ended); err != nil {
		return err
	}
	head := counterfoil.Cursor{Epoch: uint64(epoch), Seq: uint64(seq)}
	if lost(seen, head, ended) {
		s.lose(head, seen)
	}
	if recorded == identity && !head.Before(seen) {
		return nil
	}
	done, err := s.renew(ctx, conn, head, recorded, identity)
	if done && recorded != "" {
		s.log.Error("store: a restored backup, a rollback or a failover, entries may be lost: a new epoch begins", "was", recorded, "is", identity, "head", head)
	}
	return err
}

// renew begins a new epoch in place of the one that was read, and notes where that one
// ended, unless somebody else has done so.
func (s *Store) renew(ctx context.Context, conn *pgx.Conn, was counterfoil.Cursor, recorded, identity string) (done bool, err error) {
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, logLock); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, `UPDATE counterfoil.head SET epoch = $1, seq = 0, identity = $2, ended = ended || ARRAY[epoch, seq] WHERE epoch = $3 AND identity = $4`,
			int64(rand.Uint64()), identity, int64(was.Epoch), recorded)
		if done = tag.RowsAffected() > 0; err != nil || !done {
			return err
		}
		if _, err := tx.Exec(ctx, `DELETE FROM counterfoil.log`); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `SELECT pg_notify('counterfoil', '')`)
		return err
	})
	return done && err == nil, err
}

// lost reports whether seen, a head that a process was told of, is beyond where the log
// is, or where its epoch ended.
func lost(seen, head counterfoil.Cursor, ended []int64) bool {
	if seen.Epoch == head.Epoch {
		return head.Before(seen)
	}
	for n := 0; n+1 < len(ended); n += 2 {
		if uint64(ended[n]) == seen.Epoch && uint64(ended[n+1]) < seen.Seq {
			return true
		}
	}
	return false
}

const (
	endedSQL   = `SELECT epoch, seq, ended FROM counterfoil.head`
	settledSQL = `UPDATE counterfoil.head SET ended = '{}' WHERE epoch = $1`
)

// intact returns store.ErrLost for as long as the store is known to have lost entries:
// until somebody, here or on another node, has begun an epoch by a commit.
func (s *Store) intact(ctx context.Context) error {
	s.mu.Lock()
	seen, is := s.seen, !s.lost
	s.mu.Unlock()
	if is {
		return nil
	}
	return s.judge(ctx, seen)
}

// judge holds seen, the latest head that this process was told before, against the head.
func (s *Store) judge(ctx context.Context, seen counterfoil.Cursor) error {
	var epoch, seq int64
	var ended []int64
	if err := s.pool.QueryRow(ctx, endedSQL).Scan(&epoch, &seq, &ended); err != nil {
		return err
	}
	head := counterfoil.Cursor{Epoch: uint64(epoch), Seq: uint64(seq)}
	if lost(seen, head, ended) {
		s.lose(head, seen)
		return store.ErrLost
	}
	s.adopt(head)
	return nil
}

// lose remembers that entries are lost. What was seen stays, as the proof.
func (s *Store) lose(head, seen counterfoil.Cursor) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.lost {
		s.log.Error("store: the server has lost acknowledged entries", "head", head, "seen", seen)
	}
	s.lost = true
	s.wakeLocked()
}

// adopt goes on at a head whose epoch was begun in knowledge of what this process saw.
func (s *Store) adopt(head counterfoil.Cursor) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lost = false; head.Epoch != s.seen.Epoch || s.seen.Before(head) {
		s.seen = head
	}
	s.wakeLocked()
}

// Remember implements store.Store: seen is judged as if this process had been told.
func (s *Store) Remember(ctx context.Context, seen counterfoil.Cursor) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	err := s.intact(ctx)
	if err == nil {
		s.mu.Lock()
		if seen != (counterfoil.Cursor{}) && !seen.Before(s.seen) {
			s.seen = seen
		}
		seen = s.seen
		s.mu.Unlock()
		err = s.judge(ctx, seen)
	}
	if err != nil {
		return failed(ctx, "remember", err)
	}
	return nil
}

func (s *Store) latest() counterfoil.Cursor {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen
}

// note keeps the latest head of the epoch that is known, and wakes whoever waits if it is
// a new one. Another epoch is for Log to judge.
func (s *Store) note(head counterfoil.Cursor) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen.Epoch == 0 || s.seen.Before(head) {
		s.seen = head
	} else if head.Epoch == s.seen.Epoch {
		return
	}
	s.wakeLocked()
}

func (s *Store) wakeLocked() {
	if !s.closed {
		close(s.moved)
		s.moved = make(chan struct{})
	}
}
