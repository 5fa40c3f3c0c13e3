package accounts

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/internal/revocation"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/rights"
	"github.com/counterfoil/counterfoil/store"
)

// The roles of who administers. Only a new login can have one: sessions from before somebody
// got it end (SES-04).
const (
	RoleAdmin   = directory.RoleAdmin // everything
	RoleSupport = "support"           // sees users, sessions and settings, and ends the sessions of users
	RoleAuditor = "auditor"           // sees everything, and the audit trail, and changes nothing
)

// roles is the one table of which role has which right.
var roles = []struct {
	name   string
	rights []rights.Right
}{
	{RoleAdmin, rights.All()},
	{RoleAuditor, []rights.Right{rights.Read, rights.Audit}},
	{RoleSupport, []rights.Right{rights.Read, rights.Revoke}},
}

// scopes is the one table of which scope of an API key has which right.
var scopes = []struct {
	name   string
	rights []rights.Right
}{
	{directory.ScopeAdmin, rights.All()},
	{directory.ScopeAdminRead, []rights.Right{rights.Read, rights.Audit}},
}

// RolesWith has the roles with a right.
func RolesWith(r rights.Right) (names []string) {
	for _, role := range roles {
		if slices.Contains(role.rights, r) {
			names = append(names, role.name)
		}
	}
	return names
}

// ScopesWith has the scopes of API keys with a right.
func ScopesWith(r rights.Right) (names []string) {
	for _, scope := range scopes {
		if slices.Contains(scope.rights, r) {
			names = append(names, scope.name)
		}
	}
	return names
}

// Administers reports whether role is one of who administers.
func Administers(role string) bool { return len(rightsOf([]string{role})) > 0 }

func rightsOf(held []string) (all []rights.Right) {
	for _, role := range roles {
		if slices.Contains(held, role.name) {
			all = append(all, role.rights...)
		}
	}
	return all
}

// FreshAdmin is how old the login of an administrator may be who changes something. A session
// that was left open, or stolen, reads at most.
const FreshAdmin = 5 * time.Minute

// ErrLastAdministrator means that a change would leave no active user with [RoleAdmin].
var ErrLastAdministrator = errors.New("nobody else who is active is an administrator")

// OfKey is the Actor that has shown an API key, see [Accounts.Authenticate].
func OfKey(k directory.APIKey) rights.Actor {
	var has []rights.Right
	for _, scope := range scopes {
		if k.Has(scope.name) {
			has = append(has, scope.rights...)
		}
	}
	return rights.Of(has...)
}

// Administer lets the subject of a session do what needs a right, or says why not: a
// [rights.Forbidden] if no role of the session has the right, and counterfoil.ErrStepUp if the action
// changes something and the login is older than [FreshAdmin]. The Actor of such a session has no right to change
// anything. The session comes from issuer.Administration, so its roles are those of now.
func (a *Accounts) Administer(s *counterfoil.Session, r rights.Right) (rights.Actor, error) {
	has := rightsOf(s.Roles)
	if !slices.Contains(has, r) {
		return rights.Actor{}, rights.Forbidden{Why: fmt.Sprintf("it needs the role %s", strings.Join(RolesWith(r), " or "))}
	}
	if err := a.issuer.Fresh(s.AuthTime, FreshAdmin); err != nil {
		if changes(r) {
			return rights.Actor{}, err
		}
		has = slices.DeleteFunc(has, changes)
	}
	return rights.Of(has...), nil
}

// changes reports whether a right is one to change something.
func changes(r rights.Right) bool { return r != rights.Read && r != rights.Audit }

// Revoke is [issuer.Issuer.Revoke] for who administers: it ends what scope and id name. who must have the right
// Write, or it is [rights.Forbidden].
func (a *Accounts) Revoke(ctx context.Context, who rights.Actor, scope revocation.Scope, id string, act audit.Act) (issuer.Receipt, error) {
	if err := who.Need(rights.Write); err != nil {
		return issuer.Receipt{}, err
	}
	return a.issuer.Revoke(ctx, scope, id, act)
}

// EndSession ends a session, as issuer.Revoke does. who must have the right Revoke, or it is
// [rights.Forbidden]. Who may not write ends none of a subject
// that administers: support must not sign out who could stop it, nor who audits it.
func (a *Accounts) EndSession(ctx context.Context, who rights.Actor, sid string, act audit.Act) (issuer.Receipt, error) {
	if err := who.Need(rights.Revoke); err != nil {
		return issuer.Receipt{}, err
	}
	if !who.May(rights.Write) {
		row, err := a.issuer.Session(ctx, sid)
		switch {
		case errors.Is(err, store.ErrNotFound): // it has ended: the receipt of that tells nothing of whose it was
		case err != nil:
			return issuer.Receipt{}, err
		default:
			if err := a.endable(ctx, row.Subject, row.Roles); err != nil {
				return issuer.Receipt{}, err
			}
		}
	}
	return a.issuer.Revoke(ctx, revocation.ScopeSession, sid, act)
}

// EndSessions ends all sessions of a subject, by the rule of EndSession. What they had mailed to prove an address is void.
func (a *Accounts) EndSessions(ctx context.Context, who rights.Actor, subject string, act audit.Act) (issuer.Receipt, error) {
	if err := who.Need(rights.Revoke); err != nil {
		return issuer.Receipt{}, err
	}
	if !who.May(rights.Write) {
		held, err := a.heldBySessions(ctx, subject)
		if err == nil {
			err = a.endable(ctx, subject, held)
		}
		if err != nil {
			return issuer.Receipt{}, err
		}
	}
	receipt, err := a.issuer.Revoke(ctx, revocation.ScopeSubject, subject, act)
	if err == nil {
		err = a.users.DropVerifications(ctx, subject)
	}
	return receipt, err
}

// EndOthers is EndSessions for the subject of session, which goes on. It fails like issuer.EndOthers.
func (a *Accounts) EndOthers(ctx context.Context, session *counterfoil.Session, act audit.Act) (issuer.Receipt, error) {
	receipt, err := a.issuer.EndOthers(ctx, session, act)
	if err == nil {
		err = a.users.DropVerifications(ctx, session.Subject)
	}
	return receipt, err
}

// heldBySessions returns roles that sessions of a subject have, until one is there that
// Administers: a program may have given them roles that nobody else knows of.
func (a *Accounts) heldBySessions(ctx context.Context, subject string) (held []string, err error) {
	for after, more := "", true; more && !slices.ContainsFunc(held, Administers); more = after != "" {
		var page []issuer.SessionRow
		if page, after, err = a.issuer.Sessions(ctx, subject, after, issuer.MaxPage); err != nil {
			return nil, err
		}
		for _, row := range page {
			held = append(held, row.Roles...)
		}
	}
	return held, nil
}

func (a *Accounts) endable(ctx context.Context, subject string, held []string) error {
	administers, err := a.administers(ctx, subject, held)
	if err == nil && administers {
		err = rights.Forbidden{Why: "only the role " + RoleAdmin + " ends sessions of who administers"}
	}
	return err
}

// administers reports whether a subject has a role of administration: by what its sessions hold,
// by what is in force for them, or by what is written of the user, of which any may be ahead for a
// moment.
func (a *Accounts) administers(ctx context.Context, subject string, held []string) (bool, error) {
	at, err := a.issuer.Subject(ctx, subject)
	if err != nil {
		return false, err
	}
	u, err := a.users.ByID(ctx, subject)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return false, err
	}
	return slices.ContainsFunc(slices.Concat(held, at.Roles, u.Roles), Administers), nil
}

// mayTake refuses a change of a user after which nobody would be an administrator: next says whether the user still
// is one. Of two administrators who take each other away, one must stay. So the change counts only while the users that it returns are as they were read.
func (a *Accounts) mayTake(ctx context.Context, who rights.Actor, before directory.User, next bool) (while []directory.User, err error) {
	if who.Owns() || next || !isAdministrator(before) {
		return nil, nil
	}
	return a.otherAdministrator(ctx, before.ID)
}

func isAdministrator(u directory.User) bool {
	return u.Status == directory.Active && slices.Contains(u.Roles, RoleAdmin)
}

// otherAdministrator returns an active user with RoleAdmin who does not have the id besides, or
// ErrLastAdministrator.
func (a *Accounts) otherAdministrator(ctx context.Context, besides string) ([]directory.User, error) {
	disabled := false
	for after := ""; ; {
		found, err := a.users.Search(ctx, directory.Filter{Role: RoleAdmin, Disabled: &disabled}, after, 0)
		if err != nil {
			return nil, err
		}
		for n, u := range found.Users {
			if u.ID != besides && isAdministrator(u) {
				return found.Users[n : n+1], nil
			}
		}
		if after = found.Next; after == "" {
			return nil, ErrLastAdministrator
		}
	}
}
