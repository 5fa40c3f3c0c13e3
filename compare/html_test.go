package compare_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"html"
	"io"
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/compare"
)

// reportOf is a result with rows of all kinds: numbers, a huge span, only zeros, one contender, words, a series.
func reportOf() *compare.Result {
	n := func(v float64) *float64 { return &v }
	cell := func(id string, low, v, high float64) compare.Cell {
		return compare.Cell{Contender: id, Value: &v, Low: &low, High: &high, Confidence: 0.97, Rounds: []float64{low, v, high}}
	}
	row := func(id string, cells ...compare.Cell) compare.Row {
		r := compare.Row{ID: id, Group: "checks", Title: "Title of " + id, How: "how", Unit: "µs", Better: compare.Less, Cells: cells}
		r.RankCells()
		return r
	}
	series := func(at float64, a, b float64) compare.Row {
		r := row("network-"+strconv.Itoa(int(at)), cell("a", a, a, a), cell("b", b, b, b))
		r.Group, r.Series, r.At, r.AtUnit = "network", "network", n(at), "ms"
		return r
	}
	words := compare.Row{ID: "xss", Group: "browser", Title: "XSS", How: "tried", Cells: []compare.Cell{{Contender: "a", Text: "nothing"}, {Contender: "b", Text: `<script>alert("text")</script>`}}}
	return &compare.Result{
		Schema: compare.Schema, Version: "v1", Began: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Seconds: 12, Seed: 7,
		Machine:    compare.Machine{OS: "linux", Arch: "amd64", CPUs: 2, CPU: `<img src="x">`, Go: "go1"},
		Settings:   compare.Settings{Rounds: 9, MeasureMS: 30, Rate: 1000, Stores: []string{"sqlite"}},
		Libraries:  map[string]string{"example.org/library": "v1.2.3"},
		Contenders: []compare.Contender{{ID: "none", Name: "no check", Family: compare.FamilyNone}, {ID: "a", Name: `A "&" </script><b>`, Family: compare.FamilySession}, {ID: "b", Name: "B", Family: compare.FamilyOurs}},
		Rows: []compare.Row{
			row("plain", cell("none", 1, 2, 3), cell("a", 10, 11, 12), cell("b", 11, 12, 13)),
			row("span", cell("none", 0, 0, 0), cell("a", 1e-9, 2e-9, 3e-9), cell("b", 1e11, 2e11, 5e12)),
			row("zeros", cell("a", 0, 0, 0), cell("b", 0, 0, 0)),
			row("negative", cell("a", -3, -1, 2), cell("b", -8, -7, -7)),
			row("huge", cell("a", -math.MaxFloat64, 0, math.MaxFloat64), cell("b", 1, 1, 1)),
			row("alone", cell("a", 5, 5, 5)),
			row("bare", compare.Cell{Contender: "a", Value: n(3)}, compare.Cell{Contender: "stranger", Text: "not measured"}),
			row("nobody"),
			series(0, 3, 1), series(1, 4, 1), series(20, 41, 1.5), series(80, 161, 1.2),
			words,
		},
		Notes: []string{"a note"},
	}
}

// written is the page of a result. It holds what must hold for each page.
func written(t *testing.T, r *compare.Result) string {
	t.Helper()
	var b strings.Builder
	if err := r.WriteHTML(&b); err != nil {
		t.Fatal(err)
	}
	page := b.String()
	d := xml.NewDecoder(strings.NewReader(strings.Replace(page, "<!doctype html>", "", 1)))
	d.Strict, d.AutoClose, d.Entity = true, nil, xml.HTMLEntity
	var open []string
	ids, wanted := map[string]bool{}, []string{}
	for {
		token, err := d.RawToken()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("not well-formed: %v", err)
		}
		switch e := token.(type) {
		case xml.StartElement:
			if e.Name.Local != "meta" {
				open = append(open, e.Name.Local)
			}
			switch e.Name.Local {
			case "script", "link", "img", "iframe", "object", "embed", "form", "base":
				t.Errorf("the page has an element %s", e.Name.Local)
			}
			for _, a := range e.Attr {
				name, value := a.Name.Local, a.Value
				switch name {
				case "id":
					if ids[value] {
						t.Errorf("two elements have the id %q", value)
					}
					ids[value] = true
				case "href":
					if !strings.HasPrefix(value, "#") {
						t.Errorf("the page refers to %q", value)
					}
					wanted = append(wanted, strings.TrimPrefix(value, "#"))
				case "src", "srcset", "style", "action", "ping":
					t.Errorf("the page has an attribute %s", name)
				case "x", "x1", "x2", "y", "y1", "y2":
					checkPlace(t, name, value)
				default:
					if strings.HasPrefix(name, "on") {
						t.Errorf("the page has an attribute %s", name)
					}
				}
			}
		case xml.EndElement:
			if len(open) == 0 || open[len(open)-1] != e.Name.Local {
				t.Fatalf("</%s> closes %v", e.Name.Local, open)
			}
			open = open[:len(open)-1]
		}
	}
	if len(open) > 0 {
		t.Errorf("not closed: %v", open)
	}
	for _, id := range wanted {
		if !ids[id] {
			t.Errorf("nothing has the id %q", id)
		}
	}
	style := regexp.MustCompile(`(?s)<style>(.*)</style>`).FindStringSubmatch(page)
	if style == nil {
		t.Fatal("the page has no style")
	}
	sum := sha256.Sum256([]byte(style[1]))
	if policy := "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"; !strings.Contains(html.UnescapeString(page), policy) {
		t.Errorf("the policy is not %q", policy)
	}
	if regexp.MustCompile(`(?i)url\(|@import`).MatchString(style[1]) {
		t.Error("the style refers to something")
	}
	raw := regexp.MustCompile(`(?s)<pre>(.*)</pre>`).FindStringSubmatch(page)
	var again compare.Result
	if raw == nil || json.Unmarshal([]byte(html.UnescapeString(raw[1])), &again) != nil || len(again.Rows) != len(r.Rows) {
		t.Error("the raw data is not the result")
	}
	return page
}

// checkPlace checks that a place is in the plot. Places across are percents, places down are pixels.
func checkPlace(t *testing.T, name, value string) {
	t.Helper()
	number, across := strings.CutSuffix(value, "%")
	v, err := strconv.ParseFloat(number, 64)
	most := 100.0
	if !across {
		most = 600
	}
	if err != nil || math.IsNaN(v) || v < 0 || v > most {
		t.Errorf("%s=%q is not in the plot", name, value)
	}
}

func TestHTML(t *testing.T) {
	page := written(t, reportOf())
	for _, want := range []string{
		"2026-01-02 03:04 UTC", "seed 7", "example.org/library v1.2.3", "9 rounds of 30 ms", "linux/amd64",
		"A &#34;&amp;&#34; &lt;/script&gt;&lt;b&gt;", "&lt;img src=&#34;x&#34;&gt;", "&lt;script&gt;alert(&#34;text&#34;)",
		`<span class="tag open">not decided</span>`, "1–2", "10–12", "logarithmic scale", "not measured", "a note",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if n := strings.Count(page, `class="chart"`); n != 1 {
		t.Errorf("the page has %d charts, want 1: that of the series", n)
	}
	if strings.Contains(page, "Partial") {
		t.Error("the page says that a whole run is partial")
	}
	if strings.Contains(page, "%!") || strings.Contains(page, "NaN") || strings.Contains(page, "ZgotmplZ") {
		t.Error("the page has a value that could not be written")
	}
}

// A result that another program wrote may have a number without an interval.
func TestMarkdownWithoutAnInterval(t *testing.T) {
	r := reportOf()
	for n := range r.Rows {
		for i := range r.Rows[n].Cells {
			r.Rows[n].Cells[i].Low, r.Rows[n].Cells[i].High = nil, nil
		}
	}
	var b strings.Builder
	if err := r.WriteMarkdown(&b); err != nil || !strings.Contains(b.String(), "Title of ") {
		t.Errorf("%v: %s", err, &b)
	}
}

func TestHTMLOfAPartialResult(t *testing.T) {
	r := reportOf()
	r.Partial, r.Unfinished, r.Rows = true, []string{"network", "browser"}, r.Rows[:9]
	page := written(t, r)
	for _, want := range []string{"<strong>Partial:</strong>", "Not measured to the end: network, browser.", "not measured to the end</span>"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if strings.Contains(page, `class="chart"`) {
		t.Error("one row of a series has a chart")
	}
	if page := written(t, &compare.Result{Partial: true}); !strings.Contains(page, "No row was measured.") {
		t.Error("an empty page does not say that it is empty")
	}
}

// The lines of a chart have a label each, and no label is on another.
func TestHTMLOfManyLines(t *testing.T) {
	r := reportOf()
	r.Rows, r.Contenders = nil, nil
	for _, at := range []float64{0, 1000} {
		row := compare.Row{ID: fmt.Sprint("memory-", at), Group: "memory", Series: "memory", Title: "Memory", Unit: "kB", At: &at}
		for n := range 30 {
			v := 1 + at*float64(n)/1e6
			row.Cells = append(row.Cells, compare.Cell{Contender: strconv.Itoa(n), Value: &v, Low: &v, High: &v})
		}
		r.Rows = append(r.Rows, row)
	}
	for n := range 30 {
		r.Contenders = append(r.Contenders, compare.Contender{ID: strconv.Itoa(n), Name: "C", Family: "another"})
	}
	labels := regexp.MustCompile(`class="label" x="92%" dx="4" dy="4" y="([0-9.]+)"`).FindAllStringSubmatch(written(t, r), -1)
	if len(labels) != 30 {
		t.Fatalf("%d labels, want 30", len(labels))
	}
	before := 0.0
	for _, label := range labels {
		y, _ := strconv.ParseFloat(label[1], 64)
		if y < before+14 {
			t.Errorf("a label is at %g, the one before it at %g", y, before)
		}
		before = y
	}
}
