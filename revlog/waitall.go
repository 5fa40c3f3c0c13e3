package revlog

import (
	"context"
	"time"

	"github.com/counterfoil/counterfoil"
)

// WaitAll returns true when no verifier accepts what the entry at covers: each has applied
// it, or may no longer be fresh. It takes at most the largest bound. It takes that long
// just after a start, because the feed does not know the verifiers that followed before;
// and on a store that other processes may have open, because it does not know those that
// follow with another process (4.7). WaitAll does not wait for verifiers that serve stale
// on purpose: StaleVerifiers lists those that follow with this feed. After Stop it returns false.
func (f *Feed) WaitAll(ctx context.Context, at counterfoil.Cursor) (bool, error) {
	defer f.polls.flush()()
	return f.wait(ctx, at, f.unknown())
}

// Heard is WaitAll for who watches, and makes no verifier hurry: it returns true when no verifier
// that follows with this feed accepts what the entry at covers. It reports everywhere if there
// can be no others.
func (f *Feed) Heard(ctx context.Context, at counterfoil.Cursor) (heard, everywhere bool, err error) {
	unknown := f.unknown()
	heard, err = f.wait(ctx, at, time.Time{})
	return heard, heard && !f.log.opts.Time.Steady().Before(unknown), err
}

// unknown is until when verifiers may be fresh that this feed does not know.
func (f *Feed) unknown() time.Time {
	now := f.log.opts.Time.Steady
	unknown := f.started
	if !f.log.opts.Store.Describe().Exclusive {
		unknown = now() // at was committed before: a verifier that hears nothing from here on is not fresh for longer
	}
	return unknown.Add(slowest(f.maxBound))
}

// wait is until unknown, and until no verifier that is known accepts what the entry at covers.
func (f *Feed) wait(ctx context.Context, at counterfoil.Cursor, unknown time.Time) (bool, error) {
	now := f.log.opts.Time.Steady
	for {
		now := now()
		until, moved := f.leases.waiting(at, now)
		if now.Before(unknown) && until.Before(unknown) {
			until = unknown
		}
		if until.IsZero() {
			return true, nil
		}
		timer := time.NewTimer(until.Sub(now) + time.Millisecond)
		select {
		case <-ctx.Done():
			timer.Stop()
			return false, ctx.Err()
		case <-f.stopped:
			timer.Stop()
			return false, nil
		case <-moved:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// Following returns how many verifiers follow with this feed and may be fresh, and the largest
// bound: for no longer does one of them accept what an entry covers, unless it serves stale.
func (f *Feed) Following() (verifiers int, bound time.Duration) {
	return f.leases.following(f.log.opts.Time.Steady()), f.maxBound
}

// StaleVerifiers returns the ids of the verifiers that follow as ServeStale.
func (f *Feed) StaleVerifiers() []string {
	var ids []string
	for _, v := range f.leases.list() {
		if v.ServeStale {
			ids = append(ids, v.ID)
		}
	}
	return ids
}
