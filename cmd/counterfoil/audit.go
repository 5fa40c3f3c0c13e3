package main

import (
	"cmp"
	"context"
	"os"
	"strings"

	"github.com/counterfoil/counterfoil/audit"
)

type auditList struct {
	placeFlags
	User  string `placeholder:"USER" help:"Only events about this user."`
	Limit int    `default:"50" placeholder:"N" help:"Print at most N events, 1 to 200."`
}

// Run lists the newest security events.
func (c *auditList) Run(ctx context.Context) error {
	return c.with(ctx, func(a *admin) error {
		subject := ""
		if c.User != "" {
			var err error
			if subject, err = a.subject(ctx, c.User, "event", false, func(ctx context.Context, subject string) (bool, error) {
				entries, err := a.Audit(ctx, subject, 1)
				return len(entries) > 0, err
			}); err != nil {
				return err
			}
		}
		entries, err := a.Audit(ctx, subject, c.Limit)
		if err != nil {
			return err
		}
		if c.JSON {
			return writeJSON(os.Stdout, append([]audit.Entry{}, entries...))
		}
		return printAudit(entries)
	})
}

func printAudit(entries []audit.Entry) error {
	var rows [][]string
	for _, e := range entries {
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
		rows = append(rows, []string{e.Time.UTC().Format("01-02 15:04:05"), action, e.Subject, e.By})
	}
	return table([]column{{name: "UTC"}, {name: "ACTION"}, {"ABOUT", true}, {"BY", true}}, rows)
}
