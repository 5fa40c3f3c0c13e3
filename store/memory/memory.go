// Package memory is the store for tests, demos and sessions that may be lost: it
// keeps everything in this process. Every start is a new epoch.
package memory

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"iter"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/store"
)

// pause is after how many records a walk over all of them lets others in. A map
// may change between two steps of a range over it; what is added or removed then
// may or may not be met, and each step is made under the lock.
const pause = 1000

var errClosed = errors.New("memory store is closed")

// Store keeps records in maps.
type Store struct {
	mu      sync.RWMutex // guards all below; held for map access, never across a callback
	records map[store.Key]store.Record
	owned   map[store.Owned]map[string]struct{} // ids by kind and owner: List is O(own records)
	log     []counterfoil.Revocation            // in order of At.Seq
	head    counterfoil.Cursor
	moved   chan struct{} // closed when head moves or the store closes
	closed  bool
}

// New returns an empty store.
func New() *Store {
	return &Store{
		records: make(map[store.Key]store.Record),
		owned:   make(map[store.Owned]map[string]struct{}),
		head:    counterfoil.Cursor{Epoch: rand.Uint64()},
		moved:   make(chan struct{}),
	}
}

// Durability is Lossy.
func (s *Store) Durability() store.Durability { return store.Lossy }

func (s *Store) usable(ctx context.Context) error {
	if s.closed {
		return errClosed
	}
	return ctx.Err()
}

// Get implements store.Store.
func (s *Store) Get(ctx context.Context, k store.Key) (store.Record, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if err := s.usable(ctx); err != nil {
		return store.Record{}, err
	}
	r, ok := s.records[k]
	if !ok {
		return store.Record{}, store.ErrNotFound
	}
	r.Value = bytes.Clone(r.Value)
	return r, nil
}

// List implements store.Store.
func (s *Store) List(ctx context.Context, kind store.Kind, owner string) iter.Seq2[store.Record, error] {
	return func(yield func(store.Record, error) bool) {
		for _, id := range s.ids(kind, owner) {
			r, err := s.Get(ctx, store.Key{Kind: kind, ID: id})
			if errors.Is(err, store.ErrNotFound) {
				continue // gone since the list was made
			}
			if !yield(r, err) || err != nil {
				return
			}
		}
		// An empty answer from a closed store would say "nothing there".
		s.mu.RLock()
		err := s.usable(ctx)
		s.mu.RUnlock()
		if err != nil {
			yield(store.Record{}, err)
		}
	}
}

func (s *Store) ids(kind store.Kind, owner string) []string {
	var ids []string
	s.mu.RLock()
	if owner == "*" {
		looked := 0
		for k := range s.records {
			if k.Kind == kind {
				ids = append(ids, k.ID)
			}
			if looked++; looked%pause == 0 {
				s.mu.RUnlock()
				s.mu.RLock()
			}
		}
	} else {
		for id := range s.owned[store.Owned{Kind: kind, Owner: owner}] {
			ids = append(ids, id)
		}
	}
	s.mu.RUnlock()
	slices.Sort(ids)
	return ids
}

// Commit implements store.Store.
func (s *Store) Commit(ctx context.Context, b store.Batch) (counterfoil.Cursor, error) {
	if err := b.Check(); err != nil {
		return counterfoil.Cursor{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.usable(ctx); err != nil {
		return counterfoil.Cursor{}, err
	}
	for _, r := range b.Require {
		if s.records[r.Key].Rev != r.Rev {
			return counterfoil.Cursor{}, store.ErrConflict
		}
	}
	for _, r := range b.Put {
		if s.records[r.Key].Rev != r.Rev {
			return counterfoil.Cursor{}, store.ErrConflict
		}
	}
	for _, o := range b.DeleteOwned {
		for id := range s.owned[o] {
			s.delete(store.Key{Kind: o.Kind, ID: id})
		}
	}
	for _, k := range b.Delete {
		s.delete(k)
	}
	for _, r := range b.Put {
		s.delete(r.Key) // the owner may be another one now
		r.Rev++
		r.Value = bytes.Clone(r.Value)
		s.records[r.Key] = r
		o := store.Owned{Kind: r.Kind, Owner: r.Owner}
		if s.owned[o] == nil {
			s.owned[o] = make(map[string]struct{})
		}
		s.owned[o][r.ID] = struct{}{}
	}
	if b.NewEpoch {
		s.head, s.log = counterfoil.Cursor{Epoch: rand.Uint64()}, nil
	}
	for _, e := range b.Revoke {
		s.head.Seq += 1 + rand.Uint64N(1024) // rv stands in tokens: it must not count revocations
		e.At = s.head
		s.log = append(s.log, e)
	}
	if b.NewEpoch || len(b.Revoke) > 0 {
		close(s.moved)
		s.moved = make(chan struct{})
	}
	return s.head, nil
}

func (s *Store) delete(k store.Key) {
	r, ok := s.records[k]
	if !ok {
		return
	}
	delete(s.records, k)
	o := store.Owned{Kind: r.Kind, Owner: r.Owner}
	if delete(s.owned[o], k.ID); len(s.owned[o]) == 0 {
		delete(s.owned, o)
	}
}

// Log implements store.Store.
func (s *Store) Log(ctx context.Context, after counterfoil.Cursor, limit int) ([]counterfoil.Revocation, counterfoil.Cursor, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if err := s.usable(ctx); err != nil {
		return nil, counterfoil.Cursor{}, err
	}
	from := 0
	if after.Epoch == s.head.Epoch {
		from, _ = slices.BinarySearchFunc(s.log, after.Seq+1, func(e counterfoil.Revocation, seq uint64) int {
			return cmp.Compare(e.At.Seq, seq)
		})
	}
	page := s.log[from:]
	return slices.Clone(page[:min(limit, len(page))]), s.head, nil
}

// Wait implements store.Store.
func (s *Store) Wait(ctx context.Context, after counterfoil.Cursor) error {
	s.mu.RLock()
	err, head, moved := s.usable(ctx), s.head, s.moved
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

// Sweep implements store.Store.
func (s *Store) Sweep(ctx context.Context, before time.Time) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.usable(ctx); err != nil {
		return 0, err
	}
	n, looked := 0, 0
	for k, r := range s.records {
		if !r.Expires.IsZero() && r.Expires.Before(before) {
			s.delete(k)
			n++
		}
		if looked++; looked%pause == 0 {
			s.mu.Unlock()
			s.mu.Lock()
			if err := s.usable(ctx); err != nil {
				return n, err
			}
		}
	}
	s.log = slices.DeleteFunc(slices.Clone(s.log), func(e counterfoil.Revocation) bool {
		return !e.Expires.IsZero() && e.Expires.Before(before)
	})
	return n, nil
}

// Close wakes whoever waits. Every later call fails.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.closed = true
		close(s.moved)
	}
	return nil
}
