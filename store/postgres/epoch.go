package postgres

import (
	"context"
	"errors"
	"math/rand/v2"

	"github.com/jackc/pgx/v5"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/store"
)

// settingsSQL has the settings of every connection of a node, after those of plainSQL.
//
// Index scans only: a plan from when the table was empty must not scan the whole table a
// minute later. synchronous_commit becomes "on" if the role or the database has a weaker
// setting. A stronger one (remote_apply) stays.
const settingsSQL = `
SET statement_timeout = '` + statementLimit + `';
SET idle_in_transaction_session_timeout = '` + statementLimit + `';
SET enable_seqscan = off;
SET plan_cache_mode = force_generic_plan;
SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') NOT IN ('on', 'remote_apply')`

// identitySQL names the history that the server's data belongs to. It takes the timeline
// from the write-ahead log: after a promotion the control file has the old timeline for a
// while.
const identitySQL = `SELECT concat_ws('/', (SELECT system_identifier FROM pg_control_system()),
  left(pg_walfile_name(pg_current_wal_lsn()), 8),
  (SELECT oid FROM pg_database WHERE datname = current_database()),
  'counterfoil.head'::regclass::oid), identity, epoch, seq, ended FROM counterfoil.head`

var errPooler = errors.New("the URL leads to a pooler in transaction mode: name the server itself, or a pooler in session mode")

// checkSession checks that a setting of a connection stays set, in three steps:
//
//  1. Each of two connections sets the same parameter to a value of its own.
//  2. Each reads the parameter.
//  3. Both must find their own values.
//
// A pooler in transaction mode gives both the server connection that was free last, so one
// of them finds the value of the other.
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
		// The simple protocol prepares nothing. To a prepared statement such a pooler would
		// answer with an error that does not name the cause.
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

var errStandby = errors.New("the server is a standby: the store reads and writes on the primary only")

// prepare makes a new connection ready for use, or refuses it.
func (s *Store) prepare(ctx context.Context, conn *pgx.Conn) error {
	if err := admit(ctx, conn); err != nil {
		return err
	}
	return s.prepareAt(ctx, conn)
}

// prepareAt sets the connection up. It begins a new epoch if the history of the data has
// changed.
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
	seen := s.latest() // taken before the head is read: the head cannot be older, unless entries are lost
	var identity, recorded string
	var epoch, seq int64
	var ended []int64
	if err := conn.QueryRow(ctx, identitySQL).Scan(&identity, &recorded, &epoch, &seq, &ended); err != nil {
		return err
	}
	head := counterfoil.Cursor{Epoch: uint64(epoch), Seq: uint64(seq)}
	if lost(seen, head, ended) {
		s.setLost(head, seen)
	}
	if recorded == identity && !head.Before(seen) {
		return nil
	}
	done, err := s.renewEpoch(ctx, conn, head, recorded, identity)
	if done && recorded != "" {
		s.log.Error("store: a restored backup, a rollback or a failover, entries may be lost: a new epoch begins", "was", recorded, "is", identity, "head", head)
	}
	return err
}

// renewEpoch begins a new epoch after the epoch of was, and records where that one ended.
// It does nothing if another connection has already done so.
func (s *Store) renewEpoch(ctx context.Context, conn *pgx.Conn, was counterfoil.Cursor, recorded, identity string) (done bool, err error) {
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

// lost reports whether entries before seen are lost: the log, or the end of the epoch of
// seen, is before seen. seen is a head that a process has seen.
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
	endedSQL      = `SELECT epoch, seq, ended FROM counterfoil.head`
	clearEndedSQL = `UPDATE counterfoil.head SET ended = '{}' WHERE epoch = $1`
)

// intact returns [store.ErrLost] if this process knows that the store has lost entries, and
// no commit of any node has begun an epoch since.
func (s *Store) intact(ctx context.Context) error {
	s.mu.Lock()
	seen, lost := s.seen, s.lost
	s.mu.Unlock()
	if !lost {
		return nil
	}
	return s.checkHead(ctx, seen)
}

// checkHead compares seen, a head that this process saw earlier, with the head of the log.
// It returns [store.ErrLost] if entries are lost, and adopts the head if none is.
func (s *Store) checkHead(ctx context.Context, seen counterfoil.Cursor) error {
	var epoch, seq int64
	var ended []int64
	if err := s.pool.QueryRow(ctx, endedSQL).Scan(&epoch, &seq, &ended); err != nil {
		return err
	}
	head := counterfoil.Cursor{Epoch: uint64(epoch), Seq: uint64(seq)}
	if lost(seen, head, ended) {
		s.setLost(head, seen)
		return store.ErrLost
	}
	s.adopt(head)
	return nil
}

// setLost records that entries are lost. It does not change s.seen, which is the proof.
func (s *Store) setLost(head, seen counterfoil.Cursor) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.lost {
		s.log.Error("store: the server has lost acknowledged entries", "head", head, "seen", seen)
	}
	s.lost = true
	s.wakeLocked()
}

// adopt sets the head that this process goes on from. No entry that it saw is lost, or a
// commit has begun a new epoch because of the loss.
func (s *Store) adopt(head counterfoil.Cursor) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lost = false; head.Epoch != s.seen.Epoch || s.seen.Before(head) {
		s.seen = head
	}
	s.wakeLocked()
}

// Remember implements [store.Store]. It treats seen as a head that this process has seen.
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
		err = s.checkHead(ctx, seen)
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

// noteHead keeps head if it is the latest of its epoch, and wakes every caller of Wait if it
// is new. For a head of another epoch it only wakes them: Log compares epochs.
func (s *Store) noteHead(head counterfoil.Cursor) {
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
