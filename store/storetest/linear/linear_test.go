package linear_test

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/memory"
	"github.com/counterfoil/counterfoil/store/storetest/linear"
)

// Check finds a store that breaks the contract in one call of fifty.
func TestFindsBrokenStores(t *testing.T) {
	for name, s := range map[string]store.Store{
		"a stale read":            &stale{Store: memory.New()},
		"a lost write":            &lossy{Store: memory.New()},
		"a head read too early":   &early{Store: memory.New()},
		"an entry after its rows": &torn{Store: memory.New()},
	} {
		if err := linear.Check(t.Context(), s, "h"); err == nil {
			t.Errorf("%s: Check = nil, want an error", name)
		}
	}
	if err := linear.Check(t.Context(), memory.New(), "h"); err != nil {
		t.Error(err)
	}
}

// sometimes.now is true at one call of fifty.
type sometimes struct{ n atomic.Int64 }

func (s *sometimes) now() bool { return s.n.Add(1)%50 == 0 }

// stale sometimes answers from a cache.
type stale struct {
	store.Store
	sometimes
	cache sync.Map
}

func (s *stale) Get(ctx context.Context, keys ...store.Key) ([]store.Record, error) {
	records, err := s.Store.Get(ctx, keys...)
	for n, r := range records {
		if r.Rev == 0 {
			continue
		}
		if old, ok := s.cache.LoadOrStore(r.Key, r); ok && s.now() {
			records[n] = old.(store.Record)
		}
	}
	return records, err
}

// lossy sometimes acknowledges a commit that it did not do.
type lossy struct {
	store.Store
	sometimes
}

func (s *lossy) Commit(ctx context.Context, b store.Batch) (counterfoil.Cursor, error) {
	if len(b.Revoke) == 0 && s.now() {
		_, head, err := s.Log(ctx, counterfoil.Cursor{}, 1)
		return head, err
	}
	return s.Store.Commit(ctx, b)
}

// early answers a commit with the head from before the commit.
type early struct{ store.Store }

func (s *early) Commit(ctx context.Context, b store.Batch) (counterfoil.Cursor, error) {
	_, head, err := s.Log(ctx, counterfoil.Cursor{}, 1)
	if err == nil {
		_, err = s.Store.Commit(ctx, b)
	}
	return head, err
}

// torn deletes in one commit and revokes in another.
type torn struct{ store.Store }

func (s *torn) Commit(ctx context.Context, b store.Batch) (counterfoil.Cursor, error) {
	revoke := b.Revoke
	b.Revoke = nil
	head, err := s.Store.Commit(ctx, b)
	if err != nil || len(revoke) == 0 {
		return head, err
	}
	for range 100 {
		runtime.Gosched()
	}
	return s.Store.Commit(ctx, store.Batch{Revoke: revoke})
}
