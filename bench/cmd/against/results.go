package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/counterfoil/counterfoil/bench/internal/output"
)

// row is one line of a benchmark: a sub-benchmark.
type row struct {
	name string
	unit string
}

// units are the units that are compared; less is better. A benchmark that compares a store
// with its bare engine reports the last unit instead of a time.
var units = []string{"ns/op", "allocs/op", "x-raw"}

// sides of a comparison.
var sides = [2]string{"before", "after"}

// results has the measured values of each side, by round.
type results map[row]*[2][]float64

// read reads the output of the test binary of a package.
func (all results) read(pkg string, side int, text string) error {
	lines, err := output.Read(text)
	if err != nil {
		return err
	}
	for _, line := range lines {
		for unit, value := range line.Values {
			if !slices.Contains(units, unit) {
				continue
			}
			r := row{pkg + " " + strings.TrimPrefix(line.Name, "Benchmark"), unit}
			if all[r] == nil {
				all[r] = new([2][]float64)
			}
			all[r][side] = append(all[r][side], value)
		}
	}
	return nil
}

// floor reports whether a row only serves for comparison: a raw signature, or a handler
// without a check.
func (r row) floor() bool {
	name, _, _ := strings.Cut(r.name[strings.LastIndexByte(r.name, '/')+1:], "-") // -2: two processors
	return name == "raw" || name == "nothing"
}

// write prints the table, and returns how many rows are slower than bar. It prints allocations
// only where they differ.
func write(w io.Writer, all results, alone []string, bar float64) (slower int) {
	rows := slices.SortedFunc(maps.Keys(all), func(a, b row) int {
		return cmp.Or(strings.Compare(a.name, b.name), -strings.Compare(a.unit, b.unit))
	})
	fmt.Fprintf(w, "| benchmark | unit | before | after | ratio | in single rounds |\n|---|---|---|---|---|---|\n")
	for _, r := range rows {
		before, after := all[r][0], all[r][1]
		if len(before) == 0 || len(after) == 0 {
			side := 0
			if len(before) == 0 {
				side = 1
			}
			alone = append(alone, r.name+" ("+sides[side]+")")
			continue
		}
		a, b := output.Median(before), output.Median(after)
		if r.unit == "allocs/op" {
			if a != b {
				fmt.Fprintf(w, "| %s | %s | %.0f | %.0f | | |\n", r.name, r.unit, a, b)
			}
			continue
		}
		var each []float64
		for n := range min(len(before), len(after)) {
			each = append(each, after[n]/before[n])
		}
		mark := ""
		if b/a > bar && !r.floor() {
			mark = " **slower**"
			slower++
		}
		fmt.Fprintf(w, "| %s | %s | %.4g | %.4g | %.3f%s | %.2f to %.2f |\n", r.name, r.unit, a, b, b/a, mark, slices.Min(each), slices.Max(each))
	}
	slices.Sort(alone)
	for _, name := range slices.Compact(alone) {
		fmt.Fprintf(w, "\non one side only: %s\n", name)
	}
	fmt.Fprintf(w, "\n%d slower than %.2f\n", slower, bar)
	return slower
}
