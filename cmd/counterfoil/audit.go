package main

import (
	"cmp"
	"context"
	"encoding/json"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

// auditEntry is a security event as the API shows it.
type auditEntry struct {
	ID      string    `json:"id"`
	Time    time.Time `json:"time"`
	Action  string    `json:"action"`
	Outcome string    `json:"outcome"`
	Subject string    `json:"subject"`
	By      string    `json:"by"`
	Target  string    `json:"target"`
	Session string    `json:"session"`
	Address string    `json:"address"`
}

type auditList struct {
	placeFlags
	User  string `placeholder:"USER" help:"About this user alone."`
	Limit int    `default:"50" placeholder:"N" help:"At most so many, 1 to 200."`
}

// Run lists what was kept of security events.
func (c *auditList) Run(ctx context.Context) error {
	return c.with(ctx, func(a *admin) error {
		query := url.Values{"limit": {strconv.Itoa(c.Limit)}}
		if c.User != "" {
			subject, err := a.subject(ctx, c.User, false)
			if err != nil {
				return err
			}
			query.Set("subject", subject)
		}
		var answer struct {
			Entries []json.RawMessage `json:"entries"`
		}
		if err := a.call(ctx, "GET", "/v1/admin/audit?"+query.Encode(), nil, &answer); err != nil {
			return err
		}
		if c.JSON {
			return writeJSON(os.Stdout, append([]json.RawMessage{}, answer.Entries...))
		}
		return printAudit(answer.Entries)
	})
}

func printAudit(entries []json.RawMessage) error {
	var rows [][]string
	for _, raw := range entries {
		var e auditEntry
		if err := json.Unmarshal(raw, &e); err != nil {
			return err
		}
		if e.Outcome != "ok" {
			e.Action += " " + e.Outcome
		}
		if e.Subject == "" {
			e.Subject = e.Target
		}
		if by, ok := strings.CutPrefix(e.By, "subject:"); ok && by != e.Subject {
			e.By = by
		} else if ok { // the user itself: from where is what one wants to know
			e.By = cmp.Or(e.Address, "itself")
		}
		rows = append(rows, []string{e.Time.UTC().Format("01-02 15:04:05"), e.Action, e.Subject, e.By})
	}
	return table([]column{{name: "UTC"}, {name: "ACTION"}, {"ABOUT", true}, {"BY", true}}, rows)
}
