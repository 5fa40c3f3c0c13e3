package main

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/internal/nodetime"
	"github.com/counterfoil/counterfoil/login/password"
	"github.com/counterfoil/counterfoil/outbox"
	"github.com/counterfoil/counterfoil/revlog"
)

func newOps(t *testing.T) (*state, *metrics) {
	t.Helper()
	m := newMetrics(func() uint64 { return 0 })
	s := &state{
		now: time.Now, wall: time.Now,
		outbox: func(context.Context) (outbox.Counts, error) {
			return outbox.Counts{Waiting: 4, Dead: 2, Oldest: time.Now().Add(-time.Hour)}, nil
		},
		clock: func() nodetime.Status {
			return nodetime.Status{Offset: -90 * time.Second, Compared: "the store", Wrong: "it is behind"}
		},
		load: func() password.Load { return password.Load{Slots: 2, Running: 1} },
		status: func(context.Context) (revlog.Status, error) {
			return revlog.Status{Head: counterfoil.Cursor{Epoch: 1, Seq: 9}, Entries: 3, Followers: []revlog.Follower{
				{ID: "verifier-one-whole-id", Acked: counterfoil.Cursor{Epoch: 1, Seq: 7}, Until: time.Now().Add(time.Hour)},
				{ID: "verifier-two-whole-id", Acked: counterfoil.Cursor{Epoch: 1, Seq: 2}, Until: time.Now().Add(-time.Minute)},
				{ID: "verifier-of-yesterday", Acked: counterfoil.Cursor{Epoch: 1, Seq: 1}, Until: time.Now().Add(-time.Hour)},
			}}, nil
		},
	}
	m.Registry.MustRegister(s)
	m.commits.WithLabelValues(outcome(nil)).Observe(1)
	m.sweeps.WithLabelValues(outcome(nil)).Observe(1)
	m.audited(func(audit.Entry) {})(audit.Entry{Action: audit.Login, Outcome: audit.Refused})
	return s, m
}

// scrape returns what /metrics answers.
func scrape(t *testing.T, m *metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	promhttp.HandlerFor(m.Registry, promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	return w.Body.String()
}

func TestOpsFigures(t *testing.T) { // REV-20
	s, m := newOps(t)
	body := scrape(t, m)
	for _, want := range []string{
		"counterfoil_build_info{", "counterfoil_log_head 9\n", "counterfoil_log_entries 3\n", "counterfoil_verifiers_following 1\n",
		"counterfoil_verifiers_lost 1\n", "counterfoil_verifiers_behind_entries 2\n", "counterfoil_store_reachable 1\n",
		"counterfoil_password_hash_slots 2\n", "counterfoil_password_hashes_running 1\n", "counterfoil_clock_offset_seconds -90\n", "counterfoil_clock_agrees 0\n", "go_goroutines ",
		"counterfoil_outbox_waiting 4\n", "counterfoil_outbox_dead 2\n", "counterfoil_outbox_oldest_seconds 3600.",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("/metrics lacks %q", want)
		}
	}
	page := func() *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		s.page(w, httptest.NewRequest("GET", "/debug/revocation", nil))
		return w
	}
	shown := page().Body.String()
	if !strings.Contains(shown, `"verifier": "verifier"`) || !strings.Contains(shown, `"behind": 2`) || !strings.Contains(shown, `"wrong": "it is behind"`) || strings.Contains(shown, "whole-id") {
		t.Errorf("/debug/revocation = %s", shown)
	}
	s.status = func(context.Context) (revlog.Status, error) { return revlog.Status{}, errors.New("gone") }
	body = scrape(t, m)
	if !strings.Contains(body, "counterfoil_store_reachable 0\n") || strings.Contains(body, "counterfoil_log_head 9") {
		t.Error("/metrics without the store shows old figures")
	}
	if got := page(); got.Code != http.StatusServiceUnavailable {
		t.Errorf("/debug/revocation without the store = %d", got.Code)
	}
}
