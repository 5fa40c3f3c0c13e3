package directory

import (
	"context"
	"encoding/json"

	"github.com/counterfoil/counterfoil/internal/check"
	"github.com/counterfoil/counterfoil/store"
)

// Called is what a user is called: by the user's choice, and by what nobody else has.
type Called struct {
	Name       string // may be empty
	Identifier string
}

// Called returns what the users with these ids are called, in one read. Who was deleted, is no user
// here, or has a record that cannot be read is not in it.
func (d *Directory) Called(ctx context.Context, ids ...string) (map[string]Called, error) {
	called, keys := map[string]Called{}, []store.Key{}
	for _, id := range ids {
		if _, twice := called[id]; !twice && check.Text("id", id, maxID) == nil && id != "" {
			called[id] = Called{}
			keys = append(keys, userKey(id))
		}
	}
	clear(called)
	if len(keys) == 0 {
		return called, nil
	}
	records, err := d.store.Get(ctx, keys...)
	if err != nil {
		return nil, err
	}
	for _, rec := range records {
		var u User
		if rec.Rev != 0 && json.Unmarshal(rec.Value, &u) == nil && u.Identifier != "" {
			called[rec.ID] = Called{u.Name, u.Identifier}
		}
	}
	return called, nil
}

// maxID is the length in bytes of the longest id of a record.
const maxID = 200
