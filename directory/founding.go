package directory

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/internal/secret"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/store"
)

// RoleAdmin is the role of an administrator. Package accounts says what it may do. It is known here
// because the commit that gives it also says that there is an administrator.
const RoleAdmin = "admin"

// ErrFounded means that there is a user with [RoleAdmin], or was one: nobody becomes the first.
var ErrFounded = errors.New("there is an administrator, or was one")

// The mark that there is a user with RoleAdmin, or was one. Each commit that writes or deletes such a
// user makes it, and nothing deletes it. So an invitation of the first administrator that requires
// that it is absent, in its own commit, is never used beside another administrator or after one.
const kindFounded store.Kind = "founded" // ID: "administrator"

var keyFounded = store.Key{Kind: kindFounded, ID: "administrator"}

// found adds the mark to b, which writes or deletes a user with these roles. If somebody else makes
// the mark meanwhile, the commit is store.ErrConflict.
func (d *Directory) found(ctx context.Context, b *store.Batch, roles []string) error {
	if !slices.Contains(roles, RoleAdmin) {
		return nil
	}
	_, err := store.One(ctx, d.store, keyFounded)
	if errors.Is(err, store.ErrNotFound) {
		b.Put = append(b.Put, store.Record{Key: keyFounded, Value: []byte("{}")})
		return nil
	}
	return err
}

// unfounded is nil if there is no administrator and was none, and ErrFounded otherwise. A version
// without the mark may have made one, who is looked for, and gets the mark.
func (d *Directory) unfounded(ctx context.Context) error {
	_, err := store.One(ctx, d.store, keyFounded)
	if err == nil {
		return ErrFounded
	}
	if !errors.Is(err, store.ErrNotFound) {
		return err
	}
	for after := ""; ; {
		page, err := d.Search(ctx, Filter{Role: RoleAdmin}, after, 1)
		if err != nil {
			return err
		}
		if len(page.Users) > 0 {
			break
		}
		if after = page.Next; after == "" {
			return nil
		}
	}
	var b store.Batch
	if err := d.found(ctx, &b, []string{RoleAdmin}); err != nil {
		return err
	}
	if _, err := d.store.Commit(ctx, b); err != nil && !errors.Is(err, store.ErrConflict) {
		return err
	}
	return ErrFounded
}

// founder stands for whom the invitation of the first administrator is for: nobody yet. No user
// has that id, because of the slash.
const founder = "/founder"

// InviteFounder makes an invitation for somebody who is no user yet and chooses identifier and
// password with it, see [Directory.Found]. It is good for 24 hours and takes the place of earlier
// ones. As those of users, only its hash is kept. It fails with ErrFounded.
func (d *Directory) InviteFounder(ctx context.Context, act audit.Act) (secret.String, time.Time, error) {
	for {
		if err := d.unfounded(ctx); err != nil {
			return secret.String{}, time.Time{}, err
		}
		rec, token, expires, err := d.invitation(founder, "", firstTTL)
		if err != nil {
			return secret.String{}, time.Time{}, err
		}
		_, err = d.audit.Commit(ctx, d.store, store.Batch{
			Require:     []store.Require{{Key: keyFounded}},
			DeleteOwned: []store.Owned{{Kind: kindInvitation, Owner: founder}}, Put: []store.Record{rec},
		}, act.Entry(audit.Invite, ""))
		if !errors.Is(err, store.ErrConflict) {
			return token, expires, err
		}
	}
}

// InvitesFounder reports whether an invitation is one of InviteFounder, or fails with
// login.ErrRefused, also once somebody has become an administrator in another way, or ErrUsed.
func (d *Directory) InvitesFounder(ctx context.Context, token secret.String) (bool, error) {
	_, _, first, err := d.founding(ctx, token)
	return first, err
}

func (d *Directory) founding(ctx context.Context, token secret.String) (v proof, at store.Record, first bool, err error) {
	v, at, err = d.invited(ctx, token)
	if err != nil || v.User != founder {
		return v, at, false, err
	}
	if v.Used {
		return v, at, false, ErrUsed
	}
	if err = d.unfounded(ctx); errors.Is(err, ErrFounded) {
		err = login.ErrRefused
	}
	return v, at, err == nil, err
}

// Found makes the user u, whose password is there and who has RoleAdmin, and uses the invitation up in
// the same commit, if there is no administrator and was none: of two at once, one is refused, and so
// is one beside a commit that makes an administrator in another way. It fails like [Directory.Create]
// and Redeem.
func (d *Directory) Found(ctx context.Context, token secret.String, act audit.Act, u User) (User, error) {
	u.ID, u.Status, u.Created = "", Active, d.now()
	for {
		v, at, first, err := d.founding(ctx, token)
		if err == nil && !first {
			err = login.ErrRefused
		}
		if err != nil {
			return User{}, err
		}
		b, note, err := d.create(ctx, act, &u)
		if err != nil {
			return User{}, err
		}
		b.Require = append(b.Require, store.Require{Key: keyFounded})
		v.Used = true
		used, err := v.record(at.Key, founder, at.Rev)
		if err != nil {
			return User{}, err
		}
		b.Put = append(b.Put, used)
		if _, err = d.audit.Commit(ctx, d.store, b, note); !errors.Is(err, store.ErrConflict) {
			return u, err
		}
		if err := d.Available(ctx, u.Identifier); err != nil {
			return User{}, err
		}
	}
}
