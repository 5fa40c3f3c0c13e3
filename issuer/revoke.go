package issuer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/clients"
	"github.com/counterfoil/counterfoil/internal/check"
	"github.com/counterfoil/counterfoil/internal/token"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/revlog"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store"
)

// Receipt says where in the log a revocation stands. A verifier that has applied the log up
// to At refuses what it revoked.
type Receipt struct {
	At          counterfoil.Cursor
	CommittedAt time.Time

	Ended int // sessions that EndOthers ended; no other revocation counts them
}

// Revoke takes away what scope and id name: rows and log entry in one commit
// (REV-01). On an error the outcome is unknown, and doing it again is safe. An
// ended session or grant whose entry the log still holds gives that entry's place; one
// the log no longer knows gives store.ErrNotFound.
//
// ScopeClaims and ScopeOthers are not revocations that callers ask for: see SetSubject and
// EndOthers.
func (i *Issuer) Revoke(ctx context.Context, scope source.Scope, id string, act audit.Act) (Receipt, error) {
	if act.Reason == "" {
		act.Reason = string(scope) + " revoked"
	}
	if err := errors.Join(checkRevocation(scope, id), checkReason(act.Reason)); err != nil {
		return Receipt{}, err
	}
	reason := clip(act.Reason, maxReason) // a store may have no other characters for the log; the audit trail has the whole text
	sid, client := id, ""
	if scope == source.ScopeGrant {
		sid, client, _ = token.CutGrantID(id)
	}
	entry := source.Revocation{Scope: scope, ID: id, Reason: reason}
	note := act.Entry(audit.Revoke, "")
	note.Target = string(scope)
	switch scope {
	case source.ScopeSession, source.ScopeGrant:
		return i.end(ctx, sid, client, reason, note)
	case source.ScopeToken:
		note.Target += " " + id
		if isHost(id) {
			return i.endHost(ctx, entry, note)
		}
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
	return Receipt{}, fmt.Errorf("%w: scope %q is not one that callers revoke", ErrBadRequest, scope)
}

// checkRevocation refuses a scope that callers do not revoke, and an id that cannot be one of it.
func checkRevocation(scope source.Scope, id string) error {
	switch scope {
	case source.ScopeSession, source.ScopeToken, source.ScopeClient, source.ScopeKey, source.ScopeAll:
	case source.ScopeGrant:
		sid, client, found := token.CutGrantID(id)
		if !found || sid == "" || client == "" {
			return fmt.Errorf("%w: the id of a grant is a session id, a space and a client id", ErrBadRequest)
		}
		return errors.Join(check.Text("id", sid, 200), check.Text("client", client, 64))
	case source.ScopeSubject:
		return checkSubject(id)
	default:
		return fmt.Errorf("%w: scope is session, grant, token, subject, client, key or all", ErrBadRequest)
	}
	if (id == "") != (scope == source.ScopeAll) {
		return fmt.Errorf("%w: id is wanted for every scope but \"all\"", ErrBadRequest)
	}
	return check.Text("id", id, 200)
}

// Logout ends what the client of held has, which is as [Issuer.Held] says: the session if
// that is its own client, otherwise the grant alone. What has ended is logged out. An impersonation in a
// cookie ends together with the session whose cookie it has taken the place of, see [Issuer.replace]:
// that one first, so that nothing of both goes on if this stops in between.
func (i *Issuer) Logout(ctx context.Context, held *counterfoil.Session, act audit.Act) error {
	below, err := i.below(ctx, held)
	if err != nil {
		return err
	}
	if below != nil {
		if err := i.Logout(ctx, below, act); err != nil {
			return err
		}
	}
	_, err = i.end(ctx, held.ID, held.Client, "logout", act.Entry(audit.Logout, ""))
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}

// commit does b, with the log entry and its note in the trail.
func (i *Issuer) commit(ctx context.Context, entry source.Revocation, b store.Batch, note audit.Entry) (Receipt, error) {
	b.Revoke = append(b.Revoke, revlog.Entry(entry.Scope, entry.ID, entry.Reason))
	return i.commitWith(ctx, b, note)
}

// commitWith does b, which has the log entry, with its note in the trail.
func (i *Issuer) commitWith(ctx context.Context, b store.Batch, note audit.Entry) (Receipt, error) {
	head, err := i.log.Commit(ctx, b, note)
	if err != nil {
		return Receipt{}, unavailable(err)
	}
	return Receipt{At: head, CommittedAt: i.opts.Now()}, nil
}

// ended is the answer about what has ended already of the session sid: the place of the
// first of entries that the log has. Each time reads the head of the log and commits, for any
// holder of an old token of the session: asked for too often it is login.Throttled.
func (i *Issuer) ended(ctx context.Context, sid string, entries ...source.Revocation) (Receipt, error) {
	if ok, wait := i.endings.Allow(sid, i.opts.Now()); !ok {
		return Receipt{}, login.Throttled{RetryAfter: wait}
	}
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
	r.forgetHosts(b)
}

// endDamaged adds to b the end of a session whose row cannot be read, whole: who holds what of
// it cannot be told. Its refresh tokens find no session any more.
func endDamaged(b *store.Batch, rec store.Record) {
	b.Require, b.Delete = append(b.Require, store.Require{Key: rec.Key, Rev: rec.Rev}), append(b.Delete, rec.Key)
}

// receipt finds the first of entries that an earlier call made.
func (i *Issuer) receipt(ctx context.Context, entries ...source.Revocation) (Receipt, error) {
	if _, err := i.log.Head(ctx); err != nil {
		return Receipt{}, err
	}
	var found source.Revocation
	for _, made := range entries {
		e, ok := i.log.Find(made.Scope, made.ID)
		if ok && e.Reason != renamed && (found.Scope == "" || e.At.Before(found.At)) {
			found = e
		}
	}
	if found.Scope == "" {
		return Receipt{}, store.ErrNotFound
	}
	at := revlog.CommittedAt(found)
	if now := i.opts.Now(); now.Before(at) {
		at = now
	}
	return Receipt{At: found.At, CommittedAt: at}, nil
}

func (i *Issuer) revokeSubject(ctx context.Context, entry source.Revocation, note audit.Entry) (Receipt, error) {
	for {
		s, err := i.subject(ctx, entry.ID)
		if err != nil {
			return Receipt{}, err
		}
		var b store.Batch
		s.endAll(&b, entry.Reason)
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
	return []store.Owned{{Kind: kindSession, Owner: subject}, {Kind: kindGrant, Owner: subject}, {Kind: kindHost, Owner: subject}, {Kind: kindCode, Owner: subject}}
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

// EndOthers ends every session of the subject of s but s itself, however many there are,
// with one entry of the log and one commit. A login that is under way cannot finish. If s
// has no others, nothing is written to the log. It fails with counterfoil.ErrStepUp if the
// login of s is older than [FreshLogin], and with counterfoil.ErrRevoked if s has ended; on
// another error the outcome is unknown, and doing it again is safe.
func (i *Issuer) EndOthers(ctx context.Context, s *counterfoil.Session, act audit.Act) (Receipt, error) {
	if err := checkSubject(s.Subject); err != nil {
		return Receipt{}, err
	}
	for {
		receipt, err := i.tryEndOthers(ctx, s, act)
		if !errors.Is(err, store.ErrConflict) {
			return receipt, err
		}
		// The session was used meanwhile, or goes on under another id; or the subject changed.
	}
}

// tryEndOthers deletes all rows of the subject and writes those of s again: a row that is
// made meanwhile goes, too. If s was changed, the commit is store.ErrConflict.
func (i *Issuer) tryEndOthers(ctx context.Context, s *counterfoil.Session, act audit.Act) (Receipt, error) {
	subject, err := i.subject(ctx, s.Subject)
	if err != nil {
		return Receipt{}, err
	}
	row, err := i.freshRow(ctx, s)
	if err != nil {
		return Receipt{}, err
	}
	others, err := i.countOthers(ctx, row)
	if err != nil {
		return Receipt{}, err
	}
	// Writing the subject, unchanged, makes every proof that is under way void.
	var b store.Batch
	if err := put(&b, subject); err != nil {
		return Receipt{}, err
	}
	if others == 0 {
		now := i.opts.Now()
		head, err := i.log.Commit(ctx, b)
		return Receipt{At: head, CommittedAt: now}, unavailable(err)
	}
	b.DeleteOwned = ownedBy(s.Subject)
	families, err := i.families(ctx, row.grants())
	if err != nil {
		return Receipt{}, err
	}
	for _, f := range families {
		if err := put(&b, f); err != nil {
			return Receipt{}, err
		}
	}
	if err := i.keepHosts(ctx, row, &b); err != nil {
		return Receipt{}, err
	}
	if row.SubjectRev == subject.rev {
		row.SubjectRev++
	}
	if err := put(&b, row); err != nil {
		return Receipt{}, err
	}
	entry := source.Revocation{Scope: source.ScopeOthers, ID: token.OthersID(s.Subject, s.ID), Reason: "other sessions ended"}
	note := act.Entry(audit.EndOthers, s.Subject)
	note.Session = s.ID
	receipt, err := i.commit(ctx, entry, b, note)
	receipt.Ended = others
	return receipt, err
}

// countOthers returns how many sessions the subject of row has beside it. At most
// Options.MaxSessions are read.
func (i *Issuer) countOthers(ctx context.Context, row *SessionRow) (n int, err error) {
	for rec, err := range i.store.List(ctx, kindSession, row.Subject, "") {
		if err != nil {
			return 0, unavailable(err)
		}
		if rec.ID != row.ID {
			n++
		}
	}
	return n, nil
}

// maxReason is the length of a reason in bytes.
const maxReason = 100

func checkReason(reason string) error {
	if len(reason) > maxReason {
		return fmt.Errorf("%w: a reason is at most %d bytes, and this one is %d", ErrBadRequest, maxReason, len(reason))
	}
	if err := check.People(reason); err != nil {
		return fmt.Errorf("%w: the reason %w", ErrBadRequest, err)
	}
	return nil
}
