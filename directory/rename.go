package directory

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/counterfoil/counterfoil/store"
)

// keepFormer is how long a user can get an identifier back: nobody else gets it meanwhile.
const keepFormer = UndoTTL

func identifierKey(canonical string) store.Key {
	return store.Key{Kind: kindIdentifier, ID: hashID(canonical)}
}

// rename adds to b what makes the identifier of u the one that u has, and the record of its skeleton if
// there is none. The one before stays reserved for keepFormer if u proved the address, and can get it back; otherwise it is
// free, because it may be a stranger's. It fails with ErrTaken, and as store.ErrConflict if somebody else takes the identifier
// meanwhile.
func (d *Directory) rename(ctx context.Context, b *store.Batch, u *User) error {
	if u.Identifier == u.called {
		return d.setSkeleton(ctx, b, u)
	}
	canonical, err := Canonical(u.Identifier)
	if err != nil || canonical != u.Identifier {
		return fmt.Errorf("%w: it is not canonical", ErrBadIdentifier)
	}
	recs, err := d.store.Get(ctx, identifierKey(u.called), identifierKey(u.Identifier))
	if err != nil {
		return err
	}
	before, after := recs[0], recs[1]
	if after.Rev != 0 {
		var of pointer
		_ = json.Unmarshal(after.Value, &of)
		if of.User != u.ID {
			return ErrTaken
		}
	}
	former, err := json.Marshal(pointer{User: u.ID, Former: true})
	if err != nil {
		return err
	}
	now, err := json.Marshal(pointer{User: u.ID})
	if err != nil {
		return err
	}
	b.Put = append(b.Put, store.Record{Key: after.Key, Rev: after.Rev, Value: now})
	d.leave(b, u, before, former)
	return d.renameSkeleton(ctx, b, u)
}

// leave adds to b what becomes of the record of a name that u had: it is kept as value for a while, or deleted.
func (d *Directory) leave(b *store.Batch, u *User, before store.Record, value []byte) {
	if u.box.Verified.IsZero() {
		b.Require = append(b.Require, store.Require{Key: before.Key, Rev: before.Rev})
		b.Delete = append(b.Delete, before.Key)
		return
	}
	b.Put = append(b.Put, store.Record{Key: before.Key, Rev: before.Rev, Owner: u.ID, Expires: d.now().Add(keepFormer + time.Second), Value: value})
}

// renameSkeleton does for skeletons what rename does for identifiers. What looks like the name of
// another user is ErrConfusable.
func (d *Directory) renameSkeleton(ctx context.Context, b *store.Batch, u *User) error {
	if Skeleton(u.called) == Skeleton(u.Identifier) {
		return d.setSkeleton(ctx, b, u)
	}
	was, before, err := d.looks(ctx, u.called)
	if err != nil {
		return err
	}
	of, after, err := d.looks(ctx, u.Identifier)
	if err != nil {
		return err
	}
	if after.Rev != 0 && of != u.ID {
		return ErrConfusable
	}
	value, err := json.Marshal(pointer{User: u.ID})
	if err != nil {
		return err
	}
	b.Put = append(b.Put, store.Record{Key: skeletonKey(u.Identifier), Rev: after.Rev, Value: value})
	if was == u.ID {
		d.leave(b, u, before, value)
	}
	return nil
}
