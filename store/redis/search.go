package redis

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"

	"github.com/counterfoil/counterfoil/store"
)

// Search implements [store.Store] without an index: a sorted set of a million sessions would take
// more memory than the sessions. It yields the records hash by hash. Text is the number of the
// hash, which depends on the id alone.
func (s *Store) Search(ctx context.Context, kind store.Kind, _ string, after store.Position) iter.Seq2[store.Match, error] {
	return func(yield func(store.Match, error) bool) {
		err := s.walk(ctx, kind, after, func(m store.Match) bool { return yield(m, nil) })
		if err != nil {
			yield(store.Match{}, fmt.Errorf("redis: search %s: %w", kind, err))
		}
	}
}

// hashText returns the Text of the n-th hash.
func hashText(n int) string { return fmt.Sprintf("%03d", n) }

func (s *Store) walk(ctx context.Context, kind store.Kind, after store.Position, yield func(store.Match) bool) error {
	next := 0
	for next < 256 && hashText(next) < after.Text {
		next++
	}
	size := 64
	for next < 256 {
		found, upTo, err := s.some(ctx, kind, next)
		if err != nil {
			return err
		}
		next = upTo
		first, _ := slices.BinarySearchFunc(found, after, func(m store.Match, at store.Position) int {
			return cmp.Or(cmp.Compare(m.Text, at.Text), cmp.Compare(m.ID, at.ID+"\x00"))
		})
		for found = found[first:]; len(found) > 0; size = min(2*size, maxPage) {
			page := found[:min(size, len(found))]
			found = found[len(page):]
			keys := make([]store.Key, len(page))
			for i, m := range page {
				keys[i] = m.Key
			}
			records, err := s.fetch(ctx, keys)
			if err != nil {
				return err
			}
			for i, r := range records {
				if r.Rev > 0 && !yield(store.Match{Text: page[i].Text, Record: r}) {
					return nil
				}
			}
		}
	}
	return nil
}

// some returns the keys in some hashes from the n-th on, in order, and the number of the hash
// after those.
func (s *Store) some(ctx context.Context, kind store.Kind, n int) (found []store.Match, next int, err error) {
	m, err := s.read(ctx, idsScript, string(kind), "*", strconv.Itoa(n))
	if err != nil {
		return nil, 0, err
	}
	packed, err := m.AsStrSlice()
	if err != nil || len(packed) == 0 {
		return nil, 0, errors.Join(errCorrupt, err)
	}
	if next, err = strconv.Atoi(packed[0]); err != nil || next <= n {
		return nil, 0, errors.Join(errCorrupt, err)
	}
	for _, p := range packed[1:] {
		id, err := unpackID([]byte(p))
		if err != nil {
			return nil, 0, err
		}
		found = append(found, store.Match{Text: hashText(bucket(p)), Record: store.Record{Key: store.Key{Kind: kind, ID: id}}})
	}
	slices.SortFunc(found, func(a, b store.Match) int { return cmp.Or(cmp.Compare(a.Text, b.Text), cmp.Compare(a.ID, b.ID)) })
	return found, next, nil
}

// Count implements [store.Store].
func (s *Store) Count(ctx context.Context, _ store.Kind, _ string, _ int) (int, bool, error) {
	if err := errors.Join(ctx.Err(), s.usable()); err != nil {
		return 0, false, fmt.Errorf("redis: count: %w", err)
	}
	return 0, false, store.ErrNotIndexed
}
