package ops

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// Metrics is what /metrics shows of every program. No label ever holds an id, a name or an
// address: their number has no bound, and scrapers must not learn them.
type Metrics struct {
	Registry *prometheus.Registry // a program registers its own figures here

	requests    *prometheus.HistogramVec
	inFlight    prometheus.Gauge
	connections prometheus.Gauge
	refused     prometheus.Counter
	malformed   *prometheus.CounterVec
}

// Seconds are the buckets of a histogram of durations.
var Seconds = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}

// NewMetrics returns the figures of a program; build are the labels that say what runs.
func NewMetrics(build prometheus.Labels) *Metrics {
	m := &Metrics{
		Registry: prometheus.NewRegistry(),
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "counterfoil_http_request_duration_seconds", Buckets: Seconds,
			Help: "Time to answer, by route pattern and class of status. GET /v1/log waits on purpose.",
		}, []string{"route", "status"}),
		inFlight:    prometheus.NewGauge(prometheus.GaugeOpts{Name: "counterfoil_http_requests_in_flight", Help: "Requests under way."}),
		connections: prometheus.NewGauge(prometheus.GaugeOpts{Name: "counterfoil_http_connections", Help: "Open connections of the public listeners."}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{Name: "counterfoil_http_connections_refused_total",
			Help: "Connections closed because their address held connections_per_address already."}),
		malformed: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "counterfoil_http_requests_malformed_total",
			Help: "Requests of HTTP/1.x refused because programs could read them in different ways, by fault. No route sees them."}, []string{"fault"}),
	}
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "counterfoil_build_info", Help: "Always 1; the labels say what runs.", ConstLabels: build,
	})
	info.Set(1)
	m.Registry.MustRegister(m.requests, m.inFlight, m.connections, m.refused, m.malformed, info,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func (m *Metrics) request(route string, status int, took time.Duration) {
	m.requests.WithLabelValues(route, classes[status/100%len(classes)]).Observe(took.Seconds())
}

// classes are the classes of a status, by its first digit.
var classes = [...]string{"0xx", "1xx", "2xx", "3xx", "4xx", "5xx", "6xx", "7xx", "8xx", "9xx"}

// connection notes a change of the public listeners.
func (m *Metrics) connection(change int, refused bool) {
	m.connections.Add(float64(change))
	if refused {
		m.refused.Inc()
	}
}
