package issuer

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store"
)

// seenLog is what this process has read of the log. It is never believed without
// asking the store for the head: other nodes write to the log, too.
type seenLog struct {
	read    joined[counterfoil.Cursor]
	revoked *source.Revocations // holds all entries up to applied

	// mu guards applied. It is held as a writer while another epoch takes the place
	// of the one that revoked is of, so that nobody asks about an epoch that is half gone.
	mu      sync.RWMutex
	applied counterfoil.Cursor
}

func (l *seenLog) upto() counterfoil.Cursor {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.applied
}

func (l *seenLog) begin(epoch uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.revoked.Reset()
	l.applied = counterfoil.Cursor{Epoch: epoch}
}

func (l *seenLog) apply(entries []source.Revocation, upto counterfoil.Cursor) {
	l.revoked.Apply(entries) // before applied says so
	l.mu.Lock()
	defer l.mu.Unlock()
	l.applied = upto
}

// head reads the head of the log from the store, and applies what is before it.
func (i *Issuer) head(ctx context.Context) (counterfoil.Cursor, error) {
	return i.seen.read.do(ctx, i.catchUp)
}

// catchUp applies what the log holds beyond applied. One runs at a time.
func (i *Issuer) catchUp(ctx context.Context) (counterfoil.Cursor, error) {
	at := i.seen.upto()
	for {
		entries, head, err := i.store.Log(ctx, at, pageSize)
		if i.mended(ctx, err) {
			continue
		}
		if err != nil {
			return counterfoil.Cursor{}, unavailable(err)
		}
		if slices.ContainsFunc(entries, func(e source.Revocation) bool { return e.Scope == source.ScopeKey }) {
			// Another node has revoked a key: the one that signs now is not it any longer.
			if err := i.reload(ctx); err != nil {
				return counterfoil.Cursor{}, err
			}
			i.newSigner()
		}
		if head.Epoch != at.Epoch {
			if at.Epoch != 0 {
				i.audit.Tell(audit.Act{Reason: "the store has another log than before"}.Entry(audit.NewEpoch, ""))
			}
			i.known.begin(head.Epoch)
			i.seen.begin(head.Epoch)
		}
		last := len(entries) < pageSize
		if at = head; !last {
			at = entries[len(entries)-1].At
		}
		i.seen.apply(entries, at)
		if last {
			return head, nil
		}
	}
}

// abreast applies the log up to a head that a commit has returned, so that no copy is
// signed with a key that was revoked before.
func (i *Issuer) abreast(ctx context.Context, head counterfoil.Cursor) error {
	if at := i.seen.upto(); at.Epoch == head.Epoch && !at.Before(head) {
		return nil
	}
	_, err := i.head(ctx)
	return err
}

// covered asks the log, read up to its head now.
func (i *Issuer) covered(ctx context.Context, s *counterfoil.Session) error {
	head, err := i.head(ctx)
	if err != nil {
		return err
	}
	if head.Before(s.Born) {
		// We signed it, so the log was there once: the store has lost what came between,
		// and the next entries would not cover what was born before them (REV-09).
		if err := i.beginAnew(ctx, "a token is younger than the log"); err != nil && !errors.Is(err, store.ErrConflict) {
			return unavailable(err)
		}
		return counterfoil.ErrInvalidToken
	}
	i.seen.mu.RLock()
	defer i.seen.mu.RUnlock()
	if s.Born.Epoch != head.Epoch || s.Born.Epoch != i.seen.applied.Epoch {
		return counterfoil.ErrInvalidToken // a log that began after it was born cannot vouch for it (4.6)
	}
	if r, ok := i.seen.revoked.Covers(s.Names()); ok {
		if r.Scope == source.ScopeClaims {
			return counterfoil.ErrStaleClaims
		}
		return counterfoil.ErrRevoked
	}
	return nil
}

// reloadEvery bounds what unknown key ids cost: anybody can make them up, and reading
// the keyring takes as long as its keys are large (KEY-08).
const reloadEvery = 100 * time.Millisecond

// reloadSoon is reload for whoever meets an unknown key. However many do, and however
// fast, the keyring is read so often and no more.
func (i *Issuer) reloadSoon(ctx context.Context) error {
	_, err := i.strangers.do(ctx, func(ctx context.Context) (struct{}, error) {
		if wait := time.Until(i.reloaded.Add(reloadEvery)); wait > 0 {
			timer := time.NewTimer(wait)
			defer timer.Stop()
			select {
			case <-ctx.Done():
				return struct{}{}, unavailable(ctx.Err())
			case <-timer.C:
			}
		}
		i.reloaded = time.Now() // one runs at a time
		return struct{}{}, i.reload(ctx)
	})
	return unavailable(err)
}

// reload reads the keyring, which other nodes turn, too.
func (i *Issuer) reload(ctx context.Context) error {
	_, err := i.ring.do(ctx, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, i.keys.Tick(ctx)
	})
	return unavailable(err)
}
