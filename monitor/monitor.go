package monitor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/counterfoil/counterfoil/internal/check"
	"github.com/counterfoil/counterfoil/rights"
)

// Options of New.
type Options struct {
	Keeper Keeper // required
	Logger *slog.Logger

	// Dial connects to targets. It decides which addresses may be targets, and is required. Allow has
	// it follow File.Inside, before the checks of a file run; nil: it knows that already.
	Dial  func(ctx context.Context, network, address string) (net.Conn, error)
	Allow func(inside []string) error

	// Probes make what runs checks of a kind, in place of those of this package. Without one for
	// Journey, a file with a journey is refused.
	Probes map[Kind]func(*Check) (Probe, error)

	Ran func(*Check, Result) // is called after each run; nil: nobody counts
	Now func() time.Time     // nil: time.Now
}

// Probe runs a check once. It ends soon after ctx has ended. It sets of the result what it finds
// out, and neither the times nor the name.
type Probe func(ctx context.Context) Result

// Monitor runs checks.
type Monitor struct {
	opts    Options
	changed chan struct{} // has room for one: the file has changed

	mu      sync.Mutex // guards the fields below; no run of a check holds it
	file    *File
	probes  map[string]Probe
	watches map[string]*watch // while Run runs
	mutes   map[string]Mute
}

// New returns a monitor of the checks of file. It runs none yet.
func New(file *File, o Options) (*Monitor, error) {
	if o.Keeper == nil || o.Dial == nil {
		return nil, errors.New("monitor: Options.Keeper and Options.Dial are required")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	m := &Monitor{opts: o, changed: make(chan struct{}, 1)}
	return m, m.Set(file)
}

// Set replaces the file. A check that has the same name as before goes on from its state. If a check
// cannot be run, nothing changes.
func (m *Monitor) Set(file *File) error {
	probes := make(map[string]Probe, len(file.Checks))
	for _, c := range file.Checks {
		p, err := m.probe(c)
		if err != nil {
			return fmt.Errorf("check %s: %w", c.Name, err)
		}
		probes[c.Name] = p
	}
	if m.opts.Allow != nil {
		if err := m.opts.Allow(file.Inside); err != nil {
			return err
		}
	}
	m.mu.Lock()
	m.file, m.probes = file, probes
	m.mu.Unlock()
	select {
	case m.changed <- struct{}{}:
	default:
	}
	return nil
}

// probe makes what runs c; nil for a push check, which nothing runs.
func (m *Monitor) probe(c *Check) (Probe, error) {
	if build := m.opts.Probes[c.Kind]; build != nil {
		return build(c)
	}
	switch c.Kind {
	case HTTP:
		return httpProbe(c, m.opts.Dial)
	case TCP:
		return tcpProbe(c, m.opts.Dial), nil
	case TLS:
		return tlsProbe(c, m.opts.Dial)
	case Push:
		return nil, nil
	}
	return nil, fmt.Errorf("nothing runs checks of the kind %s here", c.Kind)
}

// File returns the file as it is now.
func (m *Monitor) File() *File {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.file
}

// Run runs the checks until ctx ends. It goes on from what the Keeper has. Of all monitors with one
// Keeper, one alone may run at a time.
func (m *Monitor) Run(ctx context.Context) error {
	kept, ok := m.load(ctx)
	if !ok {
		return nil
	}
	running, stop := context.WithCancel(ctx)
	var all sync.WaitGroup
	defer func() {
		stop()
		all.Wait()
		m.mu.Lock()
		m.watches = nil
		m.mu.Unlock()
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), keepWithin)
		defer cancel()
		if err := m.opts.Keeper.Flush(last); err != nil {
			m.opts.Logger.Error("monitor: the last results are not kept", "error", err.Error())
		}
	}()
	m.mu.Lock()
	m.mutes, m.watches = kept.Mutes, map[string]*watch{}
	m.mu.Unlock()
	windows := map[string]State{}
	for name, s := range kept.States {
		if own, is := strings.CutPrefix(name, maintenancePrefix); is {
			windows[own] = s
		}
	}
	all.Go(func() { m.calendar(running, windows) })
	last := map[string]*watch{}
	for {
		m.arrange(running, &all, kept.States, last)
		select {
		case <-ctx.Done():
			return nil
		case <-m.changed:
		}
	}
}

// load asks the Keeper until it answers.
func (m *Monitor) load(ctx context.Context) (Kept, bool) {
	for ctx.Err() == nil {
		asking, cancel := context.WithTimeout(ctx, keepWithin)
		kept, err := m.opts.Keeper.Load(asking)
		cancel()
		if err == nil {
			return kept, true
		}
		m.opts.Logger.Error("monitor: cannot begin", "error", err.Error())
		pause(ctx, time.Second)
	}
	return Kept{}, false
}

// pause waits for d, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// arrange starts and stops watches, so that there is one for each check of the file. Last has the
// newest watch of each name: another one waits until it has ended, and goes on from its state.
func (m *Monitor) arrange(ctx context.Context, all *sync.WaitGroup, states map[string]State, last map[string]*watch) {
	m.mu.Lock()
	defer m.mu.Unlock()
	before := m.watches
	m.watches = make(map[string]*watch, len(m.file.Checks))
	for _, c := range m.file.Checks {
		if w := before[c.Name]; w != nil && w.check.same(c) {
			m.watches[c.Name] = w
			continue
		}
		watching, stop := context.WithCancel(ctx)
		w := &watch{monitor: m, check: c, probe: m.probes[c.Name], stop: stop, done: make(chan struct{}), poke: make(chan struct{}, 1)}
		w.state = states[c.Name]
		old := last[c.Name]
		if old != nil {
			old.stop()
		}
		m.watches[c.Name], last[c.Name] = w, w
		all.Go(func() {
			defer close(w.done)
			if old != nil { // never two runs of one check
				<-old.done
				w.takeOver(old)
			}
			w.run(watching)
		})
	}
	for name, w := range before {
		if m.watches[name] == nil {
			w.stop()
		}
	}
}

// Shown is a check with all that is known of it.
type Shown struct {
	Check       *Check
	State       State
	Running     bool   // a run is under way
	Maintenance string // the name of the one that it is in; empty: none
	Mute        *Mute  // nil: none
}

// Shown returns the checks in the order of the file. While Run does not run, the states are those
// of before, or empty.
func (m *Monitor) Shown() []Shown {
	now := m.opts.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make([]Shown, 0, len(m.file.Checks))
	for _, c := range m.file.Checks {
		s := Shown{Check: c, Maintenance: m.file.maintenance(c.Name, now)}
		if w := m.watches[c.Name]; w != nil {
			w.mu.Lock()
			s.State, s.Running = w.state, w.running
			w.mu.Unlock()
		}
		if mute, muted := m.mutes[c.Name]; muted && now.Before(mute.Until) {
			s.Mute = &mute
		}
		all = append(all, s)
	}
	return all
}

// Due returns when the next run is due, of those that are not under way. Zero: none is. A call for a push
// check is no run. running reports whether Run runs, and the Keeper has answered: before that no check is due, because none is run.
func (m *Monitor) Due() (first time.Time, running bool) {
	m.mu.Lock()
	running = m.watches != nil
	m.mu.Unlock()
	for _, s := range m.Shown() {
		if next := s.State.Next; s.Check.Kind != Push && !s.Running && !next.IsZero() && (first.IsZero() || next.Before(first)) {
			first = next
		}
	}
	return first, running
}

var (
	// ErrUnknown means that there is no such check.
	ErrUnknown = errors.New("no such check")
	// ErrBadRequest means that an argument is not acceptable; nothing was done.
	ErrBadRequest = check.ErrBadRequest
)

// LongestMute is how long one mute may be.
const LongestMute = 30 * 24 * time.Hour

// Mute keeps the events of a check from people for a time; zero ends an earlier mute. What is still true
// at the end, they are told then. Lists show why, which is required. who must have the right Write, or it is
// [rights.Forbidden]; by says who that is.
func (m *Monitor) Mute(ctx context.Context, who rights.Actor, name string, d time.Duration, why, by string) (Mute, error) {
	if err := who.Need(rights.Write); err != nil {
		return Mute{}, err
	}
	switch {
	case d < 0 || d > LongestMute:
		return Mute{}, fmt.Errorf("%w: a mute is 0 to %d seconds", ErrBadRequest, LongestMute/time.Second)
	case why == "" || check.People(why) != nil:
		return Mute{}, fmt.Errorf("%w: why is missing, or cannot be shown", ErrBadRequest)
	case !slices.ContainsFunc(m.File().Checks, func(c *Check) bool { return c.Name == name }):
		return Mute{}, fmt.Errorf("%w: %s", ErrUnknown, name)
	}
	mute := Mute{Check: name, Until: m.opts.Now().Add(d), Why: why, By: by}
	if err := m.opts.Keeper.SetMute(ctx, mute); err != nil {
		return Mute{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.mutes == nil {
		m.mutes = map[string]Mute{}
	}
	m.mutes[name] = mute
	if w := m.watches[name]; w != nil {
		w.wake()
	}
	return mute, nil
}

// quiet reports whether people are told nothing of the check now, and whether that is for a
// maintenance.
func (m *Monitor) quiet(check string, now time.Time) (quiet, maintenance bool) {
	m.mu.Lock()
	file, mute := m.file, m.mutes[check]
	m.mu.Unlock()
	maintenance = file.maintenance(check, now) != ""
	return maintenance || now.Before(mute.Until), maintenance
}

// Once runs each check once, and returns the results in the order of the file. It tells nobody, and
// leaves out push checks.
func (m *Monitor) Once(ctx context.Context) []Result {
	m.mu.Lock()
	file, probes := m.file, m.probes
	m.mu.Unlock()
	results := make([]*Result, len(file.Checks))
	turn := make(chan struct{}, 32)
	var all sync.WaitGroup
	for i, c := range file.Checks {
		if probes[c.Name] == nil {
			continue
		}
		all.Go(func() {
			turn <- struct{}{}
			defer func() { <-turn }()
			r := m.runOnce(ctx, c, probes[c.Name], m.opts.Now())
			results[i] = &r
		})
	}
	all.Wait()
	var ran []Result
	for _, r := range results {
		if r != nil {
			ran = append(ran, *r)
		}
	}
	return ran
}

// runOnce runs a check, which was due at a time.
func (m *Monitor) runOnce(ctx context.Context, c *Check, p Probe, due time.Time) (r Result) {
	at := m.opts.Now()
	defer func() {
		if thrown := recover(); thrown != nil { // of one check: the others, and the server around them, go on
			m.opts.Logger.Error("monitor: a check panicked", "check", c.Name, "panic", fmt.Sprint(thrown))
			r = Result{Failure: "the check cannot run: see the log", Reason: Broken}
		}
		r.Check, r.Due, r.At, r.Took = c.Name, due, at, m.opts.Now().Sub(at)
		if limit := c.Expect.Latency; r.OK && limit > 0 && r.Took > limit {
			r.OK, r.Reason, r.Failure = false, Slow, fmt.Sprintf("took %v: want %v", r.Took.Round(time.Millisecond), limit)
		}
		_, r.Maintenance = m.quiet(c.Name, at)
		if r.OK {
			r.Failure, r.Reason, r.Critical = "", "", false
		} else {
			r.Reason = cmp.Or(r.Reason, Broken)
		}
	}()
	within, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	return p(within)
}
