package main

import (
	"context"
	"os"
	"strconv"
	"time"
)

type monitorResults struct {
	Check string        `arg:"" help:"Name of the check."`
	Step  string        `enum:"raw,5m,1d" default:"5m" help:"Single results (raw, kept for 48 hours), parts of five minutes (5m, 90 days), or days (1d, two years)."`
	For   time.Duration `placeholder:"TIME" help:"How far back. Without it, an hour of raw, a day of 5m, and 90 days of 1d."`
	placeFlags
}

// Run prints the history of a check, oldest first.
func (c *monitorResults) Run(ctx context.Context) error {
	if c.For < 0 {
		return usageError("--for is negative")
	}
	return c.withMonitor(ctx, func(a *admin) error {
		var from time.Time
		if c.For > 0 {
			from = time.Now().Add(-c.For)
		}
		all, err := collect(a.Results(ctx, c.Check, c.Step, from))
		if err != nil {
			return err
		}
		if c.JSON {
			return writeJSON(os.Stdout, all)
		}
		rows := make([][]string, 0, len(all))
		for _, p := range all {
			state := "passed"
			switch {
			case p.Maintenance && p.Failed:
				state = "failed, maintenance"
			case p.Failed:
				state = "failed"
			case p.Maintenance:
				state = "maintenance"
			}
			down := ""
			if p.DownSec != nil {
				down = about(time.Duration(*p.DownSec) * time.Second)
			}
			rows = append(rows, []string{p.At.UTC().Format(time.RFC3339), strconv.Itoa(p.Runs), milliseconds(p.TookMS), milliseconds(p.LongestMS), state, down, p.Reason})
		}
		return table([]column{{name: "AT"}, {name: "RUNS"}, {name: "TOOK"}, {name: "LONGEST"}, {name: "STATE"}, {name: "DOWN"}, {name: "REASON"}}, rows)
	})
}

func milliseconds(n int64) string { return (time.Duration(n) * time.Millisecond).String() }
