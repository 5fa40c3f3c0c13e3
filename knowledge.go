package counterfoil

import (
	"context"
	"errors"
	"math"
	"time"

	"github.com/counterfoil/counterfoil/internal/clock"
	"github.com/counterfoil/counterfoil/internal/refusal"
	"github.com/counterfoil/counterfoil/internal/revocation"
)

// knowledge is what the verifier knows of the log at one moment. It never
// changes; the follower publishes another one, after the entries of its page are
// in revoked. Whoever loads one k, then asks k.revoked, then measures k.anchor,
// has applied P1: what he accepts was not covered by any entry that was in the log
// when the question of anchor was sent, and that is no longer ago than he found.
type knowledge struct {
	epoch    uint64
	applied  Cursor        // everything up to here is in revoked
	complete bool          // the log was read to its head; false: anchor says nothing
	anchor   clock.Instant // when the question was sent that the last complete page answered (REV-05)
	ask      uint64        // number of that question
	gen      uint64        // another one whenever every copy must be asked about anew: see news
	heard    uint64        // grows with every entry that is in revoked
	revoked  *revocation.Index
	moved    chan struct{} // closed when there is other knowledge
}

// judge refuses what k says is dead. It says nothing about whether k is fresh.
func (k *knowledge) judge(s *Session) error {
	if s.Born.Epoch != k.epoch {
		return errOtherEpoch
	}
	if r, ok := k.revoked.Covers(s.Names()); ok {
		if r.Scope == revocation.ScopeClaims {
			return ErrStaleClaims
		}
		return ErrRevoked
	}
	return nil
}

// age is how old k is at the moment at.
func (k *knowledge) age(at *clock.Instant) time.Duration {
	if !k.complete {
		return math.MaxInt64
	}
	return at.Since(&k.anchor)
}

func (k *knowledge) reached(c Cursor) bool { return k.epoch == c.Epoch && k.applied.Seq >= c.Seq }

var (
	errGap  = errors.New("the page does not follow what is applied")
	errSkew = errors.New("the issuer's clock is too far ahead")
	errFull = errors.New("too many entries: Options.MaxEntries")

	// errOtherEpoch means that a copy was made under another log than the one we
	// know: one that ended, or one that has begun since.
	errOtherEpoch = refusal.Invalid("credential of another epoch")
)

// apply takes in a page that answers question number ask. Only the follower calls
// it, so nobody else publishes.
func (v *Verifier) apply(ctx context.Context, p revocation.Page, ask uint64, asked *clock.Instant) error {
	answered := v.clock.Read()
	if err := p.Check(); err != nil {
		v.count.gaps.Add(1)
		v.cursor = Cursor{}
		return err
	}
	if err := v.followTime(p.Time, asked, &answered); err != nil {
		return err
	}
	old := v.known.Load()
	next := *old
	if p.Head.Epoch != old.epoch {
		// Another log. Nothing born under the old one is accepted any longer, so
		// forgetting its entries brings nothing back. They are left to whoever is
		// still judging by the old knowledge: the index is another one.
		next = knowledge{epoch: p.Head.Epoch, revoked: revocation.NewIndex(), gen: v.news.stamp(), heard: old.heard + 1}
	}
	if p.After != (Cursor{Epoch: p.Head.Epoch}) && (p.After != v.cursor || p.Head.Epoch != old.epoch) {
		// Something is missing between, or before: another index is empty. So everything
		// is read again: a union, since what is applied stays (REV-08, REV-10).
		v.count.gaps.Add(1)
		v.cursor = Cursor{}
		return errGap
	}
	if p.Head.Epoch != old.epoch && old.epoch != 0 {
		v.count.epochs.Add(1)
		v.log.WarnContext(ctx, "the revocation log began anew: what was issued before is refused")
		v.keys.begunAnew()
	}
	next.revoked.Apply(p.Entries)
	v.tell(&next, p.Entries)
	// Entries are never given up for room (REV-14). Beyond the limit the page does
	// not count: the verifier goes stale until entries expire, and asks for the
	// same page again, so there is never more than one page too much.
	full := next.revoked.Len() > v.opts.MaxEntries
	if v.full.Swap(full) != full {
		v.log.WarnContext(ctx, "revocation entries at their limit", "full", full, "entries", next.revoked.Len())
	}
	if !full {
		v.cursor, v.proof = p.Upto, p.Proof
		if next.applied.Before(p.Upto) || next.applied == (Cursor{}) {
			next.applied = p.Upto
		}
		if p.Complete() {
			next.complete, next.anchor, next.ask = true, *asked, ask
			if v.serving.Swap(false) {
				v.log.InfoContext(ctx, "no longer accepting credentials on stale knowledge")
			}
		}
	}
	v.publish(&next)
	if full {
		return errFull
	}
	return nil
}

// maxAhead is how far an issuer's clock may be ahead of ours. An hour is what a
// wrong time zone costs, and is served; beyond that one of the two clocks is
// broken, and believing the issuer's would expire every credential until ours got
// there. So such a page is refused: the verifier goes stale, which heals.
const maxAhead = 2 * time.Hour

// followTime has the clock follow the issuer's, which a page may tell; not far ahead.
func (v *Verifier) followTime(told time.Time, asked, answered *clock.Instant) error {
	if told.IsZero() {
		return nil
	}
	v.skew.Store(int64(clock.Skew(told, asked, answered)))
	ahead := time.Duration(told.UnixNano() - answered.Unix())
	if ahead > maxAhead {
		return errSkew
	}
	v.clock.Follow(max(ahead, 0))
	return nil
}

// tell spreads what next.revoked has just got, before next is published.
func (v *Verifier) tell(next *knowledge, entries []revocation.Revocation) {
	told := true
	for _, r := range entries {
		told = v.news.tell(r) && told
	}
	if !told {
		next.gen = v.news.stamp()
	}
	if len(entries) > 0 {
		next.heard++
		v.keys.deny(entries)
	}
}

func (v *Verifier) publish(k *knowledge) {
	k.moved = make(chan struct{})
	old := v.known.Swap(k)
	if old != nil {
		close(old.moved)
	}
}

// WaitFor returns nil when the verifier has applied the log up to at, which a
// receipt of a revocation names. A cursor of another epoch than the log's is
// never reached; ctx bounds the wait.
func (v *Verifier) WaitFor(ctx context.Context, at Cursor) error {
	return v.waitUntil(ctx, func(k *knowledge) bool { return k.reached(at) })
}

func (v *Verifier) waitUntil(ctx context.Context, enough func(*knowledge) bool) error {
	for {
		k := v.known.Load()
		if enough(k) {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-k.moved:
		}
	}
}
