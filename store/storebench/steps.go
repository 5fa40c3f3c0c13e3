package storebench

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store"
)

// Raw is the bare engine. It has its own table or keys, in the same server as the store or in
// a second file. A row is an id and a value. Its writes are as durable as those of the store.
type Raw interface {
	Read(ctx context.Context, id string) error // one indexed read, which fetches the value
	Insert(ctx context.Context, id string, value []byte) error
	Update(ctx context.Context, id string, value []byte) error
}

const rows = 10_000

// Steps compares each step of a session's life with one operation of the bare engine.
func Steps(b *testing.B, s store.Store, raw Raw) {
	all := newSessions(b, s, counterfoil.CarrierBearer)
	all.load(b, s, 0, rows)
	for n := range int64(rows) {
		check(b, raw.Insert(b.Context(), all.key(n).ID, all.value()))
	}
	b.Run("lookup", func(b *testing.B) { lookups(b, s, raw, all) })
	b.Run("create", func(b *testing.B) { creates(b, s, raw, all) })
	b.Run("rotate", func(b *testing.B) { rotations(b, s, raw, all) })
	b.Run("revoke", func(b *testing.B) { revocations(b, s, raw, all) })
}

// lookups measures finding a session. Raw does one indexed read.
func lookups(b *testing.B, s store.Store, raw Raw, all *sessions) {
	callers(b, func(b *testing.B, callers int) {
		Compare(b, callers, callers, func(ctx context.Context, n int64) error {
			return raw.Read(ctx, all.key(n*7919%rows).ID)
		}, func(ctx context.Context, n int64) error {
			_, err := store.One(ctx, s, all.key(n*7919%rows))
			return err
		})
	})
}

// creates measures a login: a session and its grant, under three conditions. Raw inserts one
// row.
func creates(b *testing.B, s store.Store, raw Raw, all *sessions) {
	from := int64(rows)
	callers(b, func(b *testing.B, callers int) {
		from += 100_000_000
		Compare(b, callers, callers, func(ctx context.Context, n int64) error {
			return raw.Insert(ctx, all.key(from+n).ID, all.value())
		}, func(ctx context.Context, n int64) error {
			_, err := s.Commit(ctx, store.Batch{Require: conditions(n), Put: all.of(from + n)})
			return err
		})
	})
}

// rotations measures a refresh: a grant is replaced at its revision, under the revision of its
// session and three conditions. Raw updates one row. Each value differs from the last, because
// SQLite would not write an equal one.
func rotations(b *testing.B, s store.Store, raw Raw, all *sessions) {
	var mu sync.Mutex
	var revs [rows]uint64
	var from int64
	callers(b, func(b *testing.B, callers int) {
		from += 100_000_000
		Compare(b, callers, callers, func(ctx context.Context, n int64) error {
			return raw.Update(ctx, all.key(n*7919%rows).ID, fmt.Append(all.value(), from+n))
		}, func(ctx context.Context, n int64) error {
			n = n * 7919 % rows
			grant := all.of(n)[1]
			mu.Lock()
			revs[n]++
			grant.Rev = revs[n]
			mu.Unlock()
			_, err := s.Commit(ctx, store.Batch{Require: append(conditions(n), store.Require{Key: all.key(n), Rev: 1}), Put: []store.Record{grant}})
			return err
		})
	})
}

// revocations measures ending a session: two deletes and an entry of the log. The session does
// not exist. Raw inserts one row.
func revocations(b *testing.B, s store.Store, raw Raw, all *sessions) {
	from := int64(1e12)
	callers(b, func(b *testing.B, callers int) {
		from += 100_000_000
		Compare(b, callers, callers, func(ctx context.Context, n int64) error {
			return raw.Insert(ctx, all.key(from+n).ID, all.value())
		}, func(ctx context.Context, n int64) error {
			_, err := s.Commit(ctx, store.Batch{Delete: all.keys(from + n), Revoke: []source.Revocation{{
				Scope: source.ScopeSession, ID: all.key(from + n).ID, Expires: all.began.Add(absolute),
			}}})
			return err
		})
	})
}
