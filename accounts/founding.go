package accounts

import (
	"context"
	"errors"
	"time"

	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/login"
)

// InviteAdministrator makes the invitation of the first administrator, if there is none who is
// active; otherwise invitation is empty. It is good once, for 24 hours, while there is no
// administrator and until another one is made (LOGIN-15).
func (a *Accounts) InviteAdministrator(ctx context.Context, act audit.Act) (invitation login.Secret, expires time.Time, err error) {
	there, err := a.administrator(ctx, "")
	if err != nil || there {
		return login.Secret{}, time.Time{}, err
	}
	return a.users.InviteFounder(ctx, act)
}

// RedeemAs is Redeem. With the invitation of the first administrator it also makes that user,
// under an identifier and with RoleAdmin; with others identifier says nothing. It fails like
// Redeem, and like Register for the first administrator.
func (a *Accounts) RedeemAs(ctx context.Context, act audit.Act, invitation login.Secret, identifier string, password login.Secret) error {
	first, err := a.ofFirst(ctx, invitation)
	switch {
	case errors.Is(err, directory.ErrUsed):
		return a.told(act, "", err)
	case err != nil && !errors.Is(err, login.ErrRefused):
		return err
	case !first: // also one that is no good: there is one way to refuse it
		return a.Redeem(ctx, act, invitation, password)
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

// ofFirst reports whether an invitation is that of the first administrator, and can be used. It
// is login.ErrRefused once somebody has become one in another way.
func (a *Accounts) ofFirst(ctx context.Context, invitation login.Secret) (bool, error) {
	first, err := a.users.InvitesFounder(ctx, invitation)
	if !first || err != nil {
		return false, err
	}
	there, err := a.administrator(ctx, "")
	if err == nil && there {
		err = login.ErrRefused
	}
	return err == nil, err
}
