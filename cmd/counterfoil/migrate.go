package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/internal/config"
	"github.com/counterfoil/counterfoil/keyring"
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/postgres"
	"github.com/counterfoil/counterfoil/store/sqlite"
)

type migrateCommand struct {
	placeFlags
	From    string `placeholder:"NAME" help:"Store to move from: sqlite, or postgres://USER@HOST/DATABASE. Empty: the configured one."`
	To      string `required:"" placeholder:"NAME" help:"Store to move to; it must be empty."`
	ToData  string `type:"path" placeholder:"DIR" help:"Data folder of the server on the new store; counterfoil.key is copied there. Empty: the same folder."`
	Replace bool   `help:"Accept a new store that was moved away from earlier, and delete what is left in it."`
	DryRun  bool   `help:"Count what would be moved, and change nothing."`

	sessions string // the store of sessions, if it is another one; empty: it is the same
}

// moved is what the command prints.
type moved struct {
	From    string             `json:"from"`
	To      string             `json:"to"`
	DryRun  bool               `json:"dry_run,omitempty"`
	Records map[store.Kind]int `json:"records"`
	Entries int                `json:"log_entries"`
	Head    string             `json:"head"`
}

// Run moves everything from one SQL store to another. The operator stops the servers on both
// before. Copies and cursors of the old store stay valid.
func (c *migrateCommand) Run(ctx context.Context) error {
	from, to, err := c.ends()
	if err != nil {
		return err
	}
	key, err := from.sealed()
	if err != nil {
		return err
	}
	source, err := from.openToMove(ctx)
	if err != nil {
		return err
	}
	defer source.Close()
	if err := from.asLeft(ctx, source); err != nil {
		return err
	}
	answer := moved{From: from.where(), To: to.where(), DryRun: c.DryRun}
	contents := store.Contents{}
	shown := newProgress("opening the stores")
	told := func(what string, done, all int) {
		part := -1.0
		if all > 0 {
			part = float64(done) / float64(all)
		}
		shown.at(part, fmt.Sprint(what, " ", done, " records and log entries"))
	}
	err = shown.during(func() (err error) {
		if c.DryRun {
			contents, err = store.Inventory(ctx, source, func(done int) { told("counted", done, 0) })
		} else {
			contents, err = c.move(ctx, source, from, to, answer, key, told)
		}
		return err
	})
	if err != nil {
		return err
	}
	answer.Records, answer.Entries, answer.Head = contents.Records, contents.Entries, contents.Head.String()
	return c.print(answer)
}

func (c *migrateCommand) move(ctx context.Context, source store.Mover, from, to *settings, answer moved, key [32]byte, told func(what string, done, all int)) (store.Contents, error) {
	// The key comes first: else a server on the new store could make a key of its own.
	path := filepath.Join(to.Data, sealName)
	if err := keyring.NewSealFile(path, key); errors.Is(err, fs.ErrExist) {
		if other, err := keyring.ReadSealFile(path); err != nil || other != key {
			return store.Contents{}, errors.Join(fmt.Errorf("%s is not the key of the store to move from", path), sealProblem(err))
		}
	} else if err != nil {
		return store.Contents{}, err
	}
	target, err := to.openToMove(ctx)
	if err != nil {
		return store.Contents{}, err
	}
	now := time.Now().UTC().Format(" on 2006-01-02 15:04 UTC")
	contents, err := store.Move(ctx, source, target, store.MoveOptions{From: answer.From + now, To: answer.To + now, Replace: c.Replace, Progress: told})
	if errors.Is(err, store.ErrNotEmpty) {
		err = fmt.Errorf("%s: %w\nhint: name an empty store, or add --replace if it was moved away from earlier", answer.To, err)
	}
	if err == nil && to.Data != from.Data {
		// What the folder's old store was like says nothing of the one that takes its place.
		if err = os.Remove(string(to.head())); errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
	}
	return contents, errors.Join(err, target.Close())
}

// asLeft refuses a store with another log than its server saw last: a backup was restored, and
// its server has not noticed yet. Logins that were revoked after the backup would live on in
// the new store, whose server could not notice it (REV-09).
func (c *settings) asLeft(ctx context.Context, source store.Mover) error {
	if c.apart() {
		return nil // sessions, log and head are in another store
	}
	seen, err := c.head().Read(ctx)
	if err != nil || seen == (counterfoil.Cursor{}) {
		return err
	}
	mark, err := source.Mark(ctx)
	if err != nil || mark != (store.Mark{}) {
		return err // Move refuses a store with a mark, and says why
	}
	_, head, err := source.Log(ctx, seen, 1)
	if err != nil {
		return err
	}
	if head.Epoch != seen.Epoch || head.Before(seen) {
		return fmt.Errorf("%s is not where its server left it: a backup was restored, or %s is of another store\nhint: start the server on it and stop it again: it ends all sessions if the store was restored", c.where(), c.head())
	}
	return nil
}

// ends returns the settings of the two installations.
func (c *migrateCommand) ends() (from, to *settings, err error) {
	if from, _, err = c.load(); err != nil {
		return nil, nil, err
	}
	if from.apart() {
		c.sessions = from.Sessions
	}
	if c.From != "" {
		from.Store = c.From
	}
	to = &settings{Store: c.To, Data: c.ToData, Production: from.Production}
	if to.Data == "" {
		to.Data = from.Data
	}
	for flag, end := range map[string]*settings{"--from": from, "--to": to} {
		if end.Store != "" && end.Store != "sqlite" && !isPostgres(end.Store) {
			return nil, nil, misuse("%s: want sqlite or postgres://USER@HOST/DATABASE", flag) // the text may hold a password
		}
		v := config.Verdict{Origins: config.Origins{"store": "flag " + flag}, Production: from.Production}
		end.checkStore(&v)
		if err := v.Err(); err != nil {
			return nil, nil, err
		}
	}
	if from.where() == to.where() {
		return nil, nil, misuse("--to and --from name the same store")
	}
	return from, to, nil
}

// where names the store in messages. A name with a password in it was refused before.
func (c *settings) where() string {
	if isPostgres(c.Store) {
		return c.Store
	}
	return filepath.Join(c.Data, databaseName)
}

// sealed returns the sealing key of a data folder that has one.
func (c *settings) sealed() (key [32]byte, err error) {
	path := filepath.Join(c.Data, sealName)
	if key, err = keyring.ReadSealFile(path); errors.Is(err, fs.ErrNotExist) {
		return key, fmt.Errorf("%s %w: %w\nhint: name the server's folder with --data", path, errUnreachable, err)
	}
	return key, sealProblem(err)
}

func (c *settings) openToMove(ctx context.Context) (m store.Mover, err error) {
	if isPostgres(c.Store) {
		m, err = postgres.OpenToMove(ctx, postgres.Options{URL: c.Store})
	} else {
		m, err = sqlite.OpenToMove(ctx, filepath.Join(c.Data, databaseName))
	}
	if err == nil {
		return m, nil
	}
	if errors.Is(err, sqlite.ErrInUse) || errors.Is(err, postgres.ErrInUse) {
		return nil, fmt.Errorf("%s %w: %w\nhint: stop every server on it first", c.where(), errUnreachable, err)
	}
	return nil, openError(c.where(), c.Store, err)
}

func (c *migrateCommand) print(m moved) error {
	if c.JSON {
		return writeJSON(os.Stdout, m)
	}
	var rows [][]string
	for _, kind := range slices.Sorted(maps.Keys(m.Records)) {
		rows = append(rows, []string{string(kind), fmt.Sprint(m.Records[kind])})
	}
	rows = append(rows, []string{"log entries", fmt.Sprint(m.Entries)})
	if err := table([]column{{name: "WHAT"}, {name: "NUMBER"}}, rows); err != nil {
		return err
	}
	if m.DryRun {
		fmt.Fprintf(os.Stderr, "nothing was moved\n")
		return nil
	}
	fmt.Fprintf(os.Stderr, "moved to %s\n%s is kept, and cannot be used any more\n", m.To, m.From)
	if c.sessions != "" {
		fmt.Fprintf(os.Stderr, "sessions stay in %s: the server needs --sessions as before\n", c.sessions)
	}
	return nil
}
