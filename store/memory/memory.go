// Package memory is the store for tests, demos and sessions that may be lost: it
// keeps everything in this process. Every start is a new epoch. Call [New] first.
//
// A million sessions are a million values that live for hours. Go values in maps would take
// several times the bytes of the records, and the garbage collector would follow each of
// their pointers in every cycle. So the store has no pointer per record:
//
//   - entry.go packs a record into bytes.
//   - slab.go keeps the entries side by side in pages.
//   - table.go finds an entry by a hash. There are two tables: by key and by owner.
//   - records.go puts the three together.
//
// Pages and tables stay dense after any sequence of commits. The memory of deleted records
// is given back.
package memory

import (
	"context"
	"errors"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/internal/pack"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store"
)

var (
	errClosed = errors.New("memory store is closed")
	errFull   = errors.New("memory store is full")
)

// Store is a [store.Store]. It keeps the records and the log.
type Store struct {
	mu      sync.RWMutex // guards the fields below; never held during a callback or a pass over all records
	records *records
	log     log
	closed  bool

	sweeping sync.Mutex // one sweep at a time
}

// New returns an empty store.
func New() *Store {
	return &Store{records: newRecords(), log: newLog()}
}

// Describe implements [store.Store].
func (s *Store) Describe() store.Description {
	return store.Description{Durability: store.Lossy, WhyLossy: "it is gone when the process ends", Exclusive: true}
}

func (s *Store) usable(ctx context.Context) error {
	if s.closed {
		return errClosed
	}
	return ctx.Err()
}

// Get implements [store.Store].
func (s *Store) Get(ctx context.Context, keys ...store.Key) ([]store.Record, error) {
	records := make([]store.Record, len(keys))
	for n, k := range keys {
		var err error
		if records[n], err = s.one(ctx, k); err != nil {
			return nil, err
		}
	}
	return records, nil
}

// one returns the record of k. Rev is 0 if there is none.
func (s *Store) one(ctx context.Context, k store.Key) (store.Record, error) {
	var buf [512]byte
	e, err := s.copyOf(ctx, k, buf[:0])
	if err != nil {
		return store.Record{}, err
	}
	if e == nil {
		return store.Record{Key: k}, nil
	}
	return e.record(k) // unpacked outside the lock
}

// copyOf appends the entry of k to buf. It returns nil if there is none.
func (s *Store) copyOf(ctx context.Context, k store.Key, buf []byte) (entry, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	e := s.records.get(k)
	if e == nil {
		return nil, nil
	}
	return append(buf, e...), nil
}

// List implements [store.Store].
func (s *Store) List(ctx context.Context, kind store.Kind, owner, after string) iter.Seq2[store.Record, error] {
	return func(yield func(store.Record, error) bool) {
		ids, err := s.ids(ctx, kind, owner, after)
		for id := range store.Ascending(ids) {
			r, err := s.one(ctx, store.Key{Kind: kind, ID: id})
			if err == nil && r.Rev == 0 {
				continue // deleted after ids returned
			}
			if !yield(r, err) || err != nil {
				return
			}
		}
		if err != nil { // an empty list from a closed store would mean that there are no records
			yield(store.Record{}, err)
		}
	}
}

// ids returns, in any order, the ids greater than after of the records of kind and owner. The
// owner "*" stands for all owners.
func (s *Store) ids(ctx context.Context, kind store.Kind, owner, after string) (ids []string, err error) {
	read := func(collect func()) error {
		s.mu.RLock()
		defer s.mu.RUnlock()
		if err := s.usable(ctx); err != nil {
			return err
		}
		collect()
		return nil
	}
	if owner != "*" {
		err = read(func() { ids = s.records.ofOwner(kind, owner) })
	} else {
		for n := 0; n < segments && err == nil; n++ {
			err = read(func() { ids = s.records.appendIDs(ids, kind, n) })
		}
	}
	return slices.DeleteFunc(ids, func(id string) bool { return id <= after }), err
}

// Commit implements [store.Store].
func (s *Store) Commit(ctx context.Context, b store.Batch) (counterfoil.Cursor, error) {
	if err := b.Check(); err != nil {
		return counterfoil.Cursor{}, err
	}
	values := make([][]byte, len(b.Put)) // packed outside the lock
	for n, r := range b.Put {
		values[n] = pack.AppendValue(nil, r.Value, pack.Record{ID: r.ID, Owner: r.Owner, Expires: toUnix(r.Expires)})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.usable(ctx); err != nil {
		return counterfoil.Cursor{}, err
	}
	if err := s.check(b); err != nil {
		return counterfoil.Cursor{}, err
	}
	for _, o := range b.DeleteOwned {
		s.records.deleteOwned(o)
	}
	for _, k := range b.Delete {
		s.records.delete(k)
	}
	for n, r := range b.Put {
		s.records.put(r, values[n])
	}
	s.log.append(b.NewEpoch, b.Revoke)
	return s.log.head, nil
}

// check checks all conditions of b. If it returns nil, the rest of Commit cannot fail.
func (s *Store) check(b store.Batch) error {
	if s.log.lost && !b.NewEpoch {
		return store.ErrLost
	}
	for _, r := range b.Require {
		if s.records.rev(r.Key) != r.Rev {
			return store.ErrConflict
		}
	}
	for _, r := range b.Put {
		if s.records.rev(r.Key) != r.Rev {
			return store.ErrConflict
		}
	}
	if s.records.n+len(b.Put) > maxPlace {
		return errFull
	}
	return nil
}

// Log implements [store.Store].
func (s *Store) Log(ctx context.Context, after counterfoil.Cursor, limit int) ([]source.Revocation, counterfoil.Cursor, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if err := s.usable(ctx); err != nil {
		return nil, counterfoil.Cursor{}, err
	}
	if s.log.lost {
		return nil, counterfoil.Cursor{}, store.ErrLost
	}
	return s.log.page(after, limit), s.log.head, nil
}

// Remember implements [store.Store]. It ignores a head of another process: this process
// began empty, in an epoch of its own.
func (s *Store) Remember(ctx context.Context, seen counterfoil.Cursor) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.usable(ctx); err != nil {
		return err
	}
	if s.log.lost = s.log.lost || s.log.head.Before(seen); s.log.lost {
		return store.ErrLost
	}
	return nil
}

// Wait implements [store.Store].
func (s *Store) Wait(ctx context.Context, after counterfoil.Cursor) error {
	s.mu.RLock()
	err, head, moved := s.usable(ctx), s.log.head, s.log.moved
	s.mu.RUnlock()
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

// Time implements [store.Store]: the store has no clock of its own.
func (s *Store) Time(ctx context.Context) (time.Time, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return time.Time{}, s.usable(ctx)
}

// Sweep implements [store.Store]. It locks the store for one segment of the records at a
// time, so that other calls run between two segments.
func (s *Store) Sweep(ctx context.Context, before time.Time) (int, error) {
	s.sweeping.Lock()
	defer s.sweeping.Unlock()
	total := 0
	for n := range segments {
		dropped, err := s.sweepSegment(ctx, n, before.Unix())
		if total += dropped; err != nil {
			return total, err
		}
	}
	s.mu.RLock()
	epoch, entries := s.log.head.Epoch, s.log.entries
	s.mu.RUnlock()
	kept := unexpired(entries, before)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.log.head.Epoch == epoch {
		s.log.entries = append(kept, s.log.entries[len(entries):]...)
	}
	return total, nil
}

func (s *Store) sweepSegment(ctx context.Context, n int, before int64) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.usable(ctx); err != nil {
		return 0, err
	}
	return s.records.sweep(n, before), nil
}

// Close wakes every caller of Wait. Every later call fails.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.closed = true
		close(s.log.moved)
	}
	return nil
}
