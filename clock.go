package counterfoil

import (
	"sync/atomic"
	"time"
)

// clock is the verifier's time. Readers take no lock.
type clock struct {
	wall func() time.Time
	boot func() time.Duration // time since the machine started, suspended or not; nil: not to be had
	base time.Time            // the first reading

	bootRead atomic.Int64 // when boot was last asked, as time since base
	asleep   atomic.Int64 // boot minus the time since base, as of then
	ahead    atomic.Int64 // how far the issuer's clock is ahead of ours; never negative
	latest   atomic.Int64 // the latest effective time, in nanoseconds since 1970
}

// bootEvery is how often boot is asked at most: it costs a system call.
const bootEvery = time.Millisecond

// coarse is the step of effective time, so that readers seldom write.
const coarse = time.Millisecond

func newClock(wall func() time.Time, boot func() time.Duration) *clock {
	c := &clock{wall: wall, boot: boot, base: wall()}
	c.bootRead.Store(-int64(bootEvery))
	return c
}

// instant is one reading of all the clocks there are.
type instant struct {
	t      time.Time
	asleep time.Duration
}

func (c *clock) read() instant {
	t := c.wall()
	if c.boot == nil {
		return instant{t: t}
	}
	run := t.Sub(c.base)
	if last := time.Duration(c.bootRead.Load()); run-last >= bootEvery || run < last {
		c.asleep.Store(int64(c.boot() - run))
		c.bootRead.Store(int64(run))
	}
	return instant{t, time.Duration(c.asleep.Load())}
}

// since is the time from a to i by the clock that counted most: the monotonic one
// stops while a machine is suspended, the wall clock can be set back, and the one
// that counts from boot is not everywhere (REV-06).
func (i instant) since(a instant) time.Duration {
	run := i.t.Sub(a.t)
	return max(run, time.Duration(i.t.UnixNano()-a.t.UnixNano()), run+i.asleep-a.asleep)
}

// effective is the time that expiries are judged by: ours, or the issuer's when
// it is ahead. It never goes backwards, so a clock that steps back brings nothing
// back that had expired (TOK-25, REV-13).
func (c *clock) effective(i instant) int64 {
	t := i.t.UnixNano() + c.ahead.Load()
	t -= t % int64(coarse)
	for {
		latest := c.latest.Load()
		if t <= latest {
			return latest
		}
		if c.latest.CompareAndSwap(latest, t) {
			return t
		}
	}
}

func (c *clock) now() time.Time { return time.Unix(0, c.effective(c.read())) }

// maxAhead is how far an issuer's clock may be ahead of ours. An hour is what a
// wrong time zone costs, and is served; beyond that one of the two clocks is
// broken, and believing the issuer's would expire every credential until ours got
// there. So such a page is refused: the verifier goes stale, which heals.
const maxAhead = 2 * time.Hour

// skewAlarm is the difference of clocks that Status reports as an alarm (4.4).
const skewAlarm = 2 * time.Second

// skew is the difference that is certain between the issuer's clock, which read
// t between asked and answered, and ours: positive if the issuer is ahead.
func skew(t time.Time, asked, answered instant) time.Duration {
	if d := time.Duration(t.UnixNano() - answered.t.UnixNano()); d > 0 {
		return d
	}
	return min(time.Duration(t.UnixNano()-asked.t.UnixNano()), 0)
}
