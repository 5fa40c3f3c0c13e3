package issuer

import (
	"context"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
)

// FreshLogin is how old the login of a session may be that lists all sessions of its
// subject, or ends all others (SES-15). A session that was left open, or stolen, must not
// tell where its owner is signed in, nor sign the owner out everywhere. After that time a
// step-up, or another login, is needed.
const FreshLogin = 15 * time.Minute

// OwnSessions is [Issuer.Sessions] for the subject of s. It fails with
// counterfoil.ErrStepUp if the login of s is older than [FreshLogin], and with
// counterfoil.ErrRevoked if s has ended.
func (i *Issuer) OwnSessions(ctx context.Context, s *counterfoil.Session, after string, limit int) (page []SessionRow, next string, err error) {
	if _, err := i.freshRow(ctx, s); err != nil {
		return nil, "", err
	}
	return i.Sessions(ctx, s.Subject, after, limit)
}

// freshRow reads the row of s. The row says when its subject signed in: a copy of the session
// may say what was true before.
func (i *Issuer) freshRow(ctx context.Context, s *counterfoil.Session) (*SessionRow, error) {
	row, err := i.row(ctx, s.ID)
	if err != nil {
		return nil, err
	}
	if row.Subject != s.Subject {
		return nil, counterfoil.ErrRevoked
	}
	if err := i.Fresh(row.AuthTime, FreshLogin); err != nil {
		return nil, err
	}
	return row, nil
}

// Stands returns nil while s lives. Otherwise it has ended by itself, with its client or with its subject, and the
// error says that it is none. The store is asked.
func (i *Issuer) Stands(ctx context.Context, s *counterfoil.Session) error {
	now, err := i.opts.Time.Date(ctx)
	if err != nil {
		return err
	}
	row, err := i.row(ctx, s.ID)
	if err == nil && row.Subject != s.Subject {
		err = counterfoil.ErrRevoked
	}
	if err == nil {
		_, err = i.living(ctx, row, now)
	}
	return err
}

// Fresh fails with counterfoil.ErrStepUp if a login at authTime is older than maxAge. What would
// be older by a time that may be wrong is not: that is an outage.
func (i *Issuer) Fresh(authTime time.Time, maxAge time.Duration) error {
	err := counterfoil.Fresh(maxAge)(&counterfoil.Session{AuthTime: authTime}, i.opts.Now())
	if err != nil && i.opts.Time.Err() != nil {
		return i.opts.Time.Err()
	}
	return err
}

// OwnActions are those that a person is shown of the audit trail: what was done to the account, or
// was refused.
var OwnActions = []audit.Action{
	audit.Login, audit.Impersonate, audit.Logout, audit.Reuse, audit.AddGrant, audit.AddHost, audit.ReuseCode, audit.Revoke, audit.StepUp, audit.EndOthers,
	audit.StartOver, audit.SetSubject, audit.CreateUser, audit.ChangeUser, audit.ChangePassword, audit.Invite, audit.Recover, audit.SetAddress, audit.UndoAddress, audit.SetCredential,
	audit.DeleteCredential, audit.Deny, audit.CrossSite, audit.Limit,
}

// OwnActivity is the part of the audit trail with [OwnActions] that is about the subject of s, the
// newest first, as audit.Trail.List has it. Like [Issuer.OwnSessions] it is for a fresh login: it has
// addresses.
func (i *Issuer) OwnActivity(ctx context.Context, s *counterfoil.Session, after string, limit int) (page []audit.Entry, next string, err error) {
	if _, err := i.freshRow(ctx, s); err != nil {
		return nil, "", err
	}
	return i.Audit().List(ctx, audit.Query{Subject: s.Subject, Actions: OwnActions, After: after, Limit: limit})
}
