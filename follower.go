package counterfoil

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/counterfoil/counterfoil/internal/clock"
	"github.com/counterfoil/counterfoil/internal/revocation"
)

// follower owns what a verifier knows of the revocation log. Its goroutine, run, asks the
// source for pages, applies each page, and publishes knowledge. Nothing else publishes.
// Checks load knowledge, wake the follower, and wait for it.
type follower struct {
	known atomic.Pointer[knowledge] // never nil

	source   Source
	id       string // under which the issuer knows this verifier
	opts     *Options
	clock    *clock.Clock
	log      *slog.Logger
	notifier *notifier
	keys     *keyCache             // drops the keys that the log revokes
	fresh    func(context.Context) // called when a complete page was applied
	between  func(clock.Instant)   // called between two questions
	times    timekeeper

	cursor  Cursor    // after which to ask; the goroutine's own
	proof   string    // that the issuer was at cursor; the goroutine's own
	reading rereading // for setBack; the goroutine's own

	wakeups chan struct{} // makes the goroutine ask at once
	woken   atomic.Int64  // when a check last did that, as time since the clock was made
	asked   atomic.Uint64 // number of the last question
	full    atomic.Bool   // MaxEntries is reached
	skew    atomic.Int64  // of the last page, in nanoseconds

	overMu sync.Mutex        // guards over
	over   map[uint64]uint64 // epochs that were over, and the epoch that was known then

	pages, gaps, epochs atomic.Uint64 // counts for Status
}

// pollWait is how long a question may wait at the issuer for new entries. An answer is
// as old as its question, so this must be well below Bound.
const pollWait = time.Second

// wakeEvery bounds how often checks can make the follower ask.
const wakeEvery = 25 * time.Millisecond

// dropEvery is how often expired entries are dropped.
const dropEvery = 10 * time.Second

// heartbeat is the longest time between two questions to an issuer that answers,
// and that a failing one is left alone. P4 is two of them and one read of the log:
// so long after the network is whole, at most.
func (f *follower) heartbeat() time.Duration { return f.opts.Bound / 4 }

// begin publishes knowledge of nothing.
func (f *follower) begin() {
	f.wakeups = make(chan struct{}, 1)
	f.times = timekeeper{clock: f.clock, forward: f.opts.Leeway, back: f.heartbeat() / 2, ahead: f.opts.MaxLifetime + f.opts.Leeway}
	f.publish(&knowledge{revoked: revocation.NewIndex(), gen: f.notifier.stamp(), time: f.times.start()})
}

// patience is how long the next question may wait at the issuer.
func (f *follower) patience() time.Duration {
	switch t := &f.known.Load().time; {
	case f.reading == begun:
		return 0
	case t.said < t.latest: // it is to be known soon whether pages agree again
		return min(pollWait, f.heartbeat()/8)
	}
	return min(pollWait, f.heartbeat())
}

// run follows the log until ctx ends.
func (f *follower) run(ctx context.Context) {
	backoff := time.Duration(0)
	next := f.patience()
	dropped := f.clock.Read()
	for ctx.Err() == nil {
		before, begun, waited := f.known.Load().applied, f.clock.Read(), next
		err, woken := f.ask(ctx, next)
		next = f.patience()
		switch {
		case woken:
			next = 0
		case err == nil || errors.Is(err, errAgain):
			if backoff > 0 {
				f.log.InfoContext(ctx, "following the revocation log again")
			}
			backoff = 0
			// A source that does not wait must not be asked in a tight loop.
			early := waited/2 - f.clock.Since(&begun)
			if early > 0 && f.known.Load().applied == before && pause(ctx, f.wakeups, early) {
				next = 0
			}
		case ctx.Err() != nil:
		default:
			if backoff == 0 {
				f.log.WarnContext(ctx, "the revocation log cannot be followed", "error", err.Error())
			}
			// Deaf to checks, which would only add to what ails the issuer. A question
			// that was lost has taken its time already.
			var wait time.Duration
			backoff, wait = f.longer(backoff)
			next = 0 // the first answer after an outage counts at once
			pause(ctx, nil, wait-f.clock.Since(&begun))
		}
		at := f.clock.Read()
		if at.Since(&dropped) >= dropEvery {
			dropped = at
			f.dropExpired()
		}
		f.between(at)
	}
}

// longer returns the backoff that follows on another one, and how long to wait for it: jittered, so that
// a thousand verifiers do not come back at once (4.5).
func (f *follower) longer(backoff time.Duration) (next, wait time.Duration) {
	next = min(max(2*backoff, 50*time.Millisecond), 5*time.Second, f.heartbeat())
	return next, next/2 + rand.N(next/2)
}

// pause waits for d, and reports whether a wakeup ended it.
func pause(ctx context.Context, wakeups <-chan struct{}, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-wakeups:
		return true
	case <-ctx.Done():
	case <-timer.C:
	}
	return false
}

// ask asks the source for new entries and applies the answer. A wakeup ends the wait at the issuer, and is
// reported. A question that does not wait is never ended by one, so checks cannot keep the
// follower from its answers. A question that is not answered within two heartbeats is
// lost: its answer would hardly be fresh, and the network may be whole by now.
func (f *follower) ask(ctx context.Context, wait time.Duration) (err error, woken bool) {
	ctx, cancel := context.WithTimeout(ctx, 2*f.heartbeat())
	defer cancel()
	if wait == 0 {
		return f.read(ctx, 0), false
	}
	ended := make(chan bool, 1)
	go func() {
		select {
		case <-f.wakeups:
			cancel()
			ended <- true
		case <-ctx.Done():
			ended <- false
		}
	}()
	err = f.read(ctx, wait)
	cancel()
	return err, <-ended
}

// pager is a Source that can answer one question with several pages, each as soon as it
// is there: so an entry costs the issuer no new question of each verifier that reads it.
type pager interface {
	Pages(ctx context.Context, f revocation.Follow, apply func(revocation.Page) error) error
}

// read asks for the entries after cursor, and applies the page or the pages of the answer.
func (f *follower) read(ctx context.Context, wait time.Duration) error {
	number := f.asked.Add(1)
	// The anchor is taken before the question leaves. When the answer arrives
	// proves nothing: it may have lain in a buffer for a minute (4.4). So a later page
	// of the same answer makes nothing fresher.
	anchor := f.clock.Read()
	apply := func(p revocation.Page) error {
		f.pages.Add(1)
		return f.apply(ctx, p, number, &anchor)
	}
	q := revocation.Follow{
		After: f.cursor, Proof: f.proof, Wait: wait, Verifier: f.id, Bound: f.opts.Bound, ServeStale: f.opts.ServeStale > 0,
	}
	if many, ok := f.source.(pager); ok && wait > 0 {
		return many.Pages(ctx, q, apply)
	}
	page, err := f.source.Log(ctx, q)
	if err != nil {
		return err
	}
	return apply(page)
}

// apply takes in a page that answers the question of that number, which was sent at anchor.
func (f *follower) apply(ctx context.Context, p revocation.Page, number uint64, anchor *clock.Instant) error {
	answered := f.clock.Read()
	if err := p.Check(); err != nil {
		return f.startOver(err)
	}
	next := *f.known.Load()
	another := p.Head.Epoch != next.epoch
	if p.After != (Cursor{Epoch: p.Head.Epoch}) && (another || p.After != f.cursor) {
		return f.startOver(errGap) // entries are missing between, or before: another index is empty
	}
	if another {
		next = f.newEpoch(ctx, p.Head.Epoch, &next)
	}
	f.hear(ctx, &next, p.Time, anchor, &answered)
	next.revoked.Apply(p.Entries) // F1 of notifier
	f.notify(&next, p.Entries)    // F2
	full := f.checkRoom(ctx, next.revoked.Len())
	if !full {
		f.cursor, f.proof = p.Upto, p.Proof
		if next.applied.Before(p.Upto) || next.applied == (Cursor{}) {
			next.applied = p.Upto
		}
		if p.Complete() {
			next.complete, next.anchor, next.question = true, *anchor, number
			if f.reading == begun {
				f.reading = done
			}
			f.fresh(ctx)
		}
	}
	again := f.setBack(ctx, &next, &answered)
	f.publish(&next) // F3
	switch {
	case full:
		return errFull
	case again:
		f.cursor, f.proof = Cursor{}, ""
		return errAgain
	}
	return nil
}

// hear takes in what a page says about the time.
func (f *follower) hear(ctx context.Context, next *knowledge, told time.Time, asked, answered *clock.Instant) {
	if told.IsZero() {
		return
	}
	f.skew.Store(int64(clock.Skew(told, asked, answered)))
	t := f.times.hear(next.time, told, asked, answered)
	if t.earliestAt(answered) < next.time.earliestAt(answered) {
		f.reading = notBegun // what was dropped by the time of before may be missing
	}
	if was, is := next.time.doubt(), t.doubt(); was != is {
		next.version++ // who waits for the end of a copy looks again
		f.tellDoubt(ctx, was, is)
	}
	next.time = t
}

func (f *follower) tellDoubt(ctx context.Context, was, is time.Duration) {
	switch {
	case was == 0:
		f.log.WarnContext(ctx, "clocks contradict each other about the time: copies that end in between are answered with 503", "by", is.String())
	case is == 0:
		f.log.InfoContext(ctx, "clocks agree about the time again")
	}
}

// rereading is how far the log was read again from its beginning.
type rereading int

const (
	notBegun rereading = iota
	begun
	done
)

// setBack has the latest time come down to what pages say, if they agree about that. Copies
// come back to life then. If entries were dropped that may cover one of those, the log must
// be read again from its beginning before: again has that done. The issuer still has them, since
// it keeps an entry for as long as any copy could live that any of its nodes dated.
//
// What was known goes on under the index and the time of before, so a check that is under way
// refuses what comes back. New knowledge has another index, which has dropped nothing, and a
// new generation: so every copy is asked about anew. It has a new era too: see found.era.
func (f *follower) setBack(ctx context.Context, next *knowledge, at *clock.Instant) (again bool) {
	t := next.time.on(at)
	switch {
	case !f.times.settled(&t, at) || f.reading == begun:
		return false
	case f.reading == notBegun && t.said < next.dropped(f.opts.Leeway):
		f.reading = begun
		return true
	}
	f.tellDoubt(ctx, t.doubt(), time.Duration(t.said-t.earliest))
	f.reading = notBegun
	t.latest = t.said
	next.time, next.revoked = t, next.revoked.Clone()
	next.gen, next.version, next.era = f.notifier.stamp(), next.version+1, next.era+1
	return false
}

// startOver has the log read again from its beginning. The result is a union: entries that
// are applied stay (REV-08, REV-10).
func (f *follower) startOver(why error) error {
	f.gaps.Add(1)
	f.cursor = Cursor{}
	return why
}

// newEpoch returns the knowledge of another log that has begun: it has no entries yet. No copy
// of the old epoch is accepted any more, so to forget the old entries revives none. A check
// that still has the old knowledge goes on with the old index.
func (f *follower) newEpoch(ctx context.Context, epoch uint64, old *knowledge) knowledge {
	if old.epoch != 0 {
		f.epochs.Add(1)
		f.log.WarnContext(ctx, "the revocation log began anew: credentials from before are refused")
		f.keys.begunAnew()
	}
	f.reading = notBegun
	return knowledge{
		epoch: epoch, revoked: revocation.NewIndex(), gen: f.notifier.stamp(), version: old.version + 1,
		time: old.time, era: old.era,
	}
}

// notify tells the copies and the keys of entries that next.revoked has just got.
func (f *follower) notify(next *knowledge, entries []revocation.Revocation) {
	notified := true
	for _, r := range entries {
		notified = f.notifier.notify(r) && notified
	}
	if !notified {
		next.gen = f.notifier.stamp()
	}
	if len(entries) > 0 {
		next.version++
		f.keys.deny(entries)
	}
}

// checkRoom reports whether there are too many entries. An entry is never given up for room
// (REV-14). Beyond the limit a page does not count: the verifier goes stale until entries
// expire, and asks for the same page again, so there is never more than one page too much.
func (f *follower) checkRoom(ctx context.Context, entries int) (full bool) {
	full = entries > f.opts.MaxEntries
	if f.full.Swap(full) != full {
		f.log.WarnContext(ctx, "revocation entries at their limit", "full", full, "entries", entries)
	}
	return full
}

func (f *follower) publish(k *knowledge) {
	k.replaced = make(chan struct{})
	if old := f.known.Swap(k); old != nil {
		close(old.replaced)
	}
}

// dropExpired forgets the entries that cover nothing alive, by the most cautious time. A check
// asks for the time after it asked the log, so it cannot accept a copy whose entry has just
// been dropped: see knowledge.latest.
func (f *follower) dropExpired() {
	k, at := f.known.Load(), f.clock.Read()
	k.revoked.Drop(time.Unix(0, k.time.earliestAt(&at)).Add(-f.opts.Leeway))
}

// wake makes the goroutine ask at once, for entries that may be there. How often checks can
// do that is bounded.
func (f *follower) wake() {
	at := f.clock.Read()
	now, last := int64(at.Run), f.woken.Load()
	if now-last < int64(wakeEvery) || !f.woken.CompareAndSwap(last, now) {
		return
	}
	select {
	case f.wakeups <- struct{}{}:
	default:
	}
}

// waitUntil waits until the knowledge is enough, or ctx ends.
func (f *follower) waitUntil(ctx context.Context, enough func(*knowledge) bool) error {
	for {
		k := f.known.Load()
		if enough(k) {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-k.replaced:
		}
	}
}

// catchUpWait is how long a check waits for the log at most (REV-11).
const catchUpWait = 50 * time.Millisecond

// catchUp wakes the goroutine, and waits a moment until the knowledge is enough.
func (f *follower) catchUp(ctx context.Context, enough func(*knowledge) bool) (err error) {
	for range catchUpWait / wakeEvery {
		f.wake()
		step, cancel := context.WithTimeout(ctx, wakeEvery)
		err = f.waitUntil(step, enough)
		cancel()
		if err == nil || ctx.Err() != nil {
			break
		}
	}
	return err
}

// anotherAnswer waits a moment until epoch is the known one, or the answer to a question that
// was sent from now on is applied. Only such an answer can tell a log that has ended from
// one that has just begun.
func (f *follower) anotherAnswer(ctx context.Context, epoch uint64) error {
	last := f.asked.Load()
	return f.catchUp(ctx, func(k *knowledge) bool { return k.epoch == epoch || (k.complete && k.question > last) })
}

// isOver reports whether epoch was over when the epoch that is known now was known before.
func (f *follower) isOver(epoch uint64) bool {
	f.overMu.Lock()
	defer f.overMu.Unlock()
	by, ok := f.over[epoch]
	return ok && by == f.known.Load().epoch
}

// setOver remembers that epoch is over, for as long as the known epoch is the known one. What
// is remembered is bounded: an epoch is what a token says.
func (f *follower) setOver(epoch uint64) {
	f.overMu.Lock()
	defer f.overMu.Unlock()
	if f.over == nil || len(f.over) >= 64 {
		f.over = make(map[uint64]uint64)
	}
	f.over[epoch] = f.known.Load().epoch
}
