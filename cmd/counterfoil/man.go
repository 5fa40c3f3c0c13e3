package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// manCommand prints the manual page, counterfoil(1), in the language of man(7). Packages
// contain it. It is made from the same structure as the commands and their --help.
type manCommand struct{}

// Run prints the page.
func (manCommand) Run(command *kong.Context) error { return manual(os.Stdout, command.Model) }

// manual writes the page of a program.
func manual(w io.Writer, program *kong.Application) error {
	p := page{Writer: w}
	p.macro("TH", strings.ToUpper(program.Name), "1", "", program.Name+" "+version().Version, "User Commands")
	p.macro("SH", "NAME")
	p.text(program.Name + " - " + strings.TrimSuffix(program.Help, "."))
	p.macro("SH", "SYNOPSIS")
	p.print(".B %s\n.I command\n[argument ...] [flag ...]\n", program.Name)
	p.macro("SH", "DESCRIPTION")
	p.text("counterfoil serve is the auth server. The other commands administer it. A command that changes or shows data asks the running server, or opens the store itself if none runs.")
	p.text("Data goes to standard output, everything else to standard error. Each command has --help.")
	all := shared(program)
	p.macro("SH", "COMMANDS")
	for _, command := range program.Leaves(true) {
		p.command(command, all)
	}
	p.macro("SH", "COMMON FLAGS")
	for _, f := range all.common {
		p.flag(f)
	}
	p.macro("SH", "SETTINGS")
	p.text("A setting is a flag, a variable (COUNTERFOIL_ and the name in capitals, with _ for -), or a line of the configuration file (with _ for -). A flag wins over a variable, and a variable over the file.")
	for _, f := range all.settings {
		p.flag(f)
	}
	p.macro("SH", "EXIT STATUS")
	for code, meaning := range exitCodes {
		p.item(fmt.Sprint(code), meaning)
	}
	p.item(fmt.Sprint(exitInterrupted), "interrupted")
	p.macro("SH", "SEE ALSO")
	p.text("https://github.com/counterfoil/counterfoil/blob/main/docs/operations.md")
	return p.err
}

// described are flags that the page describes once.
type described struct {
	settings []*kong.Flag // those of the command serve that are settings
	common   []*kong.Flag // of several commands, with one meaning
}

// several is how many commands have a common flag, at least.
const several = 4

func shared(program *kong.Application) (all described) {
	known := map[string]bool{"config": true} // names of settings
	for _, s := range new(settings).loader().All() {
		known[strings.ReplaceAll(s.Key(), "_", "-")] = true
	}
	commands := map[string]int{} // by flag and meaning
	for _, command := range program.Leaves(true) {
		for _, f := range command.Flags {
			switch {
			case command.Name == "serve" && known[f.Name]:
				all.settings = append(all.settings, f)
			case f.Name != "help":
				if commands[f.String()+f.Help]++; commands[f.String()+f.Help] == several && !has(all.settings, f) {
					all.common = append(all.common, f)
				}
			}
		}
	}
	return all
}

// has reports whether f is one of them, by its name and its meaning.
func has(them []*kong.Flag, f *kong.Flag) bool {
	return slices.ContainsFunc(them, func(g *kong.Flag) bool { return f.Name == g.Name && f.Help == g.Help && f.Default == g.Default })
}

// command describes a command, its arguments, and the flags that are not described elsewhere.
func (p *page) command(command *kong.Node, all described) {
	p.macro("SS", signature(command))
	p.text(command.Help)
	for _, argument := range command.Positional {
		p.item(argument.Summary(), argument.Help)
	}
	var settings, common []string
	for _, f := range command.Flags {
		switch {
		case f.Hidden || f.Name == "help":
		case has(all.settings, f):
			settings = append(settings, "--"+f.Name)
		case has(all.common, f):
			common = append(common, "--"+f.Name)
		default:
			p.flag(f)
		}
	}
	if len(settings) > 0 && len(settings) == len(all.settings) {
		settings = []string{"all SETTINGS"}
	}
	if also := append(settings, common...); len(also) > 0 {
		p.text("Also " + strings.Join(also, ", ") + ".")
	}
}

// signature is a command with its arguments, without the name of the program.
func signature(command *kong.Node) string {
	words := []string{strings.TrimPrefix(command.FullPath(), "counterfoil ")}
	for _, argument := range command.Positional {
		words = append(words, argument.Summary())
	}
	return strings.Join(words, " ")
}

// page writes macros and text of man(7), up to the first error.
type page struct {
	io.Writer
	err error
}

func (p *page) print(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p, format, args...)
	}
}

// macro writes a line of a macro and its arguments.
func (p *page) macro(name string, args ...string) {
	line := "." + name
	for _, a := range args {
		line += ` "` + strings.ReplaceAll(literal(a), `"`, `\(dq`) + `"`
	}
	p.print("%s\n", line)
}

// text writes a paragraph.
func (p *page) text(s string) { p.print(".PP\n%s\n", begins(s)) }

// item writes a term, and what it means below it.
func (p *page) item(term, meaning string) {
	p.print(".TP\n\\fB%s\\fR\n%s\n", literal(term), begins(meaning))
}

func (p *page) flag(f *kong.Flag) { p.item(strings.TrimSpace(f.String()), withDefault(f.Value)) }

// literal is text in which nothing is a command of the formatter.
func literal(s string) string {
	return strings.NewReplacer(`\`, `\e`, "-", `\-`, "\n", " ").Replace(s)
}

// begins is literal text for a line of its own, which does not begin like a macro.
func begins(s string) string {
	if s = literal(s); strings.HasPrefix(s, ".") || strings.HasPrefix(s, "'") {
		s = `\&` + s
	}
	return s
}
