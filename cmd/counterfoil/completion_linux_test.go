package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// A person presses the tab key in a real bash.
func TestCompletionInBash(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	if err := os.WriteFile(filepath.Join(s.data, "a-token.jwt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(t.Context(), "bash", "--noprofile", "--norc", "-i")
	c.Dir = s.data
	c.Env = append(os.Environ(), "PS1=ready> ", "TERM=dumb", "HOME="+s.data, "HISTFILE=", "INPUTRC=/dev/null")
	p := s.terminal(c)
	p.sees("ready> ")
	p.shown.Reset()
	p.types("bind 'set bell-style none'; source <(counterfoil completion bash); echo lo''aded\n")
	p.sees("loaded")
	p.sees("ready> ") // bash shows what is typed, and not the terminal, which shows a tab as it is
	for typed, becomes := range map[string]string{
		"counterfoil sess\t":                             "counterfoil session ",
		"counterfoil session rev\t":                      "counterfoil session revoke ",
		"counterfoil session revoke --dr\t":              "counterfoil session revoke --dry-run ",
		"counterfoil audit --fol\t":                      "counterfoil audit --follow ",
		"counterfoil completion z\t":                     "counterfoil completion zsh ",
		"counterfoil serve --algorithm Ed\t":             "counterfoil serve --algorithm Ed25519 ",
		"counterfoil serve --algorithm=Ed\t":             "counterfoil serve --algorithm=Ed25519 ",
		"counterfoil token decode a-t\t":                 "counterfoil token decode a-token.jwt ",
		"counterfoil serve --config a-t\t":               "counterfoil serve --config a-token.jwt ",
		"counterfoil user disable alice --data x --js\t": "counterfoil user disable alice --data x --json ",
	} {
		p.shown.Reset()
		p.types(typed + "END")
		p.sees("END")
		if got := p.shown.String(); !strings.HasSuffix(got, becomes+"END") {
			t.Errorf("%q becomes %q, want %q", typed, got, becomes)
		}
		p.types("\x15") // clears the line
	}
	p.shown.Reset()
	p.types("counterfoil key \t\t")
	for _, word := range []string{"create", "list", "revoke", "rotate"} {
		p.sees(word)
	}
	p.types("\x15exit\n")
	p.exits(0)
}

// A person presses the tab key and then enter in a real zsh, which tells the line that it was given.
func TestCompletionInZsh(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	if err := os.WriteFile(filepath.Join(s.data, "a-token.jwt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(t.Context(), "zsh", "-f", "-i")
	c.Dir = s.data
	c.Env = append(os.Environ(), "PS1=ready> ", "TERM=dumb", "HOME="+s.data)
	p := s.terminal(c)
	p.sees("ready> ")
	p.types("unsetopt zle prompt_cr prompt_sp; autoload -Uz compinit; compinit -u -D; source <(counterfoil completion zsh); preexec() { print -r -- \"line=[$1]\" }; setopt zle; echo lo''aded\n")
	p.sees("loaded")
	for typed, becomes := range map[string]string{
		"counterfoil sess\t":                             "counterfoil session ",
		"counterfoil session revoke --dr\t":              "counterfoil session revoke --dry-run ",
		"counterfoil completion z\t":                     "counterfoil completion zsh ",
		"counterfoil serve --algorithm Ed\t":             "counterfoil serve --algorithm Ed25519 ",
		"counterfoil serve --algorithm=Ed\t":             "counterfoil serve --algorithm=Ed25519 ",
		"counterfoil token decode a-t\t":                 "counterfoil token decode a-token.jwt ",
		"counterfoil user disable alice --data x --js\t": "counterfoil user disable alice --data x --json ",
	} {
		p.shown.Reset()
		p.types(typed + "NOTHING\n")
		p.sees("NOTHING]")
		if !strings.Contains(p.shown.String(), "line=["+becomes+"NOTHING]") {
			t.Errorf("%q becomes %q, want %q", typed, &p.shown, becomes)
		}
		p.sees("ready> ")
	}
	p.types("exit 0\n")
	p.exits(0)
}

// fish tells what it would offer.
func TestCompletionInFish(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	if err := os.WriteFile(filepath.Join(s.data, "a-token.jwt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for typed, offers := range map[string]string{
		"counterfoil sess":                             "session",
		"counterfoil session revoke --dr":              "--dry-run",
		"counterfoil completion z":                     "zsh",
		"counterfoil serve --algorithm Ed":             "Ed25519",
		"counterfoil serve --algorithm=Ed":             "--algorithm=Ed25519",
		"counterfoil token decode a-t":                 "a-token.jwt",
		"counterfoil user disable alice --data x --js": "--json",
	} {
		c := exec.CommandContext(t.Context(), "fish", "--no-config", "-c", `counterfoil completion fish | source; complete -C "$argv[1]"`, typed)
		c.Dir = s.data
		c.Env = append(os.Environ(), "HOME="+s.data)
		out, err := c.CombinedOutput()
		word, _, _ := strings.Cut(strings.TrimSuffix(string(out), "\n"), "\t")
		if err != nil || word != offers {
			t.Errorf("%q offers %q, %v, want %q", typed, out, err, offers)
		}
	}
}

// Every command and flag that is not hidden is a candidate, and no hidden one is.
func TestCompletionIsTheTree(t *testing.T) {
	var p program
	parser, err := kong.New(&p, kong.Name("counterfoil"))
	if err != nil {
		t.Fatal(err)
	}
	candidates := func(words ...string) map[string]bool {
		var out bytes.Buffer
		complete(&out, parser.Model, words)
		found := map[string]bool{}
		for line := range strings.Lines(out.String()) {
			word, _, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
			found[word] = true
		}
		return found
	}
	commands, flags := 0, 0
	var walk func(n *kong.Node, words []string)
	walk = func(n *kong.Node, words []string) {
		below := candidates(append(words, "")...)
		for _, child := range n.Children {
			if below[child.Name] == child.Hidden {
				t.Errorf("%v: candidates %v, hidden %v: %s", words, below, child.Hidden, child.Name)
			}
			commands++
			walk(child, append(append([]string{}, words...), child.Name))
		}
		named := candidates(append(words, "--")...)
		for _, f := range n.Flags {
			if named["--"+f.Name] == f.Hidden {
				t.Errorf("%v: candidates %v, hidden %v: --%s", words, named, f.Hidden, f.Name)
			}
			flags++
		}
	}
	walk(parser.Model.Node, nil)
	if commands < 40 || flags < 100 {
		t.Errorf("looked at %d commands and %d flags", commands, flags)
	}
	for _, none := range [][]string{{"nonsense", ""}, {"user", "add", "alice", ""}, {"--", "--"}, {}} {
		candidates(none...) // none of them panics
	}
}
