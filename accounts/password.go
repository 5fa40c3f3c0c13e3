package accounts

import (
	"context"
	"errors"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/rights"
	"github.com/counterfoil/counterfoil/store"
)

// Register adds a user with a password. It fails with login.RejectedPassword,
// login.Throttled, login.ErrBusy, directory.ErrTaken, directory.ErrBadIdentifier or
// directory.ErrBadUser. Without an actor, the user made the account.
func (a *Accounts) Register(ctx context.Context, who rights.Actor, act audit.Act, identifier, name string, password login.Secret, roles []string) (directory.User, error) {
	if err := who.Need(rights.Write); err != nil {
		return directory.User{}, err
	}
	if _, err := directory.Canonical(identifier); err != nil {
		return directory.User{}, err
	}
	hash, err := a.passwords.Choose(ctx, act.Address, identifier, name, password)
	if err != nil {
		return directory.User{}, err
	}
	return a.users.Create(ctx, act, directory.User{Identifier: identifier, Name: name, Roles: roles, Password: hash})
}

// SignUp is Register for somebody who reads a language, and has to prove the address that the identifier
// is, if it is one: a link is mailed there in the same commit, which counts like other mails that somebody has sent.
func (a *Accounts) SignUp(ctx context.Context, act audit.Act, identifier, name, language string, password login.Secret) (directory.User, error) {
	if _, err := directory.Canonical(identifier); err != nil {
		return directory.User{}, err
	}
	hash, err := a.passwords.Choose(ctx, act.Address, identifier, name, password)
	if err != nil {
		return directory.User{}, err
	}
	u := directory.User{Identifier: identifier, Name: name, Password: hash}
	if a.post == nil {
		return a.users.Create(ctx, act, u)
	}
	if _, err := directory.CanonicalAddress(identifier); err == nil { // it is mailed, and may be another person's
		if err := a.admit(ctx, act.Address, true); err != nil {
			return directory.User{}, a.limited(act, audit.CreateUser, err)
		}
	}
	u.Language = language
	made, err := a.users.CreateVerifying(ctx, act, u, a.composeVerification)
	a.wake(err == nil)
	return made, err
}

// SetPassword sets the password of a user, and ends all sessions. It is for a program that
// has a way of its own to know its users again: our own API never lets anybody choose the
// password of somebody else (LOGIN-16). It fails like Register, and with store.ErrNotFound.
func (a *Accounts) SetPassword(ctx context.Context, who rights.Actor, id string, act audit.Act, next login.Secret) error {
	if err := who.Need(rights.Write); err != nil {
		return err
	}
	u, err := a.users.ByID(ctx, id)
	if err != nil {
		return err
	}
	hash, err := a.passwords.Choose(ctx, act.Address, u.Identifier, u.Name, next)
	if err != nil {
		return err
	}
	if _, err = a.writePassword(ctx, id, act, "", hash, a.users.WriteTold); err != nil {
		return err
	}
	_, err = a.settle(context.WithoutCancel(ctx), id, act) // the password is another one already
	return err
}

// ChangePassword replaces the password of the subject of session, who must know the
// current one (LOGIN-14). All its sessions end, since a thief of the old password may be
// signed in with it, and the caller goes on with a new session, made as ask says (SES-04).
// It fails like Register, with login.ErrRefused, and like issuer.Login: then the password
// may be another one already. The caller signs in with it: what was the current password is
// refused from then on, like any other that is wrong.
func (a *Accounts) ChangePassword(ctx context.Context, session *counterfoil.Session, act audit.Act, current, next login.Secret, ask issuer.Request) (*issuer.Issued, error) {
	id := session.Subject
	// The revision is read before the current password is checked: of two changes at once,
	// one proof goes void (LOGIN-19).
	r, err := a.read(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		err = login.ErrRefused
	}
	if err != nil {
		return nil, a.told(act, id, err)
	}
	hash, err := a.passwords.Replace(ctx, act.Address, r.user, current, next)
	if errors.Is(err, login.ErrRefused) && r.due.Pending() {
		// An earlier call may have written another password and stopped: what it owes is done.
		_, unsettled := a.settle(context.WithoutCancel(ctx), id, act)
		err = errors.Join(err, unsettled)
	}
	if err != nil {
		return nil, a.told(act, id, err)
	}
	if ask.UserVersion, err = a.writePassword(ctx, id, act, r.user.Password, hash, a.users.WriteTold); err != nil {
		return nil, a.told(act, id, err)
	}
	proof := login.Proof{Subject: id, Methods: []string{"pwd"}, At: a.now(), SubjectRev: r.held.Rev(), Roles: session.Roles}
	issued, err := a.issuer.StartOver(ctx, proof, ask)
	// The password is another one already: all others are out, also when the caller cannot
	// have a new session.
	_, unsettled := a.settle(context.WithoutCancel(ctx), id, act)
	if err != nil {
		return nil, errors.Join(err, unsettled)
	}
	return issued, nil // what is due and could not be struck off, Finish does
}

// redeem is Redeem, for a user who is there.
func (a *Accounts) redeem(ctx context.Context, act audit.Act, invitation, next login.Secret) error {
	u, used, err := a.users.Invited(ctx, invitation)
	if err != nil {
		return a.told(act, "", err)
	}
	by := act
	if by.By == "" {
		by.By = audit.BySubject(u.ID)
	}
	if !used {
		err = a.writeRedeemed(ctx, by, invitation, u, next)
		used = errors.Is(err, directory.ErrUsed) // by another call meanwhile
	}
	if err != nil && !used {
		return a.told(act, "", err)
	}
	if _, unsettled := a.settle(context.WithoutCancel(ctx), u.ID, by); unsettled != nil {
		return unsettled
	}
	if used {
		err = a.told(act, u.ID, directory.ErrUsed)
	}
	return err
}

// CheckInvitation says whether Redeem would take an invitation: nil, directory.ErrUsed or
// login.ErrRefused. It uses nothing up. The holder learns it before they think of a password, and
// with first that they also choose an identifier.
func (a *Accounts) CheckInvitation(ctx context.Context, invitation login.Secret) (first bool, err error) {
	if first, err = a.users.InvitesFounder(ctx, invitation); first || err != nil {
		return first, err
	}
	_, used, err := a.users.Invited(ctx, invitation)
	if err == nil && used {
		err = directory.ErrUsed
	}
	return false, err
}

func (a *Accounts) writeRedeemed(ctx context.Context, act audit.Act, invitation login.Secret, u directory.User, next login.Secret) error {
	hash, err := a.passwords.Choose(ctx, act.Address, u.Identifier, u.Name, next)
	if err != nil {
		return err
	}
	_, err = a.writePassword(ctx, u.ID, act, "", hash, func(ctx context.Context, u directory.User, due *directory.Due, note audit.Entry, told directory.Told) error {
		return a.users.Redeem(ctx, invitation, u, due, note, told)
	})
	if errors.Is(err, store.ErrNotFound) {
		err = login.ErrRefused
	}
	return err
}

// write is a commit of package directory that writes a user.
type write func(ctx context.Context, u directory.User, due *directory.Due, note audit.Entry, told directory.Told) error

// writePassword is step 2 for a new password: write is called with the user as it is to be,
// until nobody else writes it meanwhile. checked is a hash that must still be stored, or it
// is login.ErrRefused; empty: any may be. It returns the version whose password no session
// from before may outlive.
func (a *Accounts) writePassword(ctx context.Context, id string, act audit.Act, checked, hash string, write write) (version uint64, err error) {
	for {
		r, err := a.read(ctx, id)
		if err != nil {
			return 0, err
		}
		if checked != "" && r.user.Password != checked {
			return 0, login.ErrRefused
		}
		r.user.Password, r.user.Version = hash, r.nextVersion()
		r.due.End = r.user.Version
		note := act.Entry(audit.ChangePassword, id)
		if err := write(ctx, r.user, &r.due, note, a.tells(note)); !errors.Is(err, store.ErrConflict) {
			a.wake(err == nil)
			return r.user.Version, err
		}
	}
}

// told tells the audit trail that a password was not changed, if that is because of what
// was shown for it, and returns err.
func (a *Accounts) told(act audit.Act, subject string, err error) error {
	if act.By == "" {
		act.By = audit.ByUnknown
	}
	act.Reason = ""
	e := act.Entry(audit.ChangePassword, subject)
	e.Outcome, e.Reason = audit.Refused, err.Error()
	switch {
	case login.Unchecked(err):
		e.Action = audit.Limit
	case !errors.Is(err, login.ErrRefused):
		return err
	}
	a.issuer.Audit().Tell(e)
	return err
}
