package main

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/internal/nodetime"
	"github.com/counterfoil/counterfoil/internal/ops"
	"github.com/counterfoil/counterfoil/login/password"
	"github.com/counterfoil/counterfoil/outbox"
	"github.com/counterfoil/counterfoil/revlog"
	"github.com/counterfoil/counterfoil/store"
)

// metrics is what /metrics shows of the auth server, with the figures of every program.
type metrics struct {
	*ops.Metrics
	commits *prometheus.HistogramVec
	sweeps  *prometheus.HistogramVec
	events  *prometheus.CounterVec
	sent    *prometheus.CounterVec
}

// programMetrics returns the metrics of a server program. dropped is how many lines of the log
// were lost.
func programMetrics(dropped func() uint64) *ops.Metrics {
	v := version()
	m := ops.NewMetrics(prometheus.Labels{"version": v.Version, "revision": v.Revision, "goversion": v.Go})
	m.Registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "counterfoil_log_lines_dropped_total", Help: "Lines of the log that were lost because nobody read them in time.",
	}, func() float64 { return float64(dropped()) }))
	return m
}

// newMetrics returns the metrics of the auth server.
func newMetrics(dropped func() uint64) *metrics {
	m := &metrics{
		Metrics: programMetrics(dropped),
		commits: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "counterfoil_store_commit_duration_seconds", Buckets: ops.Seconds,
			Help: "Time of a commit, by outcome: ok, conflict, error.",
		}, []string{"outcome"}),
		sweeps: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "counterfoil_sweep_duration_seconds", Buckets: ops.Seconds,
			Help: "Time to drop what has expired and turn the keys, by outcome: ok, error.",
		}, []string{"outcome"}),
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "counterfoil_audit_events_total", Help: "Security events, by action and outcome: ok, refused, unknown.",
		}, []string{"action", "outcome"}),
	}
	m.sent = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "counterfoil_outbox_deliveries_total", Help: "Deliveries of mails and of what else leaves the server, by kind and outcome: sent, retried, dead, dropped.",
	}, []string{"kind", "outcome"})
	m.Registry.MustRegister(m.commits, m.sweeps, m.events, m.sent)
	return m
}

// audited returns a hook that counts security events and calls next.
func (m *metrics) audited(next func(audit.Entry)) func(audit.Entry) {
	return func(e audit.Entry) {
		m.events.WithLabelValues(string(e.Action), string(e.Outcome)).Inc()
		next(e)
	}
}

// delivered counts a delivery of the outbox.
func (m *metrics) delivered(t outbox.Told) { m.sent.WithLabelValues(t.Kind, string(t.Outcome)).Inc() }

// swept counts a sweep of the server.
func (m *metrics) swept(took time.Duration, err error) {
	m.sweeps.WithLabelValues(outcome(err)).Observe(took.Seconds())
}

func outcome(err error) string {
	if err != nil {
		return "error"
	}
	return "ok"
}

// state reads figures of the server at each scrape.
type state struct {
	status func(context.Context) (revlog.Status, error)
	load   func() password.Load
	clock  func() nodetime.Status
	now    func() time.Time // what Follower.Until is compared with
	outbox func(context.Context) (outbox.Counts, error)
	wall   func() time.Time
}

var (
	descStore     = describe("counterfoil_store_reachable", "1 if the head of the log could be read just now.")
	descHead      = describe("counterfoil_log_head", "Number of the newest entry of the revocation log.")
	descEntries   = describe("counterfoil_log_entries", "Entries that still cover something alive.")
	descFollowing = describe("counterfoil_verifiers_following", "Verifiers that hold a fresh page of the log.")
	descLost      = describe("counterfoil_verifiers_lost", "Verifiers that followed in the last ten minutes and no longer do.")
	descBehind    = describe("counterfoil_verifiers_behind_entries", "Entries that the slowest following verifier has not applied yet.")
	descOffset    = describe("counterfoil_clock_offset_seconds", "How far the clock of this node is ahead of the store's or, without one, of the time that has passed.")
	descAgrees    = describe("counterfoil_clock_agrees", "1 if the clocks agree; 0: this node issues, refreshes and sweeps nothing.")
	descSlots     = describe("counterfoil_password_hash_slots", "Password hashes that may run at a time.")
	descRunning   = describe("counterfoil_password_hashes_running", "Password hashes under way.")
	descQueued    = describe("counterfoil_outbox_waiting", "Mails and others that wait to be sent, of all nodes; 10000 may be more.")
	descDead      = describe("counterfoil_outbox_dead", "Dead letters: what could not be sent, of all nodes; 10000 may be more.")
	descOldest    = describe("counterfoil_outbox_oldest_seconds", "How long the oldest has waited that waits to be sent; 0: none waits.")
	descWaiting   = describe("counterfoil_password_hashes_waiting", "Attempts that wait for a slot.")
)

func describe(name, help string) *prometheus.Desc { return prometheus.NewDesc(name, help, nil, nil) }

// Describe implements prometheus.Collector.
func (s *state) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descStore, descHead, descEntries, descFollowing, descLost, descBehind, descOffset, descAgrees, descSlots, descRunning, descWaiting, descQueued, descDead, descOldest} {
		out <- d
	}
}

// Collect implements prometheus.Collector. When the store cannot be reached, it
// leaves out the figures of the store: an old figure would look like a new one.
func (s *state) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v int) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(v))
	}
	clock := s.clock()
	out <- prometheus.MustNewConstMetric(descOffset, prometheus.GaugeValue, clock.Offset.Seconds())
	gauge(descAgrees, map[bool]int{true: 1}[clock.Wrong == ""])
	load := s.load()
	gauge(descSlots, load.Slots)
	gauge(descRunning, load.Running)
	gauge(descWaiting, load.Waiting)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	status, err := s.status(ctx)
	if err != nil {
		gauge(descStore, 0)
		return
	}
	gauge(descStore, 1)
	out <- prometheus.MustNewConstMetric(descHead, prometheus.GaugeValue, float64(status.Head.Seq))
	gauge(descEntries, status.Entries)
	following, lost, behind := 0, 0, uint64(0)
	now := s.now()
	for _, f := range status.Followers {
		if gone := now.Sub(f.Until); gone > 0 {
			if gone < lostFor { // later: it was restarted under another id, or removed
				lost++
			}
			continue
		}
		following++
		behind = max(behind, lag(status, f))
	}
	s.collectOutbox(ctx, out)
	gauge(descFollowing, following)
	gauge(descLost, lost)
	out <- prometheus.MustNewConstMetric(descBehind, prometheus.GaugeValue, float64(behind))
}

func (s *state) collectOutbox(ctx context.Context, out chan<- prometheus.Metric) {
	counts, err := s.outbox(ctx)
	if err != nil {
		return
	}
	oldest := 0.0
	if !counts.Oldest.IsZero() {
		oldest = max(0, s.wall().Sub(counts.Oldest).Seconds())
	}
	for d, v := range map[*prometheus.Desc]float64{descQueued: float64(counts.Waiting), descDead: float64(counts.Dead), descOldest: oldest} {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v)
	}
}

// lostFor is how long a verifier that stopped following counts as lost.
const lostFor = 10 * time.Minute

// lag is how many entries f has not applied. A follower of another epoch has applied none.
func lag(s revlog.Status, f revlog.Follower) uint64 {
	if f.Acked.Epoch != s.Head.Epoch {
		return s.Head.Seq
	}
	return s.Head.Seq - min(f.Acked.Seq, s.Head.Seq)
}

// timed is a store that measures its commits.
type timed struct {
	store.Store
	commits *prometheus.HistogramVec
}

// Commit implements store.Store.
func (t *timed) Commit(ctx context.Context, b store.Batch) (counterfoil.Cursor, error) {
	begun := time.Now()
	head, err := t.Store.Commit(ctx, b)
	result := outcome(err)
	if errors.Is(err, store.ErrConflict) {
		result = "conflict" // expected: a compare-and-swap failed
	}
	t.commits.WithLabelValues(result).Observe(time.Since(begun).Seconds())
	return head, err
}
