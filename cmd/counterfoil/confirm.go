package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/counterfoil/counterfoil/accounts"
	"github.com/counterfoil/counterfoil/internal/api"
	"github.com/counterfoil/counterfoil/source"
)

// sureFlags are the flags of a command that ends what cannot be brought back. At a terminal it
// asks first. A script has nobody to ask, and in an emergency it must not fail: without a terminal
// the call itself is the consent.
type sureFlags struct {
	Yes    bool `help:"Do not ask, at a terminal either."`
	DryRun bool `help:"Print what would end, and change nothing."`
}

// plan is what a command is about to end.
type plan struct {
	What     string `json:"what"`
	Sessions int    `json:"sessions"`          // that would end
	Grants   int    `json:"grants,omitempty"`  // that would end, of sessions that go on for other clients
	APIKeys  int    `json:"apikeys,omitempty"` // that would end
	More     bool   `json:"more,omitempty"`    // there are sessions that were not looked at
	Effect   string `json:"effect,omitempty"`  // what else happens
	DryRun   bool   `json:"dry_run"`           // nothing was changed

	keeps bool // ends no session: Effect says all
}

func (p plan) String() string {
	counts := []string{counted(p.Sessions, "session")}
	if p.Grants > 0 {
		counts = append(counts, counted(p.Grants, "grant"))
	}
	if p.APIKeys > 0 {
		counts = append(counts, counted(p.APIKeys, "API key"))
	}
	if p.keeps {
		return p.What + ": " + p.Effect
	}
	text := p.What + ": ends " + map[bool]string{true: "more than "}[p.More] + strings.Join(counts, " and ")
	if p.Effect != "" {
		text += "; " + p.Effect
	}
	return text
}

func counted(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprint(n, " ", what)
}

// asked is how many pages of 200 sessions are counted before a question: a person who must end
// everything now does not wait for the rest. --dry-run counts all.
const asked = 10

// pages is how many pages of sessions a plan counts.
func (s *sureFlags) pages() int {
	if s.DryRun {
		return 1 << 30
	}
	return asked
}

// asks reports whether a plan is needed: to print it, or to ask.
func (s *sureFlags) asks() bool { return s.DryRun || !s.Yes && atTerminal() }

var errDeclined = errors.New("nothing was done: the answer was not yes")

// sure reports whether the command shall do what planned returns. It asks at a terminal, and
// prints it for a dry run.
func (s *sureFlags) sure(ctx context.Context, asJSON bool, planned func(pages int) (plan, error)) (bool, error) {
	if !s.asks() {
		return true, nil
	}
	p, err := planned(s.pages())
	if err != nil {
		return false, err
	}
	if s.DryRun {
		p.DryRun = true
		if asJSON {
			return false, writeJSON(os.Stdout, p)
		}
		_, err := fmt.Println(printable(p.String()) + "\ndry run: nothing was changed")
		return false, err
	}
	fmt.Fprint(os.Stderr, printable(p.String())+"\nType yes to go on: ")
	answer, err := until(ctx, func() (string, error) { return bufio.NewReader(os.Stdin).ReadString('\n') })
	if err != nil { // the person has not ended the line
		fmt.Fprintln(os.Stderr)
	}
	if err != nil && !errors.Is(err, io.EOF) { // Ctrl-D is an answer
		return false, err
	}
	if !strings.EqualFold(strings.TrimSpace(answer), "yes") {
		return false, errDeclined
	}
	return true, nil
}

// revocation is the plan of a revocation of scope and id, which what says in words.
func (a *admin) revocation(ctx context.Context, scope source.Scope, id, what string, pages int) (plan, error) {
	ending, more, err := a.WouldEnd(ctx, scope, id, pages)
	p := plan{What: what, Sessions: ending.Sessions, Grants: ending.Grants, More: more}
	switch scope {
	case source.ScopeKey:
		p.keeps, p.Effect = true, "tokens that it signed are refused, and their clients refresh them; no session ends"
	case source.ScopeToken:
		p.keeps, p.Effect = true, "it is refused; its session goes on"
	}
	if err != nil {
		return p, err
	}
	p.APIKeys, err = a.keysEnding(ctx, scope, id)
	return p, err
}

// keysEnding counts the API keys that a revocation ends (docs/decisions/0036-api-keys.md).
func (a *admin) keysEnding(ctx context.Context, scope source.Scope, id string) (n int, err error) {
	var ends func(api.APIKey) bool
	switch scope {
	case source.ScopeSubject:
		ends = func(k api.APIKey) bool { return k.User == id }
	case source.ScopeClient:
		ends = func(k api.APIKey) bool { return k.Client == id }
	case source.ScopeAll:
		ends = func(k api.APIKey) bool { return k.User != "" }
	default:
		return 0, nil
	}
	for k, err := range a.APIKeys(ctx) {
		if err != nil {
			return 0, err
		}
		live := k.State == string(accounts.KeyActive) || k.State == string(accounts.KeyLimited)
		if live && ends(k) {
			n++
		}
	}
	return n, nil
}
