package postgres

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store"
)

// useLock is an advisory lock. Every connection of every node holds it shared until it
// closes. A move holds it exclusively. So no node reads or writes the database during a
// move. A node that connects after the move finds the mark.
const useLock int64 = 0x434f554e54555345

// ErrInUse means that nodes are connected to the database, or that it is being moved.
var ErrInUse = errors.New("in use by another process")

// closing is how long a move waits for the lock. A connection that was closed holds it until the
// server has noticed that, so nodes that have just stopped would be taken for ones that run.
const closing = 2 * time.Second

// admit takes useLock for a new connection, and returns an error if the mark forbids use.
func admit(ctx context.Context, conn *pgx.Conn) error {
	var locked bool
	if err := conn.QueryRow(ctx, `SELECT pg_try_advisory_lock_shared($1)`, useLock).Scan(&locked); err != nil {
		return err
	}
	if !locked {
		return fmt.Errorf("%w: it is being moved", ErrInUse)
	}
	mark, err := readMark(ctx, conn)
	if err != nil {
		return err
	}
	return mark.Err()
}

func readMark(ctx context.Context, conn *pgx.Conn) (store.Mark, error) {
	var text string
	if err := conn.QueryRow(ctx, `SELECT mark FROM counterfoil.head`).Scan(&text); err != nil {
		return store.Mark{}, err
	}
	return store.ParseMark(text), nil
}

// Moving is a [store.Mover]: a database that is open to be moved. It has one connection,
// which holds the lock. If that connection is lost, every later call fails.
type Moving struct{ conn *pgx.Conn }

// OpenToMove opens the database, whatever its mark is. It returns [ErrInUse] if any node is
// connected.
func OpenToMove(ctx context.Context, o Options) (*Moving, error) {
	if err := Migrate(ctx, o.URL); err != nil {
		return nil, err
	}
	config, err := pgx.ParseConfig(o.URL)
	if err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	prepareConfig(config)
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	m := &Moving{conn}
	if err := m.begin(ctx, o.Log); err != nil {
		return nil, errors.Join(fmt.Errorf("postgres: %w", err), m.Close())
	}
	return m, nil
}

// begin takes the lock and compares the history of the data, as a node does: a restored
// database begins a new epoch here.
func (m *Moving) begin(ctx context.Context, log *slog.Logger) error {
	if log == nil {
		log = slog.Default()
	}
	for began := time.Now(); ; {
		var locked bool
		if err := m.conn.QueryRow(ctx, `SELECT pg_try_advisory_lock($1)`, useLock).Scan(&locked); err != nil {
			return err
		}
		if locked {
			break
		}
		if time.Since(began) > closing {
			return ErrInUse
		}
		select { // not in the queue for the lock: nodes could not connect meanwhile
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(closing / 40):
		}
	}
	if err := (&Store{log: log}).prepareAt(ctx, m.conn); err != nil {
		return err
	}
	// Nodes of this version may share the database with nodes of the next one. A move may
	// not: this version would leave behind what the next version added.
	files, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return err
	}
	var newer bool
	if err := m.conn.QueryRow(ctx, `SELECT max(version_id) > $1 FROM counterfoil.goose_db_version WHERE is_applied`, len(files)).Scan(&newer); err != nil {
		return err
	}
	if newer {
		return errors.New("the schema is of a newer version than this program: use the newer program")
	}
	_, err = m.conn.Exec(ctx, `SET statement_timeout = 0`) // Begin empties a table in one statement
	return err
}

// Close releases the lock, so that a node can connect at once, and closes the connection.
func (m *Moving) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closing)
	defer cancel()
	_, _ = m.conn.Exec(ctx, `SELECT pg_advisory_unlock($1)`, useLock) // closed, the connection releases it too
	return m.conn.Close(ctx)
}

// Mark implements [store.Mover].
func (m *Moving) Mark(ctx context.Context) (store.Mark, error) {
	mark, err := readMark(ctx, m.conn)
	if err != nil {
		return mark, failed(ctx, "mark", err)
	}
	return mark, nil
}

const setMarkSQL = `UPDATE counterfoil.head SET mark = $1`

// SetMark implements [store.Mover].
func (m *Moving) SetMark(ctx context.Context, mark store.Mark) error {
	if _, err := m.conn.Exec(ctx, setMarkSQL, mark.String()); err != nil {
		return failed(ctx, "mark", err)
	}
	return nil
}

// Log implements [store.Mover].
func (m *Moving) Log(ctx context.Context, after counterfoil.Cursor, limit int) ([]source.Revocation, counterfoil.Cursor, error) {
	rows, err := m.conn.Query(ctx, logSQL, int64(after.Epoch), int64(after.Seq), limit)
	if err != nil {
		return nil, counterfoil.Cursor{}, failed(ctx, "log", err)
	}
	entries, head, err := scanLog(rows)
	if err != nil {
		return nil, counterfoil.Cursor{}, failed(ctx, "log", err)
	}
	return entries, head, nil
}

const allSQL = `SELECT kind, id, owner, rev, expires, value FROM counterfoil.records WHERE (kind, id) > ($1, $2) ORDER BY kind, id LIMIT 1000`

// All implements [store.Mover].
func (m *Moving) All(ctx context.Context) iter.Seq2[store.Record, error] {
	return func(yield func(store.Record, error) bool) {
		for last := (store.Key{}); ; {
			page, err := m.page(ctx, last)
			if err != nil {
				yield(store.Record{}, failed(ctx, "read all", err))
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

func (m *Moving) page(ctx context.Context, after store.Key) ([]store.Record, error) {
	rows, err := m.conn.Query(ctx, allSQL, string(after.Kind), after.ID)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (store.Record, error) {
		var r store.Record
		var expires int64
		err := row.Scan(&r.Kind, &r.ID, &r.Owner, &r.Rev, &expires, &r.Value)
		r.Expires = fromUnix(expires)
		return r, err
	})
}

// Begin implements [store.Mover]. From then on the epoch belongs to this database.
func (m *Moving) Begin(ctx context.Context, mark store.Mark, head counterfoil.Cursor) error {
	err := pgx.BeginFunc(ctx, m.conn, func(tx pgx.Tx) error {
		for _, query := range []string{`DELETE FROM counterfoil.texts`, `DELETE FROM counterfoil.records`, `DELETE FROM counterfoil.log`} {
			if _, err := tx.Exec(ctx, query); err != nil {
				return err
			}
		}
		_, err := tx.Exec(ctx, `UPDATE counterfoil.head SET epoch = $1, seq = $2, mark = $3`, int64(head.Epoch), int64(head.Seq), mark.String())
		return err
	})
	if err != nil {
		return failed(ctx, "begin to fill", err)
	}
	return nil
}

// Fill implements [store.Mover].
func (m *Moving) Fill(ctx context.Context, records []store.Record, entries []source.Revocation) error {
	err := pgx.BeginFunc(ctx, m.conn, func(tx pgx.Tx) error {
		_, err := tx.CopyFrom(ctx, pgx.Identifier{"counterfoil", "records"}, []string{"kind", "id", "owner", "rev", "expires", "value", "texts"},
			pgx.CopyFromSlice(len(records), func(i int) ([]any, error) {
				r := records[i]
				return []any{string(r.Kind), r.ID, r.Owner, int64(r.Rev), toUnix(r.Expires), append([]byte{}, r.Value...), ""}, nil
			}))
		if err != nil {
			return err
		}
		_, err = tx.CopyFrom(ctx, pgx.Identifier{"counterfoil", "log"}, []string{"seq", "scope", "id", "expires", "reason"},
			pgx.CopyFromSlice(len(entries), func(i int) ([]any, error) {
				e := entries[i]
				return []any{int64(e.At.Seq), string(e.Scope), e.ID, toUnix(e.Expires), e.Reason}, nil
			}))
		return err
	})
	if err != nil {
		return failed(ctx, "fill", err)
	}
	return nil
}
