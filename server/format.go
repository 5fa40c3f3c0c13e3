package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/store"
)

// formats lists what each format of the records changed for the nodes of earlier versions.
// The index is the number of the format. A change that an earlier version cannot read, or
// reads wrongly, appends a line. Format 0 is a store from before the numbers.
var formats = []string{
	1: "the hash of a password moves to a record of its own, where a node of an earlier version does not find it; " +
		"an API key ends with what its record names, which a node of an earlier version does not compare; " +
		"how long entries of the log stay follows from a record of the time, which a node of an earlier version does not read; " +
		"what an identifier looks like is a record, which a node of an earlier version neither checks nor removes",
}

// currentFormat is the format that this version reads and writes.
var currentFormat = len(formats) - 1

// format is a record in each store. It says in which format the other records are.
type format struct {
	Number  int    `json:"format"`
	Version string `json:"version"`        // of Counterfoil, which wrote this format first
	Demo    bool   `json:"demo,omitempty"` // the store has users with a public password
}

var formatKey = store.Key{Kind: "format", ID: "records"}

// checkFormats checks the format of each store before anything else reads or writes it.
func (e *Embedded) checkFormats(ctx context.Context) error {
	c := &e.config
	if err := c.checkFormat(ctx, "store", c.Store); err != nil || c.Sessions == c.Store {
		return err
	}
	return c.checkFormat(ctx, "sessions", c.Sessions)
}

// checkFormat refuses a store of a later version, and a demo's store without Config.Demo. It
// warns of a store of an earlier format, then writes the current number: from now on a node
// that knows the numbers and not this format refuses the store. A new store gets its record
// without a warning. name is what the settings call the store.
func (c *Config) checkFormat(ctx context.Context, name string, s store.Store) error {
	for {
		rec, found, err := readFormat(ctx, s)
		if err != nil {
			return fmt.Errorf("server: read the format of the %s: %w", name, err)
		}
		fresh := rec.Rev == 0 && found.Number == currentFormat
		switch {
		case found.Number > currentFormat:
			return fmt.Errorf("server: the %s has format %d, written by Counterfoil %s, and this version knows format %d at most\nhint: run that version or a later one",
				name, found.Number, found.Version, currentFormat)
		case found.Demo && !c.Demo && !c.Offline:
			return fmt.Errorf("server: the %s is a demo's: its users have a public password\nhint: use another data folder or database", name)
		case c.Demo && !found.Demo && !fresh:
			return fmt.Errorf("server: the %s is not a demo's, and a demo would add users with a public password\nhint: use an empty data folder or database for the demo", name)
		case found.Number == currentFormat && !fresh:
			return nil
		case found.Number < currentFormat:
			c.Logger.Warn("the store is of an earlier format, and this start changes it: nodes of the earlier version must be stopped, now and from now on",
				"key", name, "format", found.Number, "becomes", currentFormat, "changes", strings.Join(formats[found.Number+1:], "; "))
		}
		next := format{Number: currentFormat, Version: version(), Demo: found.Demo || fresh && c.Demo}
		if rec.Value, err = json.Marshal(next); err != nil {
			return err
		}
		rec.Key = formatKey
		_, err = s.Commit(ctx, store.Batch{Put: []store.Record{rec}})
		switch {
		case errors.Is(err, store.ErrConflict):
			continue // another node starts too
		case err == nil, errors.Is(err, store.ErrLost): // it takes no commit before the next epoch: the next start writes the record
			return nil
		}
		return fmt.Errorf("server: write the format of the %s: %w", name, err)
	}
}

// readFormat returns the record and what it says. Without a record, an empty store has the
// current format, and a store with data has format 0.
func readFormat(ctx context.Context, s store.Store) (rec store.Record, f format, err error) {
	rec, err = store.One(ctx, s, formatKey)
	if errors.Is(err, store.ErrNotFound) {
		used, err := used(ctx, s)
		if !used {
			f.Number = currentFormat
		}
		return store.Record{}, f, err
	}
	if err != nil {
		return rec, f, err
	}
	return rec, f, json.Unmarshal(rec.Value, &f)
}

// used reports whether an earlier version has used s: it has a keyring, a session or an entry
// of the log.
func used(ctx context.Context, s store.Store) (bool, error) {
	for _, kind := range []store.Kind{"keyring", "session"} {
		for _, err := range s.List(ctx, kind, "*", "") {
			return err == nil, err
		}
	}
	entries, _, err := s.Log(ctx, counterfoil.Cursor{}, 1)
	if errors.Is(err, store.ErrLost) {
		return true, nil
	}
	return len(entries) > 0, err
}

// version is that of the Counterfoil module in this program.
func version() string {
	const path = "github.com/counterfoil/counterfoil"
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range append(info.Deps, &info.Main) {
			if m.Path == path && m.Version != "" {
				return m.Version
			}
		}
	}
	return "(devel)"
}
