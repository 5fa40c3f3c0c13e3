package kept_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/monitor"
	"github.com/counterfoil/counterfoil/monitor/kept"
	"github.com/counterfoil/counterfoil/rights"
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/memory"
	"github.com/counterfoil/counterfoil/store/storetest"
)

// watch has a check give results every minute for a time: ok says which pass, and in which a maintenance is.
func watch(t *testing.T, n *node, d time.Duration, ok func(at time.Time) (passed, maintenance bool)) {
	t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(time.Minute) {
		now := time.Now()
		passed, maintenance := ok(now)
		r := monitor.Result{Check: "shop", At: now, Took: 250 * time.Millisecond, OK: passed, Maintenance: maintenance}
		if !passed {
			r.Reason = monitor.TimedOut
		}
		status := monitor.Up
		if !passed {
			status = monitor.Down
		}
		s := monitor.State{Check: "shop", Key: "KEY", Status: status, Every: time.Minute, Last: r}
		for range 2 { // a step that comes again counts once
			if err := n.Keep(t.Context(), monitor.Step{State: s, Results: []monitor.Result{r}}); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// points are all of a window.
func points(t *testing.T, n *node, w kept.Window) (all []kept.Point) {
	t.Helper()
	for {
		some, next, err := n.Points(t.Context(), "shop", w)
		if err != nil {
			t.Fatal(err)
		}
		if all = append(all, some...); next.IsZero() {
			return all
		}
		w.From = next
	}
}

func hourOf(t *testing.T, n *node, hour time.Time) []kept.Point {
	t.Helper()
	return points(t, n, kept.Window{Step: kept.Raw, From: hour, To: hour.Add(time.Hour)})
}

func partsOf(t *testing.T, n *node, day time.Time) []kept.Point {
	t.Helper()
	return points(t, n, kept.Window{Step: kept.Parts, From: day, To: day.Add(24 * time.Hour)})
}

// Results become five-minute parts and days. The uptime leaves maintenance out, another node goes on
// in the middle, and time without results is no time.
func TestHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := shared{memory.New()}
		first := newNode(t, db)
		stop := first.start(t)
		time.Sleep(time.Second)
		midnight := time.Now().UTC().Truncate(24 * time.Hour) // a bubble begins at midnight
		shape := func(at time.Time) (passed, maintenance bool) {
			hour := at.UTC().Hour()
			return hour != 3 && hour != 5, hour == 5 // down from 3 to 4, in a maintenance from 5 to 6
		}
		watch(t, first, 12*time.Hour+30*time.Minute, shape)
		stop()
		second := newNode(t, db)
		second.start(t)
		time.Sleep(time.Minute)
		watch(t, second, 36*time.Hour, shape) // beyond midnight, to the next day
		time.Sleep(2 * time.Minute)

		b, err := second.Board(t.Context(), []string{"shop", "other"})
		if err != nil {
			t.Fatal(err)
		}
		line := b.Checks["shop"]
		days := line.Days[kept.Days-3:]
		if !days[0].Date.Equal(midnight) || days[0].Maintenance != time.Hour || days[0].Took != 250*time.Millisecond {
			t.Errorf("the first day: %+v", days[0])
		}
		if down := days[0].Down; down != time.Hour {
			t.Errorf("down for %v, want 1h", down)
		}
		if known := days[0].Up + days[0].Down + days[0].Maintenance; known > 24*time.Hour || known < 23*time.Hour+50*time.Minute {
			t.Errorf("the first day has %v", known)
		}
		if got := days[0].Uptime(); got < 0.956 || got > 0.957 { // 22 of 23 hours
			t.Errorf("uptime %v", got)
		}
		if line.Days[0].Known() || line.Days[0].Date.After(midnight.AddDate(0, 0, -80)) {
			t.Errorf("90 days ago: %+v", line.Days[0])
		}
		if share, known := line.Uptime(); !known || share < 0.95 || share > 0.98 {
			t.Errorf("uptime of all days: %v, %v", share, known)
		}
		if _, known := b.Checks["other"].Uptime(); known {
			t.Error("a check without results has an uptime")
		}
		buckets := partsOf(t, second, midnight)
		if len(buckets) != 288 {
			t.Fatalf("%d buckets", len(buckets))
		}
		for n, at := range map[int]time.Duration{36: 3 * time.Hour, 47: 3*time.Hour + 55*time.Minute} {
			if c := buckets[n]; !c.At.Equal(midnight.Add(at)) || c.Down != 5*time.Minute || c.Up != 0 {
				t.Errorf("bucket %d: %+v", n, c)
			}
		}
		results := hourOf(t, second, midnight.Add(3*time.Hour))
		if len(results) != 60 || !results[0].Failed || results[0].Reason != monitor.TimedOut || results[0].Took != 250*time.Millisecond {
			t.Errorf("%d results of an hour", len(results))
		}
		around := hourOf(t, second, midnight.Add(12*time.Hour)) // two nodes wrote this hour
		if len(around) < 57 {
			t.Errorf("%d results of the hour in which another node took over", len(around))
		}

		// What is not needed any more is swept.
		if _, err := db.Sweep(t.Context(), time.Now().Add(49*time.Hour)); err != nil {
			t.Fatal(err)
		}
		if results := hourOf(t, second, midnight.Add(3*time.Hour)); len(results) > 0 {
			t.Errorf("%d results after 48 h", len(results))
		}
		if buckets := partsOf(t, second, midnight); len(buckets) != 288 {
			t.Errorf("%d buckets after 48 h", len(buckets))
		}
		if _, err := db.Sweep(t.Context(), time.Now().Add(100*24*time.Hour)); err != nil {
			t.Fatal(err)
		}
		if len(partsOf(t, second, midnight)) > 0 {
			t.Error("buckets are there after 100 days")
		}
		years := func() (n int) {
			for _, err := range db.List(t.Context(), "monitoryear", "shop", "") {
				if n++; err != nil {
					t.Fatal(err)
				}
			}
			return n
		}
		if years() == 0 {
			t.Error("the days are gone after 100 days")
		}
		if _, err := db.Sweep(t.Context(), time.Now().Add(2*365*24*time.Hour)); err != nil {
			t.Fatal(err)
		}
		if years() == 0 {
			t.Error("the days are gone after less than two years")
		}
		if _, err := db.Sweep(t.Context(), time.Now().Add(2*367*24*time.Hour)); err != nil {
			t.Fatal(err)
		}
		if n := years(); n > 0 {
			t.Errorf("%d years are there after more than two", n)
		}
	})
}

// An incident begins and ends with the check; operators add notes, at any node, meanwhile.
func TestIncidents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := shared{memory.New()}
		leader, other := newNode(t, db), newNode(t, db)
		leader.start(t)
		time.Sleep(time.Second)
		act := audit.Act{By: audit.BySubject("usr_1")}
		if err := leader.Keep(t.Context(), step(1, monitor.WentDown)); err != nil {
			t.Fatal(err)
		}
		all, _, err := other.Incidents(t.Context(), "", 10)
		if err != nil || len(all) != 1 || all[0].Check != "shop" || !all[0].Ended.IsZero() || all[0].Reason != monitor.TimedOut {
			t.Fatalf("%+v, %v", all, err)
		}
		id := all[0].ID
		time.Sleep(time.Minute)
		if _, err := other.Say(t.Context(), rights.Owner(), id, "We are looking at it.", false, act); err != nil {
			t.Fatal(err)
		}
		if err := leader.Keep(t.Context(), step(2, monitor.WentUp)); err != nil {
			t.Fatal(err)
		}
		i, err := other.Incident(t.Context(), id)
		if err != nil || i.Ended.IsZero() || len(i.Notes) != 1 || i.Notes[0].By != "subject:usr_1" {
			t.Errorf("%+v, %v", i, err)
		}
		if _, err := other.Say(t.Context(), rights.Owner(), id, "A disk was full.", false, act); err != nil {
			t.Errorf("a note after the end: %v", err)
		}
		time.Sleep(time.Minute)
		own, err := other.Announce(t.Context(), rights.Owner(), "Slow sign-in", "We see slow answers.", act)
		if err != nil {
			t.Fatal(err)
		}
		if own, err = other.Say(t.Context(), rights.Owner(), own.ID, "It is over.", true, act); err != nil || own.Ended.IsZero() || len(own.Notes) != 2 {
			t.Errorf("%+v, %v", own, err)
		}
		page, more, err := other.Incidents(t.Context(), "", 1)
		if err != nil || !more || page[0].ID != own.ID {
			t.Errorf("the newest: %+v, %v, %v", page, more, err)
		}
		if page, more, err = other.Incidents(t.Context(), page[0].ID, 1); err != nil || more || page[0].ID != id {
			t.Errorf("the one before: %+v, %v, %v", page, more, err)
		}
		for _, text := range []string{"", "  \n", "bell\a", strings.Repeat("x", kept.MaxNote+1), "\xff"} {
			if _, err := other.Say(t.Context(), rights.Owner(), id, text, false, act); !errors.Is(err, kept.ErrBadText) {
				t.Errorf("the note %.10q: %v", text, err)
			}
			if _, err := other.Announce(t.Context(), rights.Owner(), text, "x", act); !errors.Is(err, kept.ErrBadText) {
				t.Errorf("the title %.10q: %v", text, err)
			}
		}
		for _, id := range []string{"", "x", "../..", strings.Repeat("a", 65)} {
			if _, err := other.Say(t.Context(), rights.Owner(), id, "x", false, act); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("a note of %q: %v", id, err)
			}
		}
	})
}

// Mutes and calls are known at each node.
func TestMutesAndPushes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := shared{memory.New()}
		a, b := newNode(t, db), newNode(t, db)
		now := time.Now()
		if err := a.SetMute(t.Context(), monitor.Mute{Check: "shop", Until: now.Add(time.Hour), Why: "a move", By: "local"}); err != nil {
			t.Fatal(err)
		}
		mutes, err := b.Mutes(t.Context())
		if err != nil || mutes["shop"].Why != "a move" || mutes["shop"].By != "local" {
			t.Errorf("%+v, %v", mutes, err)
		}
		time.Sleep(time.Hour)
		if mutes, err := b.Mutes(t.Context()); err != nil || len(mutes) > 0 {
			t.Errorf("after an hour: %+v, %v", mutes, err)
		}
		for _, ok := range []bool{true, false} {
			if err := a.Push(t.Context(), "job", monitor.Pushed{At: time.Now(), OK: ok, Message: "m"}); err != nil {
				t.Fatal(err)
			}
			p, err := b.LastPush(t.Context(), "job")
			if err != nil || p.OK != ok || p.Message != "m" {
				t.Errorf("%+v, %v", p, err)
			}
		}
		if p, err := b.LastPush(t.Context(), "other"); err != nil || !p.At.IsZero() {
			t.Errorf("%+v, %v", p, err)
		}
		var kinds []string
		for rec, err := range db.List(t.Context(), "audit", "*", "") {
			if err != nil {
				t.Fatal(err)
			}
			kinds = append(kinds, string(rec.Value))
		}
		if !slices.ContainsFunc(kinds, func(s string) bool { return strings.Contains(s, "monitor.mute") }) || len(kinds) != 1 {
			t.Errorf("the audit trail has %v", kinds)
		}
	})
}

// Who calls for a push check as often as they like fills no record beyond what a store takes, and hides
// nothing from the sums.
func TestManyResults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, shared{memory.New()})
		n.start(t)
		time.Sleep(time.Second)
		for range 3500 { // of one hour
			r := monitor.Result{Check: "shop", At: time.Now(), Took: time.Minute, Reason: monitor.Refused}
			s := monitor.State{Check: "shop", Key: "KEY", Status: monitor.Down, Every: time.Second, Last: r}
			if err := n.Keep(t.Context(), monitor.Step{State: s, Results: []monitor.Result{r}}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		if err := n.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		b, err := n.Board(t.Context(), []string{"shop"})
		if err != nil || b.Checks["shop"].Days[kept.Days-1].Down != 3500*time.Second {
			t.Errorf("%+v, %v", b.Checks["shop"].Days[kept.Days-1], err)
		}
	})
}

// While the store is away, no more than some hours and days of a check are kept for it. What is dropped is counted,
// and the days still count.
func TestLongOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, shared{memory.New()})
		n.start(t)
		time.Sleep(time.Second)
		midnight := time.Now().UTC().Truncate(24 * time.Hour)
		good := func(time.Time) (bool, bool) { return true, false }
		watch(t, n, 5*time.Minute, good)
		n.store.Inject(storetest.Fault{})
		watch(t, n, 5*24*time.Hour, good)
		if lost := n.Lost(); lost < 100 || lost > 120 {
			t.Errorf("%d hours and days are lost in five days", lost)
		}
		n.store.Heal()
		time.Sleep(2 * time.Minute)
		last := midnight.Add(5 * 24 * time.Hour)
		for at, want := range map[time.Time]bool{last.Add(-time.Hour): true, last.Add(-6 * time.Hour): true, last.Add(-7 * time.Hour): false, midnight.Add(time.Hour): false} {
			if all := hourOf(t, n, at); len(all) > 0 != want {
				t.Errorf("%v: %d results", at, len(all))
			}
		}
		b, err := n.Board(t.Context(), []string{"shop"})
		if err != nil {
			t.Fatal(err)
		}
		line := b.Checks["shop"]
		for _, d := range line.Days[kept.Days-6 : kept.Days-1] {
			if d.Up < 23*time.Hour {
				t.Errorf("%+v", d)
			}
		}
	})
}

// A history is read in pages, by each step, and only for a time that can be. The steps agree.
func TestPoints(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, shared{memory.New()})
		n.start(t)
		time.Sleep(time.Second)
		midnight := time.Now().UTC().Truncate(24 * time.Hour)
		watch(t, n, 40*time.Hour, func(at time.Time) (bool, bool) { return at.UTC().Hour() != 3, at.UTC().Hour() == 4 })
		time.Sleep(2 * time.Minute)
		for _, most := range []int{1, 7, 1000} {
			raw := points(t, n, kept.Window{Step: kept.Raw, From: midnight, Most: most})
			parts := points(t, n, kept.Window{Step: kept.Parts, From: midnight, Most: most})
			days := points(t, n, kept.Window{Step: kept.ByDay, Most: most})
			runs := func(all []kept.Point) (runs, failed int) {
				for _, p := range all {
					if runs += p.Runs; p.Failed {
						failed++
					}
				}
				return runs, failed
			}
			if r, f := runs(raw); r != 2400 || f != 120 {
				t.Errorf("%d at a time: %d results, %d failed", most, r, f)
			}
			if r, f := runs(parts); r != 2400 || f != 24 {
				t.Errorf("%d at a time: parts with %d results, %d failed", most, r, f)
			}
			if r, f := runs(days); r != 2400 || f != 2 || len(days) != 2 || days[0].Down != time.Hour || days[0].Muted != time.Hour || days[0].Took != 250*time.Millisecond {
				t.Errorf("%d at a time: days with %d results, %d failed, %+v", most, r, f, days)
			}
			if !slices.IsSortedFunc(raw, func(a, b kept.Point) int { return a.At.Compare(b.At) }) {
				t.Errorf("%d at a time: the results are in no order", most)
			}
		}
		if last := points(t, n, kept.Window{Step: kept.Raw}); len(last) < 57 || len(last) > 60 {
			t.Errorf("%d results of the last hour", len(last))
		}
		if day := points(t, n, kept.Window{Step: kept.Parts}); len(day) < 286 || len(day) > 289 {
			t.Errorf("%d parts of the last day", len(day))
		}
		if old := points(t, n, kept.Window{Step: kept.Raw, To: midnight.AddDate(-5, 0, 0).Add(time.Hour), From: midnight.AddDate(-5, 0, 0)}); len(old) > 0 {
			t.Errorf("%d results of five years ago", len(old))
		}
		now := time.Now()
		for _, bad := range []kept.Window{{Step: ""}, {Step: "2m"}, {Step: kept.Raw, From: now, To: now}, {Step: kept.Raw, From: now.Add(time.Hour)}, {Step: kept.Raw, Most: 1001}, {Step: kept.Raw, Most: -1}} {
			if _, _, err := n.Points(t.Context(), "shop", bad); !errors.Is(err, monitor.ErrBadRequest) {
				t.Errorf("%+v: %v", bad, err)
			}
		}
	})
}
