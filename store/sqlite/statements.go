package sqlite

import (
	"context"
	"database/sql"

	"github.com/counterfoil/counterfoil"
)

const (
	revSQL         = `SELECT rev FROM records WHERE kind = ? AND id = ?`
	deleteOwnedSQL = `DELETE FROM records WHERE kind = ? AND owner = ?`
	deleteSQL      = `DELETE FROM records WHERE kind = ? AND id = ?`
	// Not INSERT OR REPLACE: it would run no trigger for the row that it replaces.
	putSQL = `INSERT INTO records (kind, id, owner, rev, expires, value, texts) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (kind, id)
  DO UPDATE SET owner = excluded.owner, rev = excluded.rev, expires = excluded.expires, value = excluded.value, texts = excluded.texts`
	// A refresh changes neither owner nor expiry nor texts. This statement then writes no index.
	updateSQL   = `UPDATE records SET rev = ?5, value = ?6 WHERE kind = ?1 AND id = ?2 AND owner = ?3 AND expires = ?4 AND texts = ?7`
	appendSQL   = `INSERT INTO log (seq, scope, id, expires, reason) VALUES (?, ?, ?, ?, ?)`
	clearLogSQL = `DELETE FROM log`
	headSQL     = `SELECT epoch, seq FROM head`
	setHeadSQL  = `UPDATE head SET epoch = ?, seq = ?`
)

// statements has the statements of a commit. They are prepared once: to compile one costs as
// much as to run it.
type statements struct {
	rev, deleteOwned, delete, put, update, append, clearLog, head, setHead *sql.Stmt
}

func (t *statements) all() map[string]**sql.Stmt {
	return map[string]**sql.Stmt{
		revSQL: &t.rev, deleteOwnedSQL: &t.deleteOwned, deleteSQL: &t.delete, putSQL: &t.put, updateSQL: &t.update,
		appendSQL: &t.append, clearLogSQL: &t.clearLog, headSQL: &t.head, setHeadSQL: &t.setHead,
	}
}

// prepare compiles the statements. Closing db closes them.
func (t *statements) prepare(ctx context.Context, db *sql.DB) (err error) {
	for query, stmt := range t.all() {
		if *stmt, err = db.PrepareContext(ctx, query); err != nil {
			return err
		}
	}
	return nil
}

// in returns the statements for one transaction.
func (t statements) in(ctx context.Context, tx *sql.Tx) statements {
	for _, stmt := range t.all() {
		*stmt = tx.StmtContext(ctx, *stmt)
	}
	return t
}

func (t statements) readHead(ctx context.Context) (head counterfoil.Cursor, err error) {
	var epoch int64
	err = t.head.QueryRowContext(ctx).Scan(&epoch, &head.Seq)
	head.Epoch = uint64(epoch)
	return head, err
}
