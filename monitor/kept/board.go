package kept

import (
	"context"
	"encoding/json"
	"time"

	"github.com/counterfoil/counterfoil/monitor"
	"github.com/counterfoil/counterfoil/store"
)

// Days is how many days a board shows, today included.
const Days = 90

// Board is what a status page shows: what the store has of the checks.
type Board struct {
	At        time.Time // when it was read
	Checks    map[string]Line
	Incidents []Incident // of the last days, newest first; at most maxIncidents
}

// shownIncidents is for how long an incident that has ended is shown.
const (
	shownIncidents = 14 * 24 * time.Hour
	maxIncidents   = 50
)

// Line is a check on a board.
type Line struct {
	State monitor.State
	Mute  *monitor.Mute // nil: none
	Days  [Days]Day     // oldest first
}

// Day is one day of a check, in UTC. A day without results has no time.
type Day struct {
	Date                  time.Time
	Up, Down, Maintenance time.Duration
	Took                  time.Duration // of a run, on average
}

// Known reports whether there is a result of the day that counts.
func (d Day) Known() bool { return d.Up+d.Down > 0 }

// Uptime is the share of the time that the check was up, without maintenance.
func (d Day) Uptime() float64 { return float64(d.Up) / float64(d.Up+d.Down) }

// Uptime is that of the last days together; known: there is any result.
func (l Line) Uptime() (share float64, known bool) {
	var all Day
	for _, d := range l.Days {
		all.Up, all.Down = all.Up+d.Up, all.Down+d.Down
	}
	return all.Uptime(), all.Known()
}

// Board reads what the store has of checks.
func (k *Keeper) Board(ctx context.Context, checks []string) (Board, error) {
	b := Board{At: k.opts.Now(), Checks: make(map[string]Line, len(checks))}
	today := dayOf(b.At)
	first := today.AddDate(0, 0, -Days+1)
	var keys []store.Key
	for _, check := range checks {
		keys = append(keys, stateKey(check), muteKey(check), yearKey(check, today))
		if first.Year() != today.Year() {
			keys = append(keys, yearKey(check, first))
		}
	}
	found, err := k.read(ctx, keys)
	if err != nil {
		return Board{}, err
	}
	keys = nil
	states := map[string]monitor.State{}
	for _, check := range checks {
		var r stateRecord
		if rec, is := found[stateKey(check)]; is && json.Unmarshal(rec.Value, &r) == nil {
			states[check] = r.State
			if at := r.State.Last.At; !at.IsZero() {
				keys = append(keys, dayKey(check, dayOf(at))) // the day that no year has yet
			}
		}
	}
	last, err := k.read(ctx, keys)
	if err != nil {
		return Board{}, err
	}
	for _, check := range checks {
		days := map[string]count{}
		for _, day := range []time.Time{first, today} {
			var year yearRecord
			if rec, is := found[yearKey(check, day)]; is && json.Unmarshal(rec.Value, &year) == nil {
				for at, c := range year.Days {
					days[day.Format("2006-")+at] = c
				}
			}
		}
		state := states[check]
		if rec, is := last[dayKey(check, dayOf(state.Last.At))]; is {
			var open dayRecord
			if json.Unmarshal(rec.Value, &open) == nil {
				days[dayOf(state.Last.At).Format(time.DateOnly)] = open.sum()
			}
		}
		line := Line{State: state, Mute: muteOf(found[muteKey(check)], b.At)}
		for n := range line.Days {
			date := first.AddDate(0, 0, n)
			line.Days[n] = days[date.Format(time.DateOnly)].day(date)
		}
		b.Checks[check] = line
	}
	b.Incidents, err = k.recent(ctx, b.At)
	return b, err
}

func (c count) day(date time.Time) Day {
	d := Day{Date: date, Up: time.Duration(c.up) * time.Second, Down: time.Duration(c.down) * time.Second, Maintenance: time.Duration(c.maintenance) * time.Second}
	if c.runs > 0 {
		d.Took = time.Duration(c.took/c.runs) * time.Millisecond
	}
	return d
}

// recent returns the incidents that are open, or ended not long ago.
func (k *Keeper) recent(ctx context.Context, now time.Time) (all []Incident, err error) {
	page, _, err := k.Incidents(ctx, "", maxIncidents)
	for _, i := range page {
		if i.Ended.IsZero() || now.Sub(i.Ended) < shownIncidents {
			all = append(all, i)
		}
	}
	return all, err
}
