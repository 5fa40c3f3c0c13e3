package monitor_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/counterfoil/counterfoil/monitor"
	"github.com/counterfoil/counterfoil/rights"
)

// In the two nights when clocks change, a weekly maintenance begins when a clock on the wall first shows
// its time, and lasts as long as it says.
func TestWeeklyInNightsOfClockChange(t *testing.T) {
	for _, test := range []struct{ zone, weekly, now, begin, end string }{
		{"Europe/Berlin", "Sun 02:00", "2026-03-21T12:00:00Z", "2026-03-22T01:00:00Z", "2026-03-22T03:00:00Z"}, // the week before
		{"Europe/Berlin", "Sun 02:00", "2026-03-28T12:00:00Z", "2026-03-29T01:00:00Z", "2026-03-29T03:00:00Z"}, // 02:00 to 03:00 does not exist
		{"Europe/Berlin", "Sun 02:30", "2026-03-28T12:00:00Z", "2026-03-29T01:00:00Z", "2026-03-29T03:00:00Z"}, // in the hour that there is not
		{"Europe/Berlin", "Sun 03:00", "2026-03-28T12:00:00Z", "2026-03-29T01:00:00Z", "2026-03-29T03:00:00Z"},
		{"Europe/Berlin", "Sun 01:30", "2026-03-28T12:00:00Z", "2026-03-29T00:30:00Z", "2026-03-29T02:30:00Z"},
		{"Europe/Berlin", "Sun 02:00", "2026-10-24T12:00:00Z", "2026-10-25T00:00:00Z", "2026-10-25T02:00:00Z"}, // 02:00 to 03:00 is there twice
		{"Europe/Berlin", "Sun 02:30", "2026-10-24T12:00:00Z", "2026-10-25T00:30:00Z", "2026-10-25T02:30:00Z"},
		{"Europe/Berlin", "Sun 02:30", "2026-10-25T02:29:00Z", "2026-10-25T00:30:00Z", "2026-10-25T02:30:00Z"}, // it is still open
		{"Europe/Berlin", "Sun 02:30", "2026-10-25T02:30:00Z", "2026-11-01T01:30:00Z", "2026-11-01T03:30:00Z"},
		{"Europe/Berlin", "Sun 03:00", "2026-10-24T12:00:00Z", "2026-10-25T02:00:00Z", "2026-10-25T04:00:00Z"},
		{"America/New_York", "Sun 02:15", "2026-03-07T12:00:00Z", "2026-03-08T07:00:00Z", "2026-03-08T09:00:00Z"},
		{"America/New_York", "Sun 01:15", "2026-10-31T12:00:00Z", "2026-11-01T05:15:00Z", "2026-11-01T07:15:00Z"},
		{"Australia/Lord_Howe", "Sun 02:15", "2026-10-03T12:00:00Z", "2026-10-03T15:30:00Z", "2026-10-03T17:30:00Z"}, // by half an hour
		{"America/Santiago", "Sun 00:30", "2026-09-05T12:00:00Z", "2026-09-06T04:00:00Z", "2026-09-06T06:00:00Z"},    // at midnight
		{"UTC", "Sun 02:00", "2026-03-28T12:00:00Z", "2026-03-29T02:00:00Z", "2026-03-29T04:00:00Z"},
	} {
		f := parse(t, fmt.Sprintf("checks: [{name: a, tcp: 'example.com:1'}]\nmaintenance: [{name: w, weekly: '%s', zone: %s, for: 2h}]", test.weekly, test.zone))
		now, err := time.Parse(time.RFC3339, test.now)
		if err != nil {
			t.Fatal(err)
		}
		begin, end, _ := f.Maintenance[0].Window(now)
		if got, want := begin.UTC().Format(time.RFC3339)+" "+end.UTC().Format(time.RFC3339), test.begin+" "+test.end; got != want {
			t.Errorf("%s %s at %s: %s, want %s", test.zone, test.weekly, test.now, got, want)
		}
	}
}

// During a maintenance people are told nothing of its checks. What is still true at its end, they are
// told at its end.
func TestMaintenance(t *testing.T) {
	const hour = time.Hour
	for name, test := range map[string]struct {
		fails  func(time.Duration) string
		events []string // since the maintenance began
	}{
		"down and up within it":       {during([2]time.Duration{10 * time.Minute, 20 * time.Minute}), nil},
		"down at its end":             {during([2]time.Duration{10 * time.Minute, 90 * time.Minute}), []string{"down 1h0m0s", "up 1h30m"}},
		"down before, up within it":   {during([2]time.Duration{-hour, 20 * time.Minute}), []string{"down -59m", "up 1h0m0s"}},
		"down before and after":       {during([2]time.Duration{-hour, 90 * time.Minute}), []string{"down -59m", "up 1h30m"}},
		"down before, up, down again": {during([2]time.Duration{-hour, 20 * time.Minute}, [2]time.Duration{30 * time.Minute, 90 * time.Minute}), []string{"down -59m", "up 1h30m"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 6*hour)
				defer cancel()
				begin := time.Now().Add(2 * hour)
				f := parse(t, fmt.Sprintf("checks: [{name: web, http: 'http://example.com', every: 10s}, {name: other, http: 'http://example.com'}]\n"+
					"maintenance: [{name: work, once: %s, for: 1h, checks: [web], why: new disks}]", begin.Format(time.RFC3339)))
				target, out := new(scripted), new(told)
				target.fails = func(at time.Duration) string { return test.fails(target.began.Add(at).Sub(begin)) }
				var muted, all int
				m, err := monitor.New(f, monitor.Options{
					Keeper: &monitor.Memory{Send: out.send}, Dial: noNetwork, Probes: probes(t, map[string]*scripted{"web": target, "other": {fails: during()}}),
					Ran: func(c *monitor.Check, r monitor.Result) {
						if c.Name != "web" {
							return
						}
						all++
						if r.Maintenance {
							muted++
						}
						if within := !r.At.Before(begin) && r.At.Before(begin.Add(hour)); within != r.Maintenance {
							t.Errorf("the result of %v counts as one of a maintenance: %v", r.At.Sub(begin), r.Maintenance)
						}
					},
				})
				if err != nil {
					t.Fatal(err)
				}
				if err := m.Run(ctx); err != nil {
					t.Error(err)
				}
				if muted != 360 || all < 2000 {
					t.Errorf("%d of %d runs were within the maintenance, want 360: checks go on", muted, all)
				}
				got := out.lines("web", begin)
				for i, e := range got { // runs are at any second of ten
					if i < len(test.events) && len(e) >= len(test.events[i]) {
						got[i] = e[:len(test.events[i])]
					}
				}
				if !slices.Equal(got, test.events) {
					t.Errorf("told %q, want %q", got, test.events)
				}
				if work, want := out.lines("", begin), []string{"maintenance-began 0s", "maintenance-ended 1h0m0s"}; !slices.Equal(work, want) {
					t.Errorf("told of the maintenance %q, want %q", work, want)
				}
			})
		})
	}
}

// A mute holds events back until it ends. It is no maintenance: the time counts.
func TestMute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Hour)
		defer cancel()
		began, out := time.Now(), new(told)
		m, err := monitor.New(parse(t, "checks: [{name: web, http: 'http://example.com'}]"), monitor.Options{
			Keeper: &monitor.Memory{Send: out.send}, Dial: noNetwork, Probes: probes(t, map[string]*scripted{"web": {fails: during([2]time.Duration{0, 100 * time.Hour})}}),
			Ran: func(_ *monitor.Check, r monitor.Result) {
				if r.Maintenance {
					t.Error("a run while the check is muted counts as one of a maintenance")
				}
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := m.Mute(ctx, rights.Owner(), "wbe", time.Hour, "known", ""); !errors.Is(err, monitor.ErrUnknown) {
			t.Errorf("a mute of a check that there is not: %v", err)
		}
		for _, bad := range []struct {
			d   time.Duration
			why string
		}{{-1, "known"}, {monitor.LongestMute + 1, "known"}, {time.Hour, ""}, {time.Hour, "\u202e"}} {
			if _, err := m.Mute(ctx, rights.Owner(), "web", bad.d, bad.why, ""); !errors.Is(err, monitor.ErrBadRequest) {
				t.Errorf("a mute for %v, because %q: %v", bad.d, bad.why, err)
			}
		}
		if mute, err := m.Mute(ctx, rights.Owner(), "web", 33*time.Minute, "known", ""); err != nil || !mute.Until.Equal(began.Add(33*time.Minute)) {
			t.Fatal(mute, err)
		}
		time.AfterFunc(time.Minute, func() {
			if shown := m.Shown(); shown[0].Mute == nil || shown[0].Mute.Why != "known" || shown[0].State.Status != monitor.Down {
				t.Errorf("shown: %+v", shown[0])
			}
		})
		if err := m.Run(ctx); err != nil {
			t.Error(err)
		}
		if got, want := out.lines("web", began), []string{"down 33m0s"}; !slices.Equal(got, want) {
			t.Errorf("told %q, want %q", got, want)
		}
	})
}
