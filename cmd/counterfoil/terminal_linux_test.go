package main

import (
	"encoding/json"
	"strings"
	"testing"
)

const typedPassword = "four words of prose"

// A password is typed twice and never shown. What a terminal shows is often recorded.
func TestPasswordAtTerminal(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	const first, second = "password (not shown as you type): ", "the same password again (not shown as you type): "
	differs := s.atTerminal("user", "add", "alice")
	differs.typesHidden(first, typedPassword+"\n")
	differs.typesHidden(second, "four words of pros\n")
	differs.exits(1)
	differs.sees("the two passwords differ, and nothing was done")

	same := s.atTerminal("user", "add", "alice")
	same.typesHidden(first, typedPassword+"\n")
	same.typesHidden(second, typedPassword+"\n")
	same.exits(0)
	for _, p := range []*person{differs, same} {
		if strings.Contains(p.shown.String(), "four words") {
			t.Errorf("the terminal shows the password:\n%s", &p.shown)
		}
		if !p.echoes() {
			t.Error("the terminal does not show again what is typed")
		}
	}
	if out, _ := s.run("", 0, "user", "show", "alice"); !strings.Contains(out, "set") {
		t.Errorf("user show = %s, want a password", out)
	}

	none := s.atTerminal("user", "add", "bob")
	none.typesHidden(first, "\n")
	none.exits(2)
	none.sees("no password was given")
}

// Ctrl-C at the prompt ends the program at once, and the terminal shows again what is typed.
func TestInterruptAtPrompt(t *testing.T) {
	t.Parallel()
	p := newShell(t).atTerminal("user", "add", "alice")
	p.typesHidden("password", "four wo")
	p.types("\x03")
	p.exits(130)
	if !p.echoes() {
		t.Error("the terminal does not show again what is typed")
	}
}

// OPS-11: a token that is pasted at a terminal is not shown, as in the password's case.
func TestTokenAtTerminal(t *testing.T) {
	t.Parallel()
	const token = "eyJhbGciOiJFUzI1NiIsImtpZCI6ImsxIn0.eyJzdWIiOiJ1c3JfMSIsImV4cCI6MTAwMDAwMDAwMH0.AAAA"
	p := newShell(t).atTerminal("token", "decode")
	p.typesHidden("token (not shown as you type): ", token+"\n")
	p.exits(0)
	p.sees(`"sub": "usr_1"`)
	if strings.Contains(p.shown.String(), token) {
		t.Errorf("the terminal shows the token:\n%s", &p.shown)
	}
}

// What cannot be brought back is asked for at a terminal. Everything but yes is no. Scripts are
// not asked, and --yes is not either.
func TestConfirmAtTerminal(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	s.run(typedPassword, 0, "user", "add", "alice")
	key, _ := s.run("", 0, "apikey", "create", "--client", "svc", "--scope", "admin")
	list, _ := s.run("", 0, "apikey", "list", "--json")
	var keys []struct{ ID string }
	if err := json.Unmarshal([]byte(list), &keys); err != nil || len(keys) != 1 || key == "" {
		t.Fatal(list, err)
	}
	signing, _ := s.run("", 0, "key", "list", "--json")
	var kids []struct {
		ID string
	}
	if err := json.Unmarshal([]byte(signing), &kids); err != nil || len(kids) != 1 {
		t.Fatal(signing, err)
	}
	answers := []string{"\n", "y\n", "\x04", "no\n", "yes please\n"}
	for n, c := range []struct {
		shows string
		args  []string
	}{
		{"all sessions of all users: ends 0 sessions", []string{"session", "revoke", "--all"}},
		{"all sessions of client default: ends 0 sessions", []string{"session", "revoke", "--client", "default"}},
		{"key " + kids[0].ID + ": tokens that it signed are refused", []string{"key", "revoke", kids[0].ID}},
		{"API key " + keys[0].ID + " of svc: the program that has it is refused at once", []string{"apikey", "delete", keys[0].ID}},
		{"ends 0 sessions; the account cannot be brought back", []string{"user", "delete", "alice"}},
	} {
		p := s.atTerminal(c.args...)
		p.sees("Type yes to go on: ")
		if !strings.Contains(p.shown.String(), c.shows) {
			t.Errorf("%v asks %q, want %q", c.args, &p.shown, c.shows)
		}
		p.types(answers[n])
		p.exits(1)
		p.sees("nothing was done: the answer was not yes")
	}
	interrupted := s.atTerminal("user", "delete", "alice")
	interrupted.sees("Type yes to go on: ")
	interrupted.types("\x03")
	interrupted.exits(130)
	if out, _ := s.run("", 0, "user", "list"); !strings.Contains(out, "alice") {
		t.Errorf("user list = %s, want alice: nobody said yes", out)
	}
	p := s.atTerminal("session", "revoke", "--all", "--yes")
	p.exits(0)
	p.sees("revoked at ")
	p = s.atTerminal("user", "delete", "alice")
	p.sees("Type yes to go on: ")
	p.types("yes\n")
	p.exits(0)
	if out, _ := s.run("", 0, "user", "list"); strings.Contains(out, "alice") {
		t.Errorf("user list = %s: yes did not delete alice", out)
	}
	s.run("", 0, "session", "revoke", "--all")
}
