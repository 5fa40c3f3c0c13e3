package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/counterfoil/counterfoil/store"
)

const overdueSQL = `SELECT
  (SELECT count(*) FROM (SELECT 1 FROM records WHERE expires > 0 AND expires < ?1 LIMIT ?2)) +
  (SELECT count(*) FROM (SELECT 1 FROM log WHERE expires > 0 AND expires < ?1 LIMIT ?2))`

// Examine reads the file at path and changes nothing. Another process may have the file
// open. Overdue counts the records and entries that expired before the given time.
func Examine(ctx context.Context, path string, before time.Time) (e store.Examination, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return e, err
	}
	// Not mode=ro: a reader of a WAL needs the file of its shared memory, and SQLite creates
	// that file if it does not exist.
	db, err := sql.Open("sqlite", existing(path, "query_only(1)"))
	if err != nil {
		return e, err
	}
	defer db.Close()
	e.Class = store.Durable // Open sets synchronous(FULL)
	if err := examine(ctx, db, &e, before); err != nil {
		return e, fmt.Errorf("sqlite: examine %s: %w", path, err)
	}
	if wal, err := os.Stat(path + "-wal"); err == nil && wal.Size() > max(256<<20, info.Size()) {
		e.Remarks = append(e.Remarks, store.Remark{
			Text: fmt.Sprintf("the write-ahead log has %d MiB", wal.Size()>>20), Hint: "something holds a read open: a backup, or a SQL prompt",
		})
	}
	return e, nil
}

func examine(ctx context.Context, db *sql.DB, e *store.Examination, before time.Time) error {
	var version, mode, mark string
	var schema int
	begun := time.Now()
	if err := db.QueryRowContext(ctx, `SELECT sqlite_version()`).Scan(&version); err != nil {
		return err
	}
	e.Engine = "SQLite " + version
	if err := db.QueryRowContext(ctx, `SELECT max(version_id) FROM goose_db_version WHERE is_applied`).Scan(&schema); err != nil {
		return err
	}
	e.Answers = time.Since(begun)
	files, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return err
	}
	switch {
	case schema < len(files): // the numbers of the files have no gaps
		e.Remarks = append(e.Remarks, store.Remark{Text: "the schema is of an older version", Hint: "the next start brings it up to date"})
		return nil // the older schema may not have the columns that the rest reads
	case schema > len(files):
		e.Remarks = append(e.Remarks, store.Remark{Text: "the schema is of a newer version than this program", Hint: "use the newer program", Broken: true})
	}
	if err := db.QueryRowContext(ctx, `PRAGMA journal_mode`).Scan(&mode); err != nil {
		return err
	}
	if mode != "wal" {
		e.Remarks = append(e.Remarks, store.Remark{Text: "the journal mode is " + mode, Hint: "the next start sets it to WAL"})
	}
	if err := db.QueryRowContext(ctx, markSQL).Scan(&mark); err != nil {
		return err
	}
	at := store.ParseMark(mark)
	if err := at.Err(); err != nil {
		e.Remarks = append(e.Remarks, store.Remark{Text: err.Error(), Hint: "see counterfoil migrate", Broken: true})
	} else if at.State == store.Copied {
		e.Remarks = append(e.Remarks, store.Remark{Text: "this is a backup that was put back (" + at.Note + ")", Hint: "the first start ends every session, since some may have been revoked after the backup"})
	}
	return db.QueryRowContext(ctx, overdueSQL, before.Unix(), store.MaxOverdue).Scan(&e.Overdue)
}
