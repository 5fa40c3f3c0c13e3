package issuer

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/internal/token"
	"github.com/counterfoil/counterfoil/revlog"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store"
)

// replaced is what [Issuer.replace] has ended, for the audit trail.
type replaced struct {
	ids   []string      // of sessions, or of a host of one
	notes []audit.Entry // for the subjects of those that are of somebody else than the new credential
}

// String is what the entry of the new credential says.
func (r replaced) String() string {
	if len(r.ids) == 0 {
		return ""
	}
	return " replaces=" + strings.Join(r.ids, ",")
}

const whyReplaced = "replaced by a new sign-in"

// replace adds to b the end of the sessions all, whose credentials a browser has in its cookies, and
// loses because a new one takes their place: nobody would hold them any more but a thief (SES-04). The
// new one is of subject, and act says who asks. This is the one rule for all that overwrites a cookie:
//
//   - A session ends if its own client had the cookie. What is of another client's grant, or of a
//     host, does not end a session.
//   - The cookie of an impersonation has taken the place of the cookie of who impersonates. So that
//     session, to which the browser cannot go back, ends with it.
//   - A session that has ended, or that ends does not want, is left as it is.
//
// Whether the page that asks may speak for those sessions is for the caller to check (CSRF-07).
func (i *Issuer) replace(ctx context.Context, b *store.Batch, subject string, act audit.Act, all []*counterfoil.Session, ends func(*SessionRow) bool) (r replaced, err error) {
	for _, old := range all {
		below, err := i.below(ctx, old)
		if err != nil {
			return r, err
		}
		for _, s := range []*counterfoil.Session{old, below} {
			if s == nil || s.Carrier.Transport != counterfoil.Cookie || isHost(s.TokenID) || slices.Contains(r.ids, s.ID) {
				continue
			}
			rec, err := i.sessionRecord(ctx, s.ID)
			var row *SessionRow
			if err == nil {
				row, err = parseRow(rec)
			}
			note := act.Entry(audit.Logout, rec.Owner)
			note.Session, note.Client, note.Reason, note.By = s.ID, s.Client, whyReplaced, audit.BySubject(cmp.Or(s.Actor, rec.Owner))
			switch {
			case errors.Is(err, errDamaged):
				endDamaged(b, rec)
			case isInvalid(err) || err == nil && (row.Client != s.Client || !ends(row)):
				continue
			case err != nil:
				return r, err
			default:
				row.end(b)
			}
			if r.ids = append(r.ids, s.ID); rec.Owner != subject {
				r.notes = append(r.notes, note)
			}
			b.Revoke = append(b.Revoke, revlog.Entry(source.ScopeSession, s.ID, whyReplaced))
		}
	}
	return r, nil
}

// replaceHost is replace for the cookie of a host, whose place a new one of the session of takes at
// origin. It adds to b the end of what the host holds by it, if it is of another session of the same client.
// That session goes on. What is of the session itself, settle ends.
func (i *Issuer) replaceHost(ctx context.Context, b *store.Batch, cookie string, of *SessionRow, origin string) (replaced, error) {
	raw, err := token.ParseOpaque(cookie)
	if err != nil {
		return replaced{}, nil // there is none, or it is a cookie of another kind
	}
	old, host, err := i.opaqueRow(ctx, raw[:])
	switch {
	case isInvalid(err), errors.Is(err, errDamaged):
		return replaced{}, nil
	case err != nil:
		return replaced{}, err
	case host == nil || host.Origin != origin || old.Client != of.Client || old.ID == of.ID:
		return replaced{}, nil
	}
	ids := []string{host.ID}
	old.unsettle(host.ID, whyReplaced, b)
	return replaced{ids: ids}, put(b, old)
}

// below returns the session of who impersonates in held, if the cookie of the impersonation has taken
// the place of its cookie; nil if not, or if it has ended. Services see the cookie of a host, and may give
// it up: they must not sign an administrator out.
func (i *Issuer) below(ctx context.Context, held *counterfoil.Session) (*counterfoil.Session, error) {
	if held.ActorSession == "" || held.Carrier.Transport != counterfoil.Cookie || isHost(held.TokenID) {
		return nil, nil
	}
	row, err := i.row(ctx, held.ActorSession)
	switch {
	case isInvalid(err), errors.Is(err, errDamaged):
		return nil, nil
	case err != nil:
		return nil, err
	case row.Subject != held.Actor || row.Carrier.Transport != counterfoil.Cookie:
		return nil, nil
	}
	return row.held(i.opts.URL), nil
}
