package compare_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/compare"
)

func upTo(n int) (xs []float64) {
	for i := range n {
		xs = append(xs, float64((i*7)%n+1)) // in another order: n is no multiple of 7
	}
	return xs
}

// The probabilities are those of a binomial distribution: David and Nagaraja, Order Statistics, 7.1.
func TestInterval(t *testing.T) {
	for _, c := range []struct {
		n, low, high int
		probability  float64
	}{
		{1, 1, 1, 0}, {2, 1, 2, 0.5}, {5, 1, 5, 0.9375}, {6, 1, 6, 0.96875}, {8, 1, 8, 0.9921875}, {9, 2, 8, 0.9609375},
		{11, 2, 10, 0.98828125}, {12, 3, 10, 0.96142578125}, {15, 4, 12, 0.96484375}, {20, 6, 15, 0.9586105},
	} {
		low, high, p := compare.Interval(upTo(c.n))
		if low != float64(c.low) || high != float64(c.high) || math.Abs(p-c.probability) > 1e-6 {
			t.Errorf("Interval of %d values = %v to %v with %v, want %d to %d with %v", c.n, low, high, p, c.low, c.high, c.probability)
		}
	}
	if m := compare.Median([]float64{4, 1, 3, 2}); m != 2.5 {
		t.Errorf("Median = %v", m)
	}
	if m := compare.Median([]float64{9, 1, 3}); m != 3 {
		t.Errorf("Median = %v", m)
	}
}

func TestQuantile(t *testing.T) {
	var all []time.Duration
	for i := range 10_000 {
		all = append(all, time.Duration(i+1)*time.Microsecond)
	}
	for q, want := range map[float64]time.Duration{0.5: 5000, 0.99: 9900, 0.999: 9990, 1: 10_000} {
		if got := compare.Quantile(all, q); got != want*time.Microsecond {
			t.Errorf("quantile %v = %v, want %d µs", q, got, want)
		}
	}
	sum := int64(0)
	for _, b := range compare.Histogram(all) {
		sum += b[1]
	}
	if sum != 10_000 {
		t.Errorf("the histogram has %d values", sum)
	}
}

// A round with a stall makes the interval wide, not the value certain.
func TestBootstrap(t *testing.T) {
	var rounds [][]time.Duration
	for range 15 {
		rounds = append(rounds, []time.Duration{1, 2, 3, 4})
	}
	random := rand.New(rand.NewPCG(1, 0))
	if v, low, high := compare.Bootstrap(rounds, 0.999, random); v != 4 || low != 4 || high != 4 {
		t.Errorf("equal rounds: %d, %d to %d", v, low, high)
	}
	rounds[3] = []time.Duration{1, 100, 100, 100}
	if v, low, high := compare.Bootstrap(rounds, 0.999, random); v != 100 || low != 4 || high != 100 {
		t.Errorf("a stall in one round: %d, %d to %d", v, low, high)
	}
}

// about is a measured cell from low to high.
func about(id string, low, high float64) compare.Cell {
	return compare.Measured(id, []float64{low, low, low, (low + high) / 2, high, high, high})
}

func TestRank(t *testing.T) {
	for _, c := range []struct {
		name    string
		better  string
		cells   []compare.Cell
		want    string
		decided bool
	}{
		{"apart", compare.Less, []compare.Cell{about("c", 30, 31), about("a", 10, 11), about("b", 20, 21)}, "c3 a1 b2 ", true},
		{"apart, more is better", compare.More, []compare.Cell{about("c", 30, 31), about("a", 10, 11), about("b", 20, 21)}, "c1 a3 b2 ", true},
		{"overlap", compare.Less, []compare.Cell{about("a", 10, 21), about("b", 20, 25), about("c", 40, 41)}, "a1–2 b1–2 c3 ", false},
		{"a chain", compare.Less, []compare.Cell{about("a", 10, 20), about("b", 19, 30), about("c", 29, 40)}, "a1–2 b1–3 c2–3 ", false},
		{"nearly overlap", compare.Less, []compare.Cell{about("a", 10, 10.5), about("b", 11, 12)}, "a1–2 b1–2 ", false},
		{"counts", compare.Less, []compare.Cell{compare.Counted("a", 0), compare.Counted("b", 0), compare.Counted("c", 1)}, "a1 b1 c3 ", true},
		{"a floor", compare.Less, []compare.Cell{about("none", 1, 2), about("a", 10, 11), about("b", 20, 21)}, "none a1 b2 ", true},
		{"too few rounds", compare.Less, []compare.Cell{compare.Measured("a", []float64{1}), compare.Measured("b", []float64{9, 9, 9, 9, 9})}, "a1–2 b1–2 ", false},
		{"words", compare.Less, []compare.Cell{{Contender: "w", Text: "no"}, about("a", 10, 11), about("b", 20, 21)}, "w a1 b2 ", true},
		{"neither is better", "", []compare.Cell{about("a", 10, 11), about("b", 20, 21)}, "a b ", false},
	} {
		r := compare.Row{Better: c.better, Cells: c.cells}
		r.RankCells()
		got := ""
		for _, cell := range r.Cells {
			got += fmt.Sprintf("%s%s ", cell.Contender, cell.Place())
		}
		if got != c.want || r.Decided != c.decided {
			t.Errorf("%s: %q, decided %v; want %q, %v", c.name, got, r.Decided, c.want, c.decided)
		}
	}
}

func TestNumber(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 0.1234: "0.12", 1.234: "1.23", 12.34: "12.3", 123.4: "123", 1234567: "1,234,567", 5: "5", 1000: "1,000"} {
		if got := compare.Number(v); got != want {
			t.Errorf("Number(%v) = %s, want %s", v, got, want)
		}
	}
}

// A cell never has a number that is not one: JSON cannot hold it.
func TestPerCheckOfNoChecks(t *testing.T) {
	if c := compare.PerCheck(compare.Contender{ID: "a"}, 3, 0); c.Value != nil || c.Text != "not measured" {
		t.Errorf("no check makes the cell %+v", c)
	}
}
