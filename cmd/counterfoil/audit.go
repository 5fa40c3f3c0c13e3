package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/internal/api"
	"github.com/counterfoil/counterfoil/internal/rows"
)

type auditList struct {
	placeFlags
	User      string   `placeholder:"USER" help:"Only events about this user."`
	Action    []string `placeholder:"NAME" help:"Only events with this action, such as login or user.change; may be repeated."`
	Outcome   []string `placeholder:"NAME" help:"Only events with this outcome: ok, refused or unknown; may be repeated."`
	By        string   `placeholder:"ACTOR" help:"Only events by this actor, as the events have it: subject:ID, key:CLIENT, local:uid 0, issuer, unknown."`
	Since     string   `placeholder:"TIME" help:"Only events since then: a duration such as 2h, a date, or a time such as 2026-11-30T12:00:00Z."`
	Until     string   `placeholder:"TIME" help:"Only events before then; as --since."`
	Limit     *int     `placeholder:"N" help:"Print at most N events; 0: all. Empty: 50, with --since, --until or --format all."`
	Follow    bool     `help:"Oldest first, and go on as events happen, until Ctrl-C. With --json, one event a line."`
	Confirmed bool     `help:"Of each revocation, how many of the verifiers that follow the server have it, and which have not."`
	Format    string   `placeholder:"FORMAT" help:"Print csv, for a spreadsheet, or jsonl, one JSON object a line."`
}

// Run lists security events, the newest first.
func (c *auditList) Run(ctx context.Context) error {
	of := api.Events{Actions: c.Action, Outcomes: c.Outcome, By: c.By}
	var err error
	if of.From, err = since("--since", c.Since, time.Now()); err != nil {
		return err
	}
	if of.To, err = since("--until", c.Until, time.Now()); err != nil {
		return err
	}
	if err := checkFormat(c.Format); err != nil {
		return err
	}
	switch {
	case c.Format != "" && (c.Follow || c.JSON):
		return misuse("--format goes with neither --json nor --follow: --follow --json prints one JSON object a line")
	case c.Confirmed && (c.Format != "" || c.Follow):
		return misuse("--confirmed is for a list: leave out --format and --follow")
	case c.Follow && c.Until != "":
		return misuse("--follow goes on: leave out --until")
	}
	limit := 50
	if c.Since != "" || c.Until != "" || c.Format != "" {
		limit = 0
	}
	if c.Limit != nil {
		limit = *c.Limit
	}
	if limit < 0 {
		return misuse("--limit is %d: want 0 or more", limit)
	}
	return c.with(ctx, func(a *admin) error {
		if c.User != "" {
			var err error
			if of.Subject, err = a.subject(ctx, c.User, "event", false, func(ctx context.Context, subject string) (bool, error) {
				for _, err := range a.Audit(ctx, api.Events{Subject: subject}) {
					return err == nil, err
				}
				return false, nil
			}); err != nil {
				return err
			}
		}
		if c.Format != "" {
			return printRows(os.Stdout, c.Format, api.AuditColumns, a.Audit(ctx, of), api.AuditCells, limit)
		}
		if c.Confirmed {
			told, err := first(a.AuditTold(ctx, of), limit)
			switch {
			case err != nil:
				return err
			case c.JSON:
				return writeJSON(os.Stdout, append([]api.Told{}, told...))
			}
			return printTold(told)
		}
		entries, err := first(a.Audit(ctx, of), limit)
		switch {
		case err != nil:
			return err
		case c.Follow:
			return c.follow(ctx, a, of, entries)
		case c.JSON:
			return writeJSON(os.Stdout, append([]audit.Entry{}, entries...))
		}
		return printAudit(entries)
	})
}

// checkFormat refuses a --format that there is not. Empty: none is asked for.
func checkFormat(format string) error {
	if format != "" && !slices.Contains(rows.Formats(), format) {
		return misuse("--format is %q: want csv or jsonl", format)
	}
	return nil
}

// printRows writes the first of all, at most limit, as they come; 0: all of them.
func printRows[T any](w io.Writer, format string, columns []string, all iter.Seq2[T, error], cells func(T) []string, limit int) error {
	out, err := rows.New(w, format, columns...)
	if err != nil {
		return err
	}
	n := 0
	for row, err := range all {
		if err == nil {
			err = out.Row(row, cells(row)...)
		}
		if err != nil {
			return errors.Join(out.Flush(), err)
		}
		if n++; n == limit {
			break
		}
	}
	return out.Flush()
}

// first returns the first entries of all, at most limit; 0: all of them.
func first[E any](all iter.Seq2[E, error], limit int) (entries []E, err error) {
	for e, err := range all {
		if err != nil {
			return nil, err
		}
		if entries = append(entries, e); len(entries) == limit {
			break
		}
	}
	return entries, nil
}

// since reads a time, or a duration before now, that a flag has. The empty text is the zero time.
func since(flag, text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if d, err := time.ParseDuration(text); err == nil && d > 0 {
		return now.Add(-d), nil
	}
	for _, form := range []string{time.RFC3339, time.DateOnly} {
		if at, err := time.Parse(form, text); err == nil {
			return at, nil
		}
	}
	return time.Time{}, misuse("%s is %q: want a duration such as 2h, a date such as 2026-11-30, or a time such as 2026-11-30T12:00:00Z", flag, text)
}

const (
	followEvery = time.Second
	// followBack is how old an entry may be that was kept later than others: seals rest on the
	// same bound.
	followBack = 2 * time.Minute
)

// follow prints entries, the oldest first, and then those that come, until ctx ends. While the
// server does not answer, it waits: a restart loses nothing.
func (c *auditList) follow(ctx context.Context, a *admin, of api.Events, entries []audit.Entry) error {
	if a.own {
		return fmt.Errorf("no server runs on the folder%w\nhint: start it first; without it nothing happens that could be followed", hidden{errUnreachable})
	}
	printed := map[string]time.Time{} // by id, of the last two minutes
	newest := time.Now().Add(-followBack)
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	waits := false
	for {
		slices.Reverse(entries)
		for _, e := range entries {
			if _, done := printed[e.ID]; done {
				continue
			}
			printed[e.ID] = e.Time
			if e.Time.After(newest) {
				newest = e.Time
			}
			if err := c.printEvent(e); err != nil {
				return err
			}
		}
		for id, at := range printed {
			if at.Before(newest.Add(-2 * followBack)) {
				delete(printed, id)
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		next := of
		if back := newest.Add(-followBack); back.After(next.From) {
			next.From = back
		}
		var err error
		entries, err = first(a.Audit(ctx, next), 0)
		lost := errors.Is(err, api.ErrUnreachable) || answered(err) == http.StatusServiceUnavailable
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case lost && !waits:
			fmt.Fprintln(os.Stderr, "counterfoil: the server does not answer: waiting for it")
		case err != nil && !lost:
			return err
		case waits && !lost:
			fmt.Fprintln(os.Stderr, "counterfoil: the server answers again")
		}
		waits = lost
	}
}

// printEvent prints one line.
func (c *auditList) printEvent(e audit.Entry) error {
	if c.JSON {
		out := json.NewEncoder(os.Stdout)
		out.SetEscapeHTML(false)
		return out.Encode(e)
	}
	_, err := fmt.Println(printable(strings.Join(auditRow(e), gap)))
	return err
}

// auditColumns are the columns of auditRow.
var auditColumns = []column{{name: "UTC"}, {name: "ACTION"}, {"ABOUT", true}, {"BY", true}}

func printAudit(entries []audit.Entry) error {
	var rows [][]string
	for _, e := range entries {
		rows = append(rows, auditRow(e))
	}
	return table(auditColumns, rows)
}

func printTold(entries []api.Told) error {
	var rows [][]string
	for _, e := range entries {
		rows = append(rows, append(auditRow(e.Entry), confirmedBy(e.Log)))
	}
	return table(append(slices.Clone(auditColumns), column{"CONFIRMED", true}), rows)
}

// confirmedBy says which verifiers have an entry of the log; empty if the log has none.
func confirmedBy(in *api.InLog) string {
	switch {
	case in == nil:
		return ""
	case in.Verifiers == 0:
		return "no verifier"
	case in.Confirmed == in.Verifiers:
		return "by all " + strconv.Itoa(in.Verifiers)
	}
	var behind []string
	for _, f := range in.Behind {
		behind = append(behind, f.Called())
	}
	if more := in.Verifiers - in.Confirmed - len(behind); more > 0 {
		behind = append(behind, strconv.Itoa(more)+" more")
	}
	return fmt.Sprintf("%d of %d, not yet: %s", in.Confirmed, in.Verifiers, strings.Join(behind, ", "))
}

func auditRow(e audit.Entry) []string {
	action := string(e.Action)
	if e.Outcome != audit.OK {
		action += " " + string(e.Outcome)
	}
	if e.Subject == "" {
		e.Subject = e.Target
	}
	if by, ok := audit.SubjectOf(e.By); ok && by != e.Subject {
		e.By = by
	} else if ok { // the user acted: the address says more than the name
		e.By = cmp.Or(address(e.Address), "itself")
	}
	return []string{e.Time.UTC().Format("01-02 15:04:05"), action, e.Subject, e.By}
}
