package main

import (
	"os/exec"
	"strings"
	"testing"
)

// A table is as wide as its terminal, and a program that reads it by a pipe gets every text whole.
func TestWidthOfTables(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	const scopes = "revocation:read,introspect,sessions:create"
	s.run("", 0, "apikey", "create", "--client", "a-client-with-a-long-name", "--scope", scopes)
	list := func(columns string) string {
		// stty sets the size of the terminal, which is its standard input.
		c := s.command("apikey", "list")
		c.Args = append([]string{"sh", "-c", "stty columns " + columns + ` && exec "$@"`, "sh", c.Path}, c.Args[1:]...)
		c.Path, _ = exec.LookPath("sh")
		p := s.terminal(c)
		p.exits(0)
		return p.shown.String()
	}
	if out := list("80"); strings.Contains(out, scopes) || !strings.Contains(out, "…") {
		t.Errorf("80 columns:\n%s", out)
	}
	if out := list("200"); !strings.Contains(out, scopes) {
		t.Errorf("200 columns:\n%s", out)
	}
	if out := list("0"); strings.Contains(out, scopes) {
		t.Errorf("a terminal that does not know its width:\n%s", out)
	}
	if out, _ := s.run("", 0, "apikey", "list"); !strings.Contains(out, scopes) {
		t.Errorf("a pipe:\n%s", out)
	}
}
