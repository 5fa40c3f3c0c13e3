package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/internal/textfile"
	"github.com/counterfoil/counterfoil/internal/wholefile"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store"
)

// HeadKeeper remembers the head of the revocation log outside of the store. A backup that
// is put back while no server runs is whole, only old, and nothing in it can tell. The
// sessions that it holds may have been revoked since, so Open compares the store with what
// was kept, and ends them all if the store is behind it (REV-09).
//
// What is kept must not be part of a backup of the store, or it goes back with it.
type HeadKeeper interface {
	// Read returns the head that was kept last; zero: none was.
	Read(ctx context.Context) (counterfoil.Cursor, error)

	// Keep replaces the head that is kept, whole or not at all. It is called about once a
	// second if the head has moved, and by Close.
	Keep(ctx context.Context, head counterfoil.Cursor) error
}

// HeadFile keeps the head in the file of that name.
type HeadFile string

// Read implements HeadKeeper. A file that is not there is zero.
func (f HeadFile) Read(context.Context) (counterfoil.Cursor, error) {
	text, err := textfile.Read(string(f))
	if errors.Is(err, fs.ErrNotExist) {
		return counterfoil.Cursor{}, nil
	}
	if err != nil {
		return counterfoil.Cursor{}, err
	}
	at, err := source.ParseCursor(strings.TrimSpace(string(text)))
	if err != nil {
		return at, fmt.Errorf("%s: %w\nhint: remove it; if the store was restored from a backup, run counterfoil session revoke --all", f, err)
	}
	return at, nil
}

// Keep implements [HeadKeeper]. Only the owner may read the file.
func (f HeadFile) Keep(_ context.Context, head counterfoil.Cursor) error {
	return wholefile.Replace(string(f), []byte(head.String()+"\n"))
}

// headKeeper is c.Head, or a file beside that of a store, or nil.
func (c *Config) headKeeper() HeadKeeper {
	if c.Head != nil {
		return c.Head
	}
	for _, s := range []store.Store{c.Sessions, c.Store} {
		if file := s.Describe().File; file != "" {
			return HeadFile(file + ".head")
		}
	}
	return nil
}

// remember compares the store with the head that an earlier process kept, and warns of a
// store whose head nothing keeps.
func (e *Embedded) remember(ctx context.Context) error {
	keeper, seen := e.config.headKeeper(), counterfoil.Cursor{}
	if keeper != nil {
		var err error
		if seen, err = keeper.Read(ctx); err != nil {
			return fmt.Errorf("server: read the head that was kept: %w", err)
		}
		e.head = &keptHead{HeadKeeper: keeper, last: seen}
	} else if e.config.Sessions.Describe().Durability == store.Durable && !e.config.Offline {
		e.config.Logger.Warn("a backup of the store that is put back will not be noticed, and revives logins that were revoked since",
			"hint", "set Config.Head; or after each restore revoke everything")
	}
	return e.issuer.Remember(ctx, seen) // a store can know by itself that it was put back
}

// keptHead is what a keeper has.
type keptHead struct {
	HeadKeeper
	last counterfoil.Cursor
}

// keep keeps the head that i reads now. An outage keeps nothing.
func (k *keptHead) keep(ctx context.Context, i *issuer.Issuer) error {
	at, err := i.Head(ctx)
	if err != nil || at == k.last {
		return nil // others tell of the outage
	}
	if err := k.Keep(ctx, at); err != nil {
		return fmt.Errorf("a restored backup will not be noticed at the next start: %w", err)
	}
	k.last = at
	return nil
}

// keepHead keeps the head of the log until ctx ends. Nothing rests on its being the very
// latest: a head from before the last second shows every backup that is older.
func (e *Embedded) keepHead(ctx context.Context) {
	failed := false
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		short, cancel := context.WithTimeout(ctx, time.Second)
		err := e.head.keep(short, e.issuer)
		cancel()
		if err != nil && !failed && ctx.Err() == nil {
			e.log.Warn("keep the head of the log", "error", err.Error())
		}
		failed = err != nil
	}
}
