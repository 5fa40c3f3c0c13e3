package main

import (
	"fmt"
	"io"
	"iter"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/term"
)

// width is the width of texts that people read: that of a new terminal.
const width = 80

// gap separates two columns.
const gap = "  "

// column is a heading. Texts of a column with cut are shortened with "…" until the table fits
// the terminal. An id is never shortened, because operators copy it. Nothing is shortened for
// a pipe, because programs read it.
type column struct {
	name string
	cut  bool
}

// table prints rows under their columns on standard output.
func table(columns []column, rows [][]string) error {
	return tableTo(os.Stdout, terminalWidth(), columns, rows)
}

// collect returns all that a list of the server yields, for a table or for JSON. It is not nil without an error.
func collect[E any](list iter.Seq2[E, error]) ([]E, error) {
	all := []E{}
	for e, err := range list {
		if err != nil {
			return nil, err
		}
		all = append(all, e)
	}
	return all, nil
}

// terminalWidth is the width of the terminal that standard output is; 0: it is none.
func terminalWidth() int {
	wide, _, err := term.GetSize(int(os.Stdout.Fd()))
	switch {
	case err != nil:
		return 0
	case wide == 0: // a terminal that does not know
		return width
	}
	return wide
}

// tableTo prints rows under their columns, fitted into wide; 0: as wide as they are.
func tableTo(w io.Writer, wide int, columns []column, rows [][]string) error {
	widths := make([]int, len(columns))
	for i, c := range columns {
		widths[i] = utf8.RuneCountInString(c.name)
	}
	for _, row := range rows {
		for i := range row {
			row[i] = printable(orDash(row[i]))
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i]))
		}
	}
	if wide > 0 {
		fit(columns, widths, wide)
	}
	heading := make([]string, len(columns))
	for i, c := range columns {
		heading[i] = c.name
	}
	for _, row := range append([][]string{heading}, rows...) {
		if err := printRow(w, row, widths); err != nil {
			return err
		}
	}
	return nil
}

// fit makes the widest column with cut narrower, again and again, until the table is at most
// wide or no column can be narrower.
func fit(columns []column, widths []int, wide int) {
	total := len(gap) * (len(columns) - 1)
	for _, w := range widths {
		total += w
	}
	for ; total > wide; total-- {
		widest := -1
		for i, c := range columns {
			if c.cut && widths[i] > len(c.name) && (widest < 0 || widths[i] > widths[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			return
		}
		widths[widest]--
	}
}

func printRow(w io.Writer, row []string, widths []int) error {
	var line strings.Builder
	for i, cell := range row {
		if n := utf8.RuneCountInString(cell); n > widths[i] {
			cell = string([]rune(cell)[:widths[i]-1]) + "…"
		}
		line.WriteString(cell)
		line.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)) + gap)
	}
	_, err := fmt.Fprintln(w, strings.TrimRight(line.String(), " "))
	return err
}

// sheet prints one record: a line for each member.
func sheet(members [][2]string) error {
	longest := 0
	for _, m := range members {
		longest = max(longest, len(m[0]))
	}
	for _, m := range members {
		if _, err := fmt.Printf("%-*s%s%s\n", longest, m[0], gap, printable(orDash(m[1]))); err != nil {
			return err
		}
	}
	return nil
}

// minute is t to the minute; empty for the zero time.
func minute(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04 UTC")
}

// day is a date.
func day(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.DateOnly)
}

// about is a duration in its largest unit: 45s, 3m, 23h, 12d.
func about(d time.Duration) string {
	switch {
	case d < 0:
		return "0s"
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%dm", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", d/time.Hour)
	}
	return fmt.Sprintf("%dd", d/(24*time.Hour))
}
