package server

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/counterfoil/counterfoil/internal/api"
)

// sessionsPage is a page of the sessions of all users.
type sessionsPage struct {
	consoleFrame
	Filters  filterBar
	Count    string
	Sessions []heldLine
	Damaged  []string // ids of sessions that cannot be shown
	Next     string
}

// sessionsShown is how many sessions a page shows: a form that chooses all has room in an address.
const sessionsShown = 30

func (v *visit) sessions() error {
	query := v.listing(sessionsShown, "user", "client", "carrier", "address", "device", "acr", "since")
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
	page := sessionsPage{consoleFrame: f, Filters: bar.filled(asked), Count: counting(all.Counted, "session"), Damaged: all.Damaged, Next: v.nextPage(asked, all.Next)}
	for _, row := range all.Sessions.Sessions {
		page.Sessions = append(page.Sessions, heldLine{row, row.ID == v.session.ID})
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
