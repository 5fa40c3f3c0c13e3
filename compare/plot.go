package compare

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"
)

// The geometry of the plots of [Result.WriteHTML]. Places along an axis are percents of its length, so
// that a plot is as wide as its screen, and its text is not scaled.

// The part of an axis that values use, in percent: marks and labels need the rest.
const (
	axisFrom = 4
	axisTo   = 96
	axisZero = 12 // the smallest positive value of an axis with logarithms that also has a zero
)

// decades is how many powers of ten values may span on a linear axis.
const decades = 2

// scale is an axis.
type scale struct {
	low, high float64
	Log       bool
	zero      bool    // of an axis with logarithms: 0 has a place of its own, left of the values
	from      float64 // the place of low, in percent
}

// tick is a labelled place of an axis.
type tick struct {
	At, Label string
	value     float64
}

// newScale is an axis on which all values have a place. Zero is on it, unless it is one with logarithms.
func newScale(values []float64) scale {
	s := scale{from: axisFrom}
	smallest := math.Inf(1) // of the positive ones
	for _, v := range values {
		s.low, s.high = min(s.low, v), max(s.high, v)
		if v > 0 {
			smallest = min(smallest, v)
		}
	}
	if s.low == 0 && s.high/smallest > math.Pow(10, decades) {
		s.Log, s.zero = true, slices.Contains(values, 0)
		if s.zero {
			s.from = axisZero
		}
		s.low = math.Pow(10, math.Floor(math.Log10(smallest)))
		s.high = math.Pow(10, math.Ceil(math.Log10(s.high)))
		return s
	}
	if s.low == s.high {
		s.high = s.low + 1
	}
	return s
}

// place is where a value is, in percent.
func (s scale) place(v float64) float64 {
	part := v/(s.high-s.low) - s.low/(s.high-s.low)
	if s.Log {
		if v <= 0 {
			return axisFrom
		}
		part = (math.Log10(v) - math.Log10(s.low)) / (math.Log10(s.high) - math.Log10(s.low))
	}
	return s.from + min(max(part, 0), 1)*(axisTo-s.from)
}

// ticks are at most about six labelled places.
func (s scale) ticks() (all []tick) {
	add := func(v float64) {
		all = append(all, tick{percent(s.place(v)), short(v), v})
	}
	if s.zero {
		add(0)
	}
	if s.Log {
		first, last := math.Round(math.Log10(s.low)), math.Round(math.Log10(s.high))
		for e := first; e <= last; e += max(1, math.Ceil((last-first)/5)) {
			add(math.Pow(10, e))
		}
		return all
	}
	step := math.Pow(10, math.Floor(math.Log10(s.high-s.low)))
	switch n := (s.high - s.low) / step; {
	case n < 2:
		step /= 2
	case n >= 5:
		step *= 2
	}
	for n := math.Ceil(s.low / step); n*step <= s.high && len(all) < 12; n++ {
		add(n * step)
	}
	return all
}

// percent is a length of SVG.
func percent(v float64) string { return strconv.FormatFloat(v, 'f', 2, 64) + "%" }

// short is the label of a tick.
func short(v float64) string {
	for _, u := range []struct {
		of   float64
		name string
	}{{1e12, "T"}, {1e9, "G"}, {1e6, "M"}, {1e3, "k"}} {
		if math.Abs(v) >= u.of {
			return strconv.FormatFloat(v/u.of, 'g', 3, 64) + u.name
		}
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}

// span is the cell's median and its interval; ok is false if it has no number.
func (c *Cell) span() (low, v, high float64, ok bool) {
	if c.Value == nil || math.IsNaN(*c.Value) || math.IsInf(*c.Value, 0) {
		return 0, 0, 0, false
	}
	low, v, high = *c.Value, *c.Value, *c.Value
	if c.Low != nil && c.High != nil && *c.Low <= v && v <= *c.High {
		low, high = *c.Low, *c.High
	}
	return low, v, high, true
}

// chart is the plot of a series: a line for each contender, over the place of the rows in the series.
type chart struct {
	Title, Desc       string
	Unit, AtUnit      string
	LogX, LogY        bool
	Height, Base, Top float64 // in pixels
	LabelY            float64
	Xs, Ys            []tick
	Lines             []line
}

type line struct {
	Label, Name, Family string
	LabelAt             string
	Segments            [][2][2]string
	Points              [][2]string
	end                 float64 // how far the last point is from above
}

// The height of a chart, and of one label, in pixels.
const (
	chartTop    = 24
	chartPlot   = 260
	labelHeight = 14
)

// newChart is the plot of rows, or nil: there is nothing to join by a line.
func newChart(r *Result, rows []*Row) *chart {
	rows = slices.DeleteFunc(slices.Clone(rows), func(row *Row) bool { return row.At == nil })
	slices.SortStableFunc(rows, func(a, b *Row) int { return cmp.Compare(*a.At, *b.At) })
	var xs, ys []float64
	for _, row := range rows {
		for n := range row.Cells {
			if _, v, _, ok := row.Cells[n].span(); ok {
				xs, ys = append(xs, *row.At), append(ys, v)
			}
		}
	}
	if len(xs) == 0 || slices.Min(xs) == slices.Max(xs) {
		return nil
	}
	// The chart is high enough for a label of each line.
	height := max(chartPlot, float64(labelHeight*(len(r.Contenders)+1)))
	c := &chart{
		Title: rows[0].Title + ", and the other rows of its series", Unit: rows[0].Unit, AtUnit: rows[0].AtUnit,
		Top: chartTop, Base: chartTop + height, LabelY: chartTop + height + 16, Height: chartTop + height + 32,
	}
	x, y := newScale(xs), newScale(ys)
	c.LogX, c.LogY = x.Log, y.Log
	down := func(v float64) float64 { return chartTop + height*(1-y.place(v)/100) }
	for _, contender := range r.Contenders {
		l := line{Name: contender.Name, Family: family(contender.Family)}
		for _, row := range rows {
			cell := row.Cell(contender.ID)
			if cell == nil {
				continue
			}
			_, v, _, ok := cell.span()
			if !ok {
				continue
			}
			at := [2]string{percent(across(x.place(*row.At))), pixels(down(v))}
			if n := len(l.Points); n > 0 {
				l.Segments = append(l.Segments, [2][2]string{l.Points[n-1], at})
			}
			l.Points, l.end = append(l.Points, at), down(v)
		}
		if len(l.Points) > 0 {
			c.Lines = append(c.Lines, l)
		}
	}
	c.label()
	for _, t := range y.ticks() {
		c.Ys = append(c.Ys, tick{At: pixels(down(t.value)), Label: t.Label})
	}
	free := math.Inf(-1)
	for _, v := range slices.Compact(slices.Sorted(slices.Values(xs))) {
		if at := across(x.place(v)); at >= free {
			c.Xs = append(c.Xs, tick{At: percent(at), Label: short(v)})
			free = at + 7
		}
	}
	return c
}

// label numbers the lines and describes them. The labels are in the order of the ends of the lines, and none is on another.
func (c *chart) label() {
	slices.SortStableFunc(c.Lines, func(a, b line) int { return cmp.Compare(a.end, b.end) })
	next := float64(chartTop)
	names := make([]string, len(c.Lines))
	for n := range c.Lines {
		l := &c.Lines[n]
		l.Label = strconv.Itoa(n + 1)
		at := min(max(next, l.end), c.Base-float64(labelHeight*(len(c.Lines)-1-n)))
		l.LabelAt, next = pixels(at), at+labelHeight
		names[n] = l.Label + " " + l.Name
	}
	c.Desc = "From the highest to the lowest at the right: " + strings.Join(names, ", ") + ". The tables of the rows have the same numbers."
}

// across leaves room for the labels of the axis at the left, and of the lines at the right.
func across(place float64) float64 { return 8 + place*0.84 }

// pixels is a length of SVG.
func pixels(v float64) string { return strconv.FormatFloat(v, 'f', 1, 64) }

// family is one of the families that have a mark.
func family(name string) string {
	if slices.Contains([]string{FamilySession, FamilyJWT, FamilyOurs}, name) {
		return name
	}
	return FamilyNone
}
