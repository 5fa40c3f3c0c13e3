package prove

import (
	"fmt"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/source"
)

// One revocation told to a fleet of verifiers over HTTP, each with a connection of its
// own: what the last of them waits for, and what the processors do for each.
func BenchmarkFanOut(b *testing.B) {
	for _, many := range []int{1, 10, 100, 1000} {
		b.Run(fmt.Sprint(many), func(b *testing.B) {
			w, err := newWorld(b.Context(), Options{Bound: 10 * time.Second}, &stores[0])
			if err != nil {
				b.Fatal(err)
			}
			defer w.close()
			if err := w.serve(b.Context()); err != nil {
				b.Fatal(err)
			}
			f, err := w.startFleet(b.Context(), many)
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				b.StopTimer()
				time.Sleep(time.Duration(many) * time.Millisecond / 4) // all wait for news
				b.StartTimer()
				r, err := w.server.Issuer().Revoke(b.Context(), source.ScopeToken, "tok_"+fmt.Sprint(b.N), audit.Act{})
				if err != nil {
					b.Fatal(err)
				}
				for _, v := range f.all {
					if err := v.WaitFor(b.Context(), r.At); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*many), "µs/verifier")
		})
	}
}
