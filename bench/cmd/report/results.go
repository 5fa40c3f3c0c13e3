package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/counterfoil/counterfoil/bench/internal/output"
)

// sameProcess is the round of an output with several rounds: the n-th line with a name belongs
// to the n-th round.
const sameProcess = -1

// cell is one contender in one row, for one number of processors.
type cell struct {
	table, row, contender string
	cpus                  int
}

// results has the measured values, by cell, unit and round.
type results struct {
	cells map[cell]map[string][]float64
	order []cell // in the order of their first lines
}

func newResults() *results { return &results{cells: make(map[cell]map[string][]float64)} }

// read reads the output of a test binary. It skips lines that are not results.
func (r *results) read(text string, round int) error {
	lines, err := output.Read(text)
	if err != nil {
		return err
	}
	for _, line := range lines {
		c, err := parseName(line.Name)
		if err != nil {
			return err
		}
		units := r.cells[c]
		if units == nil {
			units = make(map[string][]float64)
			r.cells[c], r.order = units, append(r.order, c)
		}
		for unit, value := range line.Values {
			if round != sameProcess && len(units[unit]) != round {
				return fmt.Errorf("%s has no result in an earlier round", line.Name)
			}
			units[unit] = append(units[unit], value)
		}
	}
	return nil
}

// readSteps reads the output of a store's BenchmarkSteps.
func (r *results) readSteps(text, store string) error {
	return r.read(strings.ReplaceAll(text, "BenchmarkSteps/", "BenchmarkStores/"+store+",_"), sameProcess)
}

// parseName reads BenchmarkTable/row/contender-N. Go writes _ for a space, and omits -N for
// one processor.
func parseName(name string) (cell, error) {
	c := cell{cpus: 1}
	if dash := strings.LastIndexByte(name, '-'); dash > 0 {
		if n, err := strconv.Atoi(name[dash+1:]); err == nil {
			name, c.cpus = name[:dash], n
		}
	}
	parts := strings.SplitN(strings.ReplaceAll(strings.TrimPrefix(name, "Benchmark"), "_", " "), "/", 3)
	if len(parts) != 3 {
		return cell{}, fmt.Errorf("%s is not Benchmark/row/contender", name)
	}
	c.table, c.row, c.contender = parts[0], parts[1], parts[2]
	return c, nil
}

// ratio returns the median over the rounds of a/b.
func ratio(a, b []float64) float64 {
	var ratios []float64
	for n := range min(len(a), len(b)) {
		ratios = append(ratios, a[n]/b[n])
	}
	return output.Median(ratios)
}

// duration writes nanoseconds with three digits.
func duration(ns float64) string {
	for _, unit := range []struct {
		name string
		ns   float64
	}{{"ms", 1e6}, {"µs", 1e3}} {
		if ns >= unit.ns {
			return strconv.FormatFloat(ns/unit.ns, 'g', 3, 64) + " " + unit.name
		}
	}
	return strconv.FormatFloat(ns, 'g', 3, 64) + " ns"
}

// times writes a ratio with three digits.
func times(ratio float64) string { return count(ratio) + " ×" }

func count(n float64) string {
	if n >= 1000 {
		return strconv.FormatFloat(n, 'f', 0, 64)
	}
	return strconv.FormatFloat(n, 'g', 3, 64)
}

// write prints one table.
func (r *results) write(w io.Writer, table string) {
	var cells []cell
	for _, c := range r.order {
		if c.table == table {
			cells = append(cells, c)
		}
	}
	if len(cells) == 0 {
		return
	}
	fmt.Fprintf(w, "\n### %s\n\n", table)
	switch table {
	case "Seen":
		r.writeSeen(w, cells)
	case "HTTP":
		r.writeHTTP(w, cells)
	case "Stores":
		r.writeStores(w, cells)
	default:
		r.writeContenders(w, cells)
	}
}

// writeContenders prints a line for each contender. A ratio is to the first contender of the
// row.
func (r *results) writeContenders(w io.Writer, cells []cell) {
	fmt.Fprint(w, "| | | time | ratio | processor time | ratio | bytes | allocations |\n|---|---|---|---|---|---|---|---|\n")
	first := cells[0]
	for _, c := range cells {
		if c.row != first.row {
			first = c
		}
		own, with := r.cells[c], r.cells[first]
		fmt.Fprintf(w, "| %s | %s | %s | %s | %s | %s | %s | %s |\n", c.row, c.contender,
			duration(output.Median(own["ns/op"])), times(ratio(own["ns/op"], with["ns/op"])),
			duration(output.Median(own["cpu-ns/op"])), times(ratio(own["cpu-ns/op"], with["cpu-ns/op"])),
			count(output.Median(own["B/op"])), count(output.Median(own["allocs/op"])))
	}
}

// writeHTTP prints requests per second and the server's processor time.
func (r *results) writeHTTP(w io.Writer, cells []cell) {
	fmt.Fprint(w, "| | | requests/s | ratio | processor time of a request | ratio |\n|---|---|---|---|---|---|\n")
	first := cells[0]
	for _, c := range cells {
		if c.row != first.row {
			first = c
		}
		own, bare := r.cells[c], r.cells[first]
		fmt.Fprintf(w, "| %s | %s | %s | %s | %s | %s |\n", c.row, c.contender, count(output.Median(own["req/s"])),
			times(ratio(own["req/s"], bare["req/s"])), duration(output.Median(own["cpu-ns/op"])), times(ratio(own["cpu-ns/op"], bare["cpu-ns/op"])))
	}
}

// writeStores prints the cost of a step divided by the cost of the engine's own step.
func (r *results) writeStores(w io.Writer, cells []cell) {
	fmt.Fprint(w, "Medians of eleven turns each.\n\n| | | the engine's own/s | ours/s | cost |\n|---|---|---|---|---|\n")
	for _, c := range cells {
		own := r.cells[c]
		fmt.Fprintf(w, "| %s | %s | %s | %s | %s |\n", c.row, strings.Replace(c.contender, "callers=", "callers: ", 1),
			count(output.Median(own["raw/s"])), count(output.Median(own["ours/s"])), times(output.Median(own["x-raw"])))
	}
}

// writeSeen prints a line for each table, and the gain of a second processor. A ratio is to
// the first contender of the row.
func (r *results) writeSeen(w io.Writer, cells []cell) {
	fmt.Fprint(w, "| table | | a check | ratio | allocations | checks/s, 1 processor | 2 processors | ratio |\n|---|---|---|---|---|---|---|---|\n")
	first := cells[0]
	for _, c := range cells {
		if c.cpus != 1 || strings.HasSuffix(c.contender, ", parallel") {
			continue
		}
		if c.row != first.row {
			first = c
		}
		own := r.cells[c]
		fmt.Fprintf(w, "| %s | %s | %s | %s | %s |", c.row, c.contender, duration(output.Median(own["ns/op"])),
			times(ratio(own["ns/op"], r.cells[first]["ns/op"])), count(output.Median(own["allocs/op"])))
		c.contender += ", parallel"
		one := r.cells[c]["ns/op"]
		c.cpus = 2
		two := r.cells[c]["ns/op"]
		if len(one) == 0 {
			fmt.Fprint(w, " | | |\n")
			continue
		}
		fmt.Fprintf(w, " %s | %s | %s |\n", count(1e9/max(output.Median(one), 1e-9)), count(1e9/max(output.Median(two), 1e-9)), times(ratio(one, two)))
	}
}
