package monitor

import (
	"fmt"
	"slices"
	"time"
)

const (
	retryAfter = 10 * time.Second // while it is open whether a check is up or down

	flapChanges = 4 // within flapWithin
	flapWithin  = 15 * time.Minute
)

// expiringDays are the days before the end of a certificate at which people are told again, after
// those of the check.
var expiringDays = []int{7, 3, 1, 0}

// machine decides what a result means. It has no clock, and no memory but the state. It changes
// no slice of the state in place: others may have a copy of the state.
type machine struct {
	check  *Check
	state  *State
	events []Event
}

// apply takes a result into the state.
func (m *machine) apply(r Result) {
	s := m.state
	s.Last = r
	s.Runs++
	if late := r.At.Sub(r.Due); late > time.Second {
		s.Late++
		s.Latest = max(s.Latest, late)
	}
	keep := max(m.check.Down.Of, m.check.Up)
	recent := s.Recent[max(0, len(s.Recent)-keep+1):]
	s.Recent = append(slices.Clip(recent), Mark{r.At, r.OK})

	switch {
	case !r.OK && s.Status != Down && (r.Critical || m.failed() >= m.check.Down.Failures):
		m.become(Down)
	case r.OK && s.Status == "", r.OK && s.Status == Down && m.passed() >= m.check.Up:
		m.become(Up)
	}
}

// failed counts the failures among the runs that Down looks at.
func (m *machine) failed() (n int) {
	for _, mark := range m.window() {
		if !mark.OK {
			n++
		}
	}
	return n
}

// window is the results that Down looks at.
func (m *machine) window() []Mark {
	return m.state.Recent[max(0, len(m.state.Recent)-m.check.Down.Of):]
}

// passed counts the last results that have passed, without a failure between them.
func (m *machine) passed() (n int) {
	for _, mark := range slices.Backward(m.state.Recent) {
		if !mark.OK {
			break
		}
		n++
	}
	return n
}

// become changes the status: since the first of the results that show it.
func (m *machine) become(status Status) {
	s := m.state
	at := s.Recent[len(s.Recent)-1].At
	if s.Status != "" || status == Down {
		s.Changes = append(slices.Clip(s.Changes[max(0, len(s.Changes)-flapChanges+1):]), at)
	}
	s.Since = at
	switch status {
	case Up:
		s.Since = s.Recent[len(s.Recent)-m.passed()].At
	case Down:
		window := m.window()
		s.Since = window[slices.IndexFunc(window, func(mark Mark) bool { return !mark.OK })].At
		s.WasDown = s.Since
	}
	s.Status, s.Recent = status, nil
}

// tell makes the events that people must get at now. Quiet: they must get none, and get later
// what is still true then.
func (m *machine) tell(now time.Time, quiet bool) {
	s := m.state
	n := len(s.Changes)
	switch {
	case n == 0 || now.Sub(s.Changes[n-1]) >= flapWithin:
		s.Flapping = false
	case n >= flapChanges && s.Changes[n-1].Sub(s.Changes[n-flapChanges]) <= flapWithin:
		s.Flapping = true
	}
	if quiet || s.Status == "" {
		return
	}
	m.tellStatus(now)
	m.tellExpiry(now)
}

func (m *machine) tellStatus(now time.Time) {
	s := m.state
	switch {
	case s.Flapping:
		if !s.ToldFlapping {
			s.ToldFlapping = true
			m.event(Flaps, now)
		}
	case s.Told == "" && s.Status == Up && !s.ToldFlapping:
		s.Told = Up // that a check begins well is no news
	case s.Told != s.Status || s.ToldFlapping:
		s.Told, s.ToldFlapping, s.Reminded = s.Status, false, now
		if s.Status == Down {
			m.event(WentDown, now)
		} else {
			m.event(WentUp, now).Before = s.WasDown
		}
	case s.Status == Down && m.check.Remind > 0 && now.Sub(s.Reminded) >= m.check.Remind:
		s.Reminded = now
		m.event(Reminder, now)
	}
}

// tellExpiry says that a certificate ends soon: once below the days of the check, and once below each
// of expiringDays.
func (m *machine) tellExpiry(now time.Time) {
	s, days := m.state, m.check.Expect.CertificateDays
	if s.Last.Expires.IsZero() || days == 0 {
		return
	}
	if !s.Last.Expires.Equal(s.Expires) { // it was renewed
		s.Expires, s.ExpiresTold = s.Last.Expires, 0
	}
	left, below := s.Expires.Sub(now), 0 // days below which it is, and one: zero means none
	for _, d := range append([]int{days}, expiringDays...) {
		if d <= days && left < time.Duration(d)*24*time.Hour {
			below = d + 1
		}
	}
	if below == 0 || s.ExpiresTold != 0 && below >= s.ExpiresTold {
		return
	}
	s.ExpiresTold = below
	m.event(Expiring, now).Expires = s.Expires
}

// event adds an event, to which the caller may add.
func (m *machine) event(kind EventKind, now time.Time) *Event {
	c, s := m.check, m.state
	s.Number++
	e := Event{
		ID: eventID(s.Key, s.Number, kind), Kind: kind, At: now,
		Check: c.Name, Title: c.Title, Group: c.Group, Status: s.Status, Since: s.Since, Channels: c.Channels,
	}
	if s.Status == Down || kind == Flaps {
		e.Failure, e.Reason, e.Critical = s.Last.Failure, s.Last.Reason, s.Last.Critical
	}
	m.events = append(m.events, e)
	return &m.events[len(m.events)-1]
}

func eventID(key string, number uint64, kind EventKind) string {
	return fmt.Sprintf("%s-%d-%s", key, number, kind)
}

// open reports whether the last result contradicts what is known, or nothing is known: the check runs again
// soon.
func (m *machine) open() bool {
	return m.state.Status == "" || m.state.Last.OK != (m.state.Status == Up)
}

// schedule sets when the check runs next, after a run that has ended at now. A regular time that has
// passed without a run is counted, unless the next run is for it.
func (m *machine) schedule(now time.Time) {
	s := m.state
	due := s.Next
	s.Next = m.regularAfter(due)
	if behind := now.Sub(s.Next); behind >= s.Every {
		s.Missed += uint64(behind / s.Every)
		s.Next = s.Next.Add(behind / s.Every * s.Every)
	}
	if soon := due.Add(retryAfter); m.open() && soon.Before(s.Next) {
		s.Next = soon
		if soon.Before(now) {
			s.Next = now
		}
	}
}

// regularAfter returns the first regular time after t.
func (m *machine) regularAfter(t time.Time) time.Time {
	s := m.state
	if passed := t.Sub(s.Phase); passed >= 0 {
		return s.Phase.Add((passed/s.Every + 1) * s.Every)
	}
	return s.Phase
}
