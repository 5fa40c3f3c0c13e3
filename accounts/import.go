package accounts

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/rights"
)

// Import adds u as it was elsewhere, with the hash of a password that it has there, or
// none, and with its id there, or a new one. It never touches a user who is there: nobody can
// choose the password of an account so (LOGIN-16). It fails with password.ErrHash,
// directory.ErrTaken, directory.ErrBadIdentifier or directory.ErrBadUser. With dry nothing is
// written.
func (a *Accounts) Import(ctx context.Context, who rights.Actor, act audit.Act, u directory.User, foreign string, dry bool) (directory.User, error) {
	if err := who.Need(rights.Write); err != nil {
		return directory.User{}, err
	}
	var work directory.Work
	var err error
	if u.Password = ""; foreign != "" {
		if u.Password, work, err = a.passwords.Adopt(foreign); err != nil {
			return directory.User{}, err
		}
	}
	if dry || u.ID != "" {
		if err := a.importable(ctx, u, work); err != nil || dry {
			return directory.User{}, err
		}
	}
	made, err := a.users.Import(ctx, act, u, work)
	if err != nil {
		return directory.User{}, err
	}
	if made.Status == directory.Disabled { // no program may make a session for it either
		_, err = a.settle(ctx, made.ID, act)
	}
	return made, err
}

// importable says why u cannot be added. The id of a user who was deleted never comes back: its
// sessions stay disabled.
func (a *Accounts) importable(ctx context.Context, u directory.User, work directory.Work) error {
	if err := u.Check(); err != nil {
		return err
	}
	if u.Address != "" {
		if _, err := directory.CanonicalAddress(u.Address); err != nil {
			return err
		}
	}
	err := a.users.Available(ctx, u.Identifier)
	if u.ID != "" && errors.Is(err, directory.ErrTaken) && !errors.Is(err, directory.ErrConfusable) {
		there, unread := a.users.IDOf(ctx, u.Identifier)
		if unread == nil && there != u.ID {
			return fmt.Errorf("%w: the user with this identifier is there with another id, %s", directory.ErrBadUser, there)
		}
	}
	if address := cmp.Or(u.Address, u.Identifier); err == nil && !u.Verified.IsZero() {
		err = a.users.AvailableAddress(ctx, "", address)
	}
	if err == nil {
		err = a.users.Affords(ctx, work)
	}
	if err != nil || u.ID == "" {
		return err
	}
	if err := a.users.AvailableID(ctx, u.ID); err != nil {
		return err
	}
	held, err := a.issuer.Subject(ctx, u.ID)
	if err == nil && held.Disabled {
		err = fmt.Errorf("%w: a user who had the id was deleted", directory.ErrBadUser)
	}
	return err
}
