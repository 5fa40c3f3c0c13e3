// Package sqlite is the store of one machine: one file, durable when Commit
// returns (WAL, synchronous=FULL). One process at a time may have it open. Call [Open]
// first.
package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"math/rand/v2"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Store is a [store.Store] in one open database file.
type Store struct {
	path  string
	write *sql.DB  // one connection: SQLite has one writer
	read  *sql.DB  // several connections: in WAL mode readers do not wait for the writer
	lock  *os.File // locked until Close

	get, tail  *sql.Stmt // prepared on read
	statements statements
	queue      queue
	copied     atomic.Bool // the file is a backup that was put back, see Backup; cleared like lost
	lost       atomic.Bool // the file has an older head than Remember was given; cleared by a commit that begins an epoch

	mu     sync.Mutex    // guards moved and closed
	moved  chan struct{} // closed when the head moves, or the store closes
	closed bool
}

// ErrManyNames means that the file has more than one name (hard links).
var ErrManyNames = errors.New("has more than one name: each could be opened by a process of its own")

// ErrInUse means that another process has the file open.
var ErrInUse = errors.New("in use by another process")

// Open opens the file at path and brings its schema up to date. The log must have one
// writer: Open returns [ErrInUse] if another process has the file open. It returns
// [store.ErrMoved] if the store was moved away, and [store.ErrFilling] if a move to it was
// not finished.
func Open(ctx context.Context, path string) (*Store, error) {
	s, err := open(ctx, path)
	if err != nil {
		return nil, err
	}
	mark, err := s.mark(ctx)
	if err == nil {
		err = mark.Err()
		s.copied.Store(mark.State == store.Copied)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("sqlite: open %s: %w", path, err), s.Close())
	}
	return s, nil
}

// open opens the file, whatever its mark is.
func open(ctx context.Context, path string) (*Store, error) {
	path, err := oneName(path)
	if err != nil {
		return nil, fmt.Errorf("sqlite: %w", err)
	}
	lock, err := os.OpenFile(path+".lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("sqlite: %s is %w", path, ErrInUse), lock.Close())
	}
	s := &Store{path: path, lock: lock, moved: make(chan struct{}), queue: queue{leader: make(chan struct{}, 1)}}
	if err := s.open(ctx, path); err != nil {
		return nil, errors.Join(fmt.Errorf("sqlite: open %s: %w", path, err), s.Close())
	}
	return s, nil
}

// readers is how many look-ups may run at a time.
const readers = 8

func (s *Store) open(ctx context.Context, path string) (err error) {
	// SQLite copies the write-ahead log into the file when the log has 16 MiB. A page that
	// many commits touch is then written to the file once.
	pragmas := []string{"busy_timeout(5000)", "journal_mode(WAL)", "synchronous(FULL)", "wal_autocheckpoint(4000)"}
	dsn := func(more ...string) string {
		q := url.Values{"_pragma": append(more, pragmas...), "_txlock": {"immediate"}}
		return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + q.Encode()
	}
	// The cache of the writer holds the indexes of some hundred thousand sessions, so that a
	// commit reads little and writes no page twice. Readers get no such cache: each commit
	// would make it invalid.
	if s.write, err = sql.Open("sqlite", dsn("cache_size(-65536)")); err != nil {
		return err
	}
	s.write.SetMaxOpenConns(1)
	if s.read, err = sql.Open("sqlite", dsn()); err != nil {
		return err
	}
	s.read.SetMaxOpenConns(readers)
	s.read.SetMaxIdleConns(readers) // to open a connection costs more than many reads
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, s.write, files)
	if err != nil {
		return err
	}
	if _, err := provider.Up(ctx); err != nil {
		return err
	}
	sources := provider.ListSources()
	if version, err := provider.GetDBVersion(ctx); err != nil {
		return err
	} else if version > sources[len(sources)-1].Version {
		return errors.New("the schema is of a newer version than this program: use the newer program")
	}
	if _, err = s.write.ExecContext(ctx, `INSERT OR IGNORE INTO head (one, epoch, seq) VALUES (1, ?, 0)`, int64(rand.Uint64())); err != nil {
		return err
	}
	if s.get, err = s.read.PrepareContext(ctx, getSQL); err != nil {
		return err
	}
	if s.tail, err = s.read.PrepareContext(ctx, logSQL); err != nil {
		return err
	}
	return s.statements.prepare(ctx, s.write)
}

// Describe implements [store.Store].
func (s *Store) Describe() store.Description {
	return store.Description{Durability: store.Durable, Exclusive: true, File: s.path, Indexed: true}
}

const getSQL = `SELECT owner, rev, expires, value FROM records WHERE kind = ? AND id = ?`

// Get implements [store.Store].
func (s *Store) Get(ctx context.Context, keys ...store.Key) ([]store.Record, error) {
	records := make([]store.Record, len(keys))
	for n, k := range keys {
		r, expires := store.Record{Key: k}, int64(0)
		err := s.get.QueryRowContext(ctx, k.Kind, k.ID).Scan(&r.Owner, &r.Rev, &expires, &r.Value)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return nil, fmt.Errorf("sqlite: get %s: %w", k.Kind, err)
		}
		r.Expires = fromUnix(expires)
		records[n] = r
	}
	return records, nil
}

const (
	listOwnSQL = `SELECT id, owner, rev, expires, value FROM records WHERE kind = ?1 AND owner = ?2 AND id > ?3 ORDER BY id LIMIT ?4`
	listAllSQL = `SELECT id, owner, rev, expires, value FROM records WHERE kind = ?1 AND id > ?3 ORDER BY id LIMIT ?4`
)

// List implements [store.Store]. It reads in pages, so that no read transaction stays open
// while the caller works.
func (s *Store) List(ctx context.Context, kind store.Kind, owner, after string) iter.Seq2[store.Record, error] {
	query := listOwnSQL
	if owner == "*" {
		query = listAllSQL
	}
	return store.Paged(after, func(after string, limit int) ([]store.Record, error) {
		page, err := s.page(ctx, query, kind, owner, after, limit)
		if err != nil {
			return nil, fmt.Errorf("sqlite: list %s: %w", kind, err)
		}
		return page, nil
	})
}

func (s *Store) page(ctx context.Context, query string, kind store.Kind, owner, after string, limit int) (page []store.Record, err error) {
	rows, err := s.read.QueryContext(ctx, query, kind, owner, after, limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		r, expires := store.Record{Key: store.Key{Kind: kind}}, int64(0)
		if err := rows.Scan(&r.ID, &r.Owner, &r.Rev, &expires, &r.Value); err != nil {
			return nil, err
		}
		r.Expires = fromUnix(expires)
		page = append(page, r)
	}
	return page, rows.Err()
}

// One statement reads one snapshot, so the head and the entries belong together. If there
// are no entries, there is one row, which has the head alone.
const logSQL = `SELECT h.epoch, h.seq, l.seq, l.scope, l.id, l.expires, l.reason
  FROM head h LEFT JOIN log l ON l.seq > iif(h.epoch = ?1, ?2, 0) WHERE h.one = 1 ORDER BY l.seq LIMIT ?3`

// Log implements [store.Store].
func (s *Store) Log(ctx context.Context, after counterfoil.Cursor, limit int) ([]source.Revocation, counterfoil.Cursor, error) {
	if s.lost.Load() {
		return nil, counterfoil.Cursor{}, fmt.Errorf("sqlite: log: %w", store.ErrLost)
	}
	return s.readLog(ctx, after, limit)
}

func (s *Store) readLog(ctx context.Context, after counterfoil.Cursor, limit int) ([]source.Revocation, counterfoil.Cursor, error) {
	fail := func(err error) ([]source.Revocation, counterfoil.Cursor, error) {
		return nil, counterfoil.Cursor{}, fmt.Errorf("sqlite: log: %w", err)
	}
	rows, err := s.tail.QueryContext(ctx, int64(after.Epoch), int64(after.Seq), max(limit, 1))
	if err != nil {
		return fail(err)
	}
	defer rows.Close()
	var head counterfoil.Cursor
	var entries []source.Revocation
	for rows.Next() {
		var epoch int64
		var seq, expires sql.NullInt64
		var scope, id, reason sql.NullString
		if err := rows.Scan(&epoch, &head.Seq, &seq, &scope, &id, &expires, &reason); err != nil {
			return fail(err)
		}
		head.Epoch = uint64(epoch)
		if seq.Valid {
			entries = append(entries, source.Revocation{
				At: counterfoil.Cursor{Epoch: head.Epoch, Seq: uint64(seq.Int64)}, Scope: source.Scope(scope.String), ID: id.String,
				Expires: fromUnix(expires.Int64), Reason: reason.String,
			})
		}
	}
	if err := rows.Err(); err != nil {
		return fail(err)
	}
	if head.Epoch == 0 && head.Seq == 0 && len(entries) == 0 {
		return fail(errors.New("the head is missing"))
	}
	return entries[:min(limit, len(entries))], head, nil
}

// Remember implements [store.Store]. No other process writes the file. So if the head is of
// another epoch than seen, or before seen, the file has lost commits. A backup has, too: what came
// after it is not in it.
func (s *Store) Remember(ctx context.Context, seen counterfoil.Cursor) error {
	_, head, err := s.readLog(ctx, seen, 1)
	if err != nil {
		return err
	}
	if s.copied.Load() || seen != (counterfoil.Cursor{}) && (head.Epoch != seen.Epoch || head.Before(seen)) {
		s.lost.Store(true)
		s.wake()
	}
	if s.lost.Load() {
		return fmt.Errorf("sqlite: the log is at %v: %w", head, store.ErrLost)
	}
	return nil
}

// Time implements [store.Store]: SQLite runs in this process, and has its clock.
func (s *Store) Time(ctx context.Context) (time.Time, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return time.Time{}, errors.New("sqlite: the store is closed")
	}
	return time.Time{}, ctx.Err()
}

// Wait implements [store.Store]. This process is the only writer, so it needs no
// notification from outside.
func (s *Store) Wait(ctx context.Context, after counterfoil.Cursor) error {
	s.mu.Lock()
	moved := s.moved // taken before the head is read, so that Wait misses no move
	s.mu.Unlock()
	_, head, err := s.readLog(ctx, after, 1)
	if err != nil || head != after {
		return err
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-moved:
		return nil
	}
}

func (s *Store) wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		close(s.moved)
		s.moved = make(chan struct{})
	}
}

// sweepBatch bounds how long a sweep holds the write lock.
const sweepBatch = 1000

const (
	sweepSQL    = `DELETE FROM records WHERE rowid IN (SELECT rowid FROM records WHERE expires > 0 AND expires < ? LIMIT ?)`
	sweepLogSQL = `DELETE FROM log WHERE seq IN (SELECT seq FROM log WHERE expires > 0 AND expires < ? LIMIT ?)`
)

// Sweep implements [store.Store].
func (s *Store) Sweep(ctx context.Context, before time.Time) (int, error) {
	total := 0
	for _, query := range []string{sweepSQL, sweepLogSQL} {
		for {
			result, err := s.write.ExecContext(ctx, query, before.Unix(), sweepBatch)
			if err != nil {
				return total, fmt.Errorf("sqlite: sweep: %w", err)
			}
			n, err := result.RowsAffected()
			if err != nil {
				return total, fmt.Errorf("sqlite: sweep: %w", err)
			}
			if query == sweepSQL {
				total += int(n)
			}
			if n < sweepBatch {
				break
			}
		}
	}
	return total, nil
}

// Close wakes every caller of Wait, closes the file and releases its lock.
func (s *Store) Close() error {
	s.mu.Lock()
	closed := s.closed
	if !closed {
		s.closed = true
		close(s.moved)
	}
	s.mu.Unlock()
	if closed {
		return nil
	}
	var errs []error
	for _, db := range []*sql.DB{s.read, s.write} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	return errors.Join(append(errs, s.lock.Close())...)
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
