package postgres

import (
	"context"
	"iter"

	"github.com/jackc/pgx/v5"

	"github.com/counterfoil/counterfoil/store"
)

// The table texts has the index texts of all records. Triggers keep it (migration 5). Each
// record of a page is found by its key, never by a plan that reads the whole table; the join is
// a left one, so that a page has as many rows as there are texts.
const (
	searchSQL = `SELECT t.text, t.id, coalesce(r.owner, ''), coalesce(r.rev, 0), coalesce(r.expires, 0), r.value
  FROM (SELECT text, id FROM counterfoil.texts WHERE kind = $1 AND (text, id) > ($2, $3) AND text < $4 ORDER BY text, id LIMIT $5) t
  LEFT JOIN LATERAL (SELECT * FROM counterfoil.records r WHERE r.kind = $1 AND r.id = t.id OFFSET 0) r ON true ORDER BY t.text, t.id`
	countSQL = `SELECT count(*), count(DISTINCT id) FROM (SELECT id FROM counterfoil.texts WHERE kind = $1 AND text >= $2 AND text < $3 ORDER BY text, id LIMIT $4) t`
)

// Search implements [store.Store]. It reads in pages, as List does.
func (s *Store) Search(ctx context.Context, kind store.Kind, prefix string, after store.Position) iter.Seq2[store.Match, error] {
	return store.PagedSearch(prefix, after, func(after store.Position, limit int) ([]store.Match, error) {
		page, err := s.matches(ctx, kind, prefix, after, limit)
		if err != nil {
			return nil, failed(ctx, "search "+string(kind), err)
		}
		return page, nil
	})
}

func (s *Store) matches(ctx context.Context, kind store.Kind, prefix string, after store.Position, limit int) ([]store.Match, error) {
	if !storable(prefix) {
		return nil, nil
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	rows, err := s.pool.Query(ctx, searchSQL, string(kind), after.Text, after.ID, store.Past(prefix), limit)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (store.Match, error) {
		m, expires := store.Match{Record: store.Record{Key: store.Key{Kind: kind}}}, int64(0)
		err := row.Scan(&m.Text, &m.ID, &m.Owner, &m.Rev, &expires, &m.Value)
		m.Expires = fromUnix(expires)
		return m, err
	})
}

// Count implements [store.Store].
func (s *Store) Count(ctx context.Context, kind store.Kind, prefix string, limit int) (n int, more bool, err error) {
	if !storable(prefix) {
		return 0, false, nil
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	var texts int
	if err := s.pool.QueryRow(ctx, countSQL, string(kind), prefix, store.Past(prefix), limit+1).Scan(&texts, &n); err != nil {
		return 0, false, failed(ctx, "count "+string(kind), err)
	}
	return min(n, limit), texts > limit, nil
}
