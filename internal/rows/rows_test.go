package rows_test

import (
	"encoding/csv"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/internal/rows"
)

// A spreadsheet may take a semicolon for the end of a cell. No formula begins behind one.
func TestCellsBehindSemicolons(t *testing.T) {
	for text, want := range map[string]string{
		"a;=1": "a;'=1", `a; "=1`: `a;' "=1`, ";;+1": ";;'+1", "=1;-1": "'=1;'-1", "a\n@b": "a\n'@b", "a|＝1": "a|'＝1", "Linux; x86_64) a-b": "Linux; x86_64) a-b",
	} {
		if got := rows.Cell(text); got != want {
			t.Errorf("Cell(%q) = %q, want %q", text, got, want)
		}
	}
}

// No cell begins with a character at which a spreadsheet begins a formula, and a reader of CSV
// finds the same cells again. JSON has each text as it is.
func TestCells(t *testing.T) {
	texts := []string{"=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1", "＋1", "－1", "＠a", "a=1", `a"b`, "a,b", "", "'=1", "علی", ` "=1`, "a; b", "a-b", "2026-11-30T12:00:00Z"}
	var csvText, lines strings.Builder
	for format, out := range map[string]*strings.Builder{rows.CSV: &csvText, rows.JSONL: &lines} {
		w, err := rows.New(out, format, "text", "again")
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range texts {
			if err := w.Row([]string{text}, text, text); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	rows, err := csv.NewReader(strings.NewReader(csvText.String())).ReadAll()
	if err != nil || len(rows) != len(texts)+1 || !slices.Equal(rows[0], []string{"text", "again"}) {
		t.Fatalf("%q, %v", rows, err)
	}
	in := json.NewDecoder(strings.NewReader(lines.String()))
	for n, text := range texts {
		var line []string
		if err := in.Decode(&line); err != nil || line[0] != text {
			t.Errorf("the line of %q is %q, %v", text, line, err)
		}
		for _, cell := range rows[n+1] {
			if cell != text && cell != "'"+text || strings.ContainsAny(cell[:min(1, len(cell))], "=+-@\t\r\n") || strings.IndexAny(cell, "＝＋－＠") == 0 {
				t.Errorf("the cell of %q is %q", text, cell)
			}
		}
	}
}
