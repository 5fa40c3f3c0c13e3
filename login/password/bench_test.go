package password_test

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/login/flow"
)

// BenchmarkLoginTiming compares the time of a wrong password with that of each other
// refusal (LOGIN-06): 500 samples each, taken in turns. It prints the difference of
// the medians in percent and in microseconds, and the p of a Mann-Whitney test: above
// 0.01, nothing can be told from the times. Hashes are cheap here, so that what is
// not hashing shows, some hundred times larger than beside a real hash.
func BenchmarkLoginTiming(b *testing.B) {
	g := newGuarded(b)
	paths := g.paths(b)
	sample := func(a flow.Request) float64 {
		g.later(24 * time.Hour) // no throttle
		began := time.Now()
		_, _ = g.Prove(b.Context(), a)
		return float64(time.Since(began))
	}
	for _, name := range []string{"unknown", "disabled", "passwordless"} {
		b.Run(name, func(b *testing.B) {
			var diff, micro, p float64
			for b.Loop() {
				wrong, other := make([]float64, 500), make([]float64, 500)
				for n := range wrong {
					wrong[n], other[n] = sample(paths["wrong"]), sample(paths[name])
				}
				p = mannWhitney(wrong, other)
				slices.Sort(wrong)
				slices.Sort(other)
				micro = (other[250] - wrong[250]) / 1000
				diff = 100 * 1000 * micro / wrong[250]
			}
			b.ReportMetric(diff, "%-median")
			b.ReportMetric(micro, "µs-median")
			b.ReportMetric(p, "p")
		})
	}
}

// mannWhitney returns the two-sided p that x and y are of one distribution, by the
// normal approximation.
func mannWhitney(x, y []float64) float64 {
	u := 0.0
	for _, a := range x {
		for _, b := range y {
			switch {
			case a > b:
				u++
			case a == b:
				u += 0.5
			}
		}
	}
	n, m := float64(len(x)), float64(len(y))
	z := math.Abs(u-n*m/2) / math.Sqrt(n*m*(n+m+1)/12)
	return math.Erfc(z / math.Sqrt2)
}
