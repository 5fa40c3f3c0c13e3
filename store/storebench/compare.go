// Package storebench has benchmarks that each engine runs in its own package. [Size] measures
// the bytes of a session. [Steps] compares each step of a session's life with the bare engine,
// in the same run. [Rates] measures several nodes, and [Growth] a growing store. The records
// are records that an issuer has written.
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

// Op is one operation. Compare calls it with a different n each time.
type Op func(ctx context.Context, n int64) error

const turns = 11 // of each side; the result is their median

// Compare runs raw, the engine's own operation, and ours in turns, b.N times each. So a busy
// machine slows both. It reports both rates. It also reports and returns the cost of ours
// divided by the cost of raw.
func Compare(b *testing.B, rawCallers, callers int, raw, ours Op) (cost float64) {
	b.Helper()
	ctx, cancel := context.WithCancel(context.Background()) // a context that can end, like that of a request
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
	rate(ours, callers) // warms up: makes plans and connections
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

// each returns how many operations a turn has. Each side has `turns` turns, and one more to
// warm up.
func each(b *testing.B, callers int) int { return max(b.N/turns, callers) }

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}

// callers runs a benchmark with one caller and with sixteen.
func callers(b *testing.B, run func(b *testing.B, callers int)) {
	for _, n := range []int{1, 16} {
		b.Run(fmt.Sprintf("callers=%d", n), func(b *testing.B) { run(b, n) })
	}
}
