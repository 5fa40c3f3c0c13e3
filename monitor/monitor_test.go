package monitor_test

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/counterfoil/counterfoil/monitor"
)

// parse reads a file that is right.
func parse(t *testing.T, text string) *monitor.File {
	t.Helper()
	f, err := monitor.Parse("monitor.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// noNetwork is for monitors whose probes are the test's own.
func noNetwork(context.Context, string, string) (net.Conn, error) { return nil, net.ErrClosed }

// scripted is a target whose answers are a function of the time since its first run.
type scripted struct {
	takes time.Duration                    // each run
	fails func(since time.Duration) string // empty: it passes; critical: it is down at once
	first func()                           // is called at the first run

	mu    sync.Mutex // guards the fields below
	began time.Time
	ran   []time.Duration
	busy  bool
}

// begin notes a run, and returns when it is.
func (s *scripted) begin(t *testing.T) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.busy {
		t.Error("two runs of one check at a time")
	}
	if s.began.IsZero() {
		s.began = time.Now()
		if s.first != nil {
			s.first()
		}
	}
	at := time.Since(s.began)
	s.busy, s.ran = true, append(s.ran, at)
	return at
}

func (s *scripted) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy = false
}

func (s *scripted) probe(t *testing.T) monitor.Probe {
	return func(ctx context.Context) monitor.Result {
		at := s.begin(t)
		defer s.end()
		select {
		case <-time.After(s.takes):
		case <-ctx.Done():
			return monitor.Result{Failure: "timeout", Reason: monitor.TimedOut}
		}
		if why := s.fails(at); why != "" {
			return monitor.Result{Failure: why, Reason: monitor.BadStatus, Critical: why == "critical"}
		}
		return monitor.Result{OK: true}
	}
}

// probes are those of a monitor whose targets are scripted, by the names of the checks.
func probes(t *testing.T, targets map[string]*scripted) map[monitor.Kind]func(*monitor.Check) (monitor.Probe, error) {
	return map[monitor.Kind]func(*monitor.Check) (monitor.Probe, error){
		monitor.HTTP: func(c *monitor.Check) (monitor.Probe, error) { return targets[c.Name].probe(t), nil },
	}
}

// during fails in the parts of the time from begin (included) to end.
func during(parts ...[2]time.Duration) func(time.Duration) string {
	return func(at time.Duration) string {
		for _, p := range parts {
			if at >= p[0] && at < p[1] {
				return "status 500"
			}
		}
		return ""
	}
}

// told collects events.
type told struct {
	mu  sync.Mutex // guards all
	all []monitor.Event
}

func (e *told) send(event monitor.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.all = append(e.all, event)
}

// lines are the events of a check, each as its kind and the time since began.
func (e *told) lines(check string, began time.Time) (lines []string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, event := range e.all {
		if event.Check == check {
			lines = append(lines, fmt.Sprintf("%s %v", event.Kind, event.At.Sub(began)))
		}
	}
	return lines
}

// one runs a monitor of a check called web, until a time after its first run. It returns the
// events and the runs, with the times since the first run.
func one(t *testing.T, members string, more string, fails func(time.Duration) string, last time.Duration) (events []string, ran []time.Duration) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		target, out := &scripted{fails: fails, first: func() { time.AfterFunc(last, cancel) }}, new(told)
		m, err := monitor.New(parse(t, "checks: [{name: web, http: 'http://example.com'"+members+"}]\n"+more), monitor.Options{
			Keeper: &monitor.Memory{Send: out.send}, Dial: noNetwork, Probes: probes(t, map[string]*scripted{"web": target}),
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Run(ctx); err != nil {
			t.Error(err)
		}
		events, ran = out.lines("web", target.began), target.ran
	})
	return events, ran
}

func seconds(all ...int) (times []time.Duration) {
	for _, s := range all {
		times = append(times, time.Duration(s)*time.Second)
	}
	return times
}

// A check runs at its regular times, every 10 s while it is open what it is, and never twice for
// one time.
func TestTimesOfRuns(t *testing.T) {
	fail := func(from, to int) [2]time.Duration {
		return [2]time.Duration{time.Duration(from) * time.Second, time.Duration(to) * time.Second}
	}
	for name, test := range map[string]struct {
		members string
		fails   func(time.Duration) string
		last    int
		ran     []time.Duration
		events  []string
	}{
		"well":                      {"", during(), 190, seconds(0, 60, 120, 180), nil},
		"fails once":                {"", during(fail(60, 65)), 190, seconds(0, 60, 70, 120, 180), nil},
		"down and up":               {"", during(fail(60, 115)), 250, seconds(0, 60, 70, 80, 120, 130, 180, 240), []string{"down 1m20s", "up 2m10s"}},
		"stays down":                {"", during(fail(60, 1000)), 250, seconds(0, 60, 70, 80, 120, 180, 240), []string{"down 1m20s"}},
		"down from the first run":   {"", during(fail(0, 1000)), 100, seconds(0, 10, 20, 60), []string{"down 20s"}},
		"at the second failure":     {", down: 2", during(fail(60, 1000)), 100, seconds(0, 60, 70), []string{"down 1m10s"}},
		"3 of 5":                    {", down: {failures: 3, of: 5}, every: 10s", during(fail(10, 20), fail(30, 40), fail(50, 60)), 75, seconds(0, 10, 20, 30, 40, 50, 60, 70), []string{"down 50s", "up 1m10s"}},
		"3 in a row are not 3 of 5": {", every: 10s", during(fail(10, 20), fail(30, 40), fail(50, 60)), 75, seconds(0, 10, 20, 30, 40, 50, 60, 70), nil},
		"reminder":                  {", every: 1h, remind: 90m", during(fail(0, 5*3600)), 5*3600 + 30, seconds(0, 10, 20, 3600, 7200, 10800, 14400, 18000, 18010), []string{"down 20s", "reminder 2h0m0s", "reminder 4h0m0s", "up 5h0m10s"}},
	} {
		t.Run(name, func(t *testing.T) {
			events, ran := one(t, test.members, "", test.fails, time.Duration(test.last)*time.Second)
			if !slices.Equal(ran, test.ran) {
				t.Errorf("ran at %v, want %v", ran, test.ran)
			}
			if !slices.Equal(events, test.events) {
				t.Errorf("events %q, want %q", events, test.events)
			}
		})
	}
}

// A critical failure is one at the first occurrence.
func TestCritical(t *testing.T) {
	events, _ := one(t, "", "", func(at time.Duration) string {
		if at == time.Minute {
			return "critical"
		}
		return ""
	}, 4*time.Minute)
	if want := []string{"down 1m0s", "up 2m10s"}; !slices.Equal(events, want) {
		t.Errorf("events %q, want %q", events, want)
	}
}

// Four changes within a quarter of an hour are one alert, and so is what follows.
func TestFlapping(t *testing.T) {
	minutes := func(all ...int) (parts [][2]time.Duration) {
		for i := 0; i < len(all); i += 2 {
			parts = append(parts, [2]time.Duration{time.Duration(all[i]) * time.Minute, time.Duration(all[i+1]) * time.Minute})
		}
		return parts
	}
	// Fails at minutes 1, 3, 5: down at 20 s past each, up at 10 s past the minute after it.
	events, _ := one(t, "", "", during(minutes(1, 2, 3, 4, 5, 6)...), time.Hour)
	if want := []string{"down 1m20s", "up 2m10s", "down 3m20s", "flapping 4m10s", "up 22m0s"}; !slices.Equal(events, want) {
		t.Errorf("events %q, want %q", events, want)
	}
	// It settles down.
	events, _ = one(t, "", "", during(minutes(1, 2, 3, 4, 5, 100)...), time.Hour)
	if want := []string{"down 1m20s", "up 2m10s", "down 3m20s", "flapping 4m10s", "down 21m0s"}; !slices.Equal(events, want) {
		t.Errorf("events %q, want %q", events, want)
	}
	// The fourth change comes later than a quarter of an hour after the first: no flapping.
	events, _ = one(t, "", "", during(minutes(1, 2, 15, 17)...), time.Hour)
	if want := []string{"down 1m20s", "up 2m10s", "down 15m20s", "up 17m10s"}; !slices.Equal(events, want) {
		t.Errorf("events %q, want %q", events, want)
	}
}
