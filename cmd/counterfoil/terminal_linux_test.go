package main

import (
	"strings"
	"testing"
)

const typedPassword = "four words of prose"

// A password is typed twice and never shown. What a terminal shows is often recorded.
func TestPasswordAtTerminal(t *testing.T) {
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
	const token = "eyJhbGciOiJFUzI1NiIsImtpZCI6ImsxIn0.eyJzdWIiOiJ1c3JfMSIsImV4cCI6MTAwMDAwMDAwMH0.AAAA"
	p := newShell(t).atTerminal("token", "decode")
	p.typesHidden("token (not shown as you type): ", token+"\n")
	p.exits(0)
	p.sees(`"sub": "usr_1"`)
	if strings.Contains(p.shown.String(), token) {
		t.Errorf("the terminal shows the token:\n%s", &p.shown)
	}
}
