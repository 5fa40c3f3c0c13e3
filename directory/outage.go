package directory

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/store"
)

// marked is a store whose outages say that they are: a caller who hears
// counterfoil.ErrUnavailable has learnt nothing about any account or key.
type marked struct{ store.Store }

func unavailable(err error) error {
	if err == nil || errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrConflict) {
		return err
	}
	return fmt.Errorf("%w: %w", counterfoil.ErrUnavailable, err)
}

func (m marked) Get(ctx context.Context, keys ...store.Key) ([]store.Record, error) {
	records, err := m.Store.Get(ctx, keys...)
	return records, unavailable(err)
}

func (m marked) List(ctx context.Context, kind store.Kind, owner string) iter.Seq2[store.Record, error] {
	return func(yield func(store.Record, error) bool) {
		for r, err := range m.Store.List(ctx, kind, owner) {
			if !yield(r, unavailable(err)) {
				return
			}
		}
	}
}

func (m marked) Commit(ctx context.Context, b store.Batch) (counterfoil.Cursor, error) {
	head, err := m.Store.Commit(ctx, b)
	return head, unavailable(err)
}
