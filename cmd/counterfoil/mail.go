package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"time"

	"github.com/counterfoil/counterfoil/internal/api"
	"github.com/counterfoil/counterfoil/internal/config"
	"github.com/counterfoil/counterfoil/internal/mailaddress"
	"github.com/counterfoil/counterfoil/mail"
	"github.com/counterfoil/counterfoil/outbox"
)

type mailTest struct {
	configFlags
	Address string `arg:"" help:"Address that the mail goes to."`
	JSON    bool   `help:"Print JSON."`
}

// mailStep is a step of mail test as it is printed.
type mailStep struct {
	Step string `json:"step"`
	OK   bool   `json:"ok"`
	Says string `json:"says"`
}

// Run sends a mail with the settings of the server, past its outbox.
func (c *mailTest) Run(ctx context.Context, flags given) error {
	if _, err := c.load(flags); err != nil {
		return err
	}
	if c.Mail == "" {
		return config.Invalid{{Where: config.Default, Key: "mail", Problem: "is not set", Hint: "set mail and mail_from: docs/mail.md"}}
	}
	if _, err := mailaddress.ASCII(c.Address); err != nil {
		return fmt.Errorf("%q %w", c.Address, err)
	}
	o := c.mailSettings.options()
	o.Brand.Name = c.BrandName
	o.Logger = slog.New(slog.NewTextHandler(os.Stderr, nil))
	s, err := mail.New(o)
	if err != nil {
		return err
	}
	defer s.Close()
	steps := []mailStep{}
	took := func(step mail.Step, says string) {
		steps = append(steps, mailStep{string(step), true, says})
		if !c.JSON {
			fmt.Printf("ok    %-9s  %s\n", step, says)
		}
	}
	at, err := s.Test(ctx, c.Address, took)
	failure, failed := errors.AsType[*outbox.Failure](err)
	if err != nil && !failed {
		return err
	}
	if failed {
		steps = append(steps, mailStep{string(at), false, failure.Reason})
	}
	if c.JSON {
		if err := writeJSON(os.Stdout, steps); err != nil {
			return err
		}
	}
	if !failed {
		return nil
	}
	err = fmt.Errorf("the mail was not sent: %s", failure.Reason)
	if hint := mailHints[at]; hint != "" {
		err = fmt.Errorf("%w\nhint: %s", err, hint)
	}
	return err
}

// mailHints say what to look at when a step fails.
var mailHints = map[mail.Step]string{
	mail.StepName:      "check the host in the setting mail, and the name server of this machine",
	mail.StepConnect:   "check the port in the setting mail, and whether a firewall closes it: many networks close port 25",
	mail.StepTLS:       "smtp:// is for ports with STARTTLS (587), smtps:// for those with TLS from the first byte (465); mail_root_cas names the certificates of another CA",
	mail.StepSignIn:    "check the user in mail, and mail_password; many providers want a password of its own for each program",
	mail.StepSender:    "check mail_from: most servers let a user send from the user's own addresses alone",
	mail.StepRecipient: "check the address; a server that takes mail for its own domains alone wants a user, or the address of this machine in its list",
}

type mailList struct {
	placeFlags
	Waiting bool `help:"List what waits to be sent, instead of what could not be."`
}

// Run lists what could not be sent, newest first.
func (c *mailList) Run(ctx context.Context) error {
	return c.with(ctx, func(a *admin) error {
		all, err := collect(a.Letters(ctx, c.Waiting))
		if err != nil {
			return err
		}
		if c.JSON {
			return writeJSON(os.Stdout, all)
		}
		var rows [][]string
		for _, l := range all {
			when := about(time.Since(l.Died))
			switch {
			case c.Waiting:
				when = minute(l.Due)
			case l.Expired:
				when += ", out of date"
			}
			rows = append(rows, []string{l.ID, l.Kind, cmp.Or(l.About, l.Lane), l.Subject, minute(l.Created), when, strconv.Itoa(l.Tries), l.Reason})
		}
		return table([]column{
			{name: "ID"}, {name: "KIND"}, {"WHAT", true}, {name: "WHOSE"}, {name: "MADE"},
			{name: map[bool]string{true: "NEXT TRY", false: "GIVEN UP"}[c.Waiting]}, {name: "TRIES"}, {"LAST FAILURE", true},
		}, rows)
	})
}

// letterFlags name dead letters.
type letterFlags struct {
	placeFlags
	ID  []string `arg:"" optional:"" help:"Ids, as mail list prints them."`
	All bool     `help:"All that could not be sent."`
}

// each calls do for the letters that the flags name, and prints how many there were.
func (c *letterFlags) each(ctx context.Context, what string, chosen func(api.Letter) bool, do func(a *admin, id string) error) error {
	if c.All == (len(c.ID) > 0) {
		return errors.New("name ids, or --all\nhint: counterfoil mail list prints the ids")
	}
	return c.with(ctx, func(a *admin) error {
		ids := c.ID
		for l, err := range a.Letters(ctx, false) {
			if !c.All {
				break
			}
			if err != nil {
				return err
			}
			if chosen(l) {
				ids = append(ids, l.ID)
			}
		}
		for n, id := range ids {
			if err := do(a, id); err != nil {
				return fmt.Errorf("%s: %w (%s %d before)", id, err, what, n)
			}
		}
		if c.JSON {
			return writeJSON(os.Stdout, map[string]int{what: len(ids)})
		}
		fmt.Fprintf(os.Stderr, "%s: %d\n", what, len(ids))
		return nil
	})
}

type mailRedeliver struct{ letterFlags }

// Run sends again what could not be sent.
func (c *mailRedeliver) Run(ctx context.Context) error {
	return c.each(ctx, "redelivered", func(l api.Letter) bool { return !l.Expired }, func(a *admin, id string) error { return a.Redeliver(ctx, id) })
}

type mailDrop struct{ letterFlags }

// Run deletes what could not be sent.
func (c *mailDrop) Run(ctx context.Context) error {
	return c.each(ctx, "dropped", func(api.Letter) bool { return true }, func(a *admin, id string) error { return a.DropLetter(ctx, id) })
}

// mail checks whether the mail server lets the server send, without sending anything.
func (d *doctor) mail(ctx context.Context) {
	if d.Mail == "" {
		return
	}
	s, err := mail.New(d.mailSettings.options())
	if err != nil {
		d.add("mail", isFail, oneLine(err), "")
		return
	}
	defer s.Close()
	switch at, err := s.Reach(ctx); {
	case err == nil:
		d.ok("mail", "%s takes mails", d.Mail)
	default:
		failure, _ := errors.AsType[*outbox.Failure](err)
		d.add("mail", isFail, failure.Reason, mailHints[at])
	}
}
