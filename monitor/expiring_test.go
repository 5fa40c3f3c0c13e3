package monitor_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/counterfoil/counterfoil/monitor"
)

const aDay = 24 * time.Hour

// People are told that a certificate ends when it has fewer days than the check says, and again below 7, 3 and 1, and
// when it has ended. Each is told once, none of them before the check says so, and all again after a renewal.
func TestExpiring(t *testing.T) {
	ends := func(days time.Duration) func(time.Duration) time.Duration {
		return func(time.Duration) time.Duration { return days * aDay }
	}
	tests := map[string]struct {
		expect string
		ends   func(at time.Duration) time.Duration // since the first run
		fails  func(at time.Duration) string
		events []string
	}{
		"two-weeks":    {"certificate_days: 14", ends(20), during(), []string{"expiring day 7", "expiring day 14", "expiring day 18", "expiring day 20", "expiring day 21"}},
		"five-days":    {"certificate_days: 5", ends(20), during(), []string{"expiring day 16", "expiring day 18", "expiring day 20", "expiring day 21"}},
		"nobody-asked": {"latency: 1s", ends(20), during(), nil},
		"soon":         {"certificate_days: 14", ends(2), during(), []string{"expiring day 0", "expiring day 2", "expiring day 3"}},
		"none-is-seen": {"certificate_days: 14", nil, during(), nil},
		"down":         {"certificate_days: 14", ends(8), during([2]time.Duration{0, 100 * aDay}), []string{"down day 0", "expiring day 0", "expiring day 2", "expiring day 6", "expiring day 8", "expiring day 9"}},
		"renewed": {"certificate_days: 14", func(at time.Duration) time.Duration {
			if at < 15*aDay {
				return 20 * aDay
			}
			return 32 * aDay
		}, during(), []string{"expiring day 7", "expiring day 14", "expiring day 19"}},
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 22*aDay+time.Hour)
		defer cancel()
		out, targets, text := new(told), map[string]*scripted{}, "checks:\n"
		for name, test := range tests {
			targets[name] = &scripted{fails: test.fails}
			text += "- {name: " + name + ", tls: 'example.com:443', every: 24h, down: 1, expect: {" + test.expect + "}}\n"
		}
		probe := func(c *monitor.Check) (monitor.Probe, error) {
			target, ends := targets[c.Name], tests[c.Name].ends
			run := target.probe(t)
			return func(ctx context.Context) monitor.Result {
				r := run(ctx)
				if ends != nil {
					r.Expires = target.began.Add(ends(time.Since(target.began)))
				}
				return r
			}, nil
		}
		m, err := monitor.New(parse(t, text), monitor.Options{
			Keeper: &monitor.Memory{Send: out.send}, Dial: noNetwork, Probes: map[monitor.Kind]func(*monitor.Check) (monitor.Probe, error){monitor.TLS: probe},
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Run(ctx); err != nil {
			t.Error(err)
		}
		got := map[string][]string{}
		for _, e := range out.all {
			began := targets[e.Check].began
			at := e.At.Sub(began)
			got[e.Check] = append(got[e.Check], fmt.Sprintf("%s day %d", e.Kind, at/aDay))
			if at%aDay != 0 || e.Kind == monitor.Expiring && !e.Expires.Equal(began.Add(tests[e.Check].ends(at))) {
				t.Errorf("%+v, %v after the first run", e, at)
			}
		}
		for name, test := range tests {
			if !slices.Equal(got[name], test.events) {
				t.Errorf("%s: told %q, want %q", name, got[name], test.events)
			}
		}
	})
}
