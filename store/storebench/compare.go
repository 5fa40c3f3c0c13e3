// Package storebench measures stores as benchmarks of their own packages: what a session
// takes, what its steps cost beside the bare engine in the same run, and how both grow.
// The records are those that the issuer writes.
package storebench

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Op does one thing; n is never the same twice.
type Op func(ctx context.Context, n int64) error

const turns = 11 // of each side; the median counts

// Compare runs the engine's own op and ours in turns, b.N times each: so a busy machine
// slows both. It reports both rates, and returns and reports how many times the cost of
// the engine's op ours is.
func Compare(b *testing.B, rawCallers, callers int, raw, ours Op) (cost float64) {
	b.Helper()
	ctx, cancel := context.WithCancel(context.Background()) // as a request's is: it can end
	defer cancel()
	var counter atomic.Int64
	rate := func(do Op, callers int) float64 {
		var wg sync.WaitGroup
		var next atomic.Int64
		each := int64(each(b, callers))
		began := time.Now()
		for range callers {
			wg.Go(func() {
				for next.Add(1) <= each {
					if err := do(ctx, counter.Add(1)); err != nil {
						b.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
		return float64(each) / time.Since(began).Seconds()
	}
	rate(ours, callers) // plans and connections are made
	rate(raw, rawCallers)
	var rawRates, ourRates, ratios []float64
	for range turns {
		r, o := rate(raw, rawCallers), rate(ours, callers)
		rawRates, ourRates, ratios = append(rawRates, r), append(ourRates, o), append(ratios, r/o)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(median(rawRates), "raw/s")
	b.ReportMetric(median(ourRates), "ours/s")
	cost = median(ratios)
	b.ReportMetric(cost, "x-raw")
	return cost
}

// each is how often callers do something in a turn; there are turns of them, and one
// before these.
func each(b *testing.B, callers int) int { return max(b.N/turns, callers) }

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}

// callers runs a benchmark by one caller and by sixteen.
func callers(b *testing.B, run func(b *testing.B, callers int)) {
	for _, n := range []int{1, 16} {
		b.Run(fmt.Sprintf("callers=%d", n), func(b *testing.B) { run(b, n) })
	}
}
