package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"iter"

	"github.com/counterfoil/counterfoil/store"
)

// The table texts has the index texts of all records. Triggers keep it (migration 5). The join
// is a left one, so that a page has as many rows as there are texts.
const (
	searchSQL = `SELECT t.text, t.id, r.owner, r.rev, r.expires, r.value FROM texts t LEFT JOIN records r ON r.kind = t.kind AND r.id = t.id
  WHERE t.kind = ?1 AND (t.text, t.id) > (?2, ?3) AND t.text < ?4 ORDER BY t.text, t.id LIMIT ?5`
	countSQL = `SELECT count(*), count(DISTINCT id) FROM (SELECT id FROM texts WHERE kind = ?1 AND text >= ?2 AND text < ?3 ORDER BY text LIMIT ?4)`
)

// Search implements [store.Store]. It reads in pages, as List does.
func (s *Store) Search(ctx context.Context, kind store.Kind, prefix string, after store.Position) iter.Seq2[store.Match, error] {
	return store.PagedSearch(prefix, after, func(after store.Position, limit int) ([]store.Match, error) {
		page, err := s.matches(ctx, kind, prefix, after, limit)
		if err != nil {
			return nil, fmt.Errorf("sqlite: search %s: %w", kind, err)
		}
		return page, nil
	})
}

func (s *Store) matches(ctx context.Context, kind store.Kind, prefix string, after store.Position, limit int) (page []store.Match, err error) {
	rows, err := s.read.QueryContext(ctx, searchSQL, kind, after.Text, after.ID, store.Past(prefix), limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		m := store.Match{Record: store.Record{Key: store.Key{Kind: kind}}}
		var owner sql.NullString
		var rev, expires sql.NullInt64
		if err := rows.Scan(&m.Text, &m.ID, &owner, &rev, &expires, &m.Value); err != nil {
			return nil, err
		}
		m.Owner, m.Rev, m.Expires = owner.String, uint64(rev.Int64), fromUnix(expires.Int64)
		page = append(page, m)
	}
	return page, rows.Err()
}

// Count implements [store.Store].
func (s *Store) Count(ctx context.Context, kind store.Kind, prefix string, limit int) (n int, more bool, err error) {
	var texts int
	if err := s.read.QueryRowContext(ctx, countSQL, kind, prefix, store.Past(prefix), limit+1).Scan(&texts, &n); err != nil {
		return 0, false, fmt.Errorf("sqlite: count %s: %w", kind, err)
	}
	return min(n, limit), texts > limit, nil
}

// textsOf returns the column texts of r.
func textsOf(r store.Record) string {
	if len(r.Index) == 0 {
		return ""
	}
	b, err := json.Marshal(r.Index)
	if err != nil {
		panic(err) // strings have no value that JSON lacks
	}
	return string(b)
}
