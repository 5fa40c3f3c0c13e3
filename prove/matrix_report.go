package prove

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// PrintMatrix writes the cells for people, a row for each store, fleet and carrier. It
// reports whether all cells passed.
func PrintMatrix(w io.Writer, cells []Cell) (passed bool, err error) {
	var b strings.Builder
	b.WriteString("p50 / p99 in ms, from the return of a revocation to refusal; medians over runs\n")
	fmt.Fprintf(&b, "%-8s %5s %-10s", "store", "fleet", "carrier")
	for _, scope := range matrixScopes {
		fmt.Fprintf(&b, " %14s", scope)
	}
	b.WriteString("  held\n")
	passed = len(cells) > 0
	row := func(c Cell) [3]any { return [3]any{c.Store, c.Verifiers, c.Carrier} }
	done := make(map[[3]any]bool)
	for _, c := range cells {
		if done[row(c)] {
			continue
		}
		done[row(c)] = true
		fmt.Fprintf(&b, "%-8s %5d %-10s", c.Store, c.Verifiers, c.Carrier)
		var problems []string
		for _, scope := range matrixScopes {
			text := ""
			for _, other := range cells {
				if row(other) == row(c) && other.Scope == scope {
					text, problems = other.text(), append(problems, other.Problems...)
				}
			}
			fmt.Fprintf(&b, " %14s", text)
		}
		if len(problems) == 0 {
			b.WriteString("   yes\n")
			continue
		}
		passed = false
		b.WriteString("    NO\n")
		for _, p := range problems[:min(3, len(problems))] {
			fmt.Fprintf(&b, "  ! %s\n", p)
		}
	}
	b.WriteString("goes on: the key has nothing to do with an opaque credential\n")
	_, err = io.WriteString(w, b.String())
	return passed, err
}

func (c Cell) text() string {
	if c.Untouched {
		return "goes on"
	}
	ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	return fmt.Sprintf("%.1f / %.1f", ms(c.RevokeToRefusal.P50), ms(c.RevokeToRefusal.P99))
}
