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
	"github.com/counterfoil/counterfoil/clients"
	"github.com/counterfoil/counterfoil/internal/check"
	"github.com/counterfoil/counterfoil/internal/token"
	"github.com/counterfoil/counterfoil/revlog"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store"
)

// Receipt says where in the log a revocation stands. A verifier that has applied the log up
// to At refuses what it revoked.
type Receipt struct {
	At          counterfoil.Cursor
	CommittedAt time.Time
}

// Revoke takes away what scope and id name: rows and log entry in one commit
// (REV-01). On an error the outcome is unknown, and doing it again is safe. An
// ended session or grant whose entry the log still holds gives that entry's place; one
// the log no longer knows gives store.ErrNotFound.
//
// ScopeClaims is not a revocation that callers ask for: see SetSubject.
func (i *Issuer) Revoke(ctx context.Context, scope source.Scope, id string, act audit.Act) (Receipt, error) {
	if (id == "") != (scope == source.ScopeAll) {
		return Receipt{}, fmt.Errorf("%w: every scope but all needs an id", ErrBadRequest)
	}
	if act.Reason == "" {
		act.Reason = string(scope) + " revoked"
	}
	sid, client, grant := id, "", false
	if scope == source.ScopeGrant {
		if sid, client, grant = token.CutGrantID(id); !grant || sid == "" || client == "" {
			return Receipt{}, fmt.Errorf("%w: the id of a grant is a session id, a space and a client id", ErrBadRequest)
		}
	}
	if err := errors.Join(check.Text("id", sid, 200), check.Text("client", client, 64), check.Text("reason", underscored(act.Reason), 100)); err != nil {
		return Receipt{}, err
	}
	entry := source.Revocation{Scope: scope, ID: id, Reason: act.Reason}
	note := act.Entry(audit.Revoke, "")
	note.Target = string(scope)
	switch scope {
	case source.ScopeSession, source.ScopeGrant:
		return i.end(ctx, sid, client, act.Reason, note)
	case source.ScopeToken:
		note.Target += " " + id
		return i.commit(ctx, entry, store.Batch{}, note)
	case source.ScopeSubject:
		note.Subject = id
		return i.revokeSubject(ctx, entry, note)
	case source.ScopeClient:
		note.Client = id
		return i.revokeClient(ctx, entry, note)
	case source.ScopeAll:
		return i.revokeAll(ctx, entry, note)
	case source.ScopeKey:
		note.Action, note.Target = audit.RevokeKey, id
		return i.revokeKey(ctx, entry, note)
	}
	return Receipt{}, fmt.Errorf("%w: scope %q is not session, grant, token, subject, client, key or all", ErrBadRequest, scope)
}

// Logout ends what the client of held has, which is as [Issuer.Held] says: the session if
// that is its own client, otherwise the grant alone. What has ended is logged out.
func (i *Issuer) Logout(ctx context.Context, held *counterfoil.Session, act audit.Act) error {
	_, err := i.end(ctx, held.ID, held.Client, "logout", act.Entry(audit.Logout, ""))
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}

// commit does b, with the log entry and its note in the trail.
func (i *Issuer) commit(ctx context.Context, entry source.Revocation, b store.Batch, note audit.Entry) (Receipt, error) {
	b.Revoke = append(b.Revoke, revlog.Entry(entry.Scope, entry.ID, entry.Reason, i.opts.Now()))
	return i.commitWith(ctx, b, note)
}

// commitWith does b, which has the log entry, with its note in the trail.
func (i *Issuer) commitWith(ctx context.Context, b store.Batch, note audit.Entry) (Receipt, error) {
	now := i.opts.Now()
	head, err := i.log.Commit(ctx, b, note)
	if err != nil {
		return Receipt{}, unavailable(err)
	}
	return Receipt{At: head, CommittedAt: now}, nil
}

// ended is the answer about what has ended already: the place of the first of entries that
// the log has.
func (i *Issuer) ended(ctx context.Context, entries ...source.Revocation) (Receipt, error) {
	receipt, err := i.receipt(ctx, entries...)
	if sure := i.ConfirmReads(ctx); sure != nil {
		return Receipt{}, sure
	}
	return receipt, err
}

// ConfirmReads makes sure that what was read before the call is durable. A caller that
// answers "it is done already", and writes nothing, calls it: the call that did it may have
// been told that its outcome is unknown.
func (i *Issuer) ConfirmReads(ctx context.Context) error {
	_, err := i.store.Commit(ctx, store.Batch{})
	return unavailable(err)
}

// end adds to b the end of r as it was read. If it was changed meanwhile, the commit is
// store.ErrConflict: a step-up may have moved it to another id, under which it would live
// on, and a client may have got a grant. The caller adds the log entry.
func (r *SessionRow) end(b *store.Batch) {
	key := sessionKey(r.ID)
	b.Require, b.Delete = append(b.Require, store.Require{Key: key, Rev: r.rev}), append(b.Delete, key)
	for _, g := range r.grants() {
		if g.Family != "" {
			b.Delete = append(b.Delete, familyKey(g.Family))
		}
	}
}

// receipt finds the first of entries that an earlier call made.
func (i *Issuer) receipt(ctx context.Context, entries ...source.Revocation) (Receipt, error) {
	e, err := i.log.Find(ctx, func(e source.Revocation) bool {
		return e.Reason != renamed && slices.ContainsFunc(entries, func(made source.Revocation) bool { return made.Scope == e.Scope && made.ID == e.ID })
	})
	if err != nil {
		return Receipt{}, err
	}
	return Receipt{At: e.At, CommittedAt: revlog.CommittedAt(e)}, nil
}

func (i *Issuer) revokeSubject(ctx context.Context, entry source.Revocation, note audit.Entry) (Receipt, error) {
	if err := checkSubject(entry.ID); err != nil {
		return Receipt{}, err
	}
	for {
		s, err := i.subject(ctx, entry.ID)
		if err != nil {
			return Receipt{}, err
		}
		var b store.Batch
		s.endAll(&b, entry.Reason, i.opts.Now())
		if err := put(&b, s); err != nil {
			return Receipt{}, err
		}
		receipt, err := i.commitWith(ctx, b, note)
		if !errors.Is(err, store.ErrConflict) {
			return receipt, err
		}
	}
}

// revokeClient ends all sessions of a client. Its rows may be many: they are refused by
// their generation, and swept when they expire.
func (i *Issuer) revokeClient(ctx context.Context, entry source.Revocation, note audit.Entry) (Receipt, error) {
	for {
		c, err := i.clients.Client(ctx, entry.ID)
		if errors.Is(err, clients.ErrUnknown) {
			return i.receipt(ctx, entry)
		}
		if err != nil {
			return Receipt{}, err
		}
		rec, err := c.End()
		if err != nil {
			return Receipt{}, err
		}
		receipt, err := i.commit(ctx, entry, store.Batch{Put: []store.Record{rec}}, note)
		if !errors.Is(err, store.ErrConflict) {
			return receipt, err
		}
	}
}

func ownedBy(subject string) []store.Owned {
	return []store.Owned{{Kind: kindSession, Owner: subject}, {Kind: kindGrant, Owner: subject}}
}

// revokeAll counts one more revocation of everybody. The rows are many: they are
// refused by their count, and swept when they expire.
func (i *Issuer) revokeAll(ctx context.Context, entry source.Revocation, note audit.Entry) (Receipt, error) {
	for {
		rev, err := i.cutoff(ctx)
		if err != nil {
			return Receipt{}, err
		}
		receipt, err := i.commit(ctx, entry, store.Batch{Put: []store.Record{{Key: cutoffKey, Rev: rev, Value: []byte("{}")}}}, note)
		if !errors.Is(err, store.ErrConflict) {
			return receipt, err
		}
	}
}

// EndOthers ends every session of the subject of s but s itself, and returns how
// many. A login that was under way when it began cannot finish.
func (i *Issuer) EndOthers(ctx context.Context, s *counterfoil.Session, act audit.Act) (int, error) {
	if err := i.setSubject(ctx, s.Subject, audit.Entry{}, func(*Subject) {}); err != nil {
		return 0, err
	}
	for {
		n, err := i.tryEndOthers(ctx, s, act)
		if !errors.Is(err, store.ErrConflict) {
			return n, err
		}
		// One of them was used meanwhile, or goes on under another id.
	}
}

// tryEndOthers misses no session from before: every login that finishes now was proven anew.
func (i *Issuer) tryEndOthers(ctx context.Context, s *counterfoil.Session, act audit.Act) (int, error) {
	n, b := 0, store.Batch{}
	for rec, err := range i.store.List(ctx, kindSession, s.Subject, "") {
		if err != nil {
			return 0, unavailable(err)
		}
		row, err := parseRow(rec)
		if err != nil {
			return 0, err
		}
		if row.ID == s.ID {
			continue
		}
		n++
		row.end(&b)
		b.Revoke = append(b.Revoke, revlog.Entry(source.ScopeSession, row.ID, "other sessions ended", i.opts.Now()))
	}
	if n == 0 {
		return 0, nil
	}
	note := act.Entry(audit.EndOthers, s.Subject)
	note.Session, note.Detail = s.ID, fmt.Sprintf("ended=%d", n)
	_, err := i.log.Commit(ctx, b, note)
	return n, unavailable(err)
}

func underscored(s string) string { return strings.ReplaceAll(s, " ", "_") }
