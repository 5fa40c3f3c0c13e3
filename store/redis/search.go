package redis

import (
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
		hashes, upTo, err := s.some(ctx, kind, next)
		if err != nil {
			return err
		}
		for n := next; n < upTo; n++ {
			text, ids := hashText(n), hashes[n-next]
			slices.Sort(ids)
			if text == after.Text {
				first, _ := slices.BinarySearch(ids, after.ID+"\x00")
				ids = ids[first:]
			}
			for ; len(ids) > 0; size = min(2*size, maxPage) {
				keys := make([]store.Key, min(size, len(ids)))
				for i := range keys {
					keys[i] = store.Key{Kind: kind, ID: ids[i]}
				}
				ids = ids[len(keys):]
				records, err := s.fetch(ctx, keys)
				if err != nil {
					return err
				}
				for _, r := range records {
					if r.Rev > 0 && !yield(store.Match{Text: text, Record: r}) {
						return nil
					}
				}
			}
		}
		next = upTo
	}
	return nil
}

// some returns the ids in some hashes, from the n-th on, and the number of the hash after those. In a
// large store one hash has thousands of them: this is most of the work for a page.
func (s *Store) some(ctx context.Context, kind store.Kind, n int) (hashes [][]string, next int, err error) {
	m, err := s.read(ctx, idsScript, string(kind), "*", strconv.Itoa(n))
	if err != nil {
		return nil, 0, err
	}
	packed, err := m.AsStrSlice()
	if err != nil || len(packed) == 0 {
		return nil, 0, errors.Join(errCorrupt, err)
	}
	if next, err = strconv.Atoi(packed[0]); err != nil || next <= n || next > 256 {
		return nil, 0, errors.Join(errCorrupt, err)
	}
	hashes = make([][]string, next-n)
	for _, p := range packed[1:] {
		id, err := unpackID([]byte(p))
		if err != nil {
			return nil, 0, err
		}
		at := bucket(p) - n
		if at < 0 || at >= len(hashes) {
			return nil, 0, errCorrupt
		}
		hashes[at] = append(hashes[at], id)
	}
	return hashes, next, nil
}

// Count implements [store.Store].
func (s *Store) Count(ctx context.Context, _ store.Kind, _ string, _ int) (int, bool, error) {
	if err := errors.Join(ctx.Err(), s.usable()); err != nil {
		return 0, false, fmt.Errorf("redis: count: %w", err)
	}
	return 0, false, store.ErrNotIndexed
}
