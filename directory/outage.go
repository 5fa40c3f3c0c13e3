package directory

import (
	"context"
	"iter"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/store"
)

// marked is a store that marks its outages, see [store.Outage]: a caller that gets
// counterfoil.ErrUnavailable has learnt nothing about any account or key.
type marked struct{ store.Store }

func (m marked) Get(ctx context.Context, keys ...store.Key) ([]store.Record, error) {
	records, err := m.Store.Get(ctx, keys...)
	return records, store.Outage(err)
}

func (m marked) List(ctx context.Context, kind store.Kind, owner, after string) iter.Seq2[store.Record, error] {
	return outages(m.Store.List(ctx, kind, owner, after))
}

func (m marked) Search(ctx context.Context, kind store.Kind, prefix string, after store.Position) iter.Seq2[store.Match, error] {
	return outages(m.Store.Search(ctx, kind, prefix, after))
}

func outages[T any](records iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for r, err := range records {
			if !yield(r, store.Outage(err)) {
				return
			}
		}
	}
}

func (m marked) Count(ctx context.Context, kind store.Kind, prefix string, limit int) (int, bool, error) {
	n, more, err := m.Store.Count(ctx, kind, prefix, limit)
	return n, more, store.Outage(err)
}

func (m marked) Commit(ctx context.Context, b store.Batch) (counterfoil.Cursor, error) {
	head, err := m.Store.Commit(ctx, b)
	return head, store.Outage(err)
}
