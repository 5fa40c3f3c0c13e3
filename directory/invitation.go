package directory

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
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

type invitation struct {
	User    string    `json:"user"`
	Expires time.Time `json:"expires"`
	Used    bool      `json:"used,omitempty"` // good for nothing, but to tell who asks again; see Invited
}

// Invite makes a token with which somebody may set the password of a user, once, within 24
// hours, or within 15 minutes if the user has a password. It takes the place of earlier ones
// (LOGIN-12). It is shown once:
// only its hash is kept. An administrator can begin a reset so, and never sees or
// chooses a password (LOGIN-16).
func (d *Directory) Invite(ctx context.Context, id string, act audit.Act) (secret.String, time.Time, error) {
	for {
		u, err := d.ByID(ctx, id)
		if err != nil {
			return secret.String{}, time.Time{}, err
		}
		ttl := firstTTL
		if u.Password != "" {
			ttl = resetTTL
		}
		rec, token, expires, err := d.invitation(id, ttl)
		if err != nil {
			return secret.String{}, time.Time{}, err
		}
		_, err = d.audit.Commit(ctx, d.store, store.Batch{
			Require:     []store.Require{u.require()},
			DeleteOwned: []store.Owned{{Kind: kindInvitation, Owner: id}},
			Put:         []store.Record{rec},
		}, act.Entry(audit.Invite, id))
		if !errors.Is(err, store.ErrConflict) {
			return token, expires, err
		}
	}
}

// CreateInvited adds a user who has no password yet, and the invitation to choose
// one, in one commit.
func (d *Directory) CreateInvited(ctx context.Context, act audit.Act, u User) (User, secret.String, time.Time, error) {
	u.Password, u.Status, u.Created = "", Active, d.now()
	for {
		b, note, err := d.create(ctx, act, &u)
		if err != nil {
			return User{}, secret.String{}, time.Time{}, err
		}
		rec, token, expires, err := d.invitation(u.ID, firstTTL)
		if err != nil {
			return User{}, secret.String{}, time.Time{}, err
		}
		b.Put = append(b.Put, rec)
		_, err = d.audit.Commit(ctx, d.store, b, note, act.Entry(audit.Invite, u.ID))
		if !errors.Is(err, store.ErrConflict) {
			return u, token, expires, err
		}
		if err := d.Available(ctx, u.Identifier); err != nil {
			return User{}, secret.String{}, time.Time{}, err
		}
	}
}

func (d *Directory) invitation(user string, ttl time.Duration) (store.Record, secret.String, time.Time, error) {
	raw := make([]byte, 32)
	rand.Read(raw)
	token := invitationPrefix + base64.RawURLEncoding.EncodeToString(raw)
	v := invitation{User: user, Expires: d.now().Add(ttl)}
	value, err := json.Marshal(v)
	return store.Record{
		Key: store.Key{Kind: kindInvitation, ID: hashID(token)}, Owner: user, Expires: v.Expires, Value: value,
	}, secret.New(token), v.Expires, err
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
	if errors.Is(err, store.ErrNotFound) {
		err = login.ErrRefused
	}
	return u, v.Used, err
}

func (d *Directory) invited(ctx context.Context, token secret.String) (v invitation, at store.Require, err error) {
	text := token.Reveal()
	if len(text) != len(invitationPrefix)+43 || !strings.HasPrefix(text, invitationPrefix) {
		return v, at, login.ErrRefused
	}
	rec, err := store.One(ctx, d.store, store.Key{Kind: kindInvitation, ID: hashID(text)})
	if errors.Is(err, store.ErrNotFound) {
		return v, at, login.ErrRefused
	}
	if err != nil {
		return v, at, err
	}
	if err := json.Unmarshal(rec.Value, &v); err != nil {
		return v, at, fmt.Errorf("invitation: %w", err)
	}
	if !d.now().Before(v.Expires) {
		return v, at, login.ErrRefused
	}
	return v, store.Require{Key: rec.Key, Rev: rec.Rev}, nil
}

// Redeem is Write for a password that the holder of an invitation chose. It uses the
// invitation up in the same commit: of two at once, one is refused.
func (d *Directory) Redeem(ctx context.Context, token secret.String, u User, due *Due, note audit.Entry) error {
	v, at, err := d.invited(ctx, token)
	switch {
	case err == nil && v.Used:
		err = ErrUsed
	case err == nil && v.User != u.ID:
		err = login.ErrRefused
	}
	if err != nil {
		return err
	}
	b, err := d.write(ctx, u, due)
	if err != nil {
		return err
	}
	v.Used = true
	used, err := json.Marshal(v)
	if err != nil {
		return err
	}
	b.Put = append(b.Put, store.Record{Key: at.Key, Owner: u.ID, Rev: at.Rev, Expires: v.Expires, Value: used})
	_, err = d.audit.Commit(ctx, d.store, b, note)
	return err
}
