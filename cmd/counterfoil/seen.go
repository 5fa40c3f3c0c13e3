package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/source"
)

// seenName is the file in the data folder that holds the latest head this node has seen. It
// lies beside the store, not in it: a backup that is put back does not take it along.
const seenName = "counterfoil.head"

// seen is that file. Nothing rests on its being the very latest: a head from before the
// last second shows every backup that is older.
type seen struct {
	path string             // empty: nothing is kept, for the store is gone with the process
	last counterfoil.Cursor // that was kept
}

func (c *settings) seen() *seen {
	if c.Store == "memory" {
		return &seen{}
	}
	return &seen{path: filepath.Join(c.Data, seenName)}
}

// read returns the head that was kept, or zero when there is none.
func (s *seen) read() (counterfoil.Cursor, error) {
	if s.path == "" {
		return counterfoil.Cursor{}, nil
	}
	text, err := os.ReadFile(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return counterfoil.Cursor{}, nil
	}
	if err != nil {
		return counterfoil.Cursor{}, err
	}
	at, err := source.ParseCursor(strings.TrimSpace(string(text)))
	if err != nil {
		return at, fmt.Errorf("%s: %w\nhint: remove it; if the store was restored from a backup, run counterfoil session revoke --all", s.path, err)
	}
	return at, nil
}

// keep writes at, whole or not at all.
func (s *seen) keep(at counterfoil.Cursor) error {
	if at == s.last {
		return nil
	}
	if err := writeWhole(s.path, []byte(at.String()+"\n"), os.Rename); err != nil {
		return err
	}
	s.last = at
	return nil
}

// remember keeps the head of the log until ctx ends, and once more then.
func (s *service) remember(ctx context.Context, kept *seen) {
	failed := false
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for over := false; !over; {
		select {
		case <-ctx.Done():
			over = true
		case <-tick.C:
		}
		reading, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		at, err := s.issuer.Head(reading)
		cancel()
		if err != nil {
			continue // an outage, which others tell of
		}
		if err = kept.keep(at); err != nil && !failed {
			s.log.Warn("a restored backup will not be noticed at the next start", "error", err.Error(), "hint", "let the server write to its data folder")
		}
		failed = err != nil
	}
}
