package compare

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// Place is the rank of a cell as people read it: "1", or "2–4" if nothing is decided among
// those; empty if it has none.
func (c *Cell) Place() string {
	switch c.Rank {
	case [2]int{}:
		return ""
	case [2]int{c.Rank[0], c.Rank[0]}:
		return strconv.Itoa(c.Rank[0])
	}
	return fmt.Sprintf("%d–%d", c.Rank[0], c.Rank[1])
}

// Number is v as people read it: three digits that count, and commas between thousands.
func Number(v float64) string {
	switch {
	case v == float64(int64(v)) || v >= 100 || v <= -100:
		return commas(strconv.FormatFloat(v, 'f', 0, 64))
	case v >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	case v >= 1:
		return strconv.FormatFloat(v, 'f', 2, 64)
	}
	return strconv.FormatFloat(v, 'g', 2, 64)
}

func commas(digits string) string {
	sign := ""
	if strings.HasPrefix(digits, "-") {
		sign, digits = "-", digits[1:]
	}
	for n := len(digits) - 3; n > 0; n -= 3 {
		digits = digits[:n] + "," + digits[n:]
	}
	return sign + digits
}

// Verdict says whether a row is decided; empty: nothing is ranked.
func (r *Row) Verdict() string {
	ranked := slices.ContainsFunc(r.Cells, func(c Cell) bool { return c.Rank != [2]int{} })
	switch {
	case !ranked:
		return ""
	case r.Decided:
		return "Decided."
	}
	return "Not decided among those whose ranks are ranges: their intervals overlap, or nearly do."
}

// WriteMarkdown writes the result as a page of Markdown, with a table for each row.
func (r *Result) WriteMarkdown(w io.Writer) error {
	var b strings.Builder
	b.WriteString("# JWT or session, measured\n\n")
	for _, line := range r.Preamble() {
		b.WriteString(line + "\n")
	}
	for n := range r.Rows {
		row := &r.Rows[n]
		fmt.Fprintf(&b, "\n## %s\n\n%s.\n\n", row.Title, strings.TrimSuffix(row.How, "."))
		if row.Unit == "" {
			b.WriteString("| contender | |\n|---|---|\n")
		} else {
			fmt.Fprintf(&b, "| contender | %s | interval | rank | |\n|---|--:|--:|--:|---|\n", row.Unit)
		}
		for _, c := range row.Cells {
			name, text := r.Contender(c.Contender).Name, strings.ReplaceAll(c.Text, "|", `\|`)
			if row.Unit == "" {
				fmt.Fprintf(&b, "| %s | %s |\n", name, text)
				continue
			}
			value, interval := "", ""
			if c.Value != nil {
				value = Number(*c.Value)
				if c.Low != nil && c.High != nil && *c.Low != *c.High { // a result that was read may have none
					interval = Number(*c.Low) + "–" + Number(*c.High)
				}
			}
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", name, value, interval, c.Place(), text)
		}
		for _, line := range append([]string{row.Verdict()}, row.Notes...) {
			if line != "" {
				b.WriteString("\n" + line + "\n")
			}
		}
	}
	for _, note := range r.Notes {
		b.WriteString("\n" + note + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// Preamble says where, when and how it was measured, one sentence a line.
func (r *Result) Preamble() []string {
	m := r.Machine
	lines := []string{
		fmt.Sprintf("counterfoil %s, %s, %s/%s %s, %d processors (%s), %.0f GB.", r.Version, m.Go, m.OS, m.Arch, m.Kernel, m.CPUs, m.CPU, float64(m.MemoryBytes)/1e9),
		fmt.Sprintf("%s, %.0f s, %d rounds of %.0f ms, seed %d, stores: memory, %s.", r.Began.Format("2006-01-02 15:04 UTC"), r.Seconds, r.Settings.Rounds, r.Settings.MeasureMS, r.Seed, strings.Join(r.Settings.Stores, ", ")),
	}
	if r.Partial {
		lines = append(lines, "Partial: it was interrupted. Not measured to the end: "+strings.Join(r.Unfinished, ", ")+".")
	}
	return lines
}

// WriteGoBench writes the rows with numbers in the format of Go's benchmarks, a line for each
// round, for tools such as benchstat.
func (r *Result) WriteGoBench(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "goos: %s\ngoarch: %s\npkg: github.com/counterfoil/counterfoil/compare\ncpu: %s\n", r.Machine.OS, r.Machine.Arch, r.Machine.CPU)
	for _, row := range r.Rows {
		unit := strings.ReplaceAll(cmp.Or(row.Unit, "count"), "µ", "u") + "/" + row.ID
		for _, c := range row.Cells {
			rounds := c.Rounds
			if len(rounds) == 0 && c.Value != nil {
				rounds = []float64{*c.Value}
			}
			for _, v := range rounds {
				fmt.Fprintf(&b, "BenchmarkCompare/%s 1 %g %s\n", c.Contender, v, unit)
			}
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
