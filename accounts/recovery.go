package accounts

import (
	"context"
	"errors"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/rights"
	"github.com/counterfoil/counterfoil/store"
)

// Recover mails a code and a link to the user that a name means, to choose another password with, and returns the
// handle of the code. The caller learns nothing of the name; see [directory.Directory.BeginRecovery]. It
// fails with ErrNoMail, directory.ErrBadIdentifier and login.Throttled, which do not depend on who has an account. Nothing of the account
// changes before the code or the link is used. device is what the client kept of an earlier login; it may be empty or anything.
func (a *Accounts) Recover(ctx context.Context, act audit.Act, name, language string, device login.Secret) (handle login.Secret, err error) {
	if a.post == nil {
		return handle, ErrNoMail
	}
	if _, err := directory.Canonical(name); err != nil {
		return handle, err // nobody can have it
	}
	if err := a.admit(ctx, act.Address, true); err != nil {
		return handle, a.limited(act, audit.Recover, err)
	}
	act.By = audit.ByUnknown
	known := func(identifier string) bool { return a.knows(identifier, device) }
	handle, sent, err := a.users.BeginRecovery(ctx, name, language, act, known, a.composeReset)
	a.wake(sent && err == nil)
	return handle, err
}

// AnswerRecovery returns an invitation for [Accounts.Redeem], in return for a code and its handle. It fails
// with login.ErrRefused, login.ErrOver and login.Throttled.
func (a *Accounts) AnswerRecovery(ctx context.Context, act audit.Act, handle login.Secret, code string) (invitation login.Secret, expires time.Time, err error) {
	if err := a.admit(ctx, act.Address, false); err != nil {
		return invitation, expires, a.limited(act, audit.Recover, err)
	}
	invitation, expires, err = a.users.AnswerRecovery(ctx, handle, code)
	if err != nil && (errors.Is(err, login.ErrRefused) || errors.Is(err, login.ErrOver)) {
		a.tellRefused(act, audit.Recover, "", err)
	}
	return invitation, expires, err
}

// InviteByMail is Invite, and mails the invitation to the user. Nobody else sees it. It fails
// with ErrNoMail and directory.ErrNoAddress.
func (a *Accounts) InviteByMail(ctx context.Context, who rights.Actor, id string, act audit.Act) (to string, expires time.Time, err error) {
	if err := who.Need(rights.Write); err != nil {
		return "", expires, err
	}
	if a.post == nil {
		return "", expires, ErrNoMail
	}
	compose := func(u directory.User, m directory.Mailed) (store.Record, error) {
		to = u.Address
		return a.composeInvitation(u, m)
	}
	_, expires, err = a.users.InviteByMail(ctx, id, act, compose)
	a.wake(err == nil)
	return to, expires, err
}

// CreateInvitedByMail is CreateInvited, and mails the invitation as InviteByMail does.
func (a *Accounts) CreateInvitedByMail(ctx context.Context, who rights.Actor, act audit.Act, u directory.User) (made directory.User, expires time.Time, err error) {
	if err := who.Need(rights.Write); err != nil {
		return made, expires, err
	}
	if a.post == nil {
		return made, expires, ErrNoMail
	}
	made, _, expires, err = a.users.CreateInvitedByMail(ctx, act, u, a.composeInvitation)
	a.wake(err == nil)
	return made, expires, err
}

// limited tells the audit trail that a caller was turned away, and returns err.
func (a *Accounts) limited(act audit.Act, what audit.Action, err error) error {
	if login.Unchecked(err) {
		a.tellRefused(act, audit.Limit, string(what), err)
	}
	return err
}

func (a *Accounts) tellRefused(act audit.Act, action audit.Action, target string, err error) {
	if act.By == "" {
		act.By = audit.ByUnknown
	}
	e := act.Entry(action, "")
	e.Outcome, e.Target, e.Reason = audit.Refused, target, err.Error()
	a.issuer.Audit().Tell(e)
}

// AskAddress mails a code and a link to an address, which is the one that the subject of session has, or
// shall have. For another one the login must be fresh, or it is counterfoil.ErrStepUp: a session that was
// left open must not give the account away. It fails like directory.BeginVerification, and with
// ErrNoMail.
func (a *Accounts) AskAddress(ctx context.Context, session *counterfoil.Session, act audit.Act, address, language string) (asked directory.Mailed, err error) {
	if a.post == nil {
		return asked, ErrNoMail
	}
	canonical, err := directory.CanonicalAddress(address)
	if err != nil {
		return asked, err
	}
	u, err := a.users.ByID(ctx, session.Subject)
	if err != nil {
		return asked, err
	}
	if canonical != u.Address {
		if err := a.issuer.Fresh(session.AuthTime, issuer.FreshLogin); err != nil {
			return asked, err
		}
	}
	if err := a.admit(ctx, act.Address, true); err != nil {
		return asked, a.limited(act, audit.SetAddress, err)
	}
	still := func(ctx context.Context) error { return a.stands(ctx, session) }
	asked, err = a.users.BeginVerification(ctx, u.ID, canonical, language, still, a.composeVerification, a.composeTaken)
	a.wake(err == nil)
	return asked, err
}

// stands returns nil while session lives. A commit that is for its owner alone must ask after its user was read,
// and require the user as read: then a reset of the password, which ends the session, is either before the question
// or makes the commit fail (LOGIN-12).
func (a *Accounts) stands(ctx context.Context, session *counterfoil.Session) error {
	held, err := a.issuer.Subject(ctx, session.Subject)
	if err != nil {
		return err
	}
	_, due, err := a.users.Read(ctx, session.Subject)
	if err != nil {
		return err
	}
	if due.End > held.Ended { // the sessions from before are about to end
		return counterfoil.ErrRevoked
	}
	return a.issuer.Stands(ctx, session)
}

// VerifyAddress makes the address that somebody proves the one of its user, and tells the one before, from
// where the change can be undone for 72 hours. Who shows it must be signed in as its user: shown.User. It
// fails like directory.Verify, and with login.Throttled.
func (a *Accounts) VerifyAddress(ctx context.Context, act audit.Act, shown directory.Verification) (directory.Verified, error) {
	if err := a.admit(ctx, act.Address, false); err != nil {
		return directory.Verified{}, a.limited(act, audit.SetAddress, err)
	}
	done, err := a.users.Verify(ctx, shown, act, a.tellsFormer)
	switch {
	case err == nil:
		a.wake(done.Changed())
	case errors.Is(err, login.ErrRefused), errors.Is(err, login.ErrOver):
		a.tellRefused(act, audit.SetAddress, "", err)
	}
	return done, err
}

// tellsFormer tells the address before that there is another one. If nobody ever proved to read it, it may be
// mistyped, and a stranger's: then there is no link, no name and not the address of now.
func (a *Accounts) tellsFormer(v directory.Verified) ([]store.Record, error) {
	if a.post == nil {
		return nil, nil
	}
	m := Message{Kind: MailLeft, To: v.Before.Address, Language: v.User.Language, Subject: v.User.ID}
	if v.Undo.Token.Reveal() != "" {
		m.Kind, m.Path, m.Token, m.Expires = MailMoved, pathUndo, v.Undo.Token, v.Undo.LinkEnd
		m.Args = []any{v.Before.Identifier, v.User.Address, v.Undo.LinkEnd}
	}
	rec, err := a.post.Record(m)
	return []store.Record{rec}, err
}

// Verifies returns the user and the address that the link of a verification is for, or login.ErrRefused. It
// uses nothing up.
func (a *Accounts) Verifies(ctx context.Context, token login.Secret) (u directory.User, address string, err error) {
	return a.users.Verifies(ctx, token)
}

// UndoAddress gives a user the address back that was there before a change. The person who made the change may
// know the password and be signed in: all sessions end, the password is void, and the caller gets an invitation to
// choose another. It fails with login.ErrRefused and login.Throttled.
func (a *Accounts) UndoAddress(ctx context.Context, act audit.Act, token login.Secret) (invitation login.Secret, expires time.Time, err error) {
	if err := a.admit(ctx, act.Address, false); err != nil {
		return invitation, expires, a.limited(act, audit.UndoAddress, err)
	}
	u, _, err := a.users.Undoes(ctx, token)
	if err != nil {
		if errors.Is(err, login.ErrRefused) {
			a.tellRefused(act, audit.UndoAddress, "", err)
		}
		return invitation, expires, err
	}
	if act.By == "" {
		act.By = audit.BySubject(u.ID)
	}
	note := act.Entry(audit.UndoAddress, u.ID)
	for {
		r, err := a.read(ctx, u.ID)
		if errors.Is(err, store.ErrNotFound) {
			err = login.ErrRefused
		}
		if err != nil {
			return invitation, expires, err
		}
		r.user.Version = r.nextVersion()
		r.due.End = r.user.Version
		invitation, expires, err = a.users.Undo(ctx, token, r.user, &r.due, note, a.tells(note))
		if errors.Is(err, store.ErrConflict) {
			continue
		}
		if err != nil {
			return login.Secret{}, expires, err
		}
		break
	}
	a.wake(true)
	_, err = a.settle(context.WithoutCancel(ctx), u.ID, act) // the password is void already
	return invitation, expires, err
}

// EndUndos voids what was mailed to earlier addresses of a user to give them back. The address stays. It is for an
// administrator who knows that an earlier mailbox is in other hands: a session alone does not say whether it is the
// owner's or that of the thief whom the undo is there for. who must have the right Write, or it is [rights.Forbidden].
func (a *Accounts) EndUndos(ctx context.Context, who rights.Actor, id string, act audit.Act) error {
	if err := who.Need(rights.Write); err != nil {
		return err
	}
	note := act.Entry(audit.ChangeUser, id)
	note.Detail = "no undo of the address any more"
	return a.users.EndUndos(ctx, id, note)
}

// AddressNeedsProof reports whether the subject of session has to prove anew who they are before they may
// have another address.
func (a *Accounts) AddressNeedsProof(session *counterfoil.Session) bool {
	return a.issuer.Fresh(session.AuthTime, issuer.FreshLogin) != nil
}
