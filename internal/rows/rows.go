// Package rows writes rows for other programs to read: one JSON object a line, or CSV that a
// spreadsheet can open without running what is in it. Begin with [New].
package rows

import (
	"encoding/csv"
	"encoding/json"
	"io"
	"regexp"
)

// The formats.
const (
	JSONL = "jsonl"
	CSV   = "csv"
)

// Formats returns all formats.
func Formats() []string { return []string{CSV, JSONL} }

// Media is the media type of a format; empty if there is no such format.
func Media(format string) string {
	switch format {
	case JSONL:
		return "application/jsonl"
	case CSV:
		return "text/csv; charset=utf-8"
	}
	return ""
}

// Writer writes rows of one format.
type Writer struct {
	lines *json.Encoder // nil: CSV
	cells *csv.Writer
}

// New returns a writer of a format, and writes the names of the columns if it is CSV.
func New(w io.Writer, format string, columns ...string) (*Writer, error) {
	if format == JSONL {
		lines := json.NewEncoder(w)
		lines.SetEscapeHTML(false)
		return &Writer{lines: lines}, nil
	}
	s := &Writer{cells: csv.NewWriter(w)}
	return s, s.cells.Write(columns)
}

// Row writes a row: value as JSON, or cells as CSV.
func (s *Writer) Row(value any, cells ...string) error {
	if s.lines != nil {
		return s.lines.Encode(value)
	}
	safe := make([]string, len(cells))
	for n, text := range cells {
		safe[n] = Cell(text)
	}
	return s.cells.Write(safe)
}

// Flush writes what is not written yet.
func (s *Writer) Flush() error {
	if s.cells == nil {
		return nil
	}
	s.cells.Flush()
	return s.cells.Error()
}

// formula finds where a spreadsheet could begin a formula: at the begin of the text, or behind what it
// may take for the end of a cell. In German and many other languages that is a semicolon, in files
// with commas as well, and quotes in the middle of a cell mean nothing then.
var formula = regexp.MustCompile(`(^|[;|\t\r\n])([\s"]*[=+\-@＝＋－＠])|^([\t\r\n])`)

// Cell is text as a cell of CSV has it. What a spreadsheet could take for a formula gets a quote
// in front, as OWASP recommends against CSV injection: then it is shown and not run.
func Cell(text string) string { return formula.ReplaceAllString(text, "$1'$2$3") }
