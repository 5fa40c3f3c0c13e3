package nodetime_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/internal/nodetime"
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/memory"
	"github.com/counterfoil/counterfoil/store/storetest"
)

// world has one real time, and clocks that are wrong by what a test says.
type world struct {
	t      *testing.T
	store  *storetest.FaultyStore
	passed time.Duration // since real
	engine time.Duration // error of the store's clock
	log    strings.Builder
}

var real = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)

func (w *world) now() time.Time { return real.Add(w.passed) }

// newWorld makes a world whose store has a clock of its own, or none.
func newWorld(t *testing.T, engine bool) *world {
	w := &world{t: t, store: storetest.Faulty(memory.New())}
	if engine {
		w.store.SetClock(func() time.Time { return w.now().Add(w.engine) })
	}
	return w
}

// node is a process in a world.
type node struct {
	*nodetime.Clock
	world *world
	off   time.Duration // error of its wall clock
}

func (w *world) start(off time.Duration, vouched ...bool) *node {
	n := &node{world: w, off: off}
	n.Clock = nodetime.New(nodetime.Options{
		Store: w.store, Now: func() time.Time { return w.now().Add(n.off) }, Elapsed: func() time.Duration { return w.passed },
		SetBack: len(vouched) > 0, Logger: slog.New(slog.NewTextHandler(&w.log, nil)),
	})
	n.look()
	return n
}

func (n *node) look() {
	n.world.t.Helper()
	if err := n.Look(n.world.t.Context()); err != nil {
		n.world.t.Fatal(err)
	}
}

// pass lets d pass, as Run sees it: with a reading each second, and fewer in a long time.
func (n *node) pass(d time.Duration) {
	n.world.t.Helper()
	step := max(time.Second, d/100)
	for ; d > 0; d -= step {
		n.world.passed += min(step, d)
		n.look()
	}
}

// is checks how far the time of n is from the real one, and whether it dates.
func (n *node) is(what string, off time.Duration, dates bool) {
	n.world.t.Helper()
	if got := n.Now().Sub(n.world.now()); (got - off).Abs() > time.Millisecond {
		n.world.t.Errorf("%s: the time is %v off, want %v", what, got, off)
	}
	_, err := n.Date(n.world.t.Context())
	if (err == nil) != dates || err != nil && !errors.Is(err, counterfoil.ErrUnavailable) {
		n.world.t.Errorf("%s: Date = %v, want dates = %v", what, err, dates)
	}
	if n.Status().Wrong == "" != dates {
		n.world.t.Errorf("%s: Status = %+v, want dates = %v", what, n.Status(), dates)
	}
}

// OPS-15: with a store that has a clock, a node goes by that. While its own clock is off by
// more than 30 s, or the store's was set, it dates nothing; it does again when they agree.
func TestAgainstTheStore(t *testing.T) {
	for _, off := range []time.Duration{time.Second, 45 * time.Second, 10 * time.Minute, 24 * time.Hour} {
		for _, off := range []time.Duration{off, -off} {
			t.Run(off.String(), func(t *testing.T) {
				near := off.Abs() <= nodetime.MaxOffset
				follows := time.Duration(0) // a small step of the store's clock is followed
				if near {
					follows = off
				}
				t.Run("node wrong from the start", func(t *testing.T) {
					n := newWorld(t, true).start(off)
					n.is("wrong", 0, near)
					n.off = 0
					n.pass(time.Second)
					n.is("right", 0, true)
				})
				t.Run("node set", func(t *testing.T) {
					n := newWorld(t, true).start(0)
					n.pass(time.Minute)
					n.off = off
					n.pass(time.Second)
					n.is("wrong", 0, near)
					n.off = 0
					n.pass(time.Second)
					n.is("right", 0, true)
				})
				t.Run("store set", func(t *testing.T) {
					w := newWorld(t, true)
					n := w.start(0)
					n.pass(time.Minute)
					w.engine = off
					n.pass(time.Second)
					n.is("wrong", follows, near)
					w.engine = 0
					n.pass(time.Second)
					n.is("right", 0, true)
				})
				t.Run("store wrong at a restart", func(t *testing.T) {
					w := newWorld(t, true)
					w.start(0).pass(nodetime.Settled + time.Minute)
					w.engine = off
					n := w.start(0)
					if !near && n.Status().Wrong == "" {
						t.Errorf("Status = %+v", n.Status())
					}
					if !near && n.Now().Sub(w.now()) > 0 {
						t.Errorf("a node is %v ahead by the store's clock alone", n.Now().Sub(w.now()))
					}
					w.engine = 0
					n.pass(time.Second)
					n.is("right", 0, true)
				})
			})
		}
	}
}

// OPS-15: without a clock of the store a node goes by elapsed time, and by what the store
// remembers.
func TestAgainstElapsedTime(t *testing.T) {
	settled := nodetime.Settled + 2*time.Minute
	t.Run("set ahead", func(t *testing.T) {
		n := newWorld(t, false).start(0)
		n.pass(time.Minute)
		n.off = 10 * time.Minute
		n.pass(time.Minute)
		n.is("wrong", 0, false)
		n.off = 0
		n.pass(time.Second)
		n.is("right", 0, true)
	})
	t.Run("set back, not before what is remembered", func(t *testing.T) {
		n := newWorld(t, false).start(10 * time.Minute) // nothing was swept yet: the start was wrong
		n.pass(time.Minute)
		n.off = 0
		n.pass(time.Second)
		n.is("right", 0, true)
		n.off = 10 * time.Minute // it was this that was wrong
		n.pass(time.Second)
		n.is("as at the start", 10*time.Minute, true)
	})
	t.Run("set back, before what is remembered", func(t *testing.T) {
		n := newWorld(t, false).start(0)
		n.pass(settled)
		n.off = -10 * time.Minute
		n.pass(time.Second)
		n.is("wrong", 0, false)
		n.off = 0
		n.pass(time.Second)
		n.is("right", 0, true)
		n.off = -10 * time.Minute
		n.pass(11 * time.Minute) // until what is remembered has passed
		n.is("passed", -10*time.Minute, true)
	})
	t.Run("behind at a restart", func(t *testing.T) {
		w := newWorld(t, false)
		w.start(0).pass(settled)
		n := w.start(-10 * time.Minute)
		if n.Status().Wrong == "" || !strings.Contains(n.Status().Wrong, "--clock-was-set-back") || n.Now().Before(w.now().Add(-2*time.Minute)) {
			t.Errorf("Status = %+v at %v, want wrong, and no time before what is remembered", n.Status(), n.Now())
		}
		n.off = 0
		n.pass(time.Second)
		n.is("right", 0, true)
	})
	t.Run("behind at a restart, and set right after what is remembered has passed", func(t *testing.T) {
		w := newWorld(t, false)
		w.start(0).pass(settled)
		n := w.start(-10 * time.Minute)
		n.pass(12 * time.Minute)
		n.is("passed", -10*time.Minute, true)
		n.off = 0
		n.pass(time.Second)
		n.is("right", 0, true)
	})
	t.Run("a clock that is set an hour after the start", func(t *testing.T) {
		w := newWorld(t, false)
		w.start(0).pass(settled)
		w.passed += 24 * time.Hour
		n := w.start(-40 * 24 * time.Hour) // a machine without a battery
		n.pass(time.Hour)
		if n.Status().Wrong == "" {
			t.Errorf("Status = %+v", n.Status())
		}
		n.off = 0
		n.pass(time.Second)
		n.is("right", 0, true)
	})
	t.Run("an operator vouches", func(t *testing.T) {
		w := newWorld(t, false)
		w.start(10 * time.Minute).pass(settled)
		n := w.start(0, true)
		n.is("right", 0, true)
		if !n.SetBack() {
			t.Error("SetBack = false")
		}
		if err := n.Forget(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.start(0).is("the next start", 0, true)
		if n.SetBack() || w.start(0, true).SetBack() {
			t.Error("SetBack = true when it is over")
		}
	})
}

// REV-13: nothing that expires after the time of any witness is swept, and after a start or a
// jump nothing but what had expired before, and as much longer as it runs since.
func TestSweepBefore(t *testing.T) {
	sweeps := func(n *node, what string, want time.Duration) {
		t.Helper()
		before, err := n.SweepBefore(t.Context())
		got := time.Duration(-1)
		if !before.IsZero() {
			got = n.world.now().Sub(before)
		}
		if err != nil || (got < 0) != (want < 0) || (got-want).Abs() > 3*time.Second {
			t.Errorf("%s: it sweeps what expired %v ago, %v, want %v", what, got, err, want)
		}
	}
	for _, engine := range []bool{true, false} {
		w := newWorld(t, engine)
		n := w.start(0)
		sweeps(n, "a fresh store", -1)
		n.pass(nodetime.Settled - time.Second)
		sweeps(n, "before it has settled", -1)
		n.pass(time.Second)
		sweeps(n, "settled", time.Minute)
		n.off = 10 * time.Minute
		n.pass(time.Minute)
		sweeps(n, "ahead", -1)
		n.off = 0
		n.pass(time.Second)
		sweeps(n, "right again", time.Minute)
		n.off = -20 * time.Second
		sweeps(n, "a little behind", 80*time.Second)
		n.off = 0
		n.pass(time.Second)

		w.passed += time.Hour // no node runs
		w.engine = 10 * time.Minute
		n = w.start(10 * time.Minute) // all agree, and are wrong
		n.pass(5 * time.Minute)
		sweeps(n, "after a restart", time.Hour+time.Minute)
		n.pass(nodetime.Settled)
		sweeps(n, "settled again", time.Minute-10*time.Minute)
	}
}

// REF-03: what is to last for a while lasts no shorter because a process starts with a clock that
// is ahead.
func TestPassed(t *testing.T) {
	for engine, want := range map[bool]time.Duration{true: 8 * time.Second, false: 5 * time.Second} {
		w := newWorld(t, engine)
		before := w.start(0).Now()
		w.passed += 3 * time.Second
		off := 20 * time.Second
		if !engine {
			off = time.Hour
		}
		n := w.start(off)
		n.pass(5 * time.Second)
		if got := n.Passed(before); got != want {
			t.Errorf("the store has a clock: %v: Passed = %v, want %v", engine, got, want)
		}
	}
}

// REV-13: small steps back, each of which is followed, do not add up to a time before which
// entries were swept.
func TestManySmallStepsBack(t *testing.T) {
	for _, engine := range []bool{true, false} {
		w := newWorld(t, engine)
		n := w.start(0)
		n.pass(nodetime.Settled + time.Minute)
		swept, err := n.SweepBefore(t.Context())
		if err != nil || swept.IsZero() {
			t.Fatal(swept, err)
		}
		for range 60 {
			n.off -= 20 * time.Second
			w.engine -= 20 * time.Second
			n.pass(time.Second)
			if at, err := n.Date(t.Context()); err == nil && at.Before(swept) {
				t.Fatalf("engine %v: it dates by %v, and what expired before %v is swept", engine, at, swept)
			}
		}
		if n.Status().Wrong == "" {
			t.Errorf("engine %v: Status = %+v", engine, n.Status())
		}
		n.off, w.engine = 0, 0
		n.pass(time.Second)
		n.is("right again", 0, true)
	}
}

// REV-13: no node dates anything later than the horizon, which never goes back, and the caller that
// made a commit by an older one is told.
func TestHorizon(t *testing.T) {
	w := newWorld(t, false)
	ahead, right := w.start(24*time.Hour), w.start(0)
	for range 300 {
		w.passed += time.Second
		for _, n := range []*node{ahead, right} {
			n.look()
			before, holds, err := n.Horizon(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			at, err := n.Date(t.Context())
			after, _, _ := n.Horizon(t.Context())
			if err != nil || at.After(after) || after.Before(before) {
				t.Fatalf("dated %v, %v, by a horizon of %v, before %v", at, err, after, before)
			}
			_ = holds
		}
	}
	_, holds, err := right.Horizon(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.store.Commit(t.Context(), store.Batch{Require: []store.Require{holds}}); !errors.Is(err, store.ErrConflict) {
		t.Errorf("a commit by a horizon that another node has moved = %v", err)
	}
	if changed, err := right.Changed(t.Context(), holds); err != nil || !changed {
		t.Errorf("Changed = %v, %v", changed, err)
	}
	horizon, holds, err := right.Horizon(t.Context())
	if err != nil || horizon.Before(w.now().Add(24*time.Hour)) {
		t.Errorf("Horizon = %v, %v, want what the node ahead has dated", horizon, err)
	}
	if _, err := w.store.Commit(t.Context(), store.Batch{Require: []store.Require{holds}}); err != nil {
		t.Error(err)
	}
}

// The log tells of each change once.
func TestToldOnce(t *testing.T) {
	w := newWorld(t, true)
	n := w.start(0)
	for _, off := range []time.Duration{5 * time.Second, 5 * time.Minute, 0, 5 * time.Second} {
		n.off = off
		n.pass(10 * time.Second)
	}
	if got := strings.Count(w.log.String(), "\n"); got != 4 {
		t.Errorf("the log has %d lines, want 4:\n%s", got, w.log.String())
	}
}

// A clock that cannot be compared says so, and goes on: the store has other ways to fail.
func TestStoreAway(t *testing.T) {
	w := newWorld(t, true)
	n := w.start(0)
	w.store.Inject(storetest.Fault{})
	w.passed += 2 * time.Second
	if err := n.Look(t.Context()); !errors.Is(err, counterfoil.ErrUnavailable) {
		t.Errorf("Look = %v", err)
	}
	if at, err := n.Date(t.Context()); err != nil || !at.Equal(w.now()) {
		t.Errorf("Date = %v, %v", at, err)
	}
	if at, err := n.SweepBefore(t.Context()); err == nil {
		t.Errorf("SweepBefore = %v", at)
	}
}

// OPS-15: a node that stops writes down the time, so the next start notices a clock that was set
// back by little more than what is allowed.
func TestStopWritesTheTime(t *testing.T) {
	w := newWorld(t, false)
	n := w.start(0)
	n.pass(nodetime.Settled)
	if _, err := n.SweepBefore(t.Context()); err != nil { // it writes
		t.Fatal(err)
	}
	n.pass(nodetime.Ahead / 3)
	stopped, stop := context.WithCancel(t.Context())
	stop()
	n.Run(stopped)
	w.start(-45*time.Second).is("behind at the next start", 0, false)
}

// A dating that finds the readings old takes one: the process was stopped, or nothing runs in
// the background.
func TestDateLooks(t *testing.T) {
	w := newWorld(t, true)
	n := w.start(0)
	w.passed += time.Minute
	n.off = time.Hour
	n.is("after a minute without a reading", 0, false)
	var calls atomic.Int64
	w.store.SetClock(func() time.Time { calls.Add(1); return w.now() })
	n.off = 0
	n.pass(time.Second)
	before := calls.Load()
	for range 10 {
		n.is("fresh", 0, true)
	}
	if got := calls.Load(); got != before {
		t.Errorf("ten datings read the clock of the store %d times", got-before)
	}
}
