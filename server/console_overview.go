package server

import (
	"cmp"
	"net/http"
	"slices"
	"time"

	"github.com/counterfoil/counterfoil/accounts"
	"github.com/counterfoil/counterfoil/internal/api"
)

// overviewPage is the first page of the console.
type overviewPage struct {
	consoleFrame
	api.Stats
	Carriers, Clients []share
	Minutes           []column
	Most              int // events in the busiest minute
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

// Milliseconds is a time of the lag, as it is shown.
func (overviewPage) Milliseconds(ms float64) string {
	if ms < 10 {
		return time.Duration(ms * float64(time.Millisecond)).Round(100 * time.Microsecond).String()
	}
	return short(int64(ms))
}

func (v *visit) overview() error {
	numbers, following, list := get(at("stats"), nil), get(at("verifiers"), nil), get(at("audit"), v.listing(10))
	page := overviewPage{}
	var who api.Verifiers
	var recent api.AuditPage
	reads := []read{{numbers, &page.Stats}, {following, &who}}
	if v.may(accounts.Audit) {
		reads = append(reads, read{list, &recent})
	}
	f, err := v.pageOf(nil, "Overview", reads...)
	if err != nil {
		return err
	}
	page.consoleFrame, page.Recent = f, v.auditLines(recent)
	page.Verifiers, page.Behind = verifierLines(who)
	page.Carriers, page.Clients = shares(page.Stats.Sessions.Carriers), shares(page.Stats.Sessions.Clients)
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
