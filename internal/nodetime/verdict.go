package nodetime

import (
	"fmt"
	"time"
)

// line is a time that goes on: it was time when elapsed time was since.
type line struct {
	time  time.Time
	since time.Duration
}

func (l line) at(elapsed time.Duration) time.Time { return l.time.Add(elapsed - l.since) }

// reading is what the witnesses said at one moment.
type reading struct {
	wall       time.Time
	store      time.Time     // zero: the store has no clock of its own
	within     time.Duration // how exactly the moment of store is known
	elapsed    time.Duration
	remembered time.Time // zero: the store remembers none
	vouched    bool      // an operator says that wall is right
}

// tooEarly reports whether t is so far before the remembered time that what was swept may cover
// copies which are alive at t. A small step back is followed, and many of them would add up.
// Where an operator vouched for a time that is as early already, it is not too early.
func (r *reading) tooEarly(t, now time.Time) bool {
	least := r.remembered.Add(-MaxOffset)
	return t.Before(least) && !(r.vouched && now.Before(least))
}

// verdict is what a reading, and those before it, mean.
type verdict struct {
	line     line          // the time
	accepted bool          // the witnesses have agreed once in this process
	settled  time.Duration // elapsed time at which line began, or was set last
	surely   line          // has passed for sure, although line has not settled; zero: nothing is known
	aside    line          // what the time would be if it had not been set back; zero: it was not

	looked  time.Duration // elapsed time of the reading
	byStore bool
	offset  time.Duration // of the wall clock: from the store's or, without one, from the time
	within  time.Duration
	jumped  time.Duration // by how much this reading has set the time
	wrong   string        // why nothing may be dated; empty: it may
}

func (v *verdict) off() bool { return beyond(v.offset, Tolerance) }

// certain is a time that has surely passed; zero: none is known. A time that has run
// without a jump for as long as any copy can live has passed, as far as any copy is
// concerned. Before that only what an earlier process remembered has, and what has elapsed.
func (v *verdict) certain(elapsed time.Duration) time.Time {
	now := v.line.at(elapsed)
	if v.accepted && elapsed-v.settled >= Settled {
		return now
	}
	if v.surely.time.IsZero() {
		return time.Time{}
	}
	return earlier(v.surely.at(elapsed), now)
}

// judge returns the verdict after r. v is the one before; nil: r is the first reading.
func (v *verdict) judge(r reading) *verdict {
	next := &verdict{}
	if v != nil {
		*next = *v
	}
	next.looked, next.byStore, next.within, next.wrong, next.jumped = r.elapsed, !r.store.IsZero(), r.within, "", 0
	switch {
	case !next.accepted:
		next.start(v, r)
	case next.byStore:
		next.withStore(r)
	default:
		next.alone(r)
	}
	return next
}

// start judges a reading while no reading has agreed in this process.
func (v *verdict) start(before *verdict, r reading) {
	t := r.wall
	v.offset = 0
	if v.byStore {
		t, v.offset = r.store, certainly(r.wall.Sub(r.store), r.within)
	}
	behind := r.remembered.Sub(t)
	switch {
	case beyond(v.offset, MaxOffset):
		v.wrong = v.differs()
		// One of the two is wrong. If the time was remembered a moment ago, and the store is
		// far from that and this node is not, it is the store.
		if since := r.wall.Sub(r.remembered); since >= -MaxOffset && since < 2*Ahead && v.offset < 0 {
			t = r.wall
		}
	case behind > MaxOffset && !r.vouched:
		v.wrong = fmt.Sprintf("the clock of this node is %s earlier than the time that the store remembers: set it right; or, if it is right, start this server once with --clock-was-set-back", round(behind))
		if !v.byStore {
			v.offset = -behind
		}
	default:
		v.accepted, v.settled = true, r.elapsed
		if behind <= 0 && !r.remembered.IsZero() {
			v.surely = line{r.remembered, r.elapsed}
		}
		if before != nil && !v.byStore && beyond(before.line.at(r.elapsed).Sub(t), MaxOffset) {
			v.aside = before.line // t has reached what is remembered because time passed: it may still be set right
		}
		v.line = line{t, r.elapsed}
		return
	}
	if t.Before(r.remembered) {
		t = r.remembered
		if before != nil && before.line.at(r.elapsed).After(t) && !v.byStore {
			t = before.line.at(r.elapsed)
		}
	}
	v.line = line{t, r.elapsed}
}

// differs says how far the node's clock is from the store's.
func (v *verdict) differs() string {
	return fmt.Sprintf("the clock of this node is %s the store's: set right the one that is wrong", says(v.offset))
}

// withStore judges a reading of a store that has a clock. Two of the three witnesses decide:
// the wall clock, the store's clock, and elapsed time.
func (v *verdict) withStore(r reading) {
	now := v.line.at(r.elapsed)
	v.offset = certainly(r.wall.Sub(r.store), r.within)
	jump := certainly(r.store.Sub(now), r.within)
	agree := !beyond(v.offset, MaxOffset)
	switch {
	case !beyond(jump, MaxOffset) && !r.tooEarly(r.store, now):
		v.set(now.Add(jump), jump, r)
		if !agree {
			v.wrong = v.differs()
		}
	case agree && !r.store.Before(r.remembered.Add(-MaxOffset)):
		v.set(r.store, jump, r)
	case agree || !beyond(jump, MaxOffset):
		v.wrong = fmt.Sprintf("the clocks of the store and of this node were set back: they are %s earlier than the time that the store remembers: set them right; or, if they are right, start this server once with --clock-was-set-back", round(r.remembered.Sub(r.store)))
	default:
		v.wrong = fmt.Sprintf("the clock of the store was set: it is %s the time that has passed here, and %s", says(jump), v.differs())
	}
}

// alone judges a reading without a store that has a clock.
func (v *verdict) alone(r reading) {
	now := v.line.at(r.elapsed)
	jump := r.wall.Sub(now)
	v.offset = jump
	switch {
	case !beyond(jump, MaxOffset) && !r.tooEarly(r.wall, now):
		v.set(r.wall, jump, r)
		v.offset = 0
		if beyond(jump, Tolerance) {
			v.offset = jump // until the next reading, so that somebody is told
		}
	case jump < 0 && !r.wall.Before(r.remembered.Add(-MaxOffset)):
		// The start was wrong, or this is. Nothing was swept that this could bring back.
		aside := v.line
		v.set(r.wall, jump, r)
		v.aside = aside
	case jump > 0 && !v.aside.time.IsZero() && !beyond(r.wall.Sub(v.aside.at(r.elapsed)), MaxOffset):
		v.set(r.wall, jump, r)
		v.aside = line{}
	case jump > 0:
		v.wrong = fmt.Sprintf("the clock of this node was set %s ahead of the time that has passed: set it right; or, if it is right now, restart this server", round(jump))
	default:
		v.wrong = fmt.Sprintf("the clock of this node was set %s behind the time that has passed: set it right; or, if it is right, start this server once with --clock-was-set-back", round(jump))
	}
}

// set makes t the time. A jump unsettles it.
func (v *verdict) set(t time.Time, jump time.Duration, r reading) {
	if beyond(jump, Tolerance) {
		if surely := v.certain(r.elapsed); !surely.IsZero() {
			v.surely = line{earlier(surely, t), r.elapsed}
		}
		v.settled, v.jumped = r.elapsed, jump
	}
	v.line = line{t, r.elapsed}
}

func beyond(d, limit time.Duration) bool { return d > limit || d < -limit }

// certainly is how much of a difference is certain, if it is known within an error.
func certainly(d, within time.Duration) time.Duration {
	switch {
	case d > within:
		return d - within
	case d < -within:
		return d + within
	}
	return 0
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func round(d time.Duration) time.Duration { return d.Abs().Round(time.Second) }

func says(d time.Duration) string {
	if d < 0 {
		return round(d).String() + " behind"
	}
	return round(d).String() + " ahead of"
}
