package clock_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/counterfoil/counterfoil/internal/clock"
)

// TOK-25: what has elapsed counts sleep, does not depend on the wall clock, and never goes back.
func TestElapsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		var asleep, set time.Duration
		c := clock.New(func() time.Time { return time.Now().Round(0).Add(set) }, func() time.Duration { return time.Since(begun) + asleep })
		for _, step := range []struct{ run, asleep, set, want time.Duration }{
			{time.Second, 0, 0, time.Second},
			{0, 0, time.Hour, time.Second},
			{0, 0, -time.Hour, time.Second},
			{time.Second, time.Minute, -time.Hour, 62 * time.Second},
			{time.Second, 0, 0, 63 * time.Second}, // a clock from boot that went back
		} {
			time.Sleep(step.run)
			asleep, set = step.asleep, step.set
			if at := c.Read(); at.Elapsed != step.want {
				t.Errorf("ran %v, slept %v, set by %v: %v have elapsed, want %v", step.run, step.asleep, step.set, at.Elapsed, step.want)
			}
		}
	})
}

// A program that is stopped while it reads the clocks counts that time once in what has
// elapsed: or copies would expire early.
func TestStoppedWhileReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		stop := time.Duration(0)
		c := clock.New(nil, func() time.Duration {
			time.Sleep(stop)
			return time.Since(begun)
		})
		stop = time.Minute
		time.Sleep(time.Second)
		c.Read()
		stop = 0
		time.Sleep(time.Second)
		if at := c.Read(); at.Elapsed != 62*time.Second || at.Run != 62*time.Second {
			t.Errorf("%v have elapsed in %v", at.Elapsed, at.Run)
		}
	})
}

// REV-06: an age counts the time of the clock that counted most, of those that there are.
func TestAgeCountsEveryClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		var asleep, set time.Duration
		c := clock.New(func() time.Time { return time.Now().Add(set) }, func() time.Duration { return time.Since(begun) + asleep })
		for _, step := range []struct {
			name              string
			run, sleep, ahead time.Duration
			want              time.Duration
		}{
			{"the monotonic clock runs", time.Second, 0, 0, time.Second},
			{"the machine sleeps", time.Second, time.Minute, 0, time.Minute + time.Second},
			{"the wall clock is set back", time.Second, 0, -time.Hour, time.Second},
		} {
			asked := c.Read()
			time.Sleep(step.run)
			asleep += step.sleep
			set += step.ahead
			if age := c.Since(&asked); age != step.want {
				t.Errorf("%s: age %v, want %v", step.name, age, step.want)
			}
		}
	})
}

// The skew is what is certain: an answer that was long under way shows none.
func TestSkew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clock.New(nil, nil)
		asked, begun := c.Read(), time.Now()
		time.Sleep(time.Second)
		answered := c.Read()
		for told, want := range map[time.Duration]time.Duration{
			0: 0, time.Second: 0, time.Minute: time.Minute - time.Second, -time.Minute: -time.Minute,
		} {
			if got := clock.Skew(begun.Add(told), &asked, &answered); got != want {
				t.Errorf("told %v after the question: skew %v, want %v", told, got, want)
			}
		}
	})
}
