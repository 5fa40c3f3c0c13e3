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
		buckets, err := second.Buckets(t.Context(), "shop", midnight)
		if err != nil || len(buckets) != 288 {
			t.Fatalf("%d buckets, %v", len(buckets), err)
		}
		for n, at := range map[int]time.Duration{36: 3 * time.Hour, 47: 3*time.Hour + 55*time.Minute} {
			if c := buckets[n]; !c.Begin.Equal(midnight.Add(at)) || c.Down != 5*time.Minute || c.Up != 0 {
				t.Errorf("bucket %d: %+v", n, c)
			}
		}
		results, err := second.Results(t.Context(), "shop", midnight.Add(3*time.Hour+20*time.Minute))
		if err != nil || len(results) != 60 || results[0].OK || results[0].Reason != monitor.TimedOut || results[0].Took != 250*time.Millisecond {
			t.Errorf("%d results of an hour, %v", len(results), err)
		}
		around, err := second.Results(t.Context(), "shop", midnight.Add(12*time.Hour)) // two nodes wrote this hour
		if err != nil || len(around) < 57 {
			t.Errorf("%d results of the hour in which another node took over, %v", len(around), err)
		}

		// What is not needed any more is swept.
		if _, err := db.Sweep(t.Context(), time.Now().Add(49*time.Hour)); err != nil {
			t.Fatal(err)
		}
		if results, err := second.Results(t.Context(), "shop", midnight.Add(3*time.Hour)); err != nil || len(results) > 0 {
			t.Errorf("%d results after 48 h, %v", len(results), err)
		}
		if buckets, err := second.Buckets(t.Context(), "shop", midnight); err != nil || len(buckets) != 288 {
			t.Errorf("%d buckets after 48 h, %v", len(buckets), err)
		}
		if _, err := db.Sweep(t.Context(), time.Now().Add(100*24*time.Hour)); err != nil {
			t.Fatal(err)
		}
		if buckets, _ := second.Buckets(t.Context(), "shop", midnight); len(buckets) > 0 {
			t.Error("buckets are there after 100 days")
		}
		years := 0
		for _, err := range db.List(t.Context(), "monitoryear", "shop", "") {
			if years++; err != nil {
				t.Fatal(err)
			}
		}
		if years == 0 {
			t.Error("the days are gone after 100 days")
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
		if _, err := other.Say(t.Context(), id, "We are looking at it.", false, act); err != nil {
			t.Fatal(err)
		}
		if err := leader.Keep(t.Context(), step(2, monitor.WentUp)); err != nil {
			t.Fatal(err)
		}
		i, err := other.Incident(t.Context(), id)
		if err != nil || i.Ended.IsZero() || len(i.Notes) != 1 || i.Notes[0].By != "subject:usr_1" {
			t.Errorf("%+v, %v", i, err)
		}
		if _, err := other.Say(t.Context(), id, "A disk was full.", false, act); err != nil {
			t.Errorf("a note after the end: %v", err)
		}
		time.Sleep(time.Minute)
		own, err := other.Announce(t.Context(), "Slow sign-in", "We see slow answers.", act)
		if err != nil {
			t.Fatal(err)
		}
		if own, err = other.Say(t.Context(), own.ID, "It is over.", true, act); err != nil || own.Ended.IsZero() || len(own.Notes) != 2 {
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
			if _, err := other.Say(t.Context(), id, text, false, act); !errors.Is(err, kept.ErrBadText) {
				t.Errorf("the note %.10q: %v", text, err)
			}
			if _, err := other.Announce(t.Context(), text, "x", act); !errors.Is(err, kept.ErrBadText) {
				t.Errorf("the title %.10q: %v", text, err)
			}
		}
		for _, id := range []string{"", "x", "../..", strings.Repeat("a", 65)} {
			if _, err := other.Say(t.Context(), id, "x", false, act); !errors.Is(err, store.ErrNotFound) {
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
			if all, err := n.Results(t.Context(), "shop", at); err != nil || len(all) > 0 != want {
				t.Errorf("%v: %d results, %v", at, len(all), err)
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
