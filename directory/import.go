package directory

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/internal/check"
	"github.com/counterfoil/counterfoil/store"
)

const kindImport store.Kind = "import" // ID: "work"

// imported is what stays to be known of imports.
type imported struct {
	Milliseconds int64 `json:"milliseconds,omitempty"` // of an earlier version: how long a refusal lasts
	Work         Work  `json:"work,omitempty"`
}

// Work is what checks of hashes cost: units, by the kind of hash. Package password says what
// they are.
type Work map[string]int

// MaxKinds is how many kinds of hashes the users of one directory may come with: each refusal
// costs as much as one hash of each.
const MaxKinds = 4

// ErrKinds is ErrBadUser for a hash of one kind too many.
var ErrKinds = fmt.Errorf("%w: there are hashes of %d other kinds, and each refusal costs one of each", ErrBadUser, MaxKinds)

// With returns the larger units of both, for each kind.
func (w Work) With(other Work) Work {
	all := maps.Clone(w)
	if all == nil {
		all = Work{}
	}
	for kind, units := range other {
		all[kind] = max(all[kind], units)
	}
	return all
}

var keyWork = store.Key{Kind: kindImport, ID: "work"}

// Import adds a user who had an account elsewhere, with the hash that it has in
// u.Password; ID, Status and Created stay as they are, if set. work is what the check of that
// hash costs; the largest of each kind is kept. It fails like Create, and with ErrBadUser for
// a fifth kind of hash, and for an ID that another user has.
func (d *Directory) Import(ctx context.Context, act audit.Act, u User, work Work) (User, error) {
	kept := u.ID != ""
	if kept {
		if err := checkID(u.ID); err != nil {
			return User{}, err
		}
	}
	for {
		b, note, err := d.create(ctx, act, &u)
		if err != nil {
			return User{}, err
		}
		note.Detail += " imported"
		known, rev, err := d.importedWork(ctx)
		if err != nil {
			return User{}, err
		}
		if all := known.Work.With(work); !maps.Equal(all, known.Work) {
			if len(all) > MaxKinds {
				return User{}, ErrKinds
			}
			known.Work = all
			value, err := json.Marshal(known)
			if err != nil {
				return User{}, err
			}
			b.Put = append(b.Put, store.Record{Key: keyWork, Rev: rev, Value: value})
		}
		if _, err = d.audit.Commit(ctx, d.store, b, note); !errors.Is(err, store.ErrConflict) {
			return u, err
		}
		if err := d.Available(ctx, u.Identifier); err != nil {
			return User{}, err
		}
		if kept {
			if err := d.AvailableID(ctx, u.ID); err != nil {
				return User{}, err
			}
		}
	}
}

// Affords returns nil if a user whose hash costs work can be imported, or ErrKinds.
func (d *Directory) Affords(ctx context.Context, work Work) error {
	known, _, err := d.importedWork(ctx)
	if err == nil && len(known.Work.With(work)) > MaxKinds {
		err = ErrKinds
	}
	return err
}

// AvailableID returns nil if a user can be imported with that id, or ErrBadUser.
func (d *Directory) AvailableID(ctx context.Context, id string) error {
	if err := checkID(id); err != nil {
		return err
	}
	switch _, err := store.One(ctx, d.store, userKey(id)); {
	case err == nil:
		return fmt.Errorf("%w: another user has the id", ErrBadUser)
	case !errors.Is(err, store.ErrNotFound):
		return err
	}
	return nil
}

// Nobody is the id of no user.
const Nobody = "usr_none"

// checkID says whether an id from elsewhere can be the id of a user, and so the subject of
// tokens, one segment of paths, and of the keys of credentials, in which a slash ends it.
func checkID(id string) error {
	if slices.Contains([]string{"", "*", ".", "..", Nobody}, id) || strings.Contains(id, "/") || check.Text("id", id, 200) != nil {
		return fmt.Errorf("%w: an id is 1 to 200 printable ASCII characters without spaces and slashes, and none of *, ., .. and %s", ErrBadUser, Nobody)
	}
	return nil
}

// ImportedWork is the largest work of each kind that Import was told of, and how long a refusal
// lasts at least because of users whom an earlier version imported.
func (d *Directory) ImportedWork(ctx context.Context) (work Work, last time.Duration, err error) {
	v, _, err := d.importedWork(ctx)
	return v.Work, time.Duration(v.Milliseconds) * time.Millisecond, err
}

func (d *Directory) importedWork(ctx context.Context) (v imported, rev uint64, err error) {
	rec, err := store.One(ctx, d.store, keyWork)
	if errors.Is(err, store.ErrNotFound) {
		return v, 0, nil
	}
	if err != nil {
		return v, 0, err
	}
	if err := json.Unmarshal(rec.Value, &v); err != nil {
		return v, 0, fmt.Errorf("import: %w", err)
	}
	return v, rec.Rev, nil
}
