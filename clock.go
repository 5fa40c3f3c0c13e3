package counterfoil

import (
	"math"
	"sync/atomic"
	"time"
)

// clock is the verifier's time. Readers take no lock, and for a check they read the
// monotonic clock alone: where the others stood beside it is a sample, which is
// taken anew when it is sampleFor old.
//
// Nothing else may stand in for that one reading. A time that another goroutine
// publishes stands still while the program is stopped, and the first check
// afterwards would find everything fresh; the monotonic clock goes on (REV-06).
// It stops while the machine sleeps, which the sample shows: a kernel freezes its
// programs before it stops that clock and wakes its devices before it thaws them,
// which takes longer than sampleFor, so the first reading after it is never one by
// a sample from before.
type clock struct {
	wall func() time.Time
	boot func() time.Duration // time since the machine started, asleep or not; nil: not to be had
	base time.Time            // the first reading
	own  bool                 // wall is the program's own: no reading may stand for another

	sample atomic.Pointer[sample]
	ahead  atomic.Int64 // how far the issuer's clock is ahead of ours; never negative
}

// sampleFor is how long a sample counts. The clock that counts from boot costs a
// system call, and even the wall clock as much as the rest of a check.
const sampleFor = 100 * time.Microsecond

// sample is where the other clocks stood when the monotonic one was at run.
type sample struct {
	run    time.Duration
	wall   int64 // nanoseconds since 1970 at the clock's base
	asleep time.Duration
	ahead  int64 // of the issuer
	floor  int64 // no effective time that was given before is later
}

// instant is one reading of all the clocks there are.
type instant struct {
	run       time.Duration // since the clock's base, by the monotonic clock
	wall      int64         // nanoseconds since 1970 at the base
	asleep    time.Duration // how much more the clock from boot has counted since
	effective int64         // what expiries are judged by, in nanoseconds since 1970
}

func newClock(wall func() time.Time, boot func() time.Duration) *clock {
	c := &clock{wall: wall, boot: boot, own: wall != nil}
	if wall == nil {
		c.wall = time.Now
	}
	c.base = c.wall()
	c.sample.Store(&sample{run: -sampleFor, wall: c.base.UnixNano(), floor: math.MinInt64})
	c.look()
	return c
}

func (c *clock) read() instant {
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

func (s *sample) at(run time.Duration) instant {
	return instant{run, s.wall, s.asleep, max(int64(run)+s.wall+s.ahead, s.floor)}
}

// look takes a sample.
func (c *clock) look() instant {
	for {
		old := c.sample.Load()
		t := c.wall()
		s := &sample{run: t.Sub(c.base), ahead: c.ahead.Load()}
		s.wall = t.UnixNano() - int64(s.run)
		if c.boot != nil {
			s.asleep = c.boot() - s.run
		}
		s.floor = old.floor
		if c.own || s.wall+s.ahead < old.wall+old.ahead {
			s.floor = old.latest(c.own)
		}
		if c.sample.CompareAndSwap(old, s) {
			return s.at(s.run)
		}
	}
}

// latest is no earlier than any effective time that was given by s. Below it none is
// given after a clock stepped back: that brings nothing back that had expired
// (TOK-25, REV-13).
func (s *sample) latest(once bool) int64 {
	if once {
		return s.at(s.run).effective
	}
	return s.at(s.run + sampleFor).effective
}

// follow tells by how much the issuer's clock is ahead; effective time is by it
// from here on.
func (c *clock) follow(ahead time.Duration) {
	if c.ahead.Swap(int64(ahead)) != int64(ahead) {
		c.look()
	}
}

// since is the time from a to i by the clock that counted most: the monotonic one
// stops while a machine is asleep, the wall clock can be set back, and the one that
// counts from boot is not everywhere (REV-06).
func (i *instant) since(a *instant) time.Duration {
	return i.run - a.run + max(0, time.Duration(i.wall-a.wall), i.asleep-a.asleep)
}

// since is the time from a to now.
func (c *clock) since(a *instant) time.Duration {
	at := c.read()
	return at.since(a)
}

// unix is the wall clock, in nanoseconds since 1970.
func (i *instant) unix() int64 { return int64(i.run) + i.wall }

func (c *clock) now() time.Time {
	at := c.read()
	return time.Unix(0, at.effective)
}

// maxAhead is how far an issuer's clock may be ahead of ours. An hour is what a
// wrong time zone costs, and is served; beyond that one of the two clocks is
// broken, and believing the issuer's would expire every credential until ours got
// there. So such a page is refused: the verifier goes stale, which heals.
const maxAhead = 2 * time.Hour

// skewAlarm is the difference of clocks that Status reports as an alarm (4.4).
const skewAlarm = 2 * time.Second

// skew is the difference that is certain between the issuer's clock, which read
// t between asked and answered, and ours: positive if the issuer is ahead.
func skew(t time.Time, asked, answered *instant) time.Duration {
	if d := time.Duration(t.UnixNano() - answered.unix()); d > 0 {
		return d
	}
	return min(time.Duration(t.UnixNano()-asked.unix()), 0)
}
