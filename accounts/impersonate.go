package accounts

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/rights"
	"github.com/counterfoil/counterfoil/store"
)

// Impersonate makes a session of a user for an administrator, who sees what the user sees, by
// [issuer.Issuer.Impersonate]. who must have the right Write, or it is [rights.Forbidden]; by is the session
// of the administrator, which [Accounts.Administer] has let through. It needs a reason, ask.Act.Reason, which the user is told with who it is. Users
// who administer are impersonated by nobody: it would give their rights away.
func (a *Accounts) Impersonate(ctx context.Context, who rights.Actor, by *counterfoil.Session, user string, ask issuer.Request) (*issuer.Issued, error) {
	if err := who.Need(rights.Write); err != nil {
		return nil, err
	}
	if by == nil || !by.HasRole(RoleAdmin) || by.Actor != "" {
		return nil, rights.Forbidden{Why: "it takes a session with the role " + RoleAdmin}
	}
	if ask.Act.Reason = strings.TrimSpace(ask.Act.Reason); ask.Act.Reason == "" {
		return nil, fmt.Errorf("%w: a reason is wanted: the user reads it", issuer.ErrBadRequest)
	}
	at, err := a.issuer.Subject(ctx, user) // first: a change after it voids the login
	if err != nil {
		return nil, err
	}
	u, err := a.users.ByID(ctx, user)
	if err != nil {
		return nil, err
	}
	if u.Status != directory.Active {
		return nil, rights.Forbidden{Why: "the user is disabled"}
	}
	held, err := a.heldBySessions(ctx, user)
	if err != nil {
		return nil, err
	}
	if administers, err := a.administers(ctx, user, held); err != nil || administers {
		return nil, cmp.Or(err, error(rights.Forbidden{Why: "nobody impersonates who administers"}))
	}
	me, err := a.users.ByID(ctx, by.Subject)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, err
	}
	return a.issuer.Impersonate(ctx, user, u.Roles, at.Rev(), issuer.Impersonator{
		Subject: by.Subject, Session: by.ID, Role: RoleAdmin, Name: cmp.Or(me.Name, me.Identifier, by.Subject),
	}, ask)
}
