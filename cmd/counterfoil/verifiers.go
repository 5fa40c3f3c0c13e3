package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"time"

	"github.com/counterfoil/counterfoil/internal/api"
)

type verifiersCommand struct{ placeFlags }

// Run lists the verifiers that follow the server.
func (c *verifiersCommand) Run(ctx context.Context) error {
	return c.with(ctx, func(a *admin) error {
		if a.own {
			return fmt.Errorf("no server runs on the folder%w\nhint: start it first; without it nothing follows the log", hidden{errUnreachable})
		}
		all, err := collect(a.Verifiers(ctx))
		if err != nil {
			return err
		}
		if c.JSON {
			return writeJSON(os.Stdout, all)
		}
		return printVerifiers(all, time.Now())
	})
}

// printVerifiers prints a line for each.
func printVerifiers(all []api.Verifier, now time.Time) error {
	var rows [][]string
	for _, v := range all {
		state := "stale"
		switch {
		case v.Following:
			state = "fresh"
		case v.ServeStale:
			state = "may serve stale"
		}
		rows = append(rows, []string{
			v.ID, cmp.Or(v.Client, "(this server)"), address(v.Address), v.Agent, state, fmt.Sprintf("%d ms", v.StalenessMS),
			(time.Duration(v.BoundMS) * time.Millisecond).String(), about(now.Sub(v.LastSeen)), v.Cursor.String(),
		})
	}
	return table([]column{{name: "ID"}, {"CLIENT", true}, {name: "ADDRESS"}, {"VERSION", true}, {name: "STATE"}, {name: "STALENESS"}, {name: "BOUND"}, {name: "SEEN"}, {name: "CURSOR"}}, rows)
}
