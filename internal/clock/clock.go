// Package clock reads the clocks of a machine as one. A [Clock] measures how long ago an
// instant was, although the program was stopped, the machine slept, or the time was set.
// Begin with [New].
package clock

import (
	"sync/atomic"
	"time"
)

// Clock is a program's time. Readers take no lock, and a reading costs one look at the
// monotonic clock: where the other clocks stood at that time is a sample, which is taken
// anew when it is sampleFor old.
//
// Nothing else may stand in for that one look. A time that another goroutine publishes
// stands still while the program is stopped, and the first check afterwards would find
// everything fresh; the monotonic clock goes on (REV-06). It stops while the machine
// sleeps, which the sample shows: a kernel freezes its programs before it stops that
// clock and wakes its devices before it thaws them, which takes longer than sampleFor,
// so the first reading after it is never one by a sample from before.
type Clock struct {
	wall   func() time.Time
	boot   func() time.Duration // time since the machine started, asleep or not; nil: not to be had
	base   time.Time            // the first reading
	booted time.Duration        // boot, at base
	own    bool                 // wall is the program's own: no reading may stand for another

	sample atomic.Pointer[sample]
}

// sampleFor is how long a sample counts. The clock that counts from boot costs a
// system call, and even the wall clock as much as the rest of a check.
const sampleFor = 100 * time.Microsecond

// sample is where the other clocks stood when the monotonic one was at run.
type sample struct {
	run    time.Duration
	wall   int64 // nanoseconds since 1970 at the clock's base
	asleep time.Duration
	slept  time.Duration
}

// Instant is one reading of all the clocks there are. The zero Instant is no reading.
type Instant struct {
	Run    time.Duration // since the [Clock] was made, by the monotonic clock
	wall   int64         // nanoseconds since 1970 at the clock's base
	asleep time.Duration // how much more the clock from boot has counted since, at most

	// Elapsed is the time that has certainly passed since the Clock was made: by the
	// monotonic clock, and the one from boot where there is one. Setting the wall clock changes
	// nothing about it, and it never runs backwards.
	Elapsed time.Duration
}

// New returns a clock. wall is the program's own wall clock; nil is time.Now. boot counts
// since the machine started, also while the machine sleeps; nil: there is no such clock.
// Use [Boot].
func New(wall func() time.Time, boot func() time.Duration) *Clock {
	c := &Clock{wall: wall, boot: boot, own: wall != nil, base: time.Now()}
	if boot != nil {
		c.booted = boot()
	}
	c.sample.Store(&sample{run: -sampleFor, wall: c.base.UnixNano()})
	c.look()
	return c
}

// Read reads all clocks.
func (c *Clock) Read() Instant {
	if c.own {
		return c.look()
	}
	run := time.Since(c.base)
	s := c.sample.Load()
	if uint64(run-s.run) >= uint64(sampleFor) { // or s is the younger of the two
		return c.look()
	}
	return s.at(run)
}

// Since is the time from a to now.
func (c *Clock) Since(a *Instant) time.Duration {
	at := c.Read()
	return at.Since(a)
}

// SeesSleep reports whether Elapsed counts the time that the machine sleeps.
func (c *Clock) SeesSleep() bool { return c.boot != nil }

func (s *sample) at(run time.Duration) Instant { return Instant{run, s.wall, s.asleep, run + s.slept} }

// look takes a sample. The program may be stopped at any place in it. So that no staleness is
// missed, the monotonic clock is read after the program's own wall clock, and the one from
// boot after that. And for what has certainly passed, a stop between these two counts once.
func (c *Clock) look() Instant {
	for {
		old := c.sample.Load()
		var wall time.Time
		if c.own {
			wall = c.wall()
		}
		now := time.Now()
		if !c.own {
			wall = now
		}
		s := &sample{run: now.Sub(c.base), slept: old.slept}
		s.wall = wall.UnixNano() - int64(s.run)
		if c.boot != nil {
			s.asleep = c.boot() - c.booted - s.run
			s.slept = max(s.slept, s.asleep-time.Since(now))
		}
		if c.sample.CompareAndSwap(old, s) {
			return s.at(s.run)
		}
	}
}

// Since is the time from a to i by the clock that counted most: the monotonic one
// stops while a machine is asleep, the wall clock can be set back, and the one that
// counts from boot is not everywhere (REV-06).
func (i *Instant) Since(a *Instant) time.Duration {
	return i.Run - a.Run + max(0, time.Duration(i.wall-a.wall), i.asleep-a.asleep)
}

// Unix is the wall clock, in nanoseconds since 1970.
func (i *Instant) Unix() int64 { return int64(i.Run) + i.wall }

// Skew is the difference that is certain between another machine's clock, which read
// told between asked and answered, and ours: positive if the other one is ahead.
func Skew(told time.Time, asked, answered *Instant) time.Duration {
	if d := time.Duration(told.UnixNano() - answered.Unix()); d > 0 {
		return d
	}
	return min(time.Duration(told.UnixNano()-asked.Unix()), 0)
}
