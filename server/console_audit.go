package server

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/internal/api"
	"github.com/counterfoil/counterfoil/internal/rows"
)

// auditPage is a page of the audit trail.
type auditPage struct {
	consoleFrame
	Filter            map[string]string
	Actions, Outcomes []string
	Entries           []auditLine
	Exports           []export
	Next              string
}

// export is an answer of the API that a browser keeps as a file.
type export struct{ Format, URL string }

// exports are those of all that the call list finds.
func (v *visit) exports(list call) (all []export) {
	query := maps.Clone(list.Query)
	for _, name := range []string{"limit", "cursor", "count"} {
		query.Del(name)
	}
	for _, format := range rows.Formats() {
		query.Set("format", format)
		all = append(all, export{strings.ToUpper(format), v.s.base + get(list.Path, query).target()})
	}
	return all
}

// auditLine is an entry in words.
type auditLine struct {
	audit.Entry
	When, From string
	Refused    bool
	Of, Actor  *personLine // to whom it was done, and who did it; nil: nobody, or By is no user

	InLog *api.InLog // nil: it tells of no entry that the revocation log holds, or nobody has asked
}

// Same reports whether somebody did it to their own account.
func (l auditLine) Same() bool { return l.Actor != nil && l.Actor.ID == l.Subject }

// On is what it was done to, besides the subject.
func (l auditLine) On() string {
	parts := []string{}
	for _, text := range []string{l.Target, l.Client, l.Session} {
		if text != "" {
			parts = append(parts, text)
		}
	}
	return strings.Join(parts, " ")
}

// Everywhere reports whether every verifier that follows has the entry in the log.
func (l auditLine) Everywhere() bool { return l.InLog.Confirmed == l.InLog.Verifiers }

// Unnamed is how many verifiers that do not have it are not named.
func (l auditLine) Unnamed() int { return l.InLog.Verifiers - l.InLog.Confirmed - len(l.InLog.Behind) }

func (v *visit) auditLines(all api.AuditPage) (lines []auditLine) {
	for _, told := range all.Told() {
		e := told.Entry
		l := auditLine{Entry: e, InLog: told.Log, When: e.Time.UTC().Format("2006-01-02 15:04:05"), From: place(e.Address), Refused: e.Outcome != audit.OK}
		if e.Subject != "" {
			l.Of = v.person(all.Named, e.Subject)
		}
		if id, is := audit.SubjectOf(e.By); is {
			l.Actor = v.person(all.Named, id)
		}
		lines = append(lines, l)
	}
	return lines
}

// events is what the template of a table of entries needs.
type events struct {
	Whom      bool // they are of several subjects
	Entries   []auditLine
	Confirmed bool // how many verifiers have each is known
}

// Events are the entries of the page.
func (p auditPage) Events() events    { return events{Whom: true, Entries: p.Entries} }
func (p userPage) Events() events     { return events{Entries: p.History} }
func (p overviewPage) Events() events { return events{Whom: true, Entries: p.Recent} }

// auditFilters are the filters of the page, which are those of the API.
var auditFilters = []string{"subject", "by", "action", "outcome", "from", "to"}

func (v *visit) audit() error {
	query := v.listing(consolePage, auditFilters...)
	typed := map[string]string{}
	for _, name := range auditFilters {
		typed[name] = query.Get(name)
	}
	var all api.AuditPage
	list, asked, p, err := v.search(at("audit"), query, map[string]int{"from": 0, "to": 1}, &all)
	if err != nil {
		return err
	}
	f, err := v.page([]string{"audit"}, "Audit trail", list)
	if err != nil {
		return err
	}
	page := auditPage{consoleFrame: f, Filter: typed, Entries: v.auditLines(all), Next: v.nextPage(asked, all.Next)}
	for _, a := range audit.Actions() {
		page.Actions = append(page.Actions, string(a))
	}
	slices.Sort(page.Actions)
	for _, o := range audit.Outcomes() {
		page.Outcomes = append(page.Outcomes, string(o))
	}
	page.Exports = v.exports(list)
	return v.renderFound(p, "console_audit.html", &page.consoleFrame, &page)
}

func verifyAudit(v *visit, _ url.Values) (*formPage, error) {
	f := v.formAt([]string{"audit"}, "Check the audit trail", inConsole("audit"), "Check")
	f.Says = []string{"Computes the seals anew from the entries that are there. It takes some seconds for a long trail, and changes nothing. To compare with anchors that you keep elsewhere, use counterfoil audit verify."}
	f.call = call{Method: http.MethodPost, Path: at("audit", "verify"), Body: api.VerifyAudit{}}
	return f, nil
}

// verifiedPage is what a check of the trail has found.
type verifiedPage struct {
	consoleFrame
	audit.Verification
}

func auditVerified(v *visit, f *formPage, answer []byte) error {
	page := verifiedPage{consoleFrame: v.frameAt([]string{"audit"}, "The audit trail was checked", "")}
	if err := json.Unmarshal(answer, &page.Verification); err != nil {
		return err
	}
	if err := page.show(v.s, f.call); err != nil {
		return err
	}
	return v.render(http.StatusOK, "console_verified.html", &page)
}
