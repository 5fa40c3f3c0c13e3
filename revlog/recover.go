package revlog

import (
	"context"
	"errors"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/store"
)

// Remember tells the log the latest head that an earlier process saw, before anything is
// served. A store that is behind it was put back while no process ran: its rows may hold
// sessions that were revoked since. So a new epoch begins and every session ends (REV-09).
func (l *Log) Remember(ctx context.Context, seen counterfoil.Cursor) error {
	err := l.opts.Store.Remember(ctx, seen)
	if errors.Is(err, store.ErrLost) {
		err = l.beginEpoch(ctx, "the store is not where it was when this node stopped: a backup was restored, so every session was ended")
	}
	return store.Outage(err)
}

// recoverLost reports whether err is that the store has lost what it had acknowledged, and
// a new epoch has begun: the caller tries again.
func (l *Log) recoverLost(ctx context.Context, err error) bool {
	return errors.Is(err, store.ErrLost) && l.beginEpoch(ctx, "the store has lost what it had acknowledged, so every session was ended") == nil
}

// beginEpoch begins another log for a store that has lost acknowledged entries. What they
// revoked must not come back, and nobody can say what that was. So no copy made under the
// old log counts any longer (REV-09), and neither does any session that the store still
// has: its refresh token would make another copy.
func (l *Log) beginEpoch(ctx context.Context, reason string) error {
	b, detail, err := l.opts.EndAll(ctx)
	if err != nil {
		return err
	}
	b.NewEpoch = true
	note := audit.Act{Reason: reason}.Entry(audit.NewEpoch, "")
	note.Detail = detail
	_, err = l.commit(ctx, b, note)
	if errors.Is(err, store.ErrConflict) {
		return nil // somebody else found out, too, and began one
	}
	if err != nil {
		return err
	}
	if len(b.Revoke) > 0 {
		_ = l.opts.KeyRevoked(ctx) // after an error, catchUp calls it again
	}
	return nil
}

// Begin begins another log although nothing is lost, so that no copy from before counts.
func (l *Log) Begin(ctx context.Context, reason string) error {
	_, err := l.Commit(ctx, store.Batch{NewEpoch: true}, audit.Act{Reason: reason}.Entry(audit.NewEpoch, ""))
	return store.Outage(err)
}
