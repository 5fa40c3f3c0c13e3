package monitor_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/counterfoil/counterfoil/monitor"
)

// recording is a Keeper that keeps JSON, as a store does, and all results.
type recording struct {
	monitor.Memory
	mu      sync.Mutex // guards results
	results map[string][]monitor.Result
}

func (k *recording) Keep(ctx context.Context, s monitor.Step) error {
	k.mu.Lock()
	k.results[s.State.Check] = append(k.results[s.State.Check], s.Results...)
	k.mu.Unlock()
	return k.Memory.Keep(ctx, s)
}

func (k *recording) Load(ctx context.Context) (kept monitor.Kept, err error) {
	all, err := k.Memory.Load(ctx)
	if err != nil {
		return kept, err
	}
	data, err := json.Marshal(all)
	if err != nil {
		return kept, err
	}
	return kept, json.Unmarshal(data, &kept)
}

const (
	dayChecks = 500
	hanging   = 7 // its target never answers
)

// dayFile has checks of several intervals, and two maintenances of some of them.
func dayFile(began time.Time) string {
	var text strings.Builder
	fmt.Fprintf(&text, "maintenance:\n- {name: once, once: %s, for: 45m, checks: [c000, c100, c200, c300]}\n", began.Add(5*time.Hour).Format(time.RFC3339))
	fmt.Fprintf(&text, "- {name: weekly, weekly: '%s', zone: UTC, for: 2h, checks: [c001, c101, c201, c301]}\nchecks:\n", began.Add(13*time.Hour).UTC().Format("Mon 15:04"))
	for i := range dayChecks {
		fmt.Fprintf(&text, "- {name: c%03d, http: 'http://example.com', every: %s}\n", i, []string{"60s", "5m", "60s", "5m", "2m"}[i%5])
	}
	return text.String()
}

// outages are when the target of a check fails: some short, some long, some often.
func outages(r *rand.Rand) (parts [][2]time.Duration) {
	at := time.Duration(0)
	for at < 24*time.Hour {
		at += time.Duration(r.IntN(int(6 * time.Hour)))
		for range 1 + r.IntN(5) {
			d := time.Duration(r.IntN(int(8 * time.Minute)))
			parts = append(parts, [2]time.Duration{at, at + d})
			at += d + time.Duration(r.IntN(int(5*time.Minute)))
		}
	}
	return parts
}

// A day of 500 checks on a clock of its own, during which the monitor is replaced three times in the middle of runs, and its
// file is read again: no regular time is missed, and none has two results; a target that hangs delays no
// other; what people are told is exactly what follows from the results.
func TestDay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began, out := time.Now(), new(told)
		keeper := &recording{results: map[string][]monitor.Result{}}
		keeper.Send = out.send
		targets := map[string]*scripted{}
		for i := range dayChecks {
			s := &scripted{fails: during(outages(rand.New(rand.NewPCG(16, uint64(i))))...), takes: time.Duration(i) * time.Millisecond}
			if i == hanging {
				s.takes = time.Hour
			}
			targets[fmt.Sprintf("c%03d", i)] = s
		}
		file := parse(t, dayFile(began))
		restarts := []time.Duration{7 * time.Hour, 10*time.Hour + 17*time.Second, 18*time.Hour + 17*time.Second + 100*time.Millisecond}
		for _, until := range append(slices.Clip(restarts), 24*time.Hour) {
			m, err := monitor.New(file, monitor.Options{Keeper: keeper, Dial: noNetwork, Probes: probes(t, targets)})
			if err != nil {
				t.Fatal(err)
			}
			part := until - time.Since(began)
			again := time.AfterFunc(part/2, func() {
				if err := m.Set(parse(t, dayFile(began))); err != nil {
					t.Error(err)
				}
			})
			ctx, cancel := context.WithTimeout(t.Context(), part)
			if err := m.Run(ctx); err != nil {
				t.Error(err)
			}
			cancel()
			again.Stop()
		}
		all, alarms := 0, 0
		first := map[time.Duration]bool{} // when checks are due for the first time
		for _, c := range file.Checks {
			results := keeper.results[c.Name]
			first[results[0].Due.Sub(began)] = true
			statuses := statusesOf(results)
			checkTimes(t, c, results, statuses, began, restarts)
			got, want := out.lines(c.Name, began), eventsOf(c, file, results, statuses, began)
			if !slices.Equal(got, want) {
				t.Errorf("%s: told %q, want %q", c.Name, got, want)
			}
			all, alarms = all+len(results), alarms+len(got)
		}
		ids, kinds := map[string]bool{}, map[monitor.EventKind]int{}
		windows := 0
		for _, e := range out.all {
			if ids[e.ID] {
				t.Errorf("event %s was sent twice", e.ID)
			}
			ids[e.ID] = true
			kinds[e.Kind]++
			if e.Maintenance != "" {
				windows++
			}
		}
		if windows != 4 {
			t.Errorf("%d events of maintenances, want a beginning and an end of each of two", windows)
		}
		if all < 300_000 || alarms < 1000 || kinds[monitor.Flaps] == 0 {
			t.Errorf("%d runs and %d events, %v: the test does too little", all, alarms, kinds)
		}
		if len(first) < 20 {
			t.Errorf("the checks are due for the first time at %d times, want at least 20", len(first))
		}
		t.Logf("%d runs, %d events: %v; %d first times", all, len(out.all), kinds, len(first))
	})
}

// statusesOf says what a check is after each of its results.
func statusesOf(results []monitor.Result) (all []monitor.Status) {
	var status monitor.Status
	passed, failed := 0, 0 // in a row
	for _, r := range results {
		if r.OK {
			passed, failed = passed+1, 0
		} else {
			passed, failed = 0, failed+1
		}
		if failed >= 3 {
			status = monitor.Down
		}
		if status == "" && passed > 0 || passed >= 2 {
			status = monitor.Up
		}
		all = append(all, status)
	}
	return all
}

// checkTimes compares the times of the runs with the regular ones, and with the times of runs that come
// soon after a result that leaves it open what the check is.
func checkTimes(t *testing.T, c *monitor.Check, results []monitor.Result, statuses []monitor.Status, began time.Time, restarts []time.Duration) {
	t.Helper()
	phase := results[0].Due
	if phase.Sub(began) >= time.Minute {
		t.Errorf("%s: the first run was due after %v", c.Name, phase.Sub(began))
	}
	for i, r := range results {
		if !r.At.Equal(r.Due) && !slices.Contains(restarts, r.At.Sub(began)) {
			t.Errorf("%s: the run of %v began %v late", c.Name, r.Due.Sub(began), r.At.Sub(r.Due))
		}
		next := phase
		for !next.After(r.Due) {
			next = next.Add(c.Every)
		}
		if soon := r.Due.Add(10 * time.Second); (statuses[i] == "" || r.OK != (statuses[i] == monitor.Up)) && soon.Before(next) {
			next = soon
		}
		if i+1 < len(results) && !results[i+1].Due.Equal(next) {
			t.Errorf("%s: the run after %v was due at %v, want %v", c.Name, r.Due.Sub(began), results[i+1].Due.Sub(began), next.Sub(began))
		}
		if i+1 == len(results) && next.Sub(began) < 24*time.Hour-c.Timeout {
			t.Errorf("%s: no run after %v", c.Name, r.Due.Sub(began))
		}
		phase = phase.Add(next.Sub(phase) / c.Every * c.Every) // a regular time that is not far away
	}
}

// eventsOf says what people must be told, and when.
func eventsOf(c *monitor.Check, file *monitor.File, results []monitor.Result, statuses []monitor.Status, began time.Time) (events []string) {
	type moment struct {
		at     time.Time
		status monitor.Status
		change time.Time // the last one
	}
	var moments []moment
	var changes []time.Time
	for i, r := range results {
		before := monitor.Status("")
		if i > 0 {
			before = statuses[i-1]
		}
		if statuses[i] != before && (before != "" || statuses[i] == monitor.Down) {
			changes = append(changes, r.At)
		}
		moments = append(moments, moment{r.At.Add(r.Took), statuses[i], last(changes)})
	}
	for _, w := range windows(c, file, began) {
		i := slices.IndexFunc(moments, func(m moment) bool { return !m.at.Before(w[1]) })
		if !results[i].At.Before(w[1]) { // no run was under way
			moments = slices.Insert(moments, i, moment{w[1], moments[i-1].status, moments[i-1].change})
		}
	}
	var told monitor.Status
	flapping, toldFlapping := false, false
	for _, m := range moments {
		n := 0
		for _, at := range changes {
			if !at.After(m.change) && m.change.Sub(at) <= 15*time.Minute {
				n++
			}
		}
		switch {
		case m.change.IsZero() || m.at.Sub(m.change) >= 15*time.Minute:
			flapping = false
		case n >= 4:
			flapping = true
		}
		quiet := slices.ContainsFunc(windows(c, file, began), func(w [2]time.Time) bool { return !m.at.Before(w[0]) && m.at.Before(w[1]) })
		event := string(m.status)
		switch {
		case quiet, m.status == "", flapping && toldFlapping, !flapping && !toldFlapping && told == m.status:
			continue
		case flapping:
			event, toldFlapping = "flapping", true
		case told == "" && m.status == monitor.Up && !toldFlapping:
			told = m.status
			continue
		default:
			told, toldFlapping = m.status, false
		}
		events = append(events, fmt.Sprintf("%s %v", event, m.at.Sub(began)))
	}
	return events
}

// last is the last of all, or zero.
func last(all []time.Time) time.Time {
	if len(all) == 0 {
		return time.Time{}
	}
	return all[len(all)-1]
}

// windows are when the check is in a maintenance during the day.
func windows(c *monitor.Check, file *monitor.File, began time.Time) (all [][2]time.Time) {
	for i, w := range file.Maintenance {
		if slices.Contains(w.Checks, c.Name) {
			begin := began.Add([]time.Duration{5 * time.Hour, 13 * time.Hour}[i])
			all = append(all, [2]time.Time{begin, begin.Add(w.For)})
		}
	}
	return all
}
