package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/store/sqlite"
)

type backupCommand struct {
	placeFlags
	File string `arg:"" type:"path" help:"New file for the backup. A file that is there is never overwritten."`
}

// backedUp is what backup prints.
type backedUp struct {
	File     string             `json:"file"`
	Of       string             `json:"of"`
	Head     counterfoil.Cursor `json:"head"`
	Bytes    int64              `json:"bytes"`
	Sessions bool               `json:"sessions"` // whether it has sessions
}

// Run copies the SQLite store, while a server uses it or not. It reads the file and not the
// server: a server may be forbidden to write where backups are kept (docs/decisions/0053-backup.md).
func (c *backupCommand) Run(ctx context.Context) error {
	s, _, err := c.load()
	if err != nil {
		return err
	}
	name, err := s.backupOf()
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(s.Data, name)); errors.Is(err, fs.ErrNotExist) {
		return s.lacks(name)
	}
	if err := s.checkFiles(); err != nil {
		return err
	}
	done := backedUp{File: c.File, Of: filepath.Join(s.Data, name), Sessions: name == sessionsName || !s.apart()}
	var made sqlite.Copy
	err = newProgress("copying the database").during(func() (err error) {
		made, err = sqlite.Backup(ctx, done.Of, c.File, done.Sessions, "made "+time.Now().UTC().Format(time.RFC3339))
		return err
	})
	switch {
	case errors.Is(err, fs.ErrExist):
		return fmt.Errorf("%s is there already, and nothing was written\nhint: name a new file", c.File)
	case err != nil:
		return err
	}
	done.Head, done.Bytes = made.Head, made.Bytes
	if c.JSON {
		if err := writeJSON(os.Stdout, done); err != nil {
			return err
		}
	} else {
		fmt.Printf("%s: %d bytes, the revocation log up to %s\n", done.File, done.Bytes, done.Head)
	}
	s.warnOfBackup(done)
	return nil
}

// backupOf is the name of the SQLite file that has what can be backed up.
func (c *settings) backupOf() (string, error) {
	switch {
	case c.Store == "memory":
		return "", errors.New("the store is memory, which ends with the server: there is nothing to back up")
	case !isPostgres(c.Store):
		return databaseName, nil
	case c.Sessions == "sqlite":
		fmt.Fprintln(os.Stderr, "counterfoil: users, keys and audit are in PostgreSQL, and are not in this backup: use pg_dump")
		return sessionsName, nil
	}
	return "", errors.New("the store is PostgreSQL, which has tools of its own\nhint: pg_dump -Fc; docs/operations.md says what a restore does")
}

// warnOfBackup says what a person must know before the day on which the backup is needed.
func (c *settings) warnOfBackup(b backedUp) {
	fmt.Fprintf(os.Stderr, "%s is not in it. Keep a copy of that file in another place: the backup is useless without it, and\n"+
		"a person who has both can sign tokens.\n", filepath.Join(c.Data, sealName))
	if !b.Sessions {
		fmt.Fprintln(os.Stderr, "Sessions are in a store of their own, and are not in it.")
		return
	}
	fmt.Fprintln(os.Stderr, "A server that starts on it ends every session: some may have been revoked after the backup.")
}
