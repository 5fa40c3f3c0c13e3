package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/store"
)

const commitSQL = `SELECT done, at_epoch, at_seq FROM counterfoil.commit_1($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22)`

// maxLocks is how many keys an ordinary commit locks. The server's table of locks
// is small and for everybody: a larger batch runs alone.
const maxLocks = 64

// maxTries is how often a commit that the server gave up to let others on is done
// again. Nothing of it had happened.
const maxTries = 5

// Commit implements store.Store.
func (s *Store) Commit(ctx context.Context, b store.Batch) (counterfoil.Cursor, error) {
	if err := b.Check(); err != nil {
		return counterfoil.Cursor{}, err
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	args := arguments(b)
	for try := 1; ; try++ {
		head, err := scanCommit(s.pool.QueryRow(ctx, commitSQL, args...))
		switch {
		case err == nil:
			s.note(head)
			return head, nil
		case try < maxTries && again(err):
			continue
		}
		return counterfoil.Cursor{}, fmt.Errorf("postgres: commit: %w", err)
	}
}

func scanCommit(row pgx.Row) (counterfoil.Cursor, error) {
	var done bool
	var epoch, seq *int64 // null on a conflict
	if err := row.Scan(&done, &epoch, &seq); err != nil {
		return counterfoil.Cursor{}, err
	}
	if !done {
		return counterfoil.Cursor{}, store.ErrConflict
	}
	return counterfoil.Cursor{Epoch: uint64(*epoch), Seq: uint64(*seq)}, nil
}

// again reports whether the server says to try once more: serialization_failure,
// deadlock_detected.
func again(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && (e.Code == "40001" || e.Code == "40P01")
}

// arguments are those of commit_1.
func arguments(b store.Batch) []any {
	var l locks
	var requireKinds, requireIDs, ownKinds, ownOwners, deleteKinds, deleteIDs = texts(b.Require), texts(b.Require), texts(b.DeleteOwned), texts(b.DeleteOwned), texts(b.Delete), texts(b.Delete)
	requireRevs := make([]int64, 0, len(b.Require))
	for _, r := range b.Require {
		requireKinds, requireIDs, requireRevs = append(requireKinds, string(r.Kind)), append(requireIDs, r.ID), append(requireRevs, int64(r.Rev))
		l.add(r.Key, false)
	}
	for _, o := range b.DeleteOwned {
		ownKinds, ownOwners = append(ownKinds, string(o.Kind)), append(ownOwners, o.Owner)
	}
	for _, k := range b.Delete {
		deleteKinds, deleteIDs = append(deleteKinds, string(k.Kind)), append(deleteIDs, k.ID)
		l.add(k, true)
	}
	putKinds, putIDs, putOwners := texts(b.Put), texts(b.Put), texts(b.Put)
	putRevs, putExpires, putValues := make([]int64, 0, len(b.Put)), make([]int64, 0, len(b.Put)), make([][]byte, 0, len(b.Put))
	for _, r := range b.Put {
		putKinds, putIDs, putOwners = append(putKinds, string(r.Kind)), append(putIDs, r.ID), append(putOwners, r.Owner)
		putRevs, putExpires = append(putRevs, int64(r.Rev)), append(putExpires, toUnix(r.Expires))
		putValues = append(putValues, append([]byte{}, r.Value...))
		l.add(r.Key, true)
	}
	var epoch *int64
	if b.NewEpoch {
		epoch = new(int64(rand.Uint64()))
	}
	strides, expires := make([]int64, 0, len(b.Revoke)), make([]int64, 0, len(b.Revoke))
	scopes, ids, reasons := texts(b.Revoke), texts(b.Revoke), texts(b.Revoke)
	for _, e := range b.Revoke {
		strides = append(strides, 1+rand.Int64N(1024)) // rv stands in tokens: it must not count revocations
		scopes, ids, reasons, expires = append(scopes, string(e.Scope)), append(ids, e.ID), append(reasons, e.Reason), append(expires, toUnix(e.Expires))
	}
	alone := b.NewEpoch || len(b.Revoke) > 0 || len(b.DeleteOwned) > 0 || len(l) > maxLocks
	keys, write := l.sorted(alone)
	return []any{
		alone, keys, write, requireKinds, requireIDs, requireRevs,
		ownKinds, ownOwners, deleteKinds, deleteIDs,
		putKinds, putIDs, putOwners, putRevs, putExpires, putValues,
		epoch, strides, scopes, ids, expires, reasons,
	}
}

// texts is an empty column for as many rows as there are items. It is never nil,
// which would be NULL.
func texts[T any](items []T) []string { return make([]string, 0, len(items)) }

// locks are the advisory locks that a commit needs on the keys it names. Two keys
// may share a lock: that costs a wait and nothing else.
type locks []keyLock

type keyLock struct {
	key   int64
	write bool
}

func (l *locks) add(k store.Key, write bool) {
	h := fnv.New64a()
	h.Write([]byte(k.Kind))
	h.Write([]byte{0})
	h.Write([]byte(k.ID))
	*l = append(*l, keyLock{int64(h.Sum64()), write})
}

// sorted returns the locks in the order that everybody takes them in, each once and
// as a writer if any wants it so: a reader that would become a writer waits for
// another one that does the same.
func (l locks) sorted(alone bool) (keys []int64, write []bool) {
	keys, write = make([]int64, 0, len(l)), make([]bool, 0, len(l))
	if alone {
		return keys, write
	}
	slices.SortFunc(l, func(a, b keyLock) int { return cmp.Compare(a.key, b.key) })
	for _, k := range l {
		if n := len(keys); n > 0 && keys[n-1] == k.key {
			write[n-1] = write[n-1] || k.write
			continue
		}
		keys, write = append(keys, k.key), append(write, k.write)
	}
	return keys, write
}
