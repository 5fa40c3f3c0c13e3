package server

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/internal/api"
	"github.com/counterfoil/counterfoil/monitor/kept"
)

// checksPage is what is watched, and what happened.
type checksPage struct {
	consoleFrame
	Watches   bool // the server has a monitor
	All       api.Checks
	Checks    []checkLine
	Further   string // the next page of checks
	Incidents []api.Incident
	Next      string // the next page of incidents
	names     api.Named
}

// Author is who wrote a note, if it is a user; nil: By says who.
func (p *checksPage) Author(n api.IncidentNote) *personLine {
	id, person := audit.SubjectOf(n.By)
	if !person {
		return nil
	}
	return personOf(p.base, p.names, id)
}

// checkLine is a check in words.
type checkLine struct {
	api.Check
	Took, Share string
}

func lineOf(c api.Check) checkLine {
	l := checkLine{Check: c, Took: short(c.TookMS)}
	if c.Uptime != nil {
		l.Share = percent(*c.Uptime, ".")
	}
	return l
}

// Well reports whether nothing is known to be wrong with the check. Before its first runs nothing is.
func (l checkLine) Well() bool {
	return !l.Flapping && (l.Status == string(works) || l.Status == string(unknown) && l.Failure == "")
}

func (v *visit) monitor() error {
	query := v.listing(consolePage)
	incidents, checks := get(at("monitor", "incidents"), query), url.Values{"limit": query["limit"]}
	const further = "checks" // the parameter of this page that is the cursor of the checks
	if cursor := v.r.URL.Query().Get(further); cursor != "" {
		checks.Set("cursor", cursor)
	}
	list := get(at("monitor"), checks)
	page := checksPage{}
	var happened api.Incidents
	err := v.send(list, &page.All)
	if p := problem(err); p != nil && p.Status == http.StatusNotFound {
		page.consoleFrame = v.frameAt([]string{"monitor"}, "Monitor", "")
		return v.render(http.StatusOK, "console_monitor.html", &page)
	}
	if err != nil {
		return err
	}
	if err := v.send(incidents, &happened); err != nil {
		return err
	}
	if page.consoleFrame, err = v.page([]string{"monitor"}, "Monitor", list, incidents); err != nil {
		return err
	}
	page.Watches, page.Incidents, page.Next, page.names = true, happened.Incidents, v.nextPage(query, happened.Next), happened.Named
	if page.All.Next != "" {
		page.Further = v.s.base + v.r.URL.EscapedPath() + "?" + url.Values{further: {page.All.Next}}.Encode()
	}
	for _, c := range page.All.Checks {
		page.Checks = append(page.Checks, lineOf(c))
	}
	return v.render(http.StatusOK, "console_monitor.html", &page)
}

// checkPage is a check and its history.
type checkPage struct {
	consoleFrame
	Check     checkLine
	Read      time.Time // the plots end there
	Day, Days history
}

// history is a plot of a check: how long its runs took, and when they failed.
type history struct {
	Bars    []historyBar
	Width   int    // how many parts the plot shows
	Longest string // of the averages
	Failed  int    // parts in which a run has failed
}

// historyBar is a part of a history. The plot is 112 high: the times stand on 100, and what failed is below.
type historyBar struct {
	X, Top, Height int
	Failed         bool
}

// historyOf draws the points of the last width parts, which are each so long.
func historyOf(points []api.Point, now time.Time, each time.Duration, width int) history {
	h, longest := history{Width: width}, int64(1)
	last := now.Truncate(each)
	for _, p := range points {
		longest = max(longest, p.TookMS)
	}
	for _, p := range points {
		x := width - 1 - int(last.Sub(p.At.Truncate(each))/each)
		if x < 0 || x >= width {
			continue
		}
		high := max(int(100*p.TookMS/longest), 1)
		h.Bars = append(h.Bars, historyBar{x, 100 - high, high, p.Failed})
		if p.Failed {
			h.Failed++
		}
	}
	h.Longest = short(longest)
	return h
}

func (v *visit) check() error {
	name := v.r.PathValue("name")
	results := func(step string) call {
		return get(at("monitor", "checks", name, "results"), url.Values{"step": {step}})
	}
	day, days := results(string(kept.Parts)), results(string(kept.ByDay))
	var one api.Check
	var ofDay, ofDays api.Results
	page := checkPage{Read: v.s.now()}
	var err error
	if page.consoleFrame, err = v.pageOf([]string{"monitor"}, name, read{get(at("monitor", "checks", name), nil), &one}, read{day, &ofDay}, read{days, &ofDays}); err != nil {
		return err
	}
	page.Check, page.Title = lineOf(one), plain(one.Title)
	page.Day, page.Days = historyOf(ofDay.Points, page.Read, 5*time.Minute, 288), historyOf(ofDays.Points, page.Read, 24*time.Hour, kept.Days)
	return v.render(http.StatusOK, "console_check.html", &page)
}

// muteHours are for how long a check can be muted in the console.
var muteHours = []string{"1", "4", "12", "24", "72", "168"}

func muteCheck(v *visit, values url.Values) (*formPage, error) {
	name := v.r.PathValue("name")
	f := v.formAt([]string{"monitor"}, "Mute "+name, inConsole("monitor"), "Mute")
	f.Says = []string{"The check goes on, and nobody is told what happens to it. When the mute ends, people are told what is still true then."}
	hours, why := asked(values, "hours", muteHours[0]), asked(values, "why", "")
	f.Fields = []formField{
		{Kind: "choice", ID: "hours", Label: "For how many hours", Value: hours, Options: muteHours},
		{Kind: "text", ID: "why", Label: "Why", Value: why, Required: true, Hint: "Other administrators see it."},
	}
	n, err := strconv.ParseInt(hours, 10, 16)
	f.call, f.deed = call{Method: http.MethodPut, Path: at("monitor", "checks", name, "mute"), Body: api.NewMute{Seconds: n * int64(time.Hour/time.Second), Why: why}}, checkMuted
	if err != nil {
		return f, misfit{"hours", "It is a number of hours."}
	}
	return f, nil
}

func unmuteCheck(v *visit, _ url.Values) (*formPage, error) {
	name := v.r.PathValue("name")
	f := v.formAt([]string{"monitor"}, "End the mute of "+name, inConsole("monitor"), "End the mute")
	f.Says = []string{"From now on people are told again what happens to the check."}
	f.call, f.deed = call{Method: http.MethodDelete, Path: at("monitor", "checks", name, "mute")}, checkUnmuted
	return f, nil
}

func newIncident(v *visit, values url.Values) (*formPage, error) {
	f := v.formAt([]string{"monitor"}, "New incident", inConsole("monitor"), "Announce it")
	f.Says = []string{"For what no check has found. If this server has a status page, everybody can read it there until it is over, and for 14 days after that."}
	body := api.NewIncident{Title: asked(values, "title", ""), Text: asked(values, "text", "")}
	f.Fields = []formField{
		{Kind: "text", ID: "title", Label: "Title", Value: body.Title, Required: true},
		{Kind: "lines", ID: "text", Label: "What is known", Value: body.Text, Required: true},
	}
	f.call, f.deed = call{Method: http.MethodPost, Path: at("monitor", "incidents"), Body: body}, incidentMade
	return f, nil
}

func noteIncident(v *visit, values url.Values) (*formPage, error) {
	f := v.formAt([]string{"monitor"}, "Add a note", inConsole("monitor"), "Add the note")
	f.Says = []string{"If this server has a status page, everybody can read the note there. The incident of a check ends by itself when the check is up."}
	var one api.OneIncident
	if err := v.send(get(at("monitor", "incidents", v.r.PathValue("id")), nil), &one); err != nil {
		return nil, err
	}
	f.Title = plain("Add a note: " + one.Incident.Title)
	text, over := asked(values, "text", ""), checked(values, "ended", false)
	f.Fields = []formField{
		{Kind: "lines", ID: "text", Label: "Note", Value: text},
		{Kind: "check", ID: "ended", Label: "It is over", Value: over},
	}
	f.call = call{Method: http.MethodPost, Path: at("monitor", "incidents", v.r.PathValue("id"), "notes"), Body: api.NewNote{Text: text, Ended: over == "on"}}
	f.deed = noteAdded
	return f, nil
}

func testChannel(v *visit, _ url.Values) (*formPage, error) {
	name := v.r.PathValue("name")
	f := v.formAt([]string{"monitor"}, "Test the channel "+name, inConsole("monitor"), "Send a test")
	f.Says = []string{"The channel gets a message now. It says that it is a test."}
	f.call = call{Method: http.MethodPost, Path: at("monitor", "channels", name, "test")}
	return f, nil
}

// channelTested says how the test went.
func channelTested(v *visit, f *formPage, answer []byte) error {
	var t api.Tested
	if err := json.Unmarshal(answer, &t); err != nil {
		return err
	}
	if t.Sent {
		return v.s.finish(v.w, f.Back, channelWorks, 0)
	}
	f.Problem = plain("The test did not arrive: " + t.Failure + ".")
	return v.showForm(http.StatusOK, f)
}
