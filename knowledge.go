package counterfoil

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/counterfoil/counterfoil/internal/clock"
	"github.com/counterfoil/counterfoil/internal/refusal"
	"github.com/counterfoil/counterfoil/internal/revocation"
)

// knowledge is what the verifier knows of the log at one moment. It never changes. The
// follower publishes another one, after the entries of its page are in revoked.
//
// P1: a check loads one knowledge, then asks its index, then measures the age of its anchor
// and asks for the issuer's time, in this order. So no entry that was in the log when the
// question of the anchor was sent covers the copy, and that question is no older than the age
// that the check measured. An entry that was dropped before the index was asked covers only
// copies that had ended when it was: see dropped.
type knowledge struct {
	epoch    uint64
	applied  Cursor        // every entry up to here is in revoked
	complete bool          // the log was read to its head; false: anchor says nothing
	anchor   clock.Instant // when the question was sent that the last complete page answered (REV-05)
	question uint64        // the number of that question
	gen      uint64        // another one whenever every copy must be asked about anew: see notifier
	version  uint64        // grows whenever revoked has more entries, or is another index
	revoked  *revocation.Index
	time     issuerTime
	era      uint32        // another one whenever the issuer's time was set back
	replaced chan struct{} // closed when the follower has published the next knowledge
}

// judge refuses a copy with these names that the log of k covers. It says nothing about the
// age of k.
func (k *knowledge) judge(names revocation.Names) error {
	if names.Born.Epoch != k.epoch {
		return errOtherEpoch
	}
	if r, ok := k.revoked.Covers(names); ok {
		if r.Scope == revocation.ScopeClaims {
			return ErrStaleClaims
		}
		return ErrRevoked
	}
	return nil
}

// dropped is the time by which entries were dropped, in nanoseconds since 1970, also where
// newer knowledge than k said that time: what those entries covered had ended. A check that did
// not find an entry asks for this afterwards.
func (k *knowledge) dropped(leeway time.Duration) int64 {
	return k.revoked.Dropped() + int64(leeway)
}

// latest is what a good copy has not reached, at the moment at, in nanoseconds since 1970.
func (k *knowledge) latest(at *clock.Instant, leeway time.Duration) int64 {
	return max(k.time.latestAt(at), k.dropped(leeway))
}

// ended says about a copy that ended at deadline, and is not good: whether it certainly has.
func (k *knowledge) ended(deadline int64, at *clock.Instant) error {
	if deadline <= k.time.earliestAt(at) {
		return ErrExpired
	}
	return errDoubt
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
	errGap   = errors.New("the page does not follow what is applied")
	errFull  = errors.New("too many entries: Options.MaxEntries")
	errAgain = errors.New("the log is read again from its beginning")

	// errDoubt means that clocks contradict each other about whether a copy has ended.
	errDoubt = fmt.Errorf("%w: clocks contradict each other about the time", ErrStale)

	// errOtherEra means that the issuer dated the end of a copy by a clock that was set right
	// since: it must be asked for it anew.
	errOtherEra = fmt.Errorf("%w: looked up before the issuer's time was set back", ErrStale)

	// errNotHere means that the issuer made a credential that this service or route does not
	// take. It may be good elsewhere.
	errNotHere = refusal.Invalid("credential that is not taken here")

	// errOtherEpoch means that a copy was made under another log than the one that is
	// known here: one that has ended, or one that has begun since.
	errOtherEpoch = refusal.Invalid("credential of another epoch")
)
