package server

import (
	"net/http"

	"github.com/counterfoil/counterfoil/internal/api"
)

// overviewPage is the first page of the console.
type overviewPage struct {
	consoleFrame
	Recent []auditLine
}

func (v *visit) overview() error {
	list := get(at("audit"), v.listing(10))
	var recent api.AuditPage
	if err := v.send(list, &recent); err != nil {
		return err
	}
	f, err := v.page("", "Overview", list)
	if err != nil {
		return err
	}
	return v.render(http.StatusOK, "console_overview.html", overviewPage{f, auditLines(recent.Entries)})
}
