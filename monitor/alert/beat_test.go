package alert_test

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/counterfoil/counterfoil/internal/outward"
	"github.com/counterfoil/counterfoil/monitor"
	"github.com/counterfoil/counterfoil/monitor/alert"
)

// beating is a monitor of one check of the test's own, whose file names a heartbeat URL.
func beating(t *testing.T, url string, ran func()) *monitor.Monitor {
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
		Keeper: new(monitor.Memory), Ran: func(*monitor.Check, monitor.Result) { ran() },
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
	done := make(chan struct{})
	go func() {
		defer close(done)
		sender(t).Beat(ctx, beating(t, url+"/ping/secret", func() {}), slog.New(slog.DiscardHandler))
	}()
	got := <-requests
	cancel()
	<-done
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
				m := beating(t, test.url, func() {
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

func minutes(all ...int) (times []time.Duration) {
	for _, m := range all {
		times = append(times, time.Duration(m)*time.Minute)
	}
	return times
}
