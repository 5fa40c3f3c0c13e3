package prove

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// PrintClocks writes the cells for people, in 80 columns: a row for each clock and each way to
// be wrong. It reports whether all cells held.
func PrintClocks(w io.Writer, cells []ClocksCell) (held bool, err error) {
	var b strings.Builder
	held = len(cells) > 0
	for at := 0; at < len(cells); {
		n := at
		for n < len(cells) && cells[n].Store == cells[at].Store {
			n++
		}
		printClocks(&b, cells[at:n])
		at = n
	}
	b.WriteString("\nA clock is wrong for three minutes, then right. A figure: how long until every\n" +
		"verifier and node works again, in heartbeats; two are allowed. What was found:\n" +
		"REVOKE a revoked credential was accepted; 401 a good one was refused; COOKIE the\n" +
		"cookie of a good one was deleted; LATE not back in two heartbeats; NO: see below\n")
	if slices.ContainsFunc(cells, func(c ClocksCell) bool { return c.OnlyClock }) {
		b.WriteString("* the server started with the wrong clock and has no other: copies that were over\n" +
			"  by it were refused, and their clients refreshed them or signed in again\n")
	}
	for _, c := range cells {
		if !c.Held() {
			held = false
			fmt.Fprintf(&b, "! %s\n", c)
			for _, line := range first(3, append(slices.Clone(c.Violations), c.Problems...)) {
				fmt.Fprintf(&b, "    %s\n", line)
			}
		}
	}
	b.WriteString(clocksVerdict(cells))
	_, err = io.WriteString(w, b.String())
	return held, err
}

func first(n int, all []string) []string { return all[:min(n, len(all))] }

func printClocks(b *strings.Builder, cells []ClocksCell) {
	fmt.Fprintf(b, "\n%-24s %-28s%s\n%-9s %-12s", cells[0].Store, "  while it runs", "  restarted with it", "clock of", "is")
	for range 2 {
		for _, by := range clockSizes {
			fmt.Fprintf(b, " %6s", short(by))
		}
	}
	b.WriteString("\n")
	for _, place := range clockPlaces {
		for _, wrong := range clockWrongs {
			row := ""
			for _, restarted := range []bool{false, true} {
				for _, by := range clockSizes {
					row += fmt.Sprintf(" %6s", cellText(cells, ClocksCell{Clock: place, Wrong: wrong, By: by, Restarted: restarted}))
				}
			}
			if strings.TrimSpace(row) != "" {
				fmt.Fprintf(b, "%-9s %-12s%s\n", place, wrong, row)
			}
		}
	}
}

// cellText is the text of the cell that has the same axes as of; empty: it was not run.
func cellText(cells []ClocksCell, of ClocksCell) string {
	n := slices.IndexFunc(cells, func(c ClocksCell) bool {
		return c.Clock == of.Clock && c.Wrong == of.Wrong && c.By == of.By && c.Restarted == of.Restarted
	})
	if n < 0 {
		return ""
	}
	c := cells[n]
	switch {
	case c.Broken["P1"] > 0:
		return "REVOKE"
	case c.Broken["cookie"] > 0:
		return "COOKIE"
	case c.Broken["P2"] > 0:
		return "401"
	case c.Broken["P4"] > 0:
		return "LATE"
	case !c.Held():
		return "NO"
	}
	text := fmt.Sprintf("%.1f", heartbeats(c))
	if c.OnlyClock {
		text += "*"
	}
	return text
}

// heartbeats is how long a cell took to be back. Two are the bound.
func heartbeats(c ClocksCell) float64 {
	return 2 * float64(c.HealToAccept.Max) / float64(c.HealBound)
}

func clocksVerdict(cells []ClocksCell) string {
	checks, failed := 0, 0
	broken := make(map[string]int)
	back := 0.0
	var bound time.Duration
	for _, c := range cells {
		checks += c.Checks
		if !c.Held() {
			failed++
		}
		for kind, n := range c.Broken {
			broken[kind] += n
		}
		if c.HealBound > 0 {
			back = max(back, heartbeats(c))
		}
		bound = c.Findings.Bound
	}
	verdict := "held"
	if failed > 0 || len(cells) == 0 {
		verdict = fmt.Sprintf("NOT HELD in %d", failed)
	}
	return fmt.Sprintf("\n%s: %d cells, %d checks (bound %s); revoked accepted %d, 401 for a good\ncredential %d, cookies deleted %d, back after at most %.1f heartbeats\n",
		verdict, len(cells), checks, round(bound), broken["P1"], broken["P2"], broken["cookie"], back)
}
