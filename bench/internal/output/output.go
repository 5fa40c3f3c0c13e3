// Package output reads what benchmarks print. Begin with [Read].
package output

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Line is the result of one benchmark.
type Line struct {
	Name   string             // as printed: BenchmarkName/sub-2
	Values map[string]float64 // by unit, such as ns/op
}

// Read returns the results in the output of a test binary. It skips all other lines.
func Read(text string) (all []Line, err error) {
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 4 || !strings.HasPrefix(fields[0], "Benchmark") {
			continue
		}
		values := map[string]float64{}
		for i := 2; i+1 < len(fields); i += 2 { // fields[1] is the number of iterations
			if values[fields[i+1]], err = strconv.ParseFloat(fields[i], 64); err != nil {
				return nil, fmt.Errorf("%q: %w", line, err)
			}
		}
		all = append(all, Line{fields[0], values})
	}
	return all, nil
}

// Median returns 0 for no values.
func Median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	if n := len(sorted); n%2 == 0 {
		return (sorted[n/2-1] + sorted[n/2]) / 2
	}
	return sorted[len(sorted)/2]
}
