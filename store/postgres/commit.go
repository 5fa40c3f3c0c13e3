package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/store"
)

// commitSQL also makes a commit that writes nothing wait for the synchronous standby: its caller may
// have read what the standby lacks. A transaction waits only if it wrote something.
const commitSQL = `SELECT done, at_epoch, at_seq,
  CASE WHEN cardinality($10::text[]) + cardinality($19::text[]) = 0 AND current_setting('synchronous_standby_names') <> ''
    THEN pg_logical_emit_message(true, 'counterfoil', '') END
  FROM counterfoil.commit_2($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22)`

// maxLocks is how many keys an ordinary commit may lock. All connections share the server's
// lock table, which is small. So a larger batch is exclusive.
const maxLocks = 64

// maxTries bounds retry.
const maxTries = 5

// Commit implements [store.Store].
func (s *Store) Commit(ctx context.Context, b store.Batch) (counterfoil.Cursor, error) {
	if err := b.Check(); err != nil {
		return counterfoil.Cursor{}, err
	}
	if err := sendable(b); err != nil {
		return counterfoil.Cursor{}, err
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	if !b.NewEpoch {
		if err := s.intact(ctx); err != nil {
			return counterfoil.Cursor{}, failed(ctx, "commit", err)
		}
	}
	head, err := s.commit(ctx, b)
	if err != nil {
		return counterfoil.Cursor{}, failed(ctx, "commit", err)
	}
	if b.NewEpoch {
		s.adopt(head)
	}
	return head, nil
}

func (s *Store) commit(ctx context.Context, b store.Batch) (head counterfoil.Cursor, err error) {
	args := arguments(b)
	if exclusive(b) {
		return s.grouped(ctx, args, b.NewEpoch)
	}
	err = s.acknowledged(ctx, func() error {
		return retry(func() error {
			head, err = scanCommit(s.pool.QueryRow(ctx, commitSQL, args...))
			return err
		})
	})
	if err == nil {
		s.noteHead(head)
	}
	return head, err
}

// retry repeats do if the server rolled it back in favour of another transaction
// (serialization_failure, deadlock_detected). The server had then written nothing of it.
func retry(do func() error) error {
	for try := 1; ; try++ {
		err := do()
		var e *pgconn.PgError
		if try == maxTries || !errors.As(err, &e) || e.Code != "40001" && e.Code != "40P01" {
			return err
		}
	}
}

func scanCommit(row pgx.Row) (counterfoil.Cursor, error) {
	var done bool
	var epoch, seq int64
	if err := row.Scan(&done, &epoch, &seq, nil); err != nil {
		return counterfoil.Cursor{}, err
	}
	if !done {
		return counterfoil.Cursor{}, store.ErrConflict
	}
	return counterfoil.Cursor{Epoch: uint64(epoch), Seq: uint64(seq)}, nil
}

// arguments returns the arguments of commit_2. No slice is nil, because nil would be NULL.
func arguments(b store.Batch) []any {
	keys, write := locksOf(b)
	n := len(b.Require) + len(b.Put)
	check := columns{make([]string, 0, n), make([]string, 0, n), make([]int64, 0, n)}
	for _, r := range b.Require {
		check.add(r.Key, r.Rev)
	}
	own, deleted := newColumns(b.DeleteOwned), newColumns(b.Delete)
	for _, o := range b.DeleteOwned {
		own.add(store.Key{Kind: o.Kind, ID: o.Owner}, 0)
	}
	for _, k := range b.Delete {
		deleted.add(k, 0)
	}
	puts, owners, texts, expires, values := newColumns(b.Put), make([]string, 0, len(b.Put)), make([]string, 0, len(b.Put)), make([]int64, 0, len(b.Put)), make([][]byte, 0, len(b.Put))
	for _, r := range b.Put {
		check.add(r.Key, r.Rev)
		puts.add(r.Key, r.Rev)
		owners, texts, expires, values = append(owners, r.Owner), append(texts, strings.Join(r.Index, "\n")), append(expires, toUnix(r.Expires)), append(values, r.Value)
		if r.Value == nil {
			values[len(values)-1] = []byte{}
		}
	}
	var epoch *int64
	if b.NewEpoch {
		epoch = new(int64(rand.Uint64()))
	}
	entries, strides, ends, reasons := newColumns(b.Revoke), make([]int64, 0, len(b.Revoke)), make([]int64, 0, len(b.Revoke)), make([]string, 0, len(b.Revoke))
	for _, e := range b.Revoke {
		strides = append(strides, 1+rand.Int64N(1024)) // rv is in tokens: it must not tell how many revocations there are
		entries.add(store.Key{Kind: store.Kind(e.Scope), ID: e.ID}, 0)
		ends, reasons = append(ends, toUnix(e.Expires)), append(reasons, e.Reason)
	}
	return []any{
		keys, write, check.kinds, check.ids, check.revs,
		own.kinds, own.ids, deleted.kinds, deleted.ids,
		puts.kinds, puts.ids, owners, puts.revs, expires, values, texts,
		epoch, strides, entries.kinds, entries.ids, ends, reasons,
	}
}

// newEpochArg is the index of the new epoch in the result of arguments.
const newEpochArg = 16

// columns has rows by column: each column is one array parameter.
type columns struct {
	kinds, ids []string
	revs       []int64
}

func newColumns[T any](rows []T) columns {
	return columns{make([]string, 0, len(rows)), make([]string, 0, len(rows)), make([]int64, 0, len(rows))}
}

func (c *columns) add(k store.Key, rev uint64) {
	c.kinds, c.ids, c.revs = append(c.kinds, string(k.Kind)), append(c.ids, k.ID), append(c.revs, int64(rev))
}

// sendable refuses text that the server would refuse. A call that fails at the server makes
// its whole group fail.
func sendable(b store.Batch) error {
	var texts []string
	for _, r := range b.Require {
		texts = append(texts, string(r.Kind), r.ID)
	}
	for _, o := range b.DeleteOwned {
		texts = append(texts, string(o.Kind), o.Owner)
	}
	for _, k := range b.Delete {
		texts = append(texts, string(k.Kind), k.ID)
	}
	for _, e := range b.Revoke {
		texts = append(texts, string(e.Scope), e.ID, e.Reason)
	}
	for _, s := range texts {
		if !utf8.ValidString(s) || strings.ContainsRune(s, 0) {
			return fmt.Errorf("postgres: commit: %q is not valid UTF-8, or has a zero byte", s)
		}
	}
	return nil
}

// exclusive reports whether no other commit may run at the same time as b.
func exclusive(b store.Batch) bool {
	return b.NewEpoch || len(b.Revoke) > 0 || len(b.DeleteOwned) > 0 || len(b.Require)+len(b.Delete)+len(b.Put) > maxLocks
}

// logLock is the advisory lock of the log. An ordinary commit holds it shared. An exclusive
// commit holds it exclusively.
const logLock int64 = 0x434f554e54464f4c

// locksOf returns the advisory locks of b, in the one order in which all commits take
// them: first the lock of the log, then one lock for each key. Each lock is taken once, and
// exclusively if b writes the key: two transactions that both upgrade a shared lock would
// wait for each other for ever.
func locksOf(b store.Batch) (keys []int64, write []bool) {
	if exclusive(b) {
		return []int64{logLock}, []bool{true}
	}
	type lock struct {
		key   int64
		write bool
	}
	locks := make([]lock, 0, len(b.Require)+len(b.Delete)+len(b.Put))
	for _, r := range b.Require {
		locks = append(locks, lock{lockOf(r.Key), false})
	}
	for _, k := range b.Delete {
		locks = append(locks, lock{lockOf(k), true})
	}
	for _, r := range b.Put {
		locks = append(locks, lock{lockOf(r.Key), true})
	}
	slices.SortFunc(locks, func(a, b lock) int { return cmp.Compare(a.key, b.key) })
	keys, write = append(make([]int64, 0, 1+len(locks)), logLock), append(make([]bool, 0, 1+len(locks)), false)
	for n, l := range locks {
		if last := len(keys) - 1; n > 0 && keys[last] == l.key {
			write[last] = write[last] || l.write
			continue
		}
		keys, write = append(keys, l.key), append(write, l.write)
	}
	return keys, write
}

// lockOf returns the advisory lock of a key. If two keys have the same lock, their commits
// wait for each other; that is the only effect. Every version of the program must compute
// the same lock.
func lockOf(k store.Key) int64 {
	h := fnv.New64a()
	h.Write([]byte(k.Kind))
	h.Write([]byte{0})
	h.Write([]byte(k.ID))
	if key := int64(h.Sum64()); key != logLock {
		return key
	}
	return logLock + 1
}
