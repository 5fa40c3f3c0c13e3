package kept

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/counterfoil/counterfoil/internal/check"
	"github.com/counterfoil/counterfoil/monitor"
	"github.com/counterfoil/counterfoil/store"
)

// Step is how fine the points of a history are.
type Step string

// The steps, and for how long points of each are kept.
const (
	Raw   Step = "raw" // single results: 48 hours
	Parts Step = "5m"  // 90 days
	ByDay Step = "1d"  // two years
)

// MaxPoints is how many points one answer has.
const MaxPoints = 1000

// Point is one result, five minutes or a day of a check.
type Point struct {
	At            time.Time // of a result; when a part or a day begins, in UTC
	Runs          int
	Took, Longest time.Duration // on average and at most
	Failed        bool          // a run failed that counts: outside of maintenance, if it is not a single one
	Maintenance   bool          // in a maintenance, at least for some of the time

	Up, Down, Muted time.Duration  // of a part or a day; Muted is the time in maintenance
	Reason          monitor.Reason // of a result that failed
}

// Window is what Points reads.
type Window struct {
	Step Step
	From time.Time // zero: an hour, a day or 90 days before To, by Step
	To   time.Time // exclusive; zero: now
	Most int       // 1 to MaxPoints; zero: MaxPoints
}

// past is how far back a window goes that does not say so, and for how long its points are kept.
func (s Step) past() (shown, kept time.Duration, known bool) {
	switch s {
	case Raw:
		return time.Hour, keepRaw + time.Hour, true
	case Parts:
		return 24 * time.Hour, keepDay + 24*time.Hour, true
	case ByDay:
		return Days * 24 * time.Hour, keepYear, true
	}
	return 0, 0, false
}

// Points returns the history of a check, oldest first. What follows, because there is more than w.Most, begins at
// next; zero: nothing does. The node that runs the checks writes results within a minute. A window that cannot
// be is a check.ErrBadRequest.
func (k *Keeper) Points(ctx context.Context, name string, w Window) (points []Point, next time.Time, err error) {
	shown, keep, known := w.Step.past()
	now := k.opts.Now()
	if w.Most == 0 {
		w.Most = MaxPoints
	}
	if w.To.IsZero() || w.To.After(now) {
		w.To = now.Add(time.Second) // times are kept in seconds
	}
	if w.From.IsZero() {
		w.From = w.To.Add(-shown)
	}
	switch {
	case !known:
		return nil, next, fmt.Errorf("%w: step is raw, 5m or 1d", check.ErrBadRequest)
	case !w.From.Before(w.To):
		return nil, next, fmt.Errorf("%w: from is not before to, or not before now", check.ErrBadRequest)
	case w.Most < 0 || w.Most > MaxPoints:
		return nil, next, fmt.Errorf("%w: at most %d points", check.ErrBadRequest, MaxPoints)
	}
	if oldest := now.Add(-keep); w.From.Before(oldest) {
		w.From = oldest
	}
	read := map[Step]func(context.Context, string, Window) ([]Point, error){Raw: k.raw, Parts: k.parts, ByDay: k.days}[w.Step]
	if points, err = read(ctx, name, w); err != nil {
		return nil, next, err
	}
	if len(points) <= w.Most {
		return points, next, nil
	}
	cut := w.Most
	for cut > 0 && points[cut-1].At.Equal(points[w.Most].At) {
		cut-- // two calls of a push check in one second stay together
	}
	if cut == 0 {
		cut = w.Most
		for cut < len(points) && points[cut].At.Equal(points[0].At) {
			cut++
		}
		if cut == len(points) {
			return points, next, nil
		}
	}
	return points[:cut], points[cut].At, nil
}

// clip returns the points of all that are in w.
func clip(w Window, all []Point) []Point {
	return slices.DeleteFunc(all, func(p Point) bool { return p.At.Before(w.From) || !p.At.Before(w.To) })
}

// readEach reads the records of one check that begin every length, a few at a time, until there are more points than w
// takes.
func (k *Keeper) readEach(ctx context.Context, w Window, length time.Duration, key func(time.Time) store.Key, points func(time.Time, store.Record) ([]Point, error)) (all []Point, err error) {
	for begin := w.From.UTC().Truncate(length); begin.Before(w.To) && len(all) <= w.Most; {
		var keys []store.Key
		var begins []time.Time
		for ; begin.Before(w.To) && len(keys) < 8; begin = begin.Add(length) {
			keys, begins = append(keys, key(begin)), append(begins, begin)
		}
		found, err := k.read(ctx, keys)
		if err != nil {
			return nil, err
		}
		for n, key := range keys {
			if rec, is := found[key]; is {
				some, err := points(begins[n], rec)
				if err != nil {
					return nil, err
				}
				all = append(all, clip(w, some)...)
			}
		}
	}
	return all, nil
}

// raw are single results.
func (k *Keeper) raw(ctx context.Context, name string, w Window) ([]Point, error) {
	return k.readEach(ctx, w, time.Hour, func(hour time.Time) store.Key { return rawKey(name, hour) }, func(hour time.Time, rec store.Record) (all []Point, err error) {
		var r rawRecord
		if err := json.Unmarshal(rec.Value, &r); err != nil {
			return nil, err
		}
		for _, s := range r.Results.all() {
			took := time.Duration(s.took) * time.Millisecond
			all = append(all, Point{
				At: hour.Add(time.Duration(s.second) * time.Second), Runs: 1, Took: took, Longest: took,
				Failed: s.kind&failed != 0, Maintenance: s.kind&maintained != 0, Reason: r.Reasons[s.second],
			})
		}
		return all, nil
	})
}

// parts are five minutes each. Those without results are left out.
func (k *Keeper) parts(ctx context.Context, name string, w Window) ([]Point, error) {
	return k.readEach(ctx, w, 24*time.Hour, func(day time.Time) store.Key { return dayKey(name, day) }, func(day time.Time, rec store.Record) (all []Point, err error) {
		var r dayRecord
		if err := json.Unmarshal(rec.Value, &r); err != nil {
			return nil, err
		}
		for n, c := range r.Buckets.all() {
			if c.runs > 0 {
				all = append(all, c.point(day.Add(time.Duration(n)*bucketTime)))
			}
		}
		return all, nil
	})
}

// days are those of the records of years, and the day that is in none yet.
func (k *Keeper) days(ctx context.Context, name string, w Window) (all []Point, err error) {
	w.From = dayOf(w.From)
	keys := []store.Key{stateKey(name)}
	for year := w.From.Year(); year <= w.To.UTC().Year(); year++ {
		keys = append(keys, yearKey(name, time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC)))
	}
	found, err := k.read(ctx, keys)
	if err != nil {
		return nil, err
	}
	counts := map[time.Time]count{}
	for year := w.From.Year(); year <= w.To.UTC().Year(); year++ {
		var r yearRecord
		rec, is := found[keys[1+year-w.From.Year()]]
		if !is {
			continue
		}
		if err := json.Unmarshal(rec.Value, &r); err != nil {
			return nil, err
		}
		for at, c := range r.Days {
			if day, err := time.Parse(time.DateOnly, fmt.Sprintf("%04d-%s", year, at)); err == nil {
				counts[day] = c
			}
		}
	}
	var state stateRecord
	if rec, is := found[stateKey(name)]; is && json.Unmarshal(rec.Value, &state) == nil && !state.State.Last.At.IsZero() {
		day := dayOf(state.State.Last.At)
		open, err := k.read(ctx, []store.Key{dayKey(name, day)})
		if err != nil {
			return nil, err
		}
		var r dayRecord
		if rec, is := open[dayKey(name, day)]; is && json.Unmarshal(rec.Value, &r) == nil {
			counts[day] = r.sum()
		}
	}
	for day, c := range counts {
		if c.runs > 0 {
			all = append(all, c.point(day))
		}
	}
	slices.SortFunc(all, func(a, b Point) int { return a.At.Compare(b.At) })
	return clip(w, all), nil
}

func (c count) point(at time.Time) Point {
	d := c.day(at)
	return Point{
		At: at, Runs: int(c.runs), Took: d.Took, Longest: time.Duration(c.longest) * time.Millisecond,
		Failed: c.down > 0, Maintenance: c.maintenance > 0, Up: d.Up, Down: d.Down, Muted: d.Maintenance,
	}
}
