package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/counterfoil/counterfoil/inspect"
)

type tokenLint struct {
	tokenInput
	tokenTime
	tokenKeys
	FailOn string `name:"fail-on" enum:"error,warning,note" default:"error" help:"The least finding that makes the command fail: error, warning or note."`
	JSON   bool   `help:"Print JSON."`
}

// Run prints what is wrong or unwise about a token. It needs no key. It fails if there is a
// finding of the severity that --fail-on names, or of a worse one.
func (c *tokenLint) Run(ctx context.Context) error {
	text, now, err := c.readAt(ctx, c.tokenInput)
	if err != nil {
		return err
	}
	o := inspect.LintOptions{Now: now}
	keys, err := c.keys(ctx, c.File)
	if err != nil {
		return err
	}
	if keys != nil {
		if n := len(keys.List); n != 1 {
			return misuse("there are %d keys, and lint takes one\nhint: name a file with the key of the token", n)
		}
		o.Key = &keys.List[0]
	}
	found := inspect.Lint(text, o)
	if c.JSON {
		if err := writeJSON(os.Stdout, append([]inspect.Finding{}, found...)); err != nil {
			return err
		}
	} else {
		printFindings(found)
	}
	order := []inspect.Severity{inspect.Error, inspect.Warning, inspect.Note}
	least := slices.Index(order, inspect.Severity(c.FailOn))
	if slices.ContainsFunc(found, func(f inspect.Finding) bool { return slices.Index(order, f.Severity) <= least }) {
		if c.FailOn == "error" {
			return errors.New("a careful verifier refuses this token")
		}
		return fmt.Errorf("there is a finding of severity %s or worse", c.FailOn)
	}
	return nil
}

// printFindings prints errors first.
func printFindings(found []inspect.Finding) {
	for _, severity := range []inspect.Severity{inspect.Error, inspect.Warning, inspect.Note} {
		for _, f := range found {
			if f.Severity != severity {
				continue
			}
			title := f.Title
			if f.Detail != "" {
				title += ": " + f.Detail
			}
			fmt.Printf("%s: %s (%s; %s)\n", f.Severity, printable(title), f.ID, f.Source)
			for _, line := range wrap(f.Why, width-4) {
				fmt.Println("    " + line)
			}
		}
	}
	if len(found) == 0 {
		fmt.Println("no findings")
	}
}
