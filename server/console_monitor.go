package server

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/counterfoil/counterfoil/internal/api"
)

// checksPage is what is watched, and what happened.
type checksPage struct {
	consoleFrame
	Watches   bool // the server has a monitor
	All       api.Checks
	Checks    []checkLine
	Incidents []api.Incident
	Next      string
}

// checkLine is a check in words.
type checkLine struct {
	api.Check
	Took, Share string
}

// Well reports whether nothing is wrong with the check.
func (l checkLine) Well() bool { return l.Status == string(works) && !l.Flapping }

func (v *visit) monitor() error {
	list, query := get(at("monitor"), nil), v.listing(consolePage)
	incidents := get(at("monitor", "incidents"), query)
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
	page.Watches, page.Incidents, page.Next = true, happened.Incidents, v.nextPage(query, happened.Next)
	for _, c := range page.All.Checks {
		l := checkLine{Check: c, Took: short(c.TookMS)}
		if c.Uptime != nil {
			l.Share = percent(*c.Uptime, ".")
		}
		page.Checks = append(page.Checks, l)
	}
	return v.render(http.StatusOK, "console_monitor.html", &page)
}

// muteHours are for how long a check can be muted in the console.
var muteHours = []string{"1", "4", "12", "24", "72", "168"}

func muteCheck(v *visit, values url.Values) (*formPage, error) {
	name := v.r.PathValue("name")
	f := v.formAt([]string{"monitor"}, "Mute "+name, inConsole("monitor"), "Mute")
	f.Says = []string{"The check goes on, and nobody is told what happens to it. What is still so at the end, people are told then."}
	hours, why := asked(values, "hours", muteHours[0]), asked(values, "why", "")
	f.Fields = []formField{
		{Kind: "choice", ID: "hours", Label: "For how many hours", Value: hours, Options: muteHours},
		{Kind: "text", ID: "why", Label: "Why", Value: why, Required: true, Hint: "Lists show it."},
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
	f := v.formAt([]string{"monitor"}, "Tell people of "+name+" again", inConsole("monitor"), "End the mute")
	f.call, f.deed = call{Method: http.MethodDelete, Path: at("monitor", "checks", name, "mute")}, checkUnmuted
	return f, nil
}

func newIncident(v *visit, values url.Values) (*formPage, error) {
	f := v.formAt([]string{"monitor"}, "New incident", inConsole("monitor"), "Announce it")
	f.Says = []string{"It is for what no check has found. The status page shows it to everybody until it is over, and for 14 days after that."}
	body := api.NewIncident{Title: asked(values, "title", ""), Text: asked(values, "text", "")}
	f.Fields = []formField{
		{Kind: "text", ID: "title", Label: "Title", Value: body.Title, Required: true},
		{Kind: "lines", ID: "text", Label: "What is known", Value: body.Text, Required: true},
	}
	f.call, f.deed = call{Method: http.MethodPost, Path: at("monitor", "incidents"), Body: body}, incidentMade
	return f, nil
}

func noteIncident(v *visit, values url.Values) (*formPage, error) {
	f := v.formAt([]string{"monitor"}, "Note of an incident", inConsole("monitor"), "Add the note")
	f.Says = []string{"The status page shows it to everybody. The incident of a check ends by itself when the check is up."}
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
	f.Says = []string{"A message goes there now that says it is a test."}
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
