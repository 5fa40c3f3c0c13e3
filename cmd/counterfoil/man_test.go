package main

import (
	"regexp"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// The manual page describes each command, each of its arguments, each flag and each exit code. No
// text in it is taken for a macro.
func TestManual(t *testing.T) {
	parser, err := kong.New(new(program), kong.Name("counterfoil"), kong.Exit(func(int) {}))
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	if err := manual(&text, parser.Model); err != nil {
		t.Fatal(err)
	}
	page := text.String()
	macro := regexp.MustCompile(`^\.(TH|SH|SS|PP|TP|B|I)\b`)
	for line := range strings.Lines(page) {
		if strings.HasPrefix(line, "'") || strings.HasPrefix(line, ".") && !macro.MatchString(line) {
			t.Errorf("no macro: %q", line)
		}
	}
	described := func(what string) bool { return strings.Contains(page, literal(what)) }
	leaves := parser.Model.Leaves(true)
	for _, command := range leaves {
		_, section, found := strings.Cut(page, `.SS "`+literal(signature(command))+`"`)
		if !found {
			t.Errorf("no section %q", signature(command))
		}
		section, _, _ = strings.Cut(section, ".SS ")
		for _, f := range command.Flags {
			if f.Hidden || f.Name == "help" {
				continue
			}
			if !described(withDefault(f.Value)) {
				t.Errorf("%s: --%s is not described", signature(command), f.Name)
			}
			if !strings.Contains(section, "all SETTINGS") && !strings.Contains(section, literal(f.Name)) {
				t.Errorf("%s does not name --%s", signature(command), f.Name)
			}
		}
	}
	if len(leaves) < 20 || !described("counterfoil.sock") || !described(exitCodes[exitDenied]) || len(exitCodes) != exitDenied+1 {
		t.Errorf("the page is not whole:\n%s", page)
	}
}
