package accounts

import (
	"context"
	"errors"
	"time"

	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/login"
)

// InviteAdministrator makes the invitation of the first administrator, if there is none and never
// was one; otherwise invitation is empty. It is good once, for 24 hours, until another one is made, and
// until somebody becomes an administrator in another way (LOGIN-15).
func (a *Accounts) InviteAdministrator(ctx context.Context, act audit.Act) (invitation login.Secret, expires time.Time, err error) {
	invitation, expires, err = a.users.InviteFounder(ctx, act)
	if errors.Is(err, directory.ErrFounded) {
		err = nil
	}
	return invitation, expires, err
}

// Redeem sets the password of the user that an invitation is for, uses the invitation up
// and ends all sessions (LOGIN-12). With the invitation of the first administrator it also makes that
// user, under an identifier and with RoleAdmin; with others identifier says nothing. It fails like Register, with
// directory.ErrUsed, and with login.ErrRefused if the invitation is no good. Doing it again is safe. A used
// invitation is worth nothing: the password is not compared, so nobody can guess with it.
func (a *Accounts) Redeem(ctx context.Context, act audit.Act, invitation login.Secret, identifier string, password login.Secret) error {
	first, err := a.users.InvitesFounder(ctx, invitation)
	switch {
	case errors.Is(err, directory.ErrUsed):
		return a.told(act, "", err)
	case err != nil && !errors.Is(err, login.ErrRefused):
		return err
	case !first: // also one that is no good: there is one way to refuse it
		return a.redeem(ctx, act, invitation, password)
	}
	if _, err := directory.Canonical(identifier); err != nil {
		return err
	}
	hash, err := a.passwords.Choose(ctx, act.Address, identifier, "", password)
	if err != nil {
		return err
	}
	_, err = a.users.Found(ctx, invitation, act, directory.User{Identifier: identifier, Roles: []string{RoleAdmin}, Password: hash})
	if err != nil {
		return a.told(act, "", err)
	}
	return nil
}
