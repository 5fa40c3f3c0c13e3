package monitor_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/counterfoil/counterfoil/monitor"
)

// A run that takes longer than expect.latency has failed. One that has failed anyway keeps its own reason.
func TestLatency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		targets := map[string]*scripted{
			"in-time": {takes: 2 * time.Second, fails: during()},
			"slow":    {takes: 2*time.Second + time.Millisecond, fails: during()},
			"any":     {takes: 9 * time.Second, fails: during()},
			"broken":  {takes: 3 * time.Second, fails: during([2]time.Duration{0, time.Hour})},
		}
		text := "checks:\n"
		for name := range targets {
			text += "- {name: " + name + ", http: 'http://example.com'"
			if name != "any" {
				text += ", expect: {latency: 2s}"
			}
			text += "}\n"
		}
		m, err := monitor.New(parse(t, text), monitor.Options{Keeper: new(monitor.Memory), Dial: noNetwork, Probes: probes(t, targets)})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range m.Once(t.Context()) {
			want := map[string]monitor.Reason{"slow": monitor.Slow, "broken": monitor.BadStatus}[r.Check]
			if r.Reason != want || r.OK != (want == "") || r.Took != targets[r.Check].takes {
				t.Errorf("%+v, want reason %q", r, want)
			}
			if want == monitor.Slow && !strings.Contains(r.Failure, "took 2.001s: want 2s") {
				t.Errorf("the failure is %q", r.Failure)
			}
		}
	})
}

// Runs that begin more than a second late are counted, and so are regular times without a run. A machine that
// has no time for the monitor is a hook that blocks.
func TestLateAndMissed(t *testing.T) {
	for name, test := range map[string]struct {
		blocks time.Duration // at the second run
		ran    []time.Duration
		late   uint64
		latest time.Duration
		missed uint64
	}{
		"in time":       {0, seconds(0, 10, 20, 30, 40, 50, 60), 0, 0, 0},
		"not yet late":  {11 * time.Second, seconds(0, 10, 21, 30, 40, 50, 60), 0, 0, 0},
		"late":          {12 * time.Second, seconds(0, 10, 22, 30, 40, 50, 60), 1, 2 * time.Second, 0},
		"one is missed": {35 * time.Second, seconds(0, 10, 45, 45, 50, 60), 2, 25 * time.Second, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				runs := 0
				target := &scripted{fails: during(), first: func() { time.AfterFunc(65*time.Second, cancel) }}
				var last monitor.State
				var m *monitor.Monitor
				m, err := monitor.New(parse(t, "checks: [{name: web, http: 'http://example.com', every: 10s}]"), monitor.Options{
					Keeper: new(monitor.Memory), Dial: noNetwork, Probes: probes(t, map[string]*scripted{"web": target}),
					Ran: func(*monitor.Check, monitor.Result) {
						if last = m.Shown()[0].State; runs == 1 {
							time.Sleep(test.blocks)
						}
						runs++
					},
				})
				if err != nil {
					t.Fatal(err)
				}
				if err := m.Run(ctx); err != nil {
					t.Error(err)
				}
				if !slices.Equal(target.ran, test.ran) {
					t.Errorf("ran at %v, want %v", target.ran, test.ran)
				}
				if last.Runs != uint64(len(test.ran)) || last.Late != test.late || last.Latest != test.latest || last.Missed != test.missed {
					t.Errorf("%d runs, %d late, at most by %v, %d missed: want %+v", last.Runs, last.Late, last.Latest, last.Missed, test)
				}
			})
		})
	}
}

// spreadOfWeb is how long after a start a check of the name web runs.
const spreadOfWeb = 250 * time.Millisecond

// Time in which no monitor runs is not missed. After a gap of more than 10 s the check begins anew within 10 s; after a
// shorter one it goes on with its regular times, and the run that was due meanwhile is late.
func TestGap(t *testing.T) {
	for name, test := range map[string]struct {
		gap    time.Duration // after 65 s
		ran    []time.Duration
		late   uint64
		latest time.Duration
	}{
		"nothing was due": {2 * time.Second, seconds(70, 80, 90), 0, 0},
		"short":           {12 * time.Second, seconds(77, 80, 90, 100), 1, 7 * time.Second},
		"long":            {5*time.Minute - spreadOfWeb, seconds(365, 375, 385), 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				target := &scripted{fails: during(), first: func() { time.AfterFunc(65*time.Second, cancel) }}
				keeper := new(monitor.Memory)
				m, err := monitor.New(parse(t, "checks: [{name: web, http: 'http://example.com', every: 10s}]"), monitor.Options{
					Keeper: keeper, Dial: noNetwork, Probes: probes(t, map[string]*scripted{"web": target}),
				})
				if err != nil {
					t.Fatal(err)
				}
				if err := m.Run(ctx); err != nil {
					t.Error(err)
				}
				time.Sleep(test.gap)
				again, cancel := context.WithTimeout(t.Context(), 25*time.Second)
				defer cancel()
				if err := m.Run(again); err != nil {
					t.Error(err)
				}
				if want := append(seconds(0, 10, 20, 30, 40, 50, 60), test.ran...); !slices.Equal(target.ran, want) {
					t.Errorf("ran at %v, want %v", target.ran, want)
				}
				kept, err := keeper.Load(t.Context())
				if s := kept.States["web"]; err != nil || s.Late != test.late || s.Latest != test.latest || s.Missed != 0 {
					t.Errorf("%d late, at most by %v, %d missed, %v: want %+v", s.Late, s.Latest, s.Missed, err, test)
				}
			})
		})
	}
}
