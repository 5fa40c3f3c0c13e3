package memory

import (
	"context"
	"fmt"
	"iter"
	"slices"

	"github.com/counterfoil/counterfoil/store"
)

// Search implements [store.Store] without an index: the texts of a million sessions would take
// more than the sessions. It yields the records segment by segment. Text is the number of the
// segment, which no record ever changes.
func (s *Store) Search(ctx context.Context, kind store.Kind, _ string, after store.Position) iter.Seq2[store.Match, error] {
	return func(yield func(store.Match, error) bool) {
		for n := range segments {
			text := fmt.Sprintf("%04d", n)
			if text < after.Text {
				continue
			}
			ids, err := s.segmentIDs(ctx, kind, n)
			if err != nil {
				yield(store.Match{}, err)
				return
			}
			slices.Sort(ids)
			for _, id := range ids {
				if text == after.Text && id <= after.ID {
					continue
				}
				r, err := s.one(ctx, store.Key{Kind: kind, ID: id})
				if err == nil && r.Rev == 0 {
					continue // deleted after segmentIDs returned
				}
				if !yield(store.Match{Text: text, Record: r}, err) || err != nil {
					return
				}
			}
		}
	}
}

// Count implements [store.Store].
func (s *Store) Count(ctx context.Context, _ store.Kind, _ string, _ int) (int, bool, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if err := s.usable(ctx); err != nil {
		return 0, false, err
	}
	return 0, false, store.ErrNotIndexed
}

func (s *Store) segmentIDs(ctx context.Context, kind store.Kind, n int) ([]string, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	return s.records.appendIDs(nil, kind, n), nil
}
