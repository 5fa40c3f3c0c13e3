package directory

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/internal/secret"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/store"
)

// founder stands for whom the invitation of the first administrator is for: nobody yet. No user
// has that id, because of the slash.
const founder = "/founder"

// InviteFounder makes an invitation for somebody who is no user yet and chooses identifier and
// password with it, see [Directory.Found]. It is good for 24 hours and takes the place of earlier
// ones. As those of users, only its hash is kept.
func (d *Directory) InviteFounder(ctx context.Context, act audit.Act) (secret.String, time.Time, error) {
	rec, token, expires, err := d.invitation(founder, firstTTL)
	if err != nil {
		return secret.String{}, time.Time{}, err
	}
	_, err = d.audit.Commit(ctx, d.store, store.Batch{
		DeleteOwned: []store.Owned{{Kind: kindInvitation, Owner: founder}}, Put: []store.Record{rec},
	}, act.Entry(audit.Invite, ""))
	return token, expires, err
}

// InvitesFounder reports whether an invitation is one of InviteFounder, or fails with
// login.ErrRefused or ErrUsed.
func (d *Directory) InvitesFounder(ctx context.Context, token secret.String) (bool, error) {
	v, _, err := d.invited(ctx, token)
	if err == nil && v.User == founder && v.Used {
		err = ErrUsed
	}
	return err == nil && v.User == founder, err
}

// Found makes the user u, whose password is there, and uses the invitation up in the same
// commit: of two at once, one is refused. It fails like [Directory.Create] and Redeem.
func (d *Directory) Found(ctx context.Context, token secret.String, act audit.Act, u User) (User, error) {
	u.ID, u.Status, u.Created = "", Active, d.now()
	for {
		v, at, err := d.invited(ctx, token)
		switch {
		case err != nil:
		case v.User != founder:
			err = login.ErrRefused
		case v.Used:
			err = ErrUsed
		}
		if err != nil {
			return User{}, err
		}
		b, note, err := d.create(act, &u)
		if err != nil {
			return User{}, err
		}
		v.Used = true
		used, err := json.Marshal(v)
		if err != nil {
			return User{}, err
		}
		b.Put = append(b.Put, store.Record{Key: at.Key, Owner: founder, Rev: at.Rev, Expires: v.Expires, Value: used})
		if _, err = d.audit.Commit(ctx, d.store, b, note); !errors.Is(err, store.ErrConflict) {
			return u, err
		}
		if err := d.Available(ctx, u.Identifier); err != nil {
			return User{}, err
		}
	}
}
