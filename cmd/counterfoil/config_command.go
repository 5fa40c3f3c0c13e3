package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
)

// configFlags is all settings as flags, and the file they may also be in.
type configFlags struct {
	ConfigFile string `name:"config" type:"path" placeholder:"FILE" help:"Configuration file (YAML); COUNTERFOIL_CONFIG names one too."`
	config
}

// given is the set of flags on the command line, by name.
type given map[string]bool

// load reads and checks. The error is a configError.
func (c *configFlags) load(flags given) (verdict, error) {
	where, err := c.config.load(outside{given: flags, environ: os.Environ(), file: c.ConfigFile})
	if err != nil {
		return verdict{}, err
	}
	v := c.check(where)
	if len(v.problems) > 0 {
		return v, configError(v.problems)
	}
	return v, nil
}

type configCheck struct {
	configFlags
	JSON bool `help:"Print JSON."`
}

// Run says what is wrong with a configuration, and what is dangerous about it.
func (c *configCheck) Run(flags given) error {
	v, err := c.load(flags)
	if c.JSON {
		problems, _ := err.(configError)
		answer := struct {
			OK       bool      `json:"ok"`
			Problems []problem `json:"problems"`
			Warnings []problem `json:"warnings"`
		}{err == nil, append([]problem{}, problems...), append([]problem{}, v.warnings...)}
		if werr := writeJSON(os.Stdout, answer); werr != nil {
			return werr
		}
	}
	if err != nil {
		return err
	}
	if !c.JSON {
		for _, w := range v.warnings {
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

// Run prints each value and where it comes from, also when the rules refuse it:
// that is when one looks.
func (c *configPrint) Run(flags given) error {
	where, err := c.config.load(outside{given: flags, environ: os.Environ(), file: c.ConfigFile})
	if err != nil {
		return err
	}
	var all []printed
	for _, s := range c.settings() {
		all = append(all, printed{s.key(), s.text(), where[s.key()]})
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
