package accounts

import (
	"context"

	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/directory"
)

// Import adds u as it was elsewhere, with the hash of a password that it has there, or
// none. It never touches a user who is there: nobody can choose the password of an account
// so (LOGIN-16). It fails with password.ErrHash, directory.ErrTaken,
// directory.ErrBadIdentifier or directory.ErrBadUser. With dry nothing is written.
func (a *Accounts) Import(ctx context.Context, act audit.Act, u directory.User, foreign string, dry bool) (directory.User, error) {
	var work directory.Work
	var err error
	if u.Password = ""; foreign != "" {
		if u.Password, work, err = a.passwords.Adopt(foreign); err != nil {
			return directory.User{}, err
		}
	}
	if dry {
		return directory.User{}, a.importable(ctx, u)
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

func (a *Accounts) importable(ctx context.Context, u directory.User) error {
	if err := u.Check(); err != nil {
		return err
	}
	return a.users.Available(ctx, u.Identifier)
}
