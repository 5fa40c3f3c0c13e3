package main

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/counterfoil/counterfoil/gateway"
	"github.com/counterfoil/counterfoil/internal/ops"
)

// streams are the figures and the lines of the log about connections that outlive the check of their request.
type streams struct {
	open *prometheus.GaugeVec
	cut  *prometheus.CounterVec
}

func newStreams(registry *prometheus.Registry) *streams {
	s := &streams{
		prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "counterfoil_gateway_websockets", Help: "Open WebSockets, by route.",
		}, []string{"route"}),
		prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "counterfoil_gateway_cut_total",
			Help: "WebSockets and answers that the gateway has ended, by route and reason: revoked, expired, stale_claims, stale, idle or stopping.",
		}, []string{"route", "reason"}),
	}
	registry.MustRegister(s.open, s.cut)
	return s
}

// opened is for Options.Opened of the gateway.
func (s *streams) opened(w http.ResponseWriter, route string) func(by string) {
	log := ops.Detach(w)
	s.open.WithLabelValues(route).Inc()
	return func(by string) {
		s.open.WithLabelValues(route).Dec()
		if by != gateway.ByClient && by != gateway.ByUpstream {
			s.cut.WithLabelValues(route, by).Inc()
		}
		log(by)
	}
}

// ended is for Options.Cut of the gateway.
func (s *streams) ended(w http.ResponseWriter, route, by string) {
	s.cut.WithLabelValues(route, by).Inc()
	ops.EndedBy(w, by)
}
