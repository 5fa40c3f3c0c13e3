package issuer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/store"
)

// MaxImpersonation is how long an impersonation lives at most.
const MaxImpersonation = time.Hour

// Impersonated is the amr value of an impersonation: nobody has proven to be the subject. No
// registered value of RFC 8176 says so.
const Impersonated = "impersonation"

// Impersonator is who acts as the subject of a session: the act claim of RFC 8693.
type Impersonator struct {
	Subject string `json:"subject"`
	Session string `json:"session"`        // of the impersonator: with it the impersonation ends
	Client  string `json:"client"`         // of that session, with which it ends; Impersonate sets it
	Role    string `json:"role"`           // without which the impersonation ends
	Name    string `json:"name,omitempty"` // for the subject to read
}

// Impersonate makes a session of subject for by, who has proven to be somebody else. It lives for
// [MaxImpersonation] at most, and ends with the session of by, and with the role. It has no login: its
// AuthTime is 1970, so no rule of freshness is met. Nothing raises it, and it opens neither
// the account nor the administration. The subject gets a notice of it. rev is the revision of the
// subject from before the caller decided, see [Issuer.SubjectRev]. It fails like [Issuer.Login],
// and with counterfoil.ErrRevoked if the session of by has ended.
func (i *Issuer) Impersonate(ctx context.Context, subject string, roles []string, rev uint64, by Impersonator, r Request) (*Issued, error) {
	if err := checkReason(r.Act.Reason); err != nil {
		return nil, err
	}
	r.by, r.Replaces = &by, nil
	return i.login(ctx, login.Proof{Subject: subject, Roles: roles, Methods: []string{Impersonated}, At: time.Unix(0, 0).UTC(), SubjectRev: rev}, r, false)
}

// holder is who uses the credentials of r, as audit.Act.By: the subject, or who impersonates it.
func (r *SessionRow) holder() string {
	if r.By != nil {
		return audit.BySubject(r.By.Subject)
	}
	return audit.BySubject(r.Subject)
}

// begins adds to b what an impersonation of row rests on, and says when it ends.
func (i *Issuer) begins(ctx context.Context, row *SessionRow, b *store.Batch, now time.Time) error {
	if row.By.Subject == row.Subject {
		return fmt.Errorf("%w: nobody impersonates themselves", ErrBadRequest)
	}
	h, err := i.impersonator(ctx, row.By, now)
	if err != nil {
		return err
	}
	row.By.Client = h.row.Client
	b.Require = append(b.Require, h.subject.require(), store.Require{Key: sessionKey(h.row.ID), Rev: h.row.rev})
	end := now.Add(MaxImpersonation).Truncate(time.Second)
	if h.row.AbsoluteExpires.Before(end) {
		end = h.row.AbsoluteExpires
	}
	if end.Before(row.AbsoluteExpires) {
		row.AbsoluteExpires = end
	}
	return nil
}

// tells adds to b the notice of an impersonation of row.
func (r *SessionRow) tells(b *store.Batch, reason string) error {
	n := Notice{Time: r.Created, Session: r.ID, Client: r.Client, By: r.By.Subject, ByName: r.By.Name, Reason: reason}
	rec, err := n.record(noticeKey(n.Time), r.Subject)
	b.Put = append(b.Put, rec)
	return err
}

// impersonator returns the session of who impersonates, or says how it has ended.
func (i *Issuer) impersonator(ctx context.Context, by *Impersonator, now time.Time) (*holding, error) {
	row, err := i.row(ctx, by.Session)
	if err != nil {
		return nil, err
	}
	if row.Subject != by.Subject || row.By != nil {
		return nil, counterfoil.ErrRevoked
	}
	h, err := i.living(ctx, row, now)
	if err == nil && !slices.Contains(h.row.Roles, by.Role) {
		err = counterfoil.ErrRevoked
	}
	return h, err
}

// stand finds out whether who impersonates in row may go on. [holding.judge] refuses an
// impersonation for which nobody has found out.
func (i *Issuer) stand(ctx context.Context, row *SessionRow, now time.Time) error {
	if row.By == nil {
		return nil
	}
	_, err := i.impersonator(ctx, row.By, now)
	row.stands = err == nil
	if isInvalid(err) || errors.Is(err, counterfoil.ErrExpired) {
		return nil // judge says that it has ended
	}
	return err
}
