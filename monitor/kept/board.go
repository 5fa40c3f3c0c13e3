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
	Days  [Days]Day // oldest first
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
		keys = append(keys, stateKey(check), yearKey(check, today))
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
		line := Line{State: state}
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

// Bucket is five minutes of a check.
type Bucket struct {
	Begin                 time.Time
	Up, Down, Maintenance time.Duration
	Took, Longest         time.Duration // of a run, on average and at most
}

// Buckets returns the five-minute buckets of a day. Those without results have no time.
func (k *Keeper) Buckets(ctx context.Context, check string, day time.Time) ([]Bucket, error) {
	key := dayKey(check, dayOf(day))
	found, err := k.read(ctx, []store.Key{key})
	if err != nil {
		return nil, err
	}
	var r dayRecord
	if rec, is := found[key]; is {
		if err := json.Unmarshal(rec.Value, &r); err != nil {
			return nil, err
		}
	}
	all := make([]Bucket, len(r.Buckets))
	for n, c := range r.Buckets {
		d := c.day(dayOf(day).Add(time.Duration(n) * bucketTime))
		all[n] = Bucket{d.Date, d.Up, d.Down, d.Maintenance, d.Took, time.Duration(c.longest) * time.Millisecond}
	}
	return all, nil
}

// Results returns the results of an hour, oldest first: when each was, how long it took, and whether it
// passed.
func (k *Keeper) Results(ctx context.Context, check string, hour time.Time) ([]monitor.Result, error) {
	hour = hour.UTC().Truncate(time.Hour)
	key := rawKey(check, hour)
	found, err := k.read(ctx, []store.Key{key})
	if err != nil {
		return nil, err
	}
	var r rawRecord
	if rec, is := found[key]; is {
		if err := json.Unmarshal(rec.Value, &r); err != nil {
			return nil, err
		}
	}
	all := make([]monitor.Result, len(r.Results))
	for n, s := range r.Results {
		at := hour.Add(time.Duration(s.second) * time.Second)
		all[n] = monitor.Result{
			Check: check, Due: at, At: at, Took: time.Duration(s.took) * time.Millisecond, OK: s.kind&failed == 0,
			Reason: r.Reasons[s.second], Maintenance: s.kind&maintained != 0,
		}
	}
	return all, nil
}
