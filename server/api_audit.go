package server

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/internal/api"
	"github.com/counterfoil/counterfoil/internal/rows"
	"github.com/counterfoil/counterfoil/source"
)

// adminAudit is a page of the audit trail, or with format all that was asked for.
func (s *Server) adminAudit(w http.ResponseWriter, r *http.Request, who caller) error {
	page, err := s.readPage(r, "subject", "by", "action", "outcome", "from", "to", "format", "log")
	if err != nil {
		return err
	}
	ask, err := auditQuery(page)
	if err != nil {
		return err
	}
	switch text := page.filter.Get("log"); {
	case text != "" && text != "true":
		return badRequest("log is true, or absent")
	case text != "" && page.filter.Has("format"):
		return badRequest("log is for a page, and format for all")
	}
	if page.filter.Has("format") {
		return s.export(w, r, who, page, "audit", api.AuditColumns, func(ctx context.Context, out *rows.Writer) (bool, error) {
			ask.Limit = 1000
			entries, next, err := s.issuer.Audit().List(ctx, ask)
			for _, e := range entries {
				if err == nil {
					err = out.Row(e, api.AuditCells(e)...)
				}
			}
			ask.After = next
			return next != "", err
		})
	}
	entries, next, err := s.issuer.Audit().List(r.Context(), ask)
	if err != nil {
		return err
	}
	answer := api.AuditPage{Entries: append([]audit.Entry{}, entries...), Next: s.next(r.URL.Path, page, next)}
	if answer.Named, err = s.called(r.Context(), named(entries)...); err != nil {
		return err
	}
	if page.filter.Has("log") {
		if answer.Log, err = s.inLog(r.Context(), entries); err != nil {
			return err
		}
	}
	return writeJSON(w, http.StatusOK, answer)
}

// inLog returns those of entries that tell of one in the revocation log, with how many of the verifiers
// that follow this node have it, and which have not.
func (s *Server) inLog(ctx context.Context, entries []audit.Entry) (found []api.InLog, err error) {
	places, err := s.issuer.Places(ctx, entries)
	if err != nil {
		return nil, err
	}
	status, err := s.issuer.Feed().Status(ctx)
	if err != nil {
		return nil, err
	}
	now := s.time.Steady()
	for n, at := range places {
		if at == (counterfoil.Cursor{}) {
			continue
		}
		in := api.InLog{ID: entries[n].ID, Cursor: at}
		for _, f := range status.Followers {
			if !f.Until.After(now) {
				continue
			}
			in.Verifiers++
			switch {
			case f.Acked.Epoch == at.Epoch && !f.Acked.Before(at):
				in.Confirmed++
			case len(in.Behind) < api.MaxBehind:
				in.Behind = append(in.Behind, follower(f.ID, f.Program.Client))
			}
		}
		found = append(found, in)
	}
	return found, nil
}

// named are the ids of those to whom something was done, and who did it.
func named(entries []audit.Entry) (ids []string) {
	for _, e := range entries {
		ids = append(ids, e.Subject)
		if id, person := audit.SubjectOf(e.By); person {
			ids = append(ids, id)
		}
	}
	return ids
}

func auditQuery(page pageOf) (ask audit.Query, err error) {
	ask = audit.Query{Subject: page.filter.Get("subject"), By: page.filter.Get("by"), After: page.after, Limit: page.limit}
	for name, at := range map[string]*time.Time{"from": &ask.From, "to": &ask.To} {
		if *at, err = instant(page, name); err != nil {
			return ask, err
		}
	}
	if ask.Actions, err = words(page, "action", audit.Actions()); err != nil {
		return ask, err
	}
	ask.Outcomes, err = words(page, "outcome", audit.Outcomes())
	return ask, err
}

// words reads a filter that is one or more of all, with commas between them. Nil: it is absent.
func words[W ~string](page pageOf, filter string, all []W) (chosen []W, err error) {
	text := page.filter.Get(filter)
	if text == "" {
		return nil, nil
	}
	for name := range strings.SplitSeq(text, ",") {
		if !slices.Contains(all, W(name)) {
			return nil, &source.Problem{Status: http.StatusBadRequest, Type: "bad-request", Title: "Bad request",
				Detail: fmt.Sprintf("%s %.40q is not known: want one or more, with commas between them, of %s", filter, name, joined(all))}
		}
		chosen = append(chosen, W(name))
	}
	return chosen, nil
}

// joined is all, in order of their names.
func joined[W ~string](all []W) string {
	names := make([]string, len(all))
	for n, a := range all {
		names[n] = string(a)
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// adminVerifyAudit compares the trail with its seals, and those with what the caller has of them.
// It reads the whole trail, as an export does.
func (s *Server) adminVerifyAudit(w http.ResponseWriter, r *http.Request, who caller) error {
	var b api.VerifyAudit
	if err := readJSON(r, &b); err != nil {
		return err
	}
	if len(b.Anchors) > api.MaxAnchors {
		return badRequest("anchors: at most %d", api.MaxAnchors)
	}
	end, err := s.exports.begin(who)
	if err != nil {
		return err
	}
	defer end()
	found, err := s.issuer.Audit().Verify(r.Context(), b.Anchors)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, found)
}
