package compare

import (
	"context"
	"errors"
	"iter"
	"sync/atomic"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/compare/plain"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store"
)

var errDown = errors.New("the store is down, for this measurement")

// observer counts the questions to a store, and impairs the way to it.
type observer struct {
	reads, writes atomic.Int64
	impaired      atomic.Pointer[Impairment]
}

func (o *observer) counts() Counts { return Counts{o.reads.Load(), o.writes.Load()} }

// ask counts a question, and waits or fails as the impairment says.
func (o *observer) ask(ctx context.Context, counter *atomic.Int64) error {
	counter.Add(1)
	i := o.impaired.Load()
	if i == nil {
		return nil
	}
	if i.Down {
		return errDown
	}
	if i.Delay > 0 {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(i.Delay):
		}
	}
	return nil
}

// observedStore is a store of ours under an observer.
type observedStore struct {
	store.Store
	observer
}

func (s *observedStore) Get(ctx context.Context, keys ...store.Key) ([]store.Record, error) {
	if err := s.ask(ctx, &s.reads); err != nil {
		return nil, err
	}
	return s.Store.Get(ctx, keys...)
}

func (s *observedStore) List(ctx context.Context, kind store.Kind, owner, after string) iter.Seq2[store.Record, error] {
	if err := s.ask(ctx, &s.reads); err != nil {
		return func(yield func(store.Record, error) bool) { yield(store.Record{}, err) }
	}
	return s.Store.List(ctx, kind, owner, after)
}

func (s *observedStore) Search(ctx context.Context, kind store.Kind, prefix string, after store.Position) iter.Seq2[store.Match, error] {
	if err := s.ask(ctx, &s.reads); err != nil {
		return func(yield func(store.Match, error) bool) { yield(store.Match{}, err) }
	}
	return s.Store.Search(ctx, kind, prefix, after)
}

func (s *observedStore) Count(ctx context.Context, kind store.Kind, prefix string, limit int) (int, bool, error) {
	if err := s.ask(ctx, &s.reads); err != nil {
		return 0, false, err
	}
	return s.Store.Count(ctx, kind, prefix, limit)
}

func (s *observedStore) Log(ctx context.Context, after counterfoil.Cursor, limit int) ([]source.Revocation, counterfoil.Cursor, error) {
	if err := s.ask(ctx, &s.reads); err != nil {
		return nil, counterfoil.Cursor{}, err
	}
	return s.Store.Log(ctx, after, limit)
}

func (s *observedStore) Commit(ctx context.Context, b store.Batch) (counterfoil.Cursor, error) {
	if err := s.ask(ctx, &s.writes); err != nil {
		return counterfoil.Cursor{}, err
	}
	return s.Store.Commit(ctx, b)
}

func (s *observedStore) Time(ctx context.Context) (time.Time, error) {
	if i := s.impaired.Load(); i != nil && i.Down {
		return time.Time{}, errDown
	}
	return s.Store.Time(ctx)
}

// observedPlain is a store of the plain contenders under an observer.
type observedPlain struct {
	plain.Store
	observer
}

func (s *observedPlain) Get(ctx context.Context, table, key string) ([]byte, bool, error) {
	if err := s.ask(ctx, &s.reads); err != nil {
		return nil, false, err
	}
	return s.Store.Get(ctx, table, key)
}

func (s *observedPlain) Put(ctx context.Context, table, key string, value []byte, expires time.Time) error {
	if err := s.ask(ctx, &s.writes); err != nil {
		return err
	}
	return s.Store.Put(ctx, table, key, value, expires)
}

func (s *observedPlain) Delete(ctx context.Context, table, key string) error {
	if err := s.ask(ctx, &s.writes); err != nil {
		return err
	}
	return s.Store.Delete(ctx, table, key)
}

func (s *observedPlain) Replace(ctx context.Context, table, old, new string, expires time.Time) (bool, error) {
	if err := s.ask(ctx, &s.writes); err != nil {
		return false, err
	}
	return s.Store.Replace(ctx, table, old, new, expires)
}
