package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"iter"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store"
)

// Moving is a [store.Mover]: a file that is open to be moved. It holds the same lock as a
// [Store].
type Moving struct{ s *Store }

// OpenToMove opens the file at path, whatever its mark is. It returns [ErrInUse] if another
// process has the file open.
func OpenToMove(ctx context.Context, path string) (*Moving, error) {
	s, err := open(ctx, path)
	if err != nil {
		return nil, err
	}
	return &Moving{s}, nil
}

const (
	markSQL    = `SELECT mark FROM head`
	setMarkSQL = `UPDATE head SET mark = ?`
	allSQL     = `SELECT kind, id, owner, rev, expires, value FROM records WHERE (kind, id) > (?, ?) ORDER BY kind, id LIMIT 1000`
)

func (s *Store) mark(ctx context.Context) (store.Mark, error) {
	var text string
	if err := s.write.QueryRowContext(ctx, markSQL).Scan(&text); err != nil {
		return store.Mark{}, err
	}
	return store.ParseMark(text), nil
}

// Mark implements [store.Mover].
func (m *Moving) Mark(ctx context.Context) (store.Mark, error) {
	mark, err := m.s.mark(ctx)
	if err != nil {
		return mark, fmt.Errorf("sqlite: mark: %w", err)
	}
	return mark, nil
}

// SetMark implements [store.Mover].
func (m *Moving) SetMark(ctx context.Context, mark store.Mark) error {
	if _, err := m.s.write.ExecContext(ctx, setMarkSQL, mark.String()); err != nil {
		return fmt.Errorf("sqlite: mark: %w", err)
	}
	return nil
}

// Log implements [store.Mover].
func (m *Moving) Log(ctx context.Context, after counterfoil.Cursor, limit int) ([]source.Revocation, counterfoil.Cursor, error) {
	return m.s.Log(ctx, after, limit)
}

// Close closes the file and releases its lock.
func (m *Moving) Close() error { return m.s.Close() }

// All implements [store.Mover].
func (m *Moving) All(ctx context.Context) iter.Seq2[store.Record, error] {
	return func(yield func(store.Record, error) bool) {
		for last := (store.Key{}); ; {
			page, err := m.allPage(ctx, last)
			if err != nil {
				yield(store.Record{}, fmt.Errorf("sqlite: read all: %w", err))
				return
			}
			for _, r := range page {
				if !yield(r, nil) {
					return
				}
				last = r.Key
			}
			if len(page) == 0 {
				return
			}
		}
	}
}

func (m *Moving) allPage(ctx context.Context, after store.Key) (page []store.Record, err error) {
	rows, err := m.s.read.QueryContext(ctx, allSQL, after.Kind, after.ID)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var r store.Record
		var expires int64
		if err := rows.Scan(&r.Kind, &r.ID, &r.Owner, &r.Rev, &expires, &r.Value); err != nil {
			return nil, err
		}
		r.Expires = fromUnix(expires)
		page = append(page, r)
	}
	return page, rows.Err()
}

// Begin implements [store.Mover].
func (m *Moving) Begin(ctx context.Context, mark store.Mark, head counterfoil.Cursor) error {
	err := m.inTx(ctx, func(tx *sql.Tx, t statements) error {
		for _, query := range []string{`DELETE FROM texts`, `DELETE FROM records`, clearLogSQL} {
			if _, err := tx.ExecContext(ctx, query); err != nil {
				return err
			}
		}
		if _, err := t.setHead.ExecContext(ctx, int64(head.Epoch), int64(head.Seq)); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, setMarkSQL, mark.String())
		return err
	})
	if err != nil {
		return fmt.Errorf("sqlite: begin to fill: %w", err)
	}
	return nil
}

// Fill implements [store.Mover].
func (m *Moving) Fill(ctx context.Context, records []store.Record, entries []source.Revocation) error {
	err := m.inTx(ctx, func(tx *sql.Tx, t statements) error {
		for _, r := range records {
			if _, err := t.put.ExecContext(ctx, r.Kind, r.ID, r.Owner, int64(r.Rev), toUnix(r.Expires), append([]byte{}, r.Value...), ""); err != nil {
				return err
			}
		}
		for _, e := range entries {
			if _, err := t.append.ExecContext(ctx, int64(e.At.Seq), e.Scope, e.ID, toUnix(e.Expires), e.Reason); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("sqlite: fill: %w", err)
	}
	return nil
}

func (m *Moving) inTx(ctx context.Context, do func(*sql.Tx, statements) error) error {
	tx, err := m.s.write.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // does nothing after Commit
	if err := do(tx, m.s.statements.in(ctx, tx)); err != nil {
		return err
	}
	return tx.Commit()
}
