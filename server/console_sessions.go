package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/internal/api"
)

// sessionsPage is a page of the sessions of all users.
type sessionsPage struct {
	consoleFrame
	Filters  filterBar
	Count    string
	Sessions sessionList
	Exports  []export
	Next     string
	EndAll   string // address of the form that ends all that was found; empty: nothing was asked for
	Where    bool   // an address of the network was asked for
}

// sessionsShown is how many sessions a page shows: a form that chooses all has room in an address.
const sessionsShown = 30

func (v *visit) sessions() error {
	query := v.listing(sessionsShown, sessionFilters...)
	query.Set("count", "true")
	bar := filterBar{"/admin/sessions", []formField{
		{Kind: "text", ID: "user", Label: "Id of the user"}, {Kind: "text", ID: "client", Label: "Client"},
		{Kind: "choice", ID: "carrier", Label: "Carrier", Options: []string{"", "cookie", "bearer", "jwt-cookie", "jwe", "jwe-cookie"}},
		{Kind: "text", ID: "address", Label: "Address"}, {Kind: "text", ID: "device", Label: "Browser or program"},
		{Kind: "text", ID: "acr", Label: "Strength (acr)"}, {Kind: "date", ID: "since", Label: "Signed in since (UTC)"},
	}}
	var all api.FoundSessions
	list, asked, p, err := v.search(at("sessions"), query, map[string]int{"since": 0}, &all)
	if err != nil {
		return err
	}
	f, err := v.page([]string{"sessions"}, "Sessions", list)
	if err != nil {
		return err
	}
	page := sessionsPage{consoleFrame: f, Filters: bar.filled(asked), Count: counting(all.Counted, "session"), Exports: v.exports(list), Next: v.nextPage(asked, all.Next)}
	if filter := filterOf(asked); len(filter) > 0 && p == nil {
		page.EndAll = v.s.base + inConsole("revoke", "found") + "?" + filter.Encode()
	}
	page.Where = asked.Get("address") != ""
	for _, row := range all.Sessions.Sessions {
		l := v.held(row)
		if l.Whose = v.person(all.Named, row.Subject); l.End != nil {
			what := row.DeviceLabel + " of " + l.Whose.Words() + ", " + row.ID
			l.End.Label, l.Choose = plain("Revoke "+what), plain("Choose "+what)
		}
		page.Sessions.Lines = append(page.Sessions.Lines, l)
	}
	for _, id := range all.Damaged {
		page.Sessions.Lines = append(page.Sessions.Lines, v.damaged(id))
	}
	return v.renderFound(p, "console_sessions.html", &page.consoleFrame, &page)
}

// endSessions ends those that were chosen, each by a call of its own.
func endSessions(v *visit, values url.Values) (*formPage, error) {
	ids := strings.Fields(values.Get("sids"))
	if values == nil {
		for name := range v.r.URL.Query() {
			if id, chosen := strings.CutPrefix(name, "sid-"); chosen {
				ids = append(ids, id)
			}
		}
		slices.Sort(ids)
	}
	if len(ids) == 0 || len(ids) > sessionsShown {
		return nil, &api.Error{Status: http.StatusBadRequest, Title: "No session was chosen", Detail: "go back, and choose some in the list"}
	}
	f := v.formAt([]string{"sessions"}, "Revoke sessions", inConsole("sessions"), "Revoke them")
	f.Says = []string{"These sessions stop working everywhere. Their users can sign in again."}
	f.Name, f.Danger, f.deed = fmt.Sprintf("%d sessions", len(ids)), true, sessionsGone
	f.kept = url.Values{"sids": {strings.Join(ids, " ")}}
	for _, id := range ids {
		f.more = append(f.more, call{Method: http.MethodDelete, Path: at("sessions", id)})
	}
	f.call, f.more = f.more[0], f.more[1:]
	return f, nil
}

// sessionFilters are the filters of sessions, by their names in the API.
var sessionFilters = []string{"user", "client", "carrier", "address", "device", "acr", "since"}

// filterOf returns the filters among values.
func filterOf(values url.Values) url.Values {
	filter := url.Values{}
	for _, name := range sessionFilters {
		if text := strings.TrimSpace(values.Get(name)); text != "" {
			filter.Set(name, text)
		}
	}
	return filter
}

// moreThan stands before a number of sessions that were not all counted.
const moreThan = "more than "

// endFound ends all sessions that filters find. The form shows the dry run, and carries its token.
func endFound(v *visit, values url.Values) (*formPage, error) {
	f := v.formAt([]string{"sessions"}, "Revoke all that was found", inConsole("sessions"), "Revoke them all")
	body := api.Revocation{Reason: "ended by an administrator", Token: values.Get("token"), Filter: json.RawMessage(values.Get("found"))}
	count := values.Get("count")
	if values == nil {
		filter := filterOf(v.r.URL.Query())
		if len(filter) == 0 {
			return nil, &api.Error{Status: http.StatusBadRequest, Title: "Nothing was searched for", Detail: "go back, and say which sessions are meant"}
		}
		moments(filter, map[string]int{"since": 0})
		members := map[string]string{}
		for name := range filter {
			members[name] = filter.Get(name)
		}
		text, err := json.Marshal(members)
		if err != nil {
			return nil, err
		}
		body.Filter = text
		var plan api.RevocationPlan
		dry := call{Method: http.MethodPost, Path: at("revocations"), Body: api.Revocation{Filter: text, DryRun: true}, DryRun: true}
		if err := v.send(dry, &plan); err != nil {
			return nil, err
		}
		f.before, body.Token = []call{dry}, plan.Token
		if count = fmt.Sprintf("%d sessions", plan.Sessions); plan.MoreThan {
			count = moreThan + count
		}
		for _, row := range plan.Samples {
			l := v.held(row)
			l.Whose, l.End = v.person(plan.Named, row.Subject), nil
			f.Samples.Lines = append(f.Samples.Lines, l)
		}
		f.Says = append(f.Says, "The dry run has found "+count+". The first "+strconv.Itoa(len(plan.Samples))+" of them are below.")
	} else if !json.Valid(body.Filter) { // the form was changed
		return nil, &api.Error{Status: http.StatusBadRequest, Title: "Bad request", Detail: "search again"}
	}
	f.Says = append(f.Says, "They stop working everywhere. It ends at most a tenth more than the dry run counted. Their users can sign in again.")
	f.Name, f.Danger = count, true
	f.kept = url.Values{"found": {string(body.Filter)}, "token": {body.Token}, "count": {count}}
	var wrong error
	if strings.HasPrefix(count, moreThan) {
		typed := asked(values, "at_most", "")
		f.Says[len(f.Says)-1] = "They stop working everywhere. Nobody has counted them all: say how many may be revoked, and it stops there. Their users can sign in again."
		f.Fields = []formField{{Kind: "text", ID: "at_most", Label: "Revoke at most", Value: typed, Hint: "A number above that of the dry run.", Required: true}}
		if body.AtMost, wrong = strconv.Atoi(typed); wrong != nil && values != nil {
			wrong = misfit{"at_most", "Nothing was done. Say with digits how many may be revoked."}
		} else {
			wrong = nil
		}
	}
	f.call = call{Method: http.MethodPost, Path: at("revocations"), Body: body}
	return f, wrong
}

// foundEnding leads to the page that says how far it is.
func foundEnding(v *visit, _ *formPage, answer []byte) error {
	var job api.RevocationJob
	if err := json.Unmarshal(answer, &job); err != nil {
		return err
	}
	v.s.seeOther(v.w, inConsole("revoked", job.ID))
	return nil
}

// revokedPage says how far a revocation by filter is.
type revokedPage struct {
	consoleFrame
	Job            api.RevocationJob
	By             *personLine // nil: no user
	Ended, Stopped bool        // not Done, which is the frame's
}

func (v *visit) revoked() error {
	one := get(at("revocations", v.r.PathValue("id")), nil)
	var job api.RevocationJob
	if err := v.send(one, &job); err != nil {
		return err
	}
	f, err := v.page([]string{"sessions"}, "Sessions that are revoked", one)
	if err != nil {
		return err
	}
	page := revokedPage{consoleFrame: f, Job: job, Ended: job.State == api.JobDone, Stopped: job.State == api.JobStopped}
	if id, is := audit.SubjectOf(job.By); is {
		page.By = v.person(job.Named, id)
	}
	return v.render(http.StatusOK, "console_revoked.html", &page)
}
