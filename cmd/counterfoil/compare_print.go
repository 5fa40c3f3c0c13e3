package main

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/counterfoil/counterfoil/compare"
)

// printComparison prints a table for each group of rows: a line for each contender, and a column for each row.
// Columns that do not fit into wide go into another table; 0: they all fit.
func printComparison(w io.Writer, wide int, r *compare.Result) error {
	fmt.Fprintln(w, strings.Join(r.Preamble(), "\n"))
	for from := 0; from < len(r.Rows); {
		to := from + 1
		for to < len(r.Rows) && r.Rows[to].Group == r.Rows[from].Group && r.Rows[to].Series == r.Rows[from].Series && (r.Rows[to].Unit == "") == (r.Rows[from].Unit == "") {
			to++
		}
		if err := printGroup(w, wide, r, r.Rows[from:to]); err != nil {
			return err
		}
		from = to
	}
	_, err := fmt.Fprintln(w, "\n#1 is the best. #2–4: not decided among those, because their intervals overlap or nearly do.")
	for _, note := range r.Notes {
		fmt.Fprintln(w, note)
	}
	return err
}

func printGroup(w io.Writer, wide int, r *compare.Result, rows []compare.Row) error {
	for len(rows) > 0 {
		n := len(rows)
		columns, lines := groupTable(r, rows[:n])
		for n > 1 && wide > 0 && widthOf(columns, lines) > wide {
			n--
			columns, lines = groupTable(r, rows[:n])
		}
		fmt.Fprintln(w)
		for _, row := range rows[:n] {
			better := ""
			if row.Better != "" {
				better = ", " + row.Better + " is better"
			}
			fmt.Fprintf(w, "%s: %s%s\n", strings.ToUpper(row.ID), row.Title, better)
		}
		if err := tableTo(w, wide, columns, lines); err != nil {
			return err
		}
		seen := map[string]bool{}
		for _, row := range rows[:n] {
			for _, note := range row.Notes {
				if !seen[note] {
					fmt.Fprintln(w, note)
				}
				seen[note] = true
			}
		}
		rows = rows[n:]
	}
	return nil
}

// groupTable has the contenders that have a cell in one of the rows.
func groupTable(r *compare.Result, rows []compare.Row) (columns []column, lines [][]string) {
	columns = []column{{name: "CONTENDER", cut: true}}
	for _, row := range rows {
		name := strings.ToUpper(row.ID)
		if row.Unit != "" {
			name += " " + row.Unit
		}
		columns = append(columns, column{name: name, cut: row.Unit == ""})
	}
	for _, c := range r.Contenders {
		line, any := []string{c.Name}, false
		for _, row := range rows {
			text := ""
			if cell := row.Cell(c.ID); cell != nil {
				any = true
				text = cell.Text
				if cell.Value != nil {
					text = compare.Number(*cell.Value)
					if rank := cell.Place(); rank != "" {
						text += " #" + rank
					}
				}
			}
			line = append(line, text)
		}
		if any {
			lines = append(lines, line)
		}
	}
	return columns, lines
}

// widthOf is how wide a table is.
func widthOf(columns []column, lines [][]string) int {
	total := len(gap) * (len(columns) - 1)
	for n, c := range columns {
		widest := utf8.RuneCountInString(c.name)
		for _, line := range lines {
			widest = max(widest, utf8.RuneCountInString(line[n]))
		}
		total += widest
	}
	return total
}
