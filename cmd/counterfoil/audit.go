package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/internal/api"
)

type auditList struct {
	placeFlags
	User   string   `placeholder:"USER" help:"Only events about this user."`
	Action []string `placeholder:"NAME" help:"Only events with this action, such as login or user.change; may be repeated."`
	Since  string   `placeholder:"TIME" help:"Only events since then: a duration such as 2h, a date, or a time such as 2026-11-30T12:00:00Z."`
	Limit  *int     `placeholder:"N" help:"Print at most N events; 0: all. Empty: 50, with --since all."`
	Follow bool     `help:"Oldest first, and go on as events happen, until Ctrl-C. With --json, one event a line."`
}

// Run lists security events, the newest first.
func (c *auditList) Run(ctx context.Context) error {
	of := api.Events{Actions: c.Action}
	var err error
	if of.Since, err = since(c.Since, time.Now()); err != nil {
		return err
	}
	limit := 50
	if c.Since != "" {
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

// first returns the first entries of all, at most limit; 0: all of them.
func first(all iter.Seq2[audit.Entry, error], limit int) (entries []audit.Entry, err error) {
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

// since reads a time, or a duration before now. The empty text is the zero time.
func since(text string, now time.Time) (time.Time, error) {
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
	return time.Time{}, misuse("--since is %q: want a duration such as 2h, a date such as 2026-11-30, or a time such as 2026-11-30T12:00:00Z", text)
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
		if back := newest.Add(-followBack); back.After(next.Since) {
			next.Since = back
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

func printAudit(entries []audit.Entry) error {
	var rows [][]string
	for _, e := range entries {
		rows = append(rows, auditRow(e))
	}
	return table([]column{{name: "UTC"}, {name: "ACTION"}, {"ABOUT", true}, {"BY", true}}, rows)
}

func auditRow(e audit.Entry) []string {
	action := string(e.Action)
	if e.Outcome != audit.OK {
		action += " " + string(e.Outcome)
	}
	if e.Subject == "" {
		e.Subject = e.Target
	}
	if by, ok := strings.CutPrefix(e.By, "subject:"); ok && by != e.Subject {
		e.By = by
	} else if ok { // the user acted: the address says more than the name
		e.By = cmp.Or(address(e.Address), "itself")
	}
	return []string{e.Time.UTC().Format("01-02 15:04:05"), action, e.Subject, e.By}
}
