// Package nodetime is the one place of a server that decides what time it is, and whether
// the clock of this machine may be believed. All that an issuer dates, it dates by a [Clock].
//
// A Clock compares three witnesses: the wall clock of this machine, the clock of the store
// if the engine has one, and the time that has passed since the last reading, by clocks
// that nobody can set. Any wall clock may be wrong at any moment. So:
//
//   - The time goes on from the last reading that agreed. It does not follow a wall clock
//     that was set.
//   - If the witnesses differ by more than [MaxOffset], nothing may be dated: [Clock.Date]
//     fails until a reading agrees again. Revocations go on.
//   - No copy is ever dated later than the horizon, which stands in the store and never goes
//     back. A log entry expires by the horizon ([Clock.Horizon]), so it outlives all that it
//     covers, also what a node with a wrong clock has dated.
//   - Nothing is dropped that expires after the remembered time, which stands in the store
//     too ([Clock.SweepBefore]), and no node believes a time more than [MaxOffset] before that.
//
// Begin with [New]. [Clock.Run] reads the clocks once a second.
package nodetime

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/internal/clock"
	"github.com/counterfoil/counterfoil/store"
)

const (
	// Tolerance is how far the wall clock may be off before operators are told (OPS-15).
	Tolerance = 2 * time.Second

	// MaxOffset is how far it may be off before nothing is dated any more (OPS-15).
	MaxOffset = 30 * time.Second

	// Settled is how long the time must have run in this process without a jump before
	// elapsed time alone shows that a copy is dead. No copy lives longer, leeway included.
	Settled = 20 * time.Minute

	// Ahead is how far beyond the present the horizon is moved, about once in half that time.
	Ahead = 2 * time.Minute

	every = time.Second     // how often Run reads the clocks
	stale = 5 * time.Second // a reading that is so old is taken anew before anything is dated
)

// Options of New.
type Options struct {
	Store store.Store      // required: its clock, and the record that all nodes share
	Now   func() time.Time // the wall clock; nil: time.Now

	// Elapsed counts by a clock that nobody can set, from any moment on. nil: the monotonic
	// clock, and the time that the machine was asleep; or, with Now, what Now has counted.
	Elapsed func() time.Duration

	// SetBack says that an operator vouches for a wall clock that is behind the remembered
	// time: see [Clock.SetBack].
	SetBack bool

	Logger *slog.Logger // nil: slog.Default()
}

// Clock is the time of one node. Its methods are safe for concurrent use.
type Clock struct {
	opts    Options
	believe bool
	elapsed func() time.Duration
	begun   line

	looking chan struct{} // holds a token during a reading, and while the record is written
	verdict atomic.Pointer[verdict]
	record  atomic.Pointer[record] // as it was last read or written; nil: not yet
}

// New returns a clock that compares all witnesses. It reads nothing yet.
func New(o Options) *Clock {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	c := &Clock{looking: make(chan struct{}, 1), elapsed: o.Elapsed}
	switch {
	case o.Elapsed != nil:
	case o.Now == nil:
		machine := clock.New(nil, clock.Boot)
		c.elapsed = func() time.Duration { return machine.Read().Elapsed }
	default:
		c.elapsed = counted(o.Now)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	c.opts, c.begun = o, line{o.Now(), c.elapsed()}
	return c
}

// Believe returns a clock that believes now, whatever others say: for a program that has no
// other witness, and for tests. It keeps the horizon.
func Believe(s store.Store, now func() time.Time) *Clock {
	c := New(Options{Store: s, Now: now})
	c.believe = true
	return c
}

// counted counts by a wall clock that is set by nobody but a test, and never backwards.
func counted(now func() time.Time) func() time.Duration {
	var mu sync.Mutex
	base, most := now(), time.Duration(0)
	return func() time.Duration {
		mu.Lock()
		defer mu.Unlock()
		most = max(most, now().Sub(base))
		return most
	}
}

// Now is the time. It is what the store's clock or, without one, the wall clock told at the
// last reading that agreed, and what has passed since. It may be asked at any time, also
// when nothing may be dated: nobody knows better.
func (c *Clock) Now() time.Time {
	v := c.verdict.Load()
	if v == nil || c.believe {
		return c.opts.Now()
	}
	return v.line.at(c.elapsed())
}

// Passed is how long ago t was, at least. If the store has no clock, only the time since the
// start of this process is certain: the clock of the machine may be another than before.
func (c *Clock) Passed(t time.Time) time.Duration {
	passed := c.Now().Sub(t)
	if v := c.verdict.Load(); v != nil && !v.byStore {
		passed = min(passed, c.elapsed()-c.begun.since)
	}
	return passed
}

// Steady is a time for measuring how long something lasts: the wall clock when c was made,
// and what has passed since. Nothing sets it.
func (c *Clock) Steady() time.Time { return c.begun.at(c.elapsed()) }

// Err is nil if this node may date what it makes. Otherwise it is an outage that says why.
func (c *Clock) Err() error {
	if v := c.verdict.Load(); v != nil && v.wrong != "" {
		return fmt.Errorf("%w: %s", counterfoil.ErrUnavailable, v.wrong)
	}
	return nil
}

// Date returns the time by which a copy, a session or a code is dated, if this node may do
// that. The issuer calls it before it reads what the copy rests on. Ordinarily Date reads
// nothing.
func (c *Clock) Date(ctx context.Context) (time.Time, error) {
	if v := c.verdict.Load(); !c.believe && (v == nil || c.elapsed()-v.looked > stale) {
		if err := c.Look(ctx); err != nil {
			return time.Time{}, err
		}
	}
	for {
		if err := c.Err(); err != nil {
			return time.Time{}, err
		}
		now := c.Now()
		if r := c.record.Load(); r != nil && !now.After(r.Horizon) {
			return now, nil
		}
		if err := c.extend(ctx); err != nil {
			return time.Time{}, err
		}
	}
}

// extend moves the horizon, because nobody has done that in time.
func (c *Clock) extend(ctx context.Context) error {
	if err := c.begin(ctx); err != nil {
		return err
	}
	defer c.end()
	return store.Outage(c.keep(ctx))
}

func (c *Clock) begin(ctx context.Context) error {
	select {
	case c.looking <- struct{}{}:
		return nil
	case <-ctx.Done():
		return store.Outage(ctx.Err())
	}
}

func (c *Clock) end() { <-c.looking }

// Look reads the clocks, and moves the horizon if it is near.
func (c *Clock) Look(ctx context.Context) error {
	if c.believe {
		return nil
	}
	if err := c.begin(ctx); err != nil {
		return err
	}
	defer c.end()
	if c.record.Load() == nil {
		if err := c.read(ctx); err != nil {
			return store.Outage(err)
		}
	}
	asked := c.elapsed()
	told, err := c.opts.Store.Time(ctx)
	answered := c.elapsed()
	if err != nil {
		return store.Outage(fmt.Errorf("read the clock of the store: %w", err))
	}
	remembered := c.record.Load().Remembered
	seen := reading{
		wall: c.opts.Now(), store: told, within: (answered - asked) / 2, elapsed: answered,
		remembered: remembered, vouched: c.opts.SetBack,
	}
	if !told.IsZero() {
		seen.store = told.Add(seen.within) // it was read about that long ago
	}
	before := c.verdict.Load()
	v := before.judge(seen)
	if v.jumped < 0 { // another node may have remembered a later time meanwhile
		if err := c.read(ctx); err != nil {
			return store.Outage(err)
		}
		seen.remembered = c.record.Load().Remembered
		v = before.judge(seen)
	}
	c.verdict.Store(v)
	c.tell(before, v)
	if v.wrong != "" || !c.due() {
		return nil
	}
	return store.Outage(c.keep(ctx))
}

// tell logs what has changed, once.
func (c *Clock) tell(before, v *verdict) {
	if before == nil {
		before = &verdict{}
	}
	switch {
	case v.wrong != "" && before.wrong == "":
		c.opts.Logger.Error("nothing is issued, refreshed or swept by this node", "why", v.wrong, "offset", v.offset.String())
	case v.wrong == "" && before.wrong != "":
		c.opts.Logger.Warn("the clocks agree: this node issues again", "offset", v.offset.String())
	case v.off() && !before.off() && v.jumped == 0:
		c.opts.Logger.Warn("the clock of this node is off", "offset", v.offset.String(), "hint", "synchronise it; at more than "+MaxOffset.String()+" this node issues nothing")
	}
	if v.jumped != 0 && v.wrong == "" {
		c.opts.Logger.Warn("the time was set", "by", v.jumped.String(), "hint", "log entries are swept again when that was "+Settled.String()+" ago")
	}
}

// Run reads the clocks about once a second until ctx ends. Then it writes down the time, so
// that the next process knows exactly what has passed.
func (c *Clock) Run(ctx context.Context) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	failed := false
	for {
		select {
		case <-ctx.Done():
			short, cancel := context.WithTimeout(context.WithoutCancel(ctx), stale)
			defer cancel()
			if v := c.verdict.Load(); v != nil && v.accepted && v.wrong == "" {
				_ = c.extend(short) // without it a clock that is behind is noticed later
			}
			return
		case <-tick.C:
		}
		short, cancel := context.WithTimeout(ctx, stale)
		err := c.Look(short)
		cancel()
		if err != nil && !failed && ctx.Err() == nil {
			c.opts.Logger.Warn("compare the clocks", "error", err.Error())
		}
		failed = err != nil
	}
}

// SweepBefore returns the time before which a thing must have expired to be dropped; zero:
// nothing may be dropped now. By every measure the thing is dead then: the time of the
// store, the wall clock, and what has passed since this process first saw it. The clocks
// are read anew, and that time is remembered first, so that no node will ever believe an
// earlier one.
func (c *Clock) SweepBefore(ctx context.Context) (time.Time, error) {
	if c.believe {
		return c.opts.Now().Add(-slack), nil
	}
	if err := c.Look(ctx); err != nil {
		return time.Time{}, err
	}
	if c.Err() != nil { // tell has logged it
		return time.Time{}, nil
	}
	if err := c.extend(ctx); err != nil {
		return time.Time{}, err
	}
	return c.sweepable(), nil
}

// slack is for the error of readings, and for times that are kept in whole seconds.
const slack = time.Minute

func (c *Clock) sweepable() time.Time {
	before := c.record.Load().Remembered
	if before.IsZero() {
		return before
	}
	for _, t := range []time.Time{c.Now(), c.opts.Now()} {
		if t.Before(before) {
			before = t
		}
	}
	return before.Add(-slack)
}

// Status is what operators are shown.
type Status struct {
	Offset   time.Duration // of the wall clock; positive: it is ahead
	Within   time.Duration // how exactly Offset is known
	Compared string        // with what: "the store", or "elapsed time"
	Wrong    string        // why nothing is dated; empty: it is
}

// Status returns what the last reading found.
func (c *Clock) Status() Status {
	v := c.verdict.Load()
	if v == nil {
		return Status{Compared: "nothing yet"}
	}
	s := Status{Offset: v.offset, Within: v.within, Compared: "elapsed time", Wrong: v.wrong}
	if v.byStore {
		s.Compared = "the store"
	}
	return s
}

// SetBack reports whether this node goes on although its clock is behind the remembered
// time, because an operator vouches for it. Entries that cover copies which are alive by
// that clock may have been swept. So the caller begins another epoch of the log, in which
// no copy from before counts, and calls Forget.
func (c *Clock) SetBack() bool {
	v, r := c.verdict.Load(), c.record.Load()
	return v != nil && v.wrong == "" && r != nil && c.Now().Before(r.Remembered.Add(-MaxOffset))
}
