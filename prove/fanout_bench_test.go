package prove

import (
	"fmt"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/source"
)

// BenchmarkFanOut revokes once, and waits until every verifier of a fleet has read the entry
// over HTTP, each over its own connection. µs/verifier is the time divided by the size of the
// fleet.
func BenchmarkFanOut(b *testing.B) {
	for _, size := range []int{1, 10, 100, 1000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			w, err := newWorld(b.Context(), Options{Bound: 10 * time.Second}, &stores[0])
			if err != nil {
				b.Fatal(err)
			}
			defer w.close()
			if err := w.serve(b.Context()); err != nil {
				b.Fatal(err)
			}
			f, err := w.startFleet(b.Context(), size)
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				b.StopTimer()
				time.Sleep(time.Duration(size) * time.Millisecond / 4) // until all verifiers have a long poll
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
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*size), "µs/verifier")
		})
	}
}
