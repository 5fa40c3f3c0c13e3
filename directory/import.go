package directory

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/store"
)

const kindImport store.Kind = "import" // ID: "work"

// imported is what stays to be known of imports.
type imported struct {
	Milliseconds int64 `json:"milliseconds"`
}

var keyWork = store.Key{Kind: kindImport, ID: "work"}

// Import adds a user who had an account elsewhere, with the hash that it has in
// u.Password; Status and Created stay as they are, if set. work is how long the check
// of such a hash may take; the largest is kept. It fails like Create.
func (d *Directory) Import(ctx context.Context, act audit.Act, u User, work time.Duration) (User, error) {
	for {
		b, note, err := d.create(act, &u)
		if err != nil {
			return User{}, err
		}
		note.Detail += " imported"
		known, rev, err := d.importedWork(ctx)
		if err != nil {
			return User{}, err
		}
		if work > known {
			value, err := json.Marshal(imported{work.Milliseconds() + 1})
			if err != nil {
				return User{}, err
			}
			b.Put = append(b.Put, store.Record{Key: keyWork, Rev: rev, Value: value})
		}
		if _, err = d.audit.Commit(ctx, d.store, b, note); !errors.Is(err, store.ErrConflict) {
			return u, err
		}
		if _, err := d.IDOf(ctx, u.Identifier); err == nil {
			return User{}, ErrTaken
		} else if !errors.Is(err, store.ErrNotFound) {
			return User{}, err
		}
	}
}

// ImportedWork is the largest work that Import was told of; zero if there was none.
func (d *Directory) ImportedWork(ctx context.Context) (time.Duration, error) {
	work, _, err := d.importedWork(ctx)
	return work, err
}

func (d *Directory) importedWork(ctx context.Context) (time.Duration, uint64, error) {
	rec, err := store.One(ctx, d.store, keyWork)
	if errors.Is(err, store.ErrNotFound) {
		return 0, 0, nil
	}
	if err != nil {
		return 0, 0, err
	}
	var v imported
	if err := json.Unmarshal(rec.Value, &v); err != nil {
		return 0, 0, fmt.Errorf("import: %w", err)
	}
	return time.Duration(v.Milliseconds) * time.Millisecond, rec.Rev, nil
}
