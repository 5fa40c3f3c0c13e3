package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"text/tabwriter"

	"github.com/counterfoil/counterfoil/internal/config"
)

// configFlags is every setting as a flag, and the name of the configuration file.
type configFlags struct {
	ConfigFile string `name:"config" type:"path" placeholder:"FILE" help:"Configuration file (YAML); COUNTERFOIL_CONFIG names one too."`
	settings
}

// given is the set of flags on the command line, by name.
type given map[string]bool

// load reads the settings and checks them. The error is a config.Invalid.
func (c *configFlags) load(flags given) (*config.Verdict, error) {
	return loadChecked(&c.settings, c.ConfigFile, flags)
}

// checkable is the settings of one server program.
type checkable interface {
	loader() *config.Settings
	check(where config.Origins) *config.Verdict
}

// loadChecked loads the settings of c from everywhere, and applies their rules. The error is a
// config.Invalid.
func loadChecked(c checkable, file string, flags given) (*config.Verdict, error) {
	var warnings []config.Problem
	where, err := c.loader().Load(config.Sources{
		Flags: flags, Environ: os.Environ(), File: file, Warn: func(p config.Problem) { warnings = append(warnings, p) },
	})
	if err != nil {
		return new(config.Verdict), err
	}
	v := c.check(where)
	v.Warnings = append(v.Warnings, warnings...)
	return v, v.Err()
}

type configCheck struct {
	configFlags
	JSON bool `help:"Print JSON."`
}

// Run prints the problems of a configuration, and what is dangerous about it.
func (c *configCheck) Run(flags given) error {
	v, err := c.load(flags)
	if c.JSON {
		problems, _ := errors.AsType[config.Invalid](err)
		answer := struct {
			OK       bool             `json:"ok"`
			Problems []config.Problem `json:"problems"`
			Warnings []config.Problem `json:"warnings"`
		}{err == nil, append([]config.Problem{}, problems...), append([]config.Problem{}, v.Warnings...)}
		if werr := writeJSON(os.Stdout, answer); werr != nil {
			return werr
		}
	}
	if err != nil {
		return err
	}
	if !c.JSON {
		for _, w := range v.Warnings {
			fmt.Println("warning: " + w.String())
		}
		fmt.Println("ok")
	}
	return nil
}

type configPrint struct {
	configFlags
	JSON bool `help:"Print JSON."`
}

// printed is a setting as config print shows it.
type printed struct {
	Key    string `json:"key"`
	Value  string `json:"value"` // "[secret]" for a secret that is set
	Origin string `json:"origin"`
}

// Run prints each value and where it comes from. It does not apply the rules: an operator
// whose configuration they refuse needs this list.
func (c *configPrint) Run(flags given) error {
	where, err := c.settings.load(config.Sources{Flags: flags, Environ: os.Environ(), File: c.ConfigFile})
	if err != nil {
		return err
	}
	var all []printed
	for _, s := range c.loader().All() {
		all = append(all, printed{s.Key(), s.Text(), where[s.Key()]})
	}
	if c.JSON {
		return writeJSON(os.Stdout, all)
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
	for _, p := range all {
		fmt.Fprintf(w, "%s\t%s\t%s\n", p.Key, orDash(p.Value), p.Origin)
	}
	return w.Flush()
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}
