package main

import (
	"log/slog"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/internal/ops"
)

// A decision is counted by route and verdict, and measured by verdict.
func TestDecided(t *testing.T) {
	m := ops.NewMetrics(nil)
	note := decided(m, slog.New(slog.DiscardHandler))
	note("https://app.example.com/*", "allowed", 30*time.Microsecond)
	note("https://app.example.com/api/*", "allowed", 2*time.Millisecond)
	note("", "no-rule", 3*time.Second)
	families, err := m.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	decisions, within := map[string]float64{}, map[string][]uint64{}
	for _, f := range families {
		for _, one := range f.GetMetric() {
			labels := ""
			for _, l := range one.GetLabel() {
				labels += l.GetValue() + " "
			}
			switch f.GetName() {
			case "counterfoil_gateway_decisions_total":
				decisions[labels] = one.GetCounter().GetValue()
			case "counterfoil_gateway_decision_duration_seconds":
				for _, b := range one.GetHistogram().GetBucket() {
					within[labels] = append(within[labels], b.GetCumulativeCount())
				}
				within[labels] = append(within[labels], one.GetHistogram().GetSampleCount())
			}
		}
	}
	if len(decisions) != 3 || decisions["https://app.example.com/* allowed "] != 1 {
		t.Errorf("decisions: %v", decisions)
	}
	if got := within["allowed "]; len(got) != 6 || got[0] != 1 || got[2] != 2 || got[5] != 2 {
		t.Errorf("allowed within %v s: %v", decisionSeconds, got)
	}
	if got := within["no-rule "]; len(got) != 6 || got[4] != 0 || got[5] != 1 {
		t.Errorf("no-rule within %v s: %v", decisionSeconds, got)
	}
}

// BenchmarkDecided is what a decision costs to be noted.
func BenchmarkDecided(b *testing.B) {
	note := decided(ops.NewMetrics(nil), slog.New(slog.DiscardHandler))
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			note("https://app.example.com/*", "allowed", 30*time.Microsecond)
		}
	})
}
