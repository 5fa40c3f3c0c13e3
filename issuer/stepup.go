package issuer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/internal/secret"
	"github.com/counterfoil/counterfoil/internal/token"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/revlog"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store"
)

// What a step-up may also fail with. Nothing was done.
var (
	// ErrOtherSubject means that the proof is of another subject than the session.
	ErrOtherSubject = fmt.Errorf("proof of another subject than the session's: %w", ErrBadRequest)

	// ErrWeaker means that the proof is older than the session's own, or that its acr is
	// not known to be at least the session's, see Options.ACRs.
	ErrWeaker = fmt.Errorf("proof is older or weaker than what the session has: %w", ErrBadRequest)
)

// StepUp raises what the living session sid says of how its subject was authenticated
// (RFC 9470): auth_time becomes the time of p, acr that of p, and amr gains the methods of
// p. Nothing is ever lowered: a proof that is older or weaker is ErrWeaker. What else the
// session has stays: its client, roles, attributes, grants, and its absolute end.
//
// The session's own client gets new credentials, and those before are dead at once
// (SES-04). An opaque session goes on under a new id; one with tokens keeps its id, its
// refresh token before is refused without any grace, and its copies are stale, as are the
// subject's other copies. What hosts hold ends: a browser gets it anew, see [Issuer.HandOver].
// Grants of other clients go on: their next copies say the same.
//
// It fails with ErrInvalidToken if the session has ended, and with ErrProveAgain if the
// subject was disabled, revoked or changed since before the proof.
//
// replaces are other sessions that the browser has in the cookies into which the new credentials
// go: they end, as with [Request.Replaces].
func (i *Issuer) StepUp(ctx context.Context, sid string, p login.Proof, act audit.Act, replaces ...*counterfoil.Session) (*Issued, error) {
	if err := checkProof(p); err != nil {
		return nil, err
	}
	for {
		issued, err := i.tryStepUp(ctx, sid, p, act, replaces)
		if !errors.Is(err, store.ErrConflict) {
			return issued, err
		}
	}
}

// tryStepUp does it if nothing that it rests on changes meanwhile; otherwise the answer is
// store.ErrConflict, and nothing was done.
func (i *Issuer) tryStepUp(ctx context.Context, sid string, p login.Proof, act audit.Act, others []*counterfoil.Session) (*Issued, error) {
	now, err := i.opts.Time.Date(ctx)
	if err != nil {
		return nil, err
	}
	row, err := i.row(ctx, sid)
	if err != nil {
		return nil, err
	}
	h, err := i.state(ctx, row, row.own(), now)
	switch {
	case err != nil:
		return nil, err
	case row.By != nil: // nobody proves to be the subject in the session of somebody else
		return nil, &Forbidden{row.By.Subject, "an impersonation cannot be stepped up"}
	case row.Subject != p.Subject:
		return nil, ErrOtherSubject
	case h.subject.rev != p.SubjectRev:
		return nil, ErrProveAgain
	}
	if err := i.raise(row, p); err != nil {
		return nil, err
	}
	if err := i.checkSize(h, now); err != nil {
		return nil, err
	}
	row.use(now, i.idle(h.client))
	if act.Address.IsValid() {
		row.LastAddress = act.Address
	}
	issued := &Issued{SessionExpires: row.AbsoluteExpires}
	b := store.Batch{Require: h.require()}
	if row.Carrier.Format == counterfoil.Opaque {
		err = i.rename(ctx, row, issued, &b)
	} else {
		err = i.replaceRefresh(ctx, h, issued, &b, now)
	}
	if err == nil {
		err = put(&b, row)
	}
	if err != nil {
		return nil, err
	}
	ended, err := i.replace(ctx, &b, row.Subject, act, others, func(old *SessionRow) bool { return old.ID != sid })
	if err != nil {
		return nil, err
	}
	head, err := i.log.Commit(ctx, b, append(ended.notes, stepUpEntry(act, row, sid, ended))...)
	if err != nil {
		return nil, unavailable(err)
	}
	return i.finish(ctx, issued, h, head, now)
}

// clockSlack is how far the clocks of two nodes may disagree: one made the session, and the
// other is shown the proof.
const clockSlack = time.Minute

// raise writes into row what p proves. An acr that p does not prove must not be said
// at the time of p, or a route that wants it fresh would take an old one.
func (i *Issuer) raise(row *SessionRow, p login.Proof) error {
	if p.At.Before(row.AuthTime.Add(-clockSlack)) || row.ACR != "" && !i.atLeast(p.ACR, row.ACR) {
		return ErrWeaker
	}
	if row.ACR = p.ACR; p.At.After(row.AuthTime) {
		row.AuthTime = p.At
	}
	for _, m := range p.Methods {
		if !slices.Contains(row.Methods, m) {
			row.Methods = append(row.Methods, m)
		}
	}
	return nil
}

// atLeast reports whether the class acr is known not to be below the class than.
func (i *Issuer) atLeast(acr, than string) bool {
	low := slices.Index(i.opts.ACRs, than)
	return acr == than || low >= 0 && slices.Index(i.opts.ACRs, acr) > low
}

// renamed is the reason of the entry that ends the id of a session which goes on under
// another: a caller that wants to end it must be told that it was not that.
const renamed = "goes on under another id"

// rename gives an opaque session another id and secret, and adds to b the end of the one
// before. The refresh tokens of its grants are those of the new one; copies of before name
// the old one, and are dead.
func (i *Issuer) rename(ctx context.Context, row *SessionRow, issued *Issued, b *store.Batch) error {
	old := sessionKey(row.ID)
	b.Require = append(b.Require, store.Require{Key: old, Rev: row.rev})
	b.Delete = append(b.Delete, old)
	b.Revoke = append(b.Revoke, revlog.Entry(source.ScopeSession, row.ID, renamed))
	row.forgetHosts(b) // their cookies are from before, and that entry covers them
	if err := row.newSecret(issued); err != nil {
		return err
	}
	families, err := i.families(ctx, row.Further)
	if err != nil {
		return err
	}
	for _, f := range families {
		f.Session = row.ID
		if err := put(b, f); err != nil {
			return err
		}
	}
	return nil
}

// newSecret makes the credential of an opaque session, and the id that belongs to it.
func (r *SessionRow) newSecret(issued *Issued) error {
	opaque := token.NewOpaque()
	raw, err := token.ParseOpaque(opaque)
	if err != nil {
		return err
	}
	r.ID, r.rev, issued.Access = sessionID(raw[:]), 0, secret.New(opaque)
	return nil
}

// replaceRefresh makes another refresh token of the own client the good one, and adds to b
// what makes older copies stale.
func (i *Issuer) replaceRefresh(ctx context.Context, h *holding, issued *Issued, b *store.Batch, now time.Time) error {
	row := h.row
	f, err := i.family(ctx, row.Grant)
	if err == nil {
		err = f.used(i.refreshIdle(h.client), now)
	}
	if err != nil {
		return err
	}
	for len(row.Hosts) > 0 { // their cookies would be stepped up otherwise
		row.unsettle(row.Hosts[0].ID, "authenticated anew", b)
	}
	f.Counter, f.Rotated, f.NoGrace = f.Counter+1, now, true
	issued.Refresh = i.refreshToken(f)
	b.Revoke = append(b.Revoke, revlog.Entry(source.ScopeClaims, row.Subject, "authenticated anew"))
	return put(b, f)
}

func stepUpEntry(act audit.Act, row *SessionRow, before string, ended replaced) audit.Entry {
	if act.By == "" {
		act.By = audit.BySubject(row.Subject)
	}
	e := act.Entry(audit.StepUp, row.Subject)
	e.Client, e.Session = row.Client, row.ID
	e.Detail = "amr=" + strings.Join(row.Methods, ",")
	if row.ACR != "" {
		e.Detail += " acr=" + row.ACR
	}
	if before != row.ID {
		ended.ids = append([]string{before}, ended.ids...)
	}
	e.Detail += ended.String()
	return e
}
