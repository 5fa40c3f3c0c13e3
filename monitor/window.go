package monitor

import (
	"slices"
	"time"
)

// Maintenance is planned work: the checks go on, people are told nothing, and the time is no
// part of the uptime. It is once, or each week in the local time of a place.
type Maintenance struct {
	Name   string
	Why    string
	Checks []string // nil: all
	For    time.Duration

	Once time.Time // zero: it is weekly

	Weekday time.Weekday
	Clock   time.Duration  // since midnight, as a clock on the wall shows it
	Zone    *time.Location // nil: UTC
}

// longestMaintenance keeps the windows of a weekly maintenance apart.
const longestMaintenance = 6 * 24 * time.Hour

// covers reports whether the maintenance is one of the check.
func (w *Maintenance) covers(check string) bool {
	return w.Checks == nil || slices.Contains(w.Checks, check)
}

// window returns the window that t is in, or the next one if it is in none. There is none after
// the last: ok is false.
func (w *Maintenance) window(t time.Time) (begin, end time.Time, ok bool) {
	if !w.Once.IsZero() {
		end = w.Once.Add(w.For)
		return w.Once, end, t.Before(end)
	}
	begin, end = w.weekly(t)
	return begin, end, true
}

// weekly finds the window of a week. A window that began in the week before may still be open.
func (w *Maintenance) weekly(t time.Time) (begin, end time.Time) {
	zone := w.Zone
	if zone == nil {
		zone = time.UTC
	}
	local := t.In(zone)
	for days := int(w.Weekday-local.Weekday()) - 7; ; days += 7 {
		begin = atClock(local.Year(), local.Month(), local.Day()+days, w.Clock, zone)
		if end = begin.Add(w.For); t.Before(end) {
			return begin, end
		}
	}
}

// atClock is when a clock on the wall first shows that time on that day. In the night when clocks are
// put forward it may never show it: then it is the moment when they are put forward.
func atClock(year int, month time.Month, day int, clock time.Duration, zone *time.Location) time.Time {
	wall := time.Date(year, month, day, 0, 0, 0, 0, time.UTC).Add(clock)
	offset := func(near time.Duration) time.Duration {
		_, seconds := wall.Add(near).In(zone).Zone()
		return time.Duration(seconds) * time.Second
	}
	before, after := offset(-26*time.Hour), offset(26*time.Hour) // no zone is more than 14 hours from UTC
	for _, o := range []time.Duration{max(before, after), min(before, after)} {
		t := wall.Add(-o).In(zone)
		if t.Hour() == wall.Hour() && t.Minute() == wall.Minute() {
			return t
		}
	}
	put, _ := wall.Add(-min(before, after)).In(zone).ZoneBounds()
	return put
}
