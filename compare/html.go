package compare

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"maps"
	"slices"
	"strings"
)

var (
	//go:embed report.html
	reportText string
	//go:embed report.css
	reportStyle string

	reportPage = template.Must(template.New("report.html").Parse(reportText))
)

// mostRaw is the size of raw data above which a page is slow to open: it is then left out.
const mostRaw = 4 << 20

type report struct {
	*Result
	Style    template.CSS
	Source   string // of Style, for the policy
	Date     string
	Memory   string
	Modules  []string // with versions
	Families []legend
	Groups   []reportGroup
	Raw      string
}

type legend struct{ Family, Name string }

type reportGroup struct {
	ID, About  string
	Unfinished bool
	Rows       []reportRow
}

type reportRow struct {
	*Row
	ID      string // of the section in the page
	Chart   *chart // before the first row of a series
	Verdict string
	Plot    bool
	Log     bool
	Ticks   []tick
	Cells   []reportCell
}

type reportCell struct {
	Name, Family, About          string
	Value, Interval, Place, Text string
	At, From, To                 string // in the plot; empty: it has no number
	Ticks                        []tick
}

// WriteHTML writes the result as one page of HTML that needs nothing else: it has plots, the same
// numbers in tables, and the raw data. It runs no script and loads nothing.
func (r *Result) WriteHTML(w io.Writer) error {
	sum := sha256.Sum256([]byte(reportStyle))
	v := report{
		Result: r, Style: template.CSS(reportStyle), Source: "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'",
		Date: r.Began.UTC().Format("2006-01-02 15:04 UTC"), Families: []legend{{FamilySession, "session"}, {FamilyJWT, "JWT"}, {FamilyOurs, "Counterfoil"}, {FamilyNone, "no check: the floor, in no ranking"}},
	}
	if r.Machine.MemoryBytes > 0 {
		v.Memory = fmt.Sprintf("%.0f GB", float64(r.Machine.MemoryBytes)/1e9)
	}
	for _, module := range slices.Sorted(maps.Keys(r.Libraries)) {
		v.Modules = append(v.Modules, module+" "+r.Libraries[module])
	}
	raw, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if len(raw) <= mostRaw {
		v.Raw = string(raw)
	}
	v.Groups = r.reportGroups()
	return reportPage.Execute(w, v)
}

// reportGroups has the groups in the order of the rows.
func (r *Result) reportGroups() (all []reportGroup) {
	about := map[string]string{}
	for _, g := range Groups() {
		about[g.ID] = g.About
	}
	charted := map[string]bool{}
	for n := range r.Rows {
		row := &r.Rows[n]
		at := slices.IndexFunc(all, func(g reportGroup) bool { return g.ID == row.Group })
		if at < 0 {
			at = len(all)
			g := reportGroup{ID: row.Group, About: row.Group, Unfinished: slices.Contains(r.Unfinished, row.Group)}
			if text := about[row.Group]; text != "" {
				g.About = strings.ToUpper(text[:1]) + text[1:]
			}
			all = append(all, g)
		}
		view := r.reportRow(row)
		if row.Series != "" && !charted[row.Series] {
			charted[row.Series] = true
			view.Chart = newChart(r, r.series(row.Series))
		}
		all[at].Rows = append(all[at].Rows, view)
	}
	return all
}

// series are the rows of a series.
func (r *Result) series(name string) (rows []*Row) {
	for n := range r.Rows {
		if r.Rows[n].Series == name {
			rows = append(rows, &r.Rows[n])
		}
	}
	return rows
}

func (r *Result) reportRow(row *Row) reportRow {
	view := reportRow{Row: row, ID: row.ID, Verdict: row.Verdict()}
	var values []float64
	for n := range row.Cells {
		if low, v, high, ok := row.Cells[n].span(); ok {
			values = append(values, low, v, high)
		}
	}
	s := newScale(values)
	if view.Plot = len(values) > 0; view.Plot {
		view.Log, view.Ticks = s.Log, s.ticks()
	}
	for n := range row.Cells {
		c := &row.Cells[n]
		contender := r.Contender(c.Contender)
		cell := reportCell{Name: contender.Name, Family: family(contender.Family), About: contender.About, Place: c.Place(), Text: c.Text, Ticks: view.Ticks}
		if low, v, high, ok := c.span(); ok {
			cell.Value, cell.At = Number(v), percent(s.place(v))
			if low != high {
				cell.Interval = Number(low) + "–" + Number(high)
				cell.From, cell.To = percent(s.place(low)), percent(s.place(high))
			}
		}
		view.Cells = append(view.Cells, cell)
	}
	return view
}
