package server

import (
	"net/http"

	"github.com/counterfoil/counterfoil/accounts"
	"github.com/counterfoil/counterfoil/internal/api"
)

// overviewPage is the first page of the console.
type overviewPage struct {
	consoleFrame
	Verifiers []verifierLine
	Behind    int
	Recent    []auditLine
}

func (v *visit) overview() error {
	following, list := get(at("verifiers"), nil), get(at("audit"), v.listing(10))
	var who api.Verifiers
	if err := v.send(following, &who); err != nil {
		return err
	}
	var recent api.AuditPage
	calls := []call{following}
	if v.may(accounts.Audit) {
		calls = append(calls, list)
		if err := v.send(list, &recent); err != nil {
			return err
		}
	}
	f, err := v.page(nil, "Overview", calls...)
	if err != nil {
		return err
	}
	page := overviewPage{consoleFrame: f, Recent: auditLines(recent.Entries)}
	page.Verifiers, page.Behind = verifierLines(who)
	return v.render(http.StatusOK, "console_overview.html", page)
}
