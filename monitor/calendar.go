package monitor

import (
	"context"
	"crypto/rand"
	"maps"
	"slices"
	"time"
)

// mutesAgain is how often mutes that another node set are read.
const mutesAgain = 10 * time.Second

// maintenancePrefix begins the name under which the state of a maintenance is kept. No check has
// such a name.
const maintenancePrefix = "~"

// calendar says when a maintenance begins and ends, and has the checks look again when people may be
// told something again. States are by the names of maintenances.
func (m *Monitor) calendar(ctx context.Context, states map[string]State) {
	before := map[string]bool{} // checks of which people were told nothing
	for ctx.Err() == nil {
		m.readMutes(ctx)
		now := m.opts.Now()
		m.turnPages(ctx, states, now)
		next := now.Add(mutesAgain)
		for _, at := range m.boundaries(now) {
			if at.After(now) && at.Before(next) {
				next = at
			}
		}
		m.wakeUnmuted(before, now)
		pause(ctx, next.Sub(m.opts.Now()))
	}
}

// readMutes asks the Keeper. Without an answer, the mutes stay.
func (m *Monitor) readMutes(ctx context.Context) {
	asking, cancel := context.WithTimeout(ctx, keepWithin)
	defer cancel()
	mutes, err := m.opts.Keeper.Mutes(asking)
	if err != nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mutes = mutes
}

// boundaries are the times at which a maintenance or a mute begins or ends.
func (m *Monitor) boundaries(now time.Time) (all []time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, w := range m.file.Maintenance {
		if begin, end, ok := w.window(now); ok {
			all = append(all, begin, end)
		}
	}
	for _, mute := range m.mutes {
		all = append(all, mute.Until)
	}
	return all
}

// wakeUnmuted has the checks look again of which people may be told something again.
func (m *Monitor) wakeUnmuted(before map[string]bool, now time.Time) {
	m.mu.Lock()
	watches := maps.Clone(m.watches)
	m.mu.Unlock()
	for name, w := range watches {
		quiet, _ := m.quiet(name, now)
		if before[name] && !quiet {
			w.wake()
		}
		before[name] = quiet
	}
}

// turnPages says which maintenances have begun and ended. While one is open, the Next of its
// state is its end.
func (m *Monitor) turnPages(ctx context.Context, states map[string]State, now time.Time) {
	file := m.File()
	for name, s := range states {
		known := slices.ContainsFunc(file.Maintenance, func(w *Maintenance) bool { return w.Name == name })
		if !known && !s.Next.IsZero() { // it was taken out of the file
			m.announce(ctx, states, &Maintenance{Name: name}, s, MaintenanceEnded, now)
		}
	}
	for _, w := range file.Maintenance {
		s := states[w.Name]
		begin, end, ok := w.window(now)
		inside := ok && !now.Before(begin)
		if !s.Next.IsZero() && !(inside && begin.Equal(s.Since)) {
			s = m.announce(ctx, states, w, s, MaintenanceEnded, now)
		}
		if inside && s.Next.IsZero() && !begin.Equal(s.Since) {
			s.Since, s.Next = begin, end
			m.announce(ctx, states, w, s, MaintenanceBegan, now)
		}
	}
}

// announce keeps an event of a maintenance, and its state. If it cannot, it is tried again with the same
// event.
func (m *Monitor) announce(ctx context.Context, states map[string]State, w *Maintenance, s State, kind EventKind, now time.Time) State {
	if s.Key == "" {
		s.Check, s.Key = maintenancePrefix+w.Name, rand.Text()
	}
	s.Number++
	e := Event{ID: eventID(s.Key, s.Number, kind), Kind: kind, At: now, Maintenance: w.Name, Why: w.Why, Since: s.Since, Until: s.Next, Checks: w.Checks}
	if kind == MaintenanceEnded {
		s.Next = time.Time{}
	}
	keeping, cancel := context.WithTimeout(ctx, keepWithin)
	defer cancel()
	if err := m.opts.Keeper.Keep(keeping, Step{State: s, Events: []Event{e}}); err != nil {
		m.opts.Logger.Warn("monitor: a maintenance is not announced yet", "maintenance", w.Name, "error", err.Error())
		return states[w.Name]
	}
	m.opts.Logger.Info("monitor", "maintenance", w.Name, "event", string(kind))
	states[w.Name] = s
	return s
}
