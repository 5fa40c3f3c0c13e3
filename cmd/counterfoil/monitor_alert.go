package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/counterfoil/counterfoil/internal/api"
	"github.com/counterfoil/counterfoil/internal/outward"
	"github.com/counterfoil/counterfoil/monitor"
	"github.com/counterfoil/counterfoil/monitor/alert"
)

// alertTest sends a test to a channel.
type alertTest struct {
	Channel string `arg:"" help:"Name of the channel."`
	File    string `name:"monitor" default:"monitor.yaml" type:"path" placeholder:"FILE" help:"File of the checks."`
	JSON    bool   `help:"Print JSON."`
}

// Run sends the test from here, so that it needs no program that runs.
func (c *alertTest) Run(ctx context.Context) error {
	file, err := monitor.Read(c.File)
	if err != nil {
		return err
	}
	channel, found := file.Channel(c.Channel)
	if !found {
		return fmt.Errorf("%s has no channel %q%w", c.File, c.Channel, hidden{errDenied})
	}
	if channel.Kind == monitor.Mail {
		return fmt.Errorf("channel %s is a mail\nhint: counterfoil mail test ADDRESS shows each step of sending one", channel.Name)
	}
	client, err := outward.New(outward.Options{Allow: file.Inside})
	if err != nil {
		return err
	}
	host, _ := os.Hostname() // for people
	s := alert.Sender{Post: client.Send, Source: host}
	err = s.Test(ctx, channel)
	answer := api.Tested{Sent: err == nil}
	if err != nil {
		answer.Failure = err.Error()
	}
	switch {
	case c.JSON:
		if err := writeJSON(os.Stdout, answer); err != nil {
			return err
		}
	case err == nil:
		fmt.Println("the test has arrived at " + channel.Name)
	}
	if err != nil {
		return fmt.Errorf("the test did not arrive at %s: %s", channel.Name, answer.Failure)
	}
	return nil
}

type incidentList struct{ placeFlags }

// Run lists incidents, newest first.
func (c *incidentList) Run(ctx context.Context) error {
	return c.withMonitor(ctx, func(a *admin) error {
		all, err := collect(a.Incidents(ctx))
		if err != nil {
			return err
		}
		if c.JSON {
			return writeJSON(os.Stdout, all)
		}
		var rows [][]string
		for _, i := range all {
			lasted := "open"
			if !i.Ended.IsZero() {
				lasted = about(i.Ended.Sub(i.Began))
			}
			note := ""
			if n := len(i.Notes); n > 0 {
				note = i.Notes[n-1].Text
			}
			rows = append(rows, []string{i.ID, cmp.Or(i.Check, "-"), i.Title, minute(i.Began), lasted, i.Reason, note})
		}
		return table([]column{{name: "ID"}, {name: "CHECK"}, {"TITLE", true}, {name: "BEGAN"}, {name: "LASTED"}, {name: "REASON"}, {"LAST NOTE", true}}, rows)
	})
}

type incidentAnnounce struct {
	Title string `arg:"" help:"What everybody reads first."`
	Text  string `arg:"" help:"What is known."`
	placeFlags
}

// Run announces an incident.
func (c *incidentAnnounce) Run(ctx context.Context) error {
	return c.withMonitor(ctx, func(a *admin) error {
		i, err := a.Announce(ctx, api.NewIncident{Title: c.Title, Text: c.Text})
		return c.print(i, err)
	})
}

type incidentNote struct {
	ID   string `arg:"" help:"Id of the incident, as incident list prints it."`
	Text string `arg:"" help:"The note, for everybody."`
	placeFlags
}

// Run adds a note.
func (c *incidentNote) Run(ctx context.Context) error {
	return c.withMonitor(ctx, func(a *admin) error {
		i, err := a.AddNote(ctx, c.ID, api.NewNote{Text: c.Text})
		return c.print(i, err)
	})
}

type incidentEnd struct {
	ID   string `arg:"" help:"Id of the incident, as incident list prints it."`
	Text string `arg:"" optional:"" help:"A last note."`
	placeFlags
}

// Run ends an incident.
func (c *incidentEnd) Run(ctx context.Context) error {
	return c.withMonitor(ctx, func(a *admin) error {
		i, err := a.AddNote(ctx, c.ID, api.NewNote{Text: c.Text, Ended: true})
		return c.print(i, err)
	})
}

// withMonitor is with, for what only the monitor of a server keeps.
func (p *placeFlags) withMonitor(ctx context.Context, f func(*admin) error) error {
	err := p.with(ctx, f)
	if errors.Is(err, errUnreachable) {
		err = fmt.Errorf("%w\nhint: only the monitor of a server keeps incidents and a history; counterfoil monitor and the gateway do not", err)
	}
	return err
}

// print prints an incident that was changed.
func (p *placeFlags) print(i api.Incident, err error) error {
	if err != nil {
		return err
	}
	if p.JSON {
		return writeJSON(os.Stdout, i)
	}
	fmt.Println(i.ID)
	return nil
}
