package main

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/counterfoil/counterfoil/monitor"
)

// monitorMetrics is what /metrics shows of a monitor. Names that begin with probe are those of other
// probers, so that their dashboards and rules work.
type monitorMetrics struct {
	registry prometheus.Registerer
	refusals *prometheus.HistogramVec
}

// refusalSeconds are the buckets of a refusal: milliseconds if the log is followed, and the bounds that
// verifiers may have.
var refusalSeconds = []float64{.01, .02, .05, .1, .25, .5, 1, 2, 5, 10, 20, 30, 60}

func newMonitorMetrics(registry prometheus.Registerer) *monitorMetrics {
	m := &monitorMetrics{registry: registry, refusals: prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "counterfoil_journey_refusal_seconds", Buckets: refusalSeconds,
		Help: "Time from the end of a session until a target refused it, by carrier and target.",
	}, []string{"carrier", "target"})}
	registry.MustRegister(m.refusals)
	return m
}

// ran is monitor.Options.Ran.
func (m *monitorMetrics) ran(_ *monitor.Check, r monitor.Result) {
	for _, refusal := range r.Refusals {
		if refusal.Refused {
			m.refusals.WithLabelValues(refusal.Carrier, refusal.Target).Observe(refusal.After.Seconds())
		}
	}
}

// show adds the figures of each check.
func (m *monitorMetrics) show(of interface{ Shown() []monitor.Shown }) error {
	return m.registry.Register(checkFigures{of.Shown})
}

// keeps adds what is lost of the results that a store keeps.
func (m *monitorMetrics) keeps(lost func() uint64) error {
	return m.registry.Register(prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "counterfoil_monitor_lost_parts_total",
		Help: "Hours of single results, and days of five-minute parts, that were dropped while the store was away.",
	}, func() float64 { return float64(lost()) }))
}

// checkFigures reads the states of the checks at each scrape.
type checkFigures struct{ shown func() []monitor.Shown }

var checkLabels = []string{"check", "kind"}

var (
	descProbe    = prometheus.NewDesc("probe_success", "1 if the last run of the check passed.", checkLabels, nil)
	descTook     = prometheus.NewDesc("probe_duration_seconds", "Time that the last run of the check took.", checkLabels, nil)
	descExpiry   = prometheus.NewDesc("probe_ssl_earliest_cert_expiry", "When the certificates of the target end, in seconds since 1970.", checkLabels, nil)
	descCheckUp  = prometheus.NewDesc("counterfoil_monitor_up", "1 if the check is up, 0 if it is down, by its threshold.", checkLabels, nil)
	descRuns     = prometheus.NewDesc("counterfoil_monitor_runs_total", "Runs of the check.", checkLabels, nil)
	descLate     = prometheus.NewDesc("counterfoil_monitor_late_runs_total", "Runs that began more than a second late.", checkLabels, nil)
	descMissed   = prometheus.NewDesc("counterfoil_monitor_missed_runs_total", "Regular times of the check without a run.", checkLabels, nil)
	monitorDescs = []*prometheus.Desc{descProbe, descTook, descExpiry, descCheckUp, descRuns, descLate, descMissed}
)

// Describe implements prometheus.Collector.
func (checkFigures) Describe(out chan<- *prometheus.Desc) {
	for _, d := range monitorDescs {
		out <- d
	}
}

// Collect implements prometheus.Collector. A check that has not run yet is left out.
func (f checkFigures) Collect(out chan<- prometheus.Metric) {
	for _, s := range f.shown() {
		send := func(d *prometheus.Desc, kind prometheus.ValueType, v float64) {
			out <- prometheus.MustNewConstMetric(d, kind, v, s.Check.Name, string(s.Check.Kind))
		}
		last := s.State.Last
		if last.At.IsZero() {
			continue
		}
		send(descProbe, prometheus.GaugeValue, float64(map[bool]int{true: 1}[last.OK]))
		send(descTook, prometheus.GaugeValue, last.Took.Seconds())
		if !last.Expires.IsZero() {
			send(descExpiry, prometheus.GaugeValue, float64(last.Expires.Unix()))
		}
		if s.State.Status != "" {
			send(descCheckUp, prometheus.GaugeValue, float64(map[bool]int{true: 1}[s.State.Status == monitor.Up]))
		}
		send(descRuns, prometheus.CounterValue, float64(s.State.Runs))
		send(descLate, prometheus.CounterValue, float64(s.State.Late))
		send(descMissed, prometheus.CounterValue, float64(s.State.Missed))
	}
}
