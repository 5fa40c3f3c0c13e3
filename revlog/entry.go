package revlog

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/internal/nodetime"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store"
)

// MaxCopyTTL is the longest life that an issuer may give to a copy.
const MaxCopyTTL = 15 * time.Minute

// entryTTL is how long a log entry is kept after the horizon, which no copy is dated later
// than: the longest life of a copy, the largest leeway that a verifier may grant, and a
// minute for clocks that disagree (REV-13). The cap of copies is used, not the setting, so
// lowering the setting never drops an entry too early.
const entryTTL = MaxCopyTTL + time.Minute + time.Minute

// No copy outlives the time after which the node believes elapsed time alone.
const _ = uint64(nodetime.Settled - entryTTL)

// Entry returns what a commit appends to the log. [Log.Commit] alone says when it expires.
func Entry(scope source.Scope, id, reason string) source.Revocation {
	return source.Revocation{Scope: scope, ID: id, Reason: reason}
}

// commit commits b and its audit entries. This is the only place that dates log entries: each
// expires by the horizon that holds when the commit is done, so it outlives every copy from
// before, by whichever clock that was dated.
func (l *Log) commit(ctx context.Context, b store.Batch, notes ...audit.Entry) (counterfoil.Cursor, error) {
	if len(b.Revoke) == 0 {
		return l.opts.Audit.Commit(ctx, l.opts.Store, b, notes...)
	}
	for {
		horizon, holds, err := l.opts.Time.Horizon(ctx)
		if err != nil {
			return counterfoil.Cursor{}, err
		}
		// The horizon is ordinarily less than Ahead away: CommittedAt rests on that.
		if usual := l.opts.Time.Now().Add(nodetime.Ahead); usual.After(horizon) {
			horizon = usual
		}
		dated := b
		dated.Require = append(slices.Clip(b.Require), holds)
		dated.Revoke = slices.Clone(b.Revoke)
		for n := range dated.Revoke {
			dated.Revoke[n].Expires = wholeSecond(horizon.Add(entryTTL))
		}
		head, err := l.opts.Audit.Commit(ctx, l.opts.Store, dated, slices.Clone(notes)...)
		if !errors.Is(err, store.ErrConflict) {
			return head, err
		}
		if changed, failed := l.opts.Time.Changed(ctx, holds); failed != nil {
			return head, failed
		} else if !changed {
			return head, err
		}
	}
}

// wholeSecond is the first whole second that is no earlier. Databases keep an expiry in seconds, and by the expiry the audit
// trail finds an entry again: it must be the same before and after it was kept.
func wholeSecond(at time.Time) time.Time { return at.Add(time.Second - 1).Truncate(time.Second) }

// CommittedAt returns when an entry was made, and up to a second later. If copies were dated by a clock that was ahead,
// it is not known, and too late by as much.
func CommittedAt(e source.Revocation) time.Time { return e.Expires.Add(-entryTTL - nodetime.Ahead) }
