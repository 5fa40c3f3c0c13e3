package clock_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/counterfoil/counterfoil/internal/clock"
)

// TOK-25: the time of expiries never goes back, whichever clock is set, and goes by the
// issuer's clock where that is ahead.
func TestEffectiveTimeNeverGoesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var set time.Duration
		c := clock.New(func() time.Time { return time.Now().Round(0).Add(set) }, nil)
		begun := c.Now()
		latest := begun
		for _, step := range []struct {
			set, ahead, want time.Duration // want: since begun
		}{
			{0, 0, 0}, {time.Hour, 0, time.Hour}, {-time.Hour, 0, time.Hour}, {0, 2 * time.Hour, 2 * time.Hour},
			{0, 0, 2 * time.Hour}, {3 * time.Hour, 0, 3 * time.Hour},
		} {
			set = step.set
			c.Follow(step.ahead)
			now := c.Now()
			if now.Before(latest) || now.Sub(begun) != step.want {
				t.Errorf("set by %v, issuer ahead by %v: %v after the start, want %v", step.set, step.ahead, now.Sub(begun), step.want)
			}
			latest = now
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
