package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/store"
)

// Copy is what Backup has made.
type Copy struct {
	Head  counterfoil.Cursor // how far the log is in it
	Bytes int64
}

// Backup writes a copy of the file at from to a new file at to, which only its owner may read. A
// server may use from meanwhile: the copy is of one moment. It is there whole or not at all; if
// there is a file at to, the error is [fs.ErrExist] and that file stays.
//
// If sessions is set, the file has sessions, and the copy gets the mark [store.Copied]. What was
// revoked after the backup is alive in it. So the server that opens the copy ends every session,
// whether the machine still has the head that an earlier process kept or not (REV-09). note is
// for operators.
func Backup(ctx context.Context, from, to string, sessions bool, note string) (Copy, error) {
	c, err := backup(ctx, from, to, sessions, note)
	if err != nil {
		return Copy{}, fmt.Errorf("sqlite: back up %s: %w", from, err)
	}
	return c, nil
}

func backup(ctx context.Context, from, to string, sessions bool, note string) (c Copy, err error) {
	if _, err := os.Stat(from); err != nil {
		return c, err
	}
	if _, err := os.Lstat(to); !errors.Is(err, fs.ErrNotExist) {
		return c, errors.Join(err, &fs.PathError{Op: "create", Path: to, Err: fs.ErrExist})
	}
	temp, err := os.CreateTemp(filepath.Dir(to), "."+filepath.Base(to)+".*") // mode 0600
	if err != nil {
		return c, err
	}
	defer os.Remove(temp.Name())
	defer temp.Close()
	if err := vacuumInto(ctx, from, temp.Name()); err != nil {
		return c, err
	}
	if c.Head, err = finishCopy(ctx, temp.Name(), sessions, note); err != nil {
		return c, err
	}
	if err := temp.Sync(); err != nil {
		return c, err
	}
	info, err := temp.Stat()
	if err != nil {
		return c, err
	}
	c.Bytes = info.Size()
	if err := os.Link(temp.Name(), to); err != nil { // unlike Rename, it replaces no file
		return c, err
	}
	dir, err := os.Open(filepath.Dir(to))
	if err != nil {
		return c, err
	}
	return c, errors.Join(dir.Sync(), dir.Close())
}

// existing names the file at path, which exists, with pragmas.
func existing(path string, pragmas ...string) string {
	q := url.Values{"_pragma": append(pragmas, "busy_timeout(5000)"), "mode": {"rw"}}
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + q.Encode()
}

// vacuumInto copies from one snapshot, so writers go on. to is an empty file.
func vacuumInto(ctx context.Context, from, to string) error {
	db, err := sql.Open("sqlite", existing(from))
	if err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, `VACUUM INTO ?`, to)
	return errors.Join(err, db.Close())
}

// finishCopy reads the copy whole, and marks it.
func finishCopy(ctx context.Context, path string, sessions bool, note string) (head counterfoil.Cursor, err error) {
	db, err := sql.Open("sqlite", existing(path, "synchronous(FULL)"))
	if err != nil {
		return head, err
	}
	db.SetMaxOpenConns(1)
	defer func() { err = errors.Join(err, db.Close()) }()
	var found, mark string
	if err := db.QueryRowContext(ctx, `PRAGMA quick_check(1)`).Scan(&found); err != nil {
		return head, err
	}
	if found != "ok" {
		return head, fmt.Errorf("the copy is damaged: %s", found)
	}
	var epoch int64
	if err := db.QueryRowContext(ctx, headSQL).Scan(&epoch, &head.Seq); err != nil {
		return head, err
	}
	head.Epoch = uint64(epoch)
	if err := db.QueryRowContext(ctx, markSQL).Scan(&mark); err != nil {
		return head, err
	}
	if err := store.ParseMark(mark).Err(); err != nil || mark != "" || !sessions {
		return head, err
	}
	_, err = db.ExecContext(ctx, setMarkSQL, store.Mark{State: store.Copied, Move: "-", Note: note}.String())
	return head, err
}
