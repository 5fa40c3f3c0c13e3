package alert_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/counterfoil/counterfoil/internal/outward"
	"github.com/counterfoil/counterfoil/monitor"
	"github.com/counterfoil/counterfoil/monitor/alert"
)

// beating is a monitor of one check of the test's own, whose file names a heartbeat URL.
func beating(t *testing.T, url string, keeper monitor.Keeper, ran func()) *monitor.Monitor {
	t.Helper()
	path := filepath.Join(t.TempDir(), "monitor.yaml")
	text := "checks: [{name: web, http: 'http://example.com', every: 10s}]\n"
	if url != "" {
		text += "heartbeat_url_file: beat.url\n"
		if err := os.WriteFile(filepath.Join(filepath.Dir(path), "beat.url"), []byte(url+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	file, err := monitor.Parse(path, []byte("inside: [127.0.0.1]\n"+text))
	if err != nil {
		t.Fatal(err)
	}
	m, err := monitor.New(file, monitor.Options{
		Keeper: keeper, Ran: func(*monitor.Check, monitor.Result) { ran() },
		Dial: func(context.Context, string, string) (net.Conn, error) { return nil, net.ErrClosed },
		Probes: map[monitor.Kind]func(*monitor.Check) (monitor.Probe, error){monitor.HTTP: func(*monitor.Check) (monitor.Probe, error) {
			return func(context.Context) monitor.Result { return monitor.Result{OK: true} }, nil
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// The heartbeat is a GET of the URL in the file.
func TestHeartbeatIsAGet(t *testing.T) {
	url, requests := target(t, always(200))
	ctx, cancel := context.WithCancel(t.Context())
	m := beating(t, url+"/ping/secret", new(monitor.Memory), func() {})
	var all sync.WaitGroup
	all.Go(func() { _ = m.Run(ctx) })
	all.Go(func() { sender(t).Beat(ctx, m, slog.New(slog.DiscardHandler)) })
	got := <-requests
	cancel()
	all.Wait()
	if got.path != "/ping/secret" || got.body != "" || got.header.Get("User-Agent") != "Counterfoil-Monitor" {
		t.Errorf("%+v", got)
	}
}

// It is called once a minute, and not while a check is more than a minute overdue: then the monitor does not work.
// The log says once that calls fail, and does not show the URL.
func TestHeartbeat(t *testing.T) {
	for name, test := range map[string]struct {
		url    string
		blocks time.Duration // the run at about three minutes and a half
		calls  []time.Duration
	}{
		"once a minute": {"https://example.com/canary", 0, minutes(0, 1, 2, 3, 4, 5, 6, 7, 8, 9)},
		"it is late":    {"https://example.com/canary", time.Minute, minutes(0, 1, 2, 3, 4, 5, 6, 7, 8, 9)},
		"it hangs":      {"https://example.com/canary", 4 * time.Minute, minutes(0, 1, 2, 3, 4, 8, 9)},
		"no URL":        {"", 0, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 9*time.Minute+30*time.Second)
				defer cancel()
				began := time.Now()
				hung := false
				m := beating(t, test.url, new(monitor.Memory), func() {
					if !hung && time.Since(began) > 210*time.Second {
						hung = true
						time.Sleep(test.blocks)
					}
				})
				var calls []time.Duration
				s := &alert.Sender{Post: func(r *http.Request) (outward.Answer, error) {
					if r.Method != http.MethodGet || r.URL.String() != test.url {
						t.Errorf("%s %s", r.Method, r.URL)
					}
					calls = append(calls, time.Since(began))
					if n := len(calls); n == 2 || n == 3 {
						return outward.Answer{Status: http.StatusBadGateway}, nil
					}
					return outward.Answer{Status: http.StatusOK}, nil
				}}
				var log bytes.Buffer
				go func() { _ = m.Run(ctx) }()
				synctest.Wait() // it runs
				s.Beat(ctx, m, slog.New(slog.NewTextHandler(&log, nil)))
				if !slices.Equal(calls, test.calls) {
					t.Errorf("called at %v, want %v", calls, test.calls)
				}
				failures := strings.Count(log.String(), "the call to heartbeat_url_file failed")
				if want := min(1, len(test.calls)); failures != want || strings.Contains(log.String(), "canary") {
					t.Errorf("the log says %d times that a call failed, want %d: %s", failures, want, &log)
				}
			})
		})
	}
}

// The calls begin when the monitor runs: while it cannot read what it knows, it watches nothing.
func TestHeartbeatWaitsForTheMonitor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
		defer cancel()
		began := time.Now()
		m := beating(t, "https://example.com/canary", &late{Memory: new(monitor.Memory), until: began.Add(90 * time.Second)}, func() {})
		var calls []time.Duration
		s := &alert.Sender{Post: func(*http.Request) (outward.Answer, error) {
			calls = append(calls, time.Since(began))
			return outward.Answer{Status: http.StatusOK}, nil
		}}
		var all sync.WaitGroup
		all.Go(func() { _ = m.Run(ctx) })
		s.Beat(ctx, m, slog.New(slog.DiscardHandler))
		all.Wait()
		if len(calls) != 2 || calls[0] < 90*time.Second || calls[0] > 92*time.Second || calls[1]-calls[0] != time.Minute {
			t.Errorf("called at %v, want at about 1m30s and a minute later", calls)
		}
	})
}

// late is a keeper that cannot be read for a while.
type late struct {
	*monitor.Memory
	until time.Time
}

func (l *late) Load(ctx context.Context) (monitor.Kept, error) {
	if time.Now().Before(l.until) {
		return monitor.Kept{}, errors.New("the store is away")
	}
	return l.Memory.Load(ctx)
}

func minutes(all ...int) (times []time.Duration) {
	for _, m := range all {
		times = append(times, time.Duration(m)*time.Minute)
	}
	return times
}
