package server

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/counterfoil/counterfoil/internal/api"
)

// filterBar is the filters of a list, which are parameters of the page and of its call.
type filterBar struct {
	Path   string // of the page without filters
	Fields []formField
}

// First is the filter that is asked for most, and Rest are the others.
func (b filterBar) First() formField  { return b.Fields[0] }
func (b filterBar) Rest() []formField { return b.Fields[1:] }

// More reports whether one of the others is in use.
func (b filterBar) More() bool {
	return slices.ContainsFunc(b.Rest(), func(f formField) bool { return f.Value != "" })
}

// filled returns the bar with what was asked for.
func (b filterBar) filled(asked url.Values) filterBar {
	for n, f := range b.Fields {
		b.Fields[n].Value = asked.Get(f.ID)
	}
	return b
}

// search makes the call of a page that lists what filters find. days are those parameters that are days,
// and how many days after the day they end. If the API refuses a filter, the problem is returned and
// the page shows it above the filters.
func (v *visit) search(path string, query url.Values, days map[string]int, into any) (list call, asked url.Values, refused *api.Error, err error) {
	asked = maps.Clone(query)
	moments(query, days)
	list = get(path, query)
	err = v.send(list, into)
	if p := problem(err); p != nil && p.Status == http.StatusBadRequest {
		return list, asked, p, nil
	}
	return list, asked, nil, err
}

// moments turns days into times. A day that ends what is looked for is meant whole.
func moments(query url.Values, days map[string]int) {
	for name, after := range days {
		if day, err := time.Parse(time.DateOnly, query.Get(name)); err == nil {
			query.Set(name, day.AddDate(0, 0, after).Format(time.RFC3339))
		}
	}
}

// renderFound shows what was found, or under the problem what was asked for.
func (v *visit) renderFound(refused *api.Error, name string, f *consoleFrame, p page) error {
	status := http.StatusOK
	if refused != nil {
		status, f.Problem = refused.Status, plain(explained(refused))
	}
	return v.render(status, name, p)
}

// counting says how many there are. Empty: it was not counted.
func counting(c api.Counted, one string) string {
	switch {
	case c.Count == nil:
		return ""
	case *c.Count == 1 && !c.MoreThan:
		return "1 " + one
	case *c.Count == 0 && c.MoreThan:
		return "" // the page says that it has not looked at all
	case c.MoreThan:
		return fmt.Sprintf("More than %d %ss", *c.Count, one)
	}
	return fmt.Sprintf("%d %ss", *c.Count, one)
}
