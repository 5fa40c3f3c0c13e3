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
	return func(yield func(store.Record, error) bool) {
		for r, err := range m.Store.List(ctx, kind, owner, after) {
			if !yield(r, store.Outage(err)) {
				return
			}
		}
	}
}

func (m marked) Commit(ctx context.Context, b store.Batch) (counterfoil.Cursor, error) {
	head, err := m.Store.Commit(ctx, b)
	return head, store.Outage(err)
}
