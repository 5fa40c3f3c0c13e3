package accounts

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/rights"
	"github.com/counterfoil/counterfoil/store"
)

// Credentials returns what a user has to sign in with, except the password and the mail address.
func (a *Accounts) Credentials(ctx context.Context, id string) ([]login.Credential, error) {
	all, err := a.users.Credentials(ctx, id, "")
	others := all[:0]
	for _, c := range all {
		if !ofUser(c.Kind) {
			others = append(others, c)
		}
	}
	return others, err
}

// ofUser reports whether credentials of a kind are a part of the user, and changed as that.
func ofUser(kind string) bool { return kind == directory.KindPassword || kind == directory.KindMail }

// SetOwnCredential is SetCredential for who is signed in with session, which must still live when the credential is
// kept: of a password that is chosen anew meanwhile, only its owner sets up a way of signing in (LOGIN-12).
func (a *Accounts) SetOwnCredential(ctx context.Context, session *counterfoil.Session, act audit.Act, c login.Credential) error {
	return a.setCredential(ctx, session.Subject, act, c, func() error { return a.stands(ctx, session) })
}

// SetCredential gives a user a credential of a way of signing in, in place of the one of
// that kind and id if there is one. A program calls it when somebody has shown to have the
// device, or to read the mail; if they are signed in, it calls SetOwnCredential. No session ends. It fails with directory.ErrBadCredential and
// store.ErrNotFound; the password is set by SetPassword alone.
func (a *Accounts) SetCredential(ctx context.Context, who rights.Actor, id string, act audit.Act, c login.Credential) error {
	if err := who.Need(rights.Write); err != nil {
		return err
	}
	return a.setCredential(ctx, id, act, c, func() error { return nil })
}

// setCredential asks still after the user was read, who is still the same when the credential is kept.
func (a *Accounts) setCredential(ctx context.Context, id string, act audit.Act, c login.Credential, still func() error) error {
	if ofUser(c.Kind) {
		return fmt.Errorf("%w: a password is set by SetPassword, and a mail address is proven", directory.ErrBadCredential)
	}
	note := act.Entry(audit.SetCredential, id)
	note.Target = c.Kind + "/" + c.ID
	for {
		u, err := a.users.ByID(ctx, id)
		if err != nil {
			return err
		}
		if err := still(); err != nil {
			return err
		}
		known, err := a.find(ctx, id, c.Kind, c.ID)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		c.Rev, c.Created = known.Rev, a.now()
		told, err := a.tellsUser(ctx, id, note)
		if err != nil {
			return err
		}
		if err := a.users.SaveCredentialOf(ctx, u, c, note, told); !errors.Is(err, store.ErrConflict) {
			a.wake(len(told) > 0 && err == nil)
			return err
		}
	}
}

// DeleteCredential takes a credential away, or returns store.ErrNotFound. A login with it
// that is under way fails (LOGIN-19). Sessions live on: end them if the credential may be in
// other hands. After any other error call it again: it does what the call before left,
// also if the credential is gone by then.
func (a *Accounts) DeleteCredential(ctx context.Context, who rights.Actor, id string, act audit.Act, kind, credential string) error {
	if err := who.Need(rights.Write); err != nil {
		return err
	}
	note := act.Entry(audit.DeleteCredential, id)
	note.Target = kind + "/" + credential
	for {
		c, err := a.find(ctx, id, kind, credential)
		if err == nil && ofUser(kind) {
			err = store.ErrNotFound
		}
		var told []store.Record
		if err == nil {
			told, err = a.tellsUser(ctx, id, note)
		}
		if err == nil {
			err = a.users.DeleteCredentialTold(ctx, id, c, note, told)
			a.wake(err == nil)
		}
		switch {
		case errors.Is(err, store.ErrConflict):
			continue
		case err == nil, errors.Is(err, store.ErrNotFound):
			return cmp.Or(a.voidProofs(ctx, id, act), err)
		}
		return err
	}
}

// voidProofs makes every proof void that a user's logins have so far: the subject gets
// another revision. It fails with store.ErrNotFound if there is no such user.
func (a *Accounts) voidProofs(ctx context.Context, id string, act audit.Act) error {
	if _, err := a.users.ByID(ctx, id); err != nil {
		return err
	}
	return a.issuer.SetSubject(context.WithoutCancel(ctx), id, act, func(*issuer.Subject) {})
}

func (a *Accounts) find(ctx context.Context, id, kind, credential string) (login.Credential, error) {
	all, err := a.users.Credentials(ctx, id, kind)
	if err != nil {
		return login.Credential{}, err
	}
	for _, c := range all {
		if c.ID == credential {
			return c, nil
		}
	}
	return login.Credential{}, store.ErrNotFound
}
