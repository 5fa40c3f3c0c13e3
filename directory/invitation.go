package directory

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/internal/secret"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/store"
)

// How long somebody has to choose a password (LOGIN-12). With the first invitation nobody can
// sign in to the account yet, and the person may read it tomorrow. A reset takes an account
// over that is in use, and the person waits for it.
const (
	firstTTL = 24 * time.Hour
	resetTTL = 15 * time.Minute
)

const invitationPrefix = "cfi_" // lets secret scanners recognise a leaked one

// ErrNoAddress means that a user has no address that a message could go to.
var ErrNoAddress = fmt.Errorf("%w: the user has no mail address", ErrBadUser)

// Invite makes a token with which somebody may set the password of a user, once, within 24
// hours, or within 15 minutes if the user has a password. It takes the place of earlier ones
// (LOGIN-12). It is shown once:
// only its hash is kept. An administrator can begin a reset so, and never sees or
// chooses a password (LOGIN-16).
func (d *Directory) Invite(ctx context.Context, id string, act audit.Act) (secret.String, time.Time, error) {
	return d.InviteByMail(ctx, id, act, nil)
}

// InviteByMail is Invite with a message to the address of the user, or ErrNoAddress. nil: none.
func (d *Directory) InviteByMail(ctx context.Context, id string, act audit.Act, mail Compose) (secret.String, time.Time, error) {
	for {
		u, err := d.ByID(ctx, id)
		if err != nil {
			return secret.String{}, time.Time{}, err
		}
		ttl := firstTTL
		if u.Password != "" {
			ttl = resetTTL
		}
		put, token, expires, err := d.inviteUser(u, ttl, mail)
		if err != nil {
			return secret.String{}, time.Time{}, err
		}
		_, err = d.audit.Commit(ctx, d.store, store.Batch{
			Require:     []store.Require{u.require()},
			DeleteOwned: []store.Owned{{Kind: kindInvitation, Owner: id}, {Kind: kindRecovery, Owner: id}},
			Put:         put,
		}, act.Entry(audit.Invite, id))
		if !errors.Is(err, store.ErrConflict) {
			return token, expires, err
		}
	}
}

// inviteUser makes an invitation of u, and the message with it.
func (d *Directory) inviteUser(u User, ttl time.Duration, mail Compose) (put []store.Record, token secret.String, expires time.Time, err error) {
	to := ""
	if mail != nil {
		if to = u.Address; to == "" {
			return nil, token, expires, ErrNoAddress
		}
	}
	rec, token, expires, err := d.invitation(u.ID, to, ttl)
	if err != nil || mail == nil {
		return []store.Record{rec}, token, expires, err
	}
	message, err := mail(u, Mailed{Token: token, LinkEnd: expires})
	return []store.Record{rec, message}, token, expires, err
}

// CreateInvited adds a user who has no password yet, and the invitation to choose
// one, in one commit.
func (d *Directory) CreateInvited(ctx context.Context, act audit.Act, u User) (User, secret.String, time.Time, error) {
	return d.CreateInvitedByMail(ctx, act, u, nil)
}

// CreateInvitedByMail is CreateInvited with a message to the address of the user, or ErrNoAddress. nil: none.
func (d *Directory) CreateInvitedByMail(ctx context.Context, act audit.Act, u User, mail Compose) (User, secret.String, time.Time, error) {
	u.Password, u.Status, u.Created = "", Active, d.now()
	for {
		b, note, err := d.create(ctx, act, &u)
		if err != nil {
			return User{}, secret.String{}, time.Time{}, err
		}
		put, token, expires, err := d.inviteUser(u, firstTTL, mail)
		if err != nil {
			return User{}, secret.String{}, time.Time{}, err
		}
		b.Put = append(b.Put, put...)
		_, err = d.audit.Commit(ctx, d.store, b, note, act.Entry(audit.Invite, u.ID))
		if !errors.Is(err, store.ErrConflict) {
			return u, token, expires, err
		}
		if err := d.Available(ctx, u.Identifier); err != nil {
			return User{}, secret.String{}, time.Time{}, err
		}
	}
}

// invitation makes one that is mailed to an address, or is not mailed.
func (d *Directory) invitation(user, address string, ttl time.Duration) (store.Record, secret.String, time.Time, error) {
	v := proof{User: user, Address: address, Expires: d.now().Add(ttl)}
	token, rec, err := v.mint(kindInvitation, invitationPrefix, user)
	return rec, token, v.Expires, err
}

// ErrUsed means that an invitation was used: its holder has chosen a password already.
var ErrUsed = fmt.Errorf("invitation was used: %w", login.ErrRefused)

// Invited returns whom an invitation is for, or login.ErrRefused. It does not use it up.
// used says that this has happened, and is known until the invitation would have expired.
func (d *Directory) Invited(ctx context.Context, token secret.String) (u User, used bool, err error) {
	v, _, err := d.invited(ctx, token)
	if err != nil {
		return User{}, false, err
	}
	u, err = d.ByID(ctx, v.User)
	if errors.Is(err, store.ErrNotFound) || err == nil && !v.counts(u) {
		err = login.ErrRefused
	}
	return u, v.Used, err
}

// counts reports whether an invitation counts for u: it is for u, and was handed out, or mailed to the address that
// u has now.
func (p proof) counts(u User) bool {
	return p.User == u.ID && (p.Address == "" || p.Address == u.Address)
}

// invited returns the record of an invitation, or of the link of a recovery, which is one to a user
// who asked for it.
func (d *Directory) invited(ctx context.Context, token secret.String) (v proof, at store.Record, err error) {
	if strings.HasPrefix(token.Reveal(), recoveryPrefix) {
		return d.linked(ctx, kindRecovery, recoveryPrefix, token)
	}
	return d.linked(ctx, kindInvitation, invitationPrefix, token)
}

// Redeem is Write for a password that the holder of an invitation chose. It uses the
// invitation up in the same commit: of two at once, one is refused. One that was mailed proves the
// address. If it is the first proof, nothing stays of what others may have put into the account.
func (d *Directory) Redeem(ctx context.Context, token secret.String, u User, due *Due, note audit.Entry, told Told) error {
	v, at, err := d.invited(ctx, token)
	switch {
	case err == nil && v.Used:
		err = ErrUsed
	case err == nil && !v.counts(u):
		err = login.ErrRefused
	}
	if err != nil {
		return err
	}
	first := v.Address != "" && u.Verified.IsZero()
	if first {
		switch err := d.AvailableAddress(ctx, u.ID, u.Address); {
		case err == nil:
			u.Verified = d.now().UTC().Truncate(time.Second)
		case !errors.Is(err, ErrAddressTaken):
			return err
		}
	}
	b, err := d.write(ctx, u, due)
	if err != nil {
		return err
	}
	if first {
		takeOver(&b, u.ID)
	}
	v.Used = true
	used, err := v.record(at.Key, u.ID, at.Rev)
	if err != nil {
		return err
	}
	b.Put = append(b.Put, used)
	if err := told.add(&b, u); err != nil {
		return err
	}
	_, err = d.audit.Commit(ctx, d.store, b, note)
	return err
}
