package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/internal/api"
	"github.com/counterfoil/counterfoil/source"
)

// The list goes on beyond a page of the server, by action and time too, in all forms.
func TestAuditBeyondOnePage(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	a, err := (&settings{Data: s.data, AuditKeep: time.Hour}).ownAdmin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for n := range 450 {
		if _, err := a.Revoke(t.Context(), api.Revocation{Scope: source.ScopeToken, ID: fmt.Sprint("jti-", n)}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := a.CreateUser(t.Context(), api.NewUser{Identifier: "alice"}); err != nil {
		t.Fatal(err)
	}
	if err := a.close(); err != nil {
		t.Fatal(err)
	}
	for args, want := range map[string]int{
		"": 50, "--limit 0": 452, "--limit 300": 300, "--since 1h": 452, "--action user.create --limit 0": 1, "--action revoke --since 1h --limit 401": 401,
		"--since 2020-01-02 --action user.create --action revoke": 451, "--since 2199-01-02T03:04:05Z": 0,
	} {
		out, _ := s.run("", 0, append([]string{"audit", "--json"}, strings.Fields(args)...)...)
		var entries []audit.Entry
		if err := json.Unmarshal([]byte(out), &entries); err != nil || len(entries) != want {
			t.Errorf("audit %s: %d entries, %v, want %d", args, len(entries), err, want)
		}
		if !slices.IsSortedFunc(entries, func(a, b audit.Entry) int { return b.Time.Compare(a.Time) }) {
			t.Errorf("audit %s: the newest is not first", args)
		}
	}
	if out, _ := s.run("", 0, "audit", "--limit", "0"); strings.Count(out, "\n") != 453 {
		t.Errorf("audit --limit 0 prints %d lines, want 452 and a heading", strings.Count(out, "\n"))
	}
	for args, want := range map[string]string{
		"--since yesterday": "want a duration such as 2h",
		"--limit=-1":        "want 0 or more", "--action logn": "user.create",
	} {
		code := 2
		if strings.HasPrefix(args, "--action") {
			code = 1 // the server knows the actions
		}
		if _, errs := s.run("", code, append([]string{"audit"}, strings.Fields(args)...)...); !strings.Contains(errs, want) {
			t.Errorf("audit %s: %s, want %q", args, errs, want)
		}
	}
	if _, errs := s.run("", 4, "audit", "--follow"); !strings.Contains(errs, "no server runs on the folder") {
		t.Errorf("audit --follow without a server: %s", errs)
	}
}

// --follow prints what happens, once and in order, also across a restart of the server.
func TestAuditFollow(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	s.run(typedPassword, 0, "user", "add", "alice")
	_, stop := s.serve()
	c := s.command("audit", "--follow", "--json", "--action", "user.change", "--action", "user.create")
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	errs, err := c.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	lines, notes := bufio.NewScanner(out), bufio.NewReader(errs)
	var last time.Time
	next := func(action audit.Action) {
		t.Helper()
		var e audit.Entry
		if !lines.Scan() || json.Unmarshal(lines.Bytes(), &e) != nil || e.Action != action || e.Time.Before(last) {
			t.Fatalf("the next event is %q, want a later one with %s", lines.Text(), action)
		}
		last = e.Time
	}
	next(audit.CreateUser)
	s.run("", 0, "user", "disable", "alice")
	next(audit.ChangeUser)
	stop()
	if note, err := notes.ReadString('\n'); !strings.Contains(note, "waiting for it") {
		t.Fatalf("without the server: %q, %v", note, err)
	}
	s.run("", 0, "user", "enable", "alice")
	s.serve()
	if note, err := notes.ReadString('\n'); !strings.Contains(note, "answers again") {
		t.Fatalf("with the server: %q, %v", note, err)
	}
	next(audit.ChangeUser)
	s.run(typedPassword, 0, "user", "add", "bob")
	next(audit.CreateUser)
	if err := c.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if rest, _ := io.ReadAll(out); len(rest) > 0 {
		t.Errorf("an event was printed twice: %s", rest)
	}
	_ = c.Wait()
	if code := c.ProcessState.ExitCode(); code != 130 {
		t.Errorf("exit code %d after Ctrl-C, want 130", code)
	}
}
