package server

import (
	"cmp"
	"math"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/counterfoil/counterfoil/internal/api"
	"github.com/counterfoil/counterfoil/rights"
)

// overviewPage is the first page of the console.
type overviewPage struct {
	consoleFrame
	api.Stats
	Carriers, Clients []share
	Minutes           []column
	Most              int // events in the busiest minute
	Lags              []lagBar
	Verifiers         []verifierLine
	Behind            int
	Recent            []auditLine
}

// share is one bar of a plot of numbers.
type share struct {
	Name  string
	Count int
	Part  int // of the largest, in hundredths
}

// shares are the largest of all, the largest first, and the sum of the others.
func shares(all map[string]int) (bars []share) {
	for name, n := range all {
		bars = append(bars, share{Name: cmp.Or(name, "–"), Count: n})
	}
	slices.SortFunc(bars, func(a, b share) int { return cmp.Or(b.Count-a.Count, cmp.Compare(a.Name, b.Name)) })
	if len(bars) > maxShares {
		rest := share{Name: "others"}
		for _, b := range bars[maxShares-1:] {
			rest.Count += b.Count
		}
		bars = append(bars[:maxShares-1], rest)
	}
	largest := 1
	for _, b := range bars {
		largest = max(largest, b.Count)
	}
	for n, b := range bars {
		bars[n].Part = max(100*b.Count/largest, min(b.Count, 1))
	}
	return bars
}

const maxShares = 8

// column is a minute of the plot of the last hour: the refused stand on the logins.
type column struct{ X, Logins, Refused, Base, Top int }

// columns are the minutes up to now, and how many events the busiest has. The plot is 60 wide and 100
// high.
func columns(minutes []api.EventMinute, now time.Time) (bars []column, most int) {
	for _, m := range minutes {
		most = max(most, m.Logins+m.Refused)
	}
	for _, m := range minutes {
		x := 59 - int(now.Truncate(time.Minute).Sub(m.Minute)/time.Minute)
		if x < 0 || x > 59 || m.Logins+m.Refused == 0 {
			continue
		}
		c := column{X: x, Logins: 100 * m.Logins / most, Refused: 100 * m.Refused / most}
		c.Base, c.Top = 100-c.Logins, 100-c.Logins-c.Refused
		bars = append(bars, c)
	}
	return bars, most
}

// lagBar is a revocation in the plot of the lag, which is 100 high.
type lagBar struct{ X, Y, Height int }

// lagsShown is how many revocations the plot of the lag shows: the last ones.
const lagsShown = 60

// lagBars draws the last of some times in milliseconds, the newest at the right. Their heights are logarithms: some verifiers
// ask again in a millisecond, and others after seconds.
func lagBars(each []float64) (bars []lagBar) {
	each = each[max(0, len(each)-lagsShown):]
	for n, ms := range each {
		height := lagHeight(ms)
		bars = append(bars, lagBar{lagsShown - len(each) + n, 100 - height, height})
	}
	return bars
}

// lagHeight is how high a time in milliseconds is in the plot: 20 for each power of ten, from 0.1 ms to 10 s.
func lagHeight(ms float64) int { return int(min(max(20*(math.Log10(max(ms, .1))+1), 2), 100)) }

// LagLines are the lines of the plot, at 1, 10 and 100 ms and at 1 s.
func (overviewPage) LagLines() (lines []int) {
	for _, ms := range []float64{1, 10, 100, 1000} {
		lines = append(lines, 100-lagHeight(ms))
	}
	return lines
}

// Milliseconds is a time of the lag, as it is shown.
func (overviewPage) Milliseconds(ms float64) string {
	if ms < 10 {
		return strconv.FormatFloat(ms, 'f', 1, 64) + " ms"
	}
	return short(int64(ms))
}

func (v *visit) overview() error {
	numbers, following, list := get(at("stats"), nil), get(at("verifiers"), nil), get(at("audit"), v.listing(10))
	page := overviewPage{}
	var who api.Verifiers
	var recent api.AuditPage
	reads := []read{{numbers, &page.Stats}, {following, &who}}
	if v.may(rights.Audit) {
		reads = append(reads, read{list, &recent})
	}
	f, err := v.pageOf(nil, "Overview", reads...)
	if err != nil {
		return err
	}
	page.consoleFrame, page.Recent = f, v.auditLines(recent)
	page.Verifiers, page.Behind = verifierLines(who)
	page.Carriers, page.Clients = shares(page.Stats.Sessions.Carriers), shares(page.Stats.Sessions.Clients)
	if lag := page.Stats.Node.Lag; lag != nil {
		page.Lags = lagBars(lag.EachMS)
	}
	page.Minutes, page.Most = columns(page.Stats.Node.Minutes, page.Stats.Time)
	return v.render(http.StatusOK, "console_overview.html", &page)
}

// settingsPage is the settings as in force.
type settingsPage struct {
	consoleFrame
	Settings []api.Setting
}

func (v *visit) settings() error {
	list := get(at("settings"), nil)
	var all api.Settings
	if err := v.send(list, &all); err != nil {
		return err
	}
	f, err := v.page([]string{"settings"}, "Settings", list)
	if err != nil {
		return err
	}
	return v.render(http.StatusOK, "console_settings.html", &settingsPage{f, all.Settings})
}
