package directory

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/store"
)

// Due is what the sessions of a user must still be told of a change that is written. The
// commit that writes the change keeps it, and [Directory.Settled] drops it: what a process
// that was killed in between left undone can be found and done.
type Due struct {
	// Roles says that the roles changed. Sessions follow them, also those that kept the
	// roles of their login until now.
	Roles bool `json:"roles,omitempty"`

	// End is the version with a new password: sessions from before it end. Zero: none do.
	End uint64 `json:"end,omitempty"`

	rev uint64 // of the record that was read; 0: nothing is due
}

// Pending reports whether something is due.
func (due Due) Pending() bool { return due.rev != 0 }

func dueKey(id string) store.Key { return store.Key{Kind: kindDue, ID: id} }

func (due Due) record(id string) (store.Record, error) {
	value, err := json.Marshal(due)
	return store.Record{Key: dueKey(id), Rev: due.rev, Value: value}, err
}

// Read returns a user, and what is due. For a user who is not there the error is
// store.ErrNotFound, and what is due is returned all the same.
func (d *Directory) Read(ctx context.Context, id string) (User, Due, error) {
	u, more, err := d.read(ctx, id, dueKey(id))
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return User{}, Due{}, err
	}
	due := Due{rev: more[0].Rev}
	if due.rev != 0 {
		if err := json.Unmarshal(more[0].Value, &due); err != nil {
			return User{}, Due{}, fmt.Errorf("due of user %s: %w", id, err)
		}
	}
	return u, due, err
}

// Write replaces the user that was read by u, and keeps what is due then; nil leaves that
// as it is. If somebody else wrote the user meanwhile, the error is store.ErrConflict. note
// is what the trail keeps of it. Nothing is written, and it is store.ErrConflict too, unless the users
// in while are as they were read.
func (d *Directory) Write(ctx context.Context, u User, due *Due, note audit.Entry, while ...User) error {
	return d.replace(ctx, u, due, note, nil, while)
}

// Told makes the messages that tell a user of a change, as records for its commit. u is the user as it is
// then. It does no I/O. nil: there are none.
type Told func(u User) ([]store.Record, error)

func (t Told) add(b *store.Batch, u User) error {
	if t == nil {
		return nil
	}
	messages, err := t(u)
	b.Put = append(b.Put, messages...)
	return err
}

// WriteTold is Write, with messages about it.
func (d *Directory) WriteTold(ctx context.Context, u User, due *Due, note audit.Entry, told Told) error {
	return d.replace(ctx, u, due, note, told, nil)
}

// replace is how others than the user write the address, such as an administrator. Then no undo counts any more: who
// reads the mail of an address before may be a thief.
func (d *Directory) replace(ctx context.Context, u User, due *Due, note audit.Entry, told Told, while []User) error {
	b, err := d.write(ctx, u, due)
	if err != nil {
		return err
	}
	b.Require = append(b.Require, requireAll(while)...)
	if u.Address != u.box.Address || !u.Verified.Equal(u.box.Verified) {
		b.DeleteOwned = append(b.DeleteOwned, store.Owned{Kind: kindUndo, Owner: u.ID})
	}
	if err := told.add(&b, u); err != nil {
		return err
	}
	_, err = d.audit.Commit(ctx, d.store, b, note)
	return err
}

func (d *Directory) write(ctx context.Context, u User, due *Due) (store.Batch, error) {
	if err := u.Check(); err != nil {
		return store.Batch{}, err
	}
	rec, err := u.record()
	if err != nil {
		return store.Batch{}, err
	}
	b := store.Batch{Put: []store.Record{rec}}
	roles := u.Roles
	if u.admin { // and may be none any more
		roles = append(slices.Clip(roles), RoleAdmin)
	}
	if u.Status == Disabled {
		b.DeleteOwned = append(b.DeleteOwned, store.Owned{Kind: kindVerification, Owner: u.ID})
	}
	if err := errors.Join(d.rename(ctx, &b, &u), d.setPassword(&b, &u), d.setAddress(ctx, &b, &u), d.found(ctx, &b, roles)); err != nil || due == nil {
		return b, err
	}
	if due.End == u.Version { // a new password takes away what was mailed or handed out before (LOGIN-12)
		endMailed(&b, u.ID)
	}
	kept, err := due.record(u.ID)
	b.Put = append(b.Put, kept)
	return b, err
}

// Delete removes the user that was read, with its credentials, the API keys that act for
// it, its open invitations and what is due. If somebody else wrote the user meanwhile, or one of those in
// while, the error is store.ErrConflict. The id never comes back.
func (d *Directory) Delete(ctx context.Context, u User, note audit.Entry, while ...User) error {
	b := store.Batch{
		Require: append(requireAll(while), u.require()),
		Delete:  []store.Key{userKey(u.ID), dueKey(u.ID), identifierKey(u.Identifier)},
	}
	endMailed(&b, u.ID)
	for _, kind := range []store.Kind{kindUndo, kindAPIKey, kindCredential, kindIdentifier, kindSkeleton} {
		b.DeleteOwned = append(b.DeleteOwned, store.Owned{Kind: kind, Owner: u.ID})
	}
	if err := errors.Join(d.deleteSkeleton(ctx, &b, &u), d.freeAddress(ctx, &b, u.ID, u.box.Address), d.found(ctx, &b, u.Roles)); err != nil {
		return err
	}
	_, err := d.audit.Commit(ctx, d.store, b, note)
	return err
}

// Settled drops what was due, as it was read. If more is due meanwhile, the error is
// store.ErrConflict.
func (d *Directory) Settled(ctx context.Context, id string, due Due) error {
	_, err := d.store.Commit(ctx, store.Batch{
		Require: []store.Require{{Key: dueKey(id), Rev: due.rev}}, Delete: []store.Key{dueKey(id)},
	})
	return err
}

// Unsettled yields the ids of the users whose sessions must still be told something.
func (d *Directory) Unsettled(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for rec, err := range d.store.List(ctx, kindDue, "*", "") {
			if !yield(rec.ID, err) {
				return
			}
		}
	}
}
