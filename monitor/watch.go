package monitor

import (
	"context"
	"crypto/rand"
	"hash/fnv"
	"sync"
	"time"
)

const (
	keepWithin = 5 * time.Second  // one call of the Keeper
	keepAgain  = 5 * time.Second  // after an event could not be kept
	mostUnkept = 1000             // results; later ones take the place of the oldest
	spreadOver = 10 * time.Second // first runs, and those that nobody ran
	slot       = 250 * time.Millisecond
)

// watch runs one check at its times. Its goroutine alone changes the state.
type watch struct {
	monitor *Monitor
	check   *Check
	probe   Probe
	stop    context.CancelFunc
	done    chan struct{} // closed when the goroutine has ended
	poke    chan struct{} // has room for one: look again at what people must be told, and at calls

	unkept Step // its results and events could not be kept yet

	mu      sync.Mutex // guards state and running for readers in other goroutines
	state   State
	running bool
}

// wake has the goroutine look again.
func (w *watch) wake() {
	select {
	case w.poke <- struct{}{}:
	default:
	}
}

// now returns the state.
func (w *watch) now() State {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.state
}

// takeOver goes on where the watch of the same check with another definition has ended.
func (w *watch) takeOver(old *watch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.state, w.unkept = old.now(), old.unkept
}

func (w *watch) run(ctx context.Context) {
	w.begin(w.monitor.opts.Now())
	timer := time.NewTimer(w.wait())
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.poke:
			w.look(ctx)
		case <-timer.C:
			if w.monitor.opts.Now().Before(w.state.Next) {
				w.look(ctx) // it woke to keep what was not kept
			} else {
				w.turn(ctx)
			}
		}
		timer.Reset(w.wait())
	}
}

// begin finds the next time at which the check is due. Not all checks are due at once.
func (w *watch) begin(now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s, c := &w.state, w.check
	if s.Key == "" {
		s.Check, s.Key = c.Name, rand.Text()
	}
	if c.Kind == Push { // Phase is when the last call came, or should have come
		if s.Every = c.Every; s.Phase.IsZero() {
			s.Phase = now
		}
		s.Next = now
		return
	}
	if s.Phase.IsZero() || s.Every != c.Every {
		s.Every = c.Every
		s.Phase = now.Add(spread(c.Name, min(c.Every, spreadOver)))
		s.Next = s.Phase
	}
	if now.Sub(s.Next) > spreadOver { // nobody ran it
		s.Phase = now.Add(spread(c.Name, min(c.Every, spreadOver)))
		s.Next = s.Phase
	}
	// From here on a change of the wall clock moves no run: both get the monotonic reading of now.
	s.Phase, s.Next = now.Add(s.Phase.Sub(now)), now.Add(s.Next.Sub(now))
}

// spread is a part of d that depends on the name: whole slots, because checks that wake up together cost less
// than checks that wake up one by one.
func spread(name string, d time.Duration) time.Duration {
	h := fnv.New64a()
	_, _ = h.Write([]byte(name))
	return time.Duration(h.Sum64()%uint64(d/slot)) * slot
}

// wait is how long to sleep.
func (w *watch) wait() time.Duration {
	wait := w.state.Next.Sub(w.monitor.opts.Now())
	if len(w.unkept.Events) > 0 {
		wait = min(wait, keepAgain)
	}
	return max(wait, 0)
}

// turn runs the check. A run that was cut off by a stop counts as none: the next monitor
// runs it.
func (w *watch) turn(ctx context.Context) {
	if w.check.Kind == Push {
		w.lookForCalls(ctx)
		return
	}
	w.setRunning(true)
	r := w.monitor.runOnce(ctx, w.check, w.probe, w.state.Next)
	w.setRunning(false)
	if ctx.Err() != nil {
		return
	}
	now := w.monitor.opts.Now()
	m := w.machine()
	m.apply(r)
	m.schedule(now)
	w.tell(ctx, m, now, &r)
}

func (w *watch) setRunning(running bool) {
	w.mu.Lock()
	w.running = running
	w.mu.Unlock()
}

// look says what people were not told because they were to be told nothing, and keeps what could not
// be kept.
func (w *watch) look(ctx context.Context) {
	if w.check.Kind == Push {
		w.lookForCalls(ctx)
		return
	}
	w.tell(ctx, w.machine(), w.monitor.opts.Now(), nil)
}

// machine works on a copy of the state, until tell stores it.
func (w *watch) machine() *machine {
	s := w.state
	return &machine{check: w.check, state: &s}
}

// tell stores the state of m, and keeps it with the events that follow from it.
func (w *watch) tell(ctx context.Context, m *machine, now time.Time, r *Result) {
	quiet, _ := w.monitor.quiet(w.check.Name, now)
	m.tell(now, quiet)
	w.mu.Lock()
	w.state = *m.state
	w.mu.Unlock()
	if r != nil {
		if ran := w.monitor.opts.Ran; ran != nil {
			ran(w.check, *r)
		}
		w.unkept.Results = append(w.unkept.Results, *r)
		if over := len(w.unkept.Results) - mostUnkept; over > 0 {
			w.unkept.Results = w.unkept.Results[over:]
		}
	}
	w.unkept.Events = append(w.unkept.Events, m.events...)
	if r == nil && len(w.unkept.Events) == 0 {
		return
	}
	for _, e := range m.events {
		w.monitor.opts.Logger.Info("monitor", "check", e.Check, "event", string(e.Kind), "failure", e.Failure)
	}
	w.unkept.State = *m.state
	keeping, cancel := context.WithTimeout(context.WithoutCancel(ctx), keepWithin)
	defer cancel()
	if err := w.monitor.opts.Keeper.Keep(keeping, w.unkept); err != nil {
		w.monitor.opts.Logger.Warn("monitor: a result is not kept yet", "check", w.check.Name, "error", err.Error())
		return
	}
	w.unkept = Step{}
}
