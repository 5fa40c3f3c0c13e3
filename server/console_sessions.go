package server

import (
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

func (v *visit) sessions() error {
	query := v.listing(consolePage, "user", "client", "carrier", "address", "device", "acr", "since")
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
