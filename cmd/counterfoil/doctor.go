package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil/internal/config"
	"github.com/counterfoil/counterfoil/internal/nodetime"
)

type doctorCheck struct {
	configFlags
	URL  string `name:"url" placeholder:"URL" help:"Where clients reach the server. Empty: the issuer, if it is set."`
	JSON bool   `help:"Print JSON."`
}

// The states of a finding.
const (
	isOK   = "ok"
	isWarn = "warn" // it works, and can do harm
	isFail = "fail"
)

// checkResult is what one check found.
type checkResult struct {
	Area  string `json:"area"`
	State string `json:"state"`
	Text  string `json:"text"`
	Hint  string `json:"hint,omitempty"` // what to do
}

// doctor checks one installation and collects findings.
type doctor struct {
	*settings
	verdict  *config.Verdict
	url      string // where clients reach the server; empty: unknown
	now      func() time.Time
	findings []checkResult
	away     bool // a store or the server could not be reached
}

func (d *doctor) add(area, state, text, hint string) {
	d.findings = append(d.findings, checkResult{area, state, text, hint})
}

func (d *doctor) ok(area, format string, args ...any) {
	d.add(area, isOK, fmt.Sprintf(format, args...), "")
}

// unreachable adds that a store or a server does not answer.
func (d *doctor) unreachable(area string, err error, hint string) {
	d.away = true
	d.add(area, isFail, oneLine(err), hint)
}

// Run checks an installation and changes nothing. A server may run on it.
func (c *doctorCheck) Run(ctx context.Context, flags given) error {
	d := &doctor{settings: &c.settings, url: c.URL, now: time.Now}
	v, err := c.load(flags)
	invalid, refused := errors.AsType[config.Invalid](err)
	if refused {
		for _, p := range invalid {
			d.add("config", isFail, strings.TrimSpace(p.Where+": "+p.Key+" "+p.Problem), p.Hint)
		}
	} else if err != nil {
		return err
	} else {
		d.verdict = v
		d.examine(ctx)
	}
	if err := d.print(c.JSON); err != nil {
		return err
	}
	failed := 0
	for _, f := range d.findings {
		if f.State == isFail {
			failed++
		}
	}
	switch {
	case len(invalid) > 0:
		return config.Invalid{{Where: "config", Problem: "has " + counted(len(invalid), "problem"), Hint: "see above"}}
	case d.away:
		return fmt.Errorf("something %w", errUnreachable)
	case failed > 0:
		return fmt.Errorf("%s failed", counted(failed, "check"))
	}
	return nil
}

func (d *doctor) examine(ctx context.Context) {
	for _, w := range d.verdict.Warnings {
		d.add("config", isWarn, w.Where+": "+w.Key+" "+w.Problem, w.Hint)
	}
	if len(d.verdict.Warnings) == 0 {
		d.ok("config", "valid, and nothing in it is for development only")
	}
	d.files()
	d.stores(ctx)
	d.keys(ctx)
	d.clock()
	d.certificate()
	d.mail(ctx)
	d.proxies()
	d.gateway(ctx)
	d.cookies()
	if d.url == "" {
		d.url = d.Issuer
	}
	if d.url == "" {
		d.add("server", isWarn, "was not checked: no issuer is set", "doctor --url URL checks the running server")
		return
	}
	d.server(ctx)
}

// print writes the findings, each within 80 columns.
func (d *doctor) print(asJSON bool) error {
	if asJSON {
		return writeJSON(os.Stdout, map[string]any{"findings": append([]checkResult{}, d.findings...)})
	}
	for _, f := range d.findings {
		lines := wrap(printable(f.Text), width-16)
		if f.Hint != "" {
			lines = append(lines, wrap("do: "+printable(f.Hint), width-16)...)
		}
		for n, line := range lines {
			if n == 0 {
				fmt.Printf("%-4s  %-8s  %s\n", f.State, f.Area, line)
				continue
			}
			fmt.Printf("%16s%s\n", "", line)
		}
	}
	return nil
}

// wrap breaks text between words into lines of at most n characters.
func wrap(text string, n int) (lines []string) {
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && len(line)+1+len(word) > n {
			lines = append(lines, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}

// skew adds how far another clock is ahead of ours (OPS-15); within is the error of the measurement.
func (d *doctor) skew(area, whose string, ahead, within time.Duration) {
	off := ahead.Abs() - within
	text := fmt.Sprintf("%s clock is %v %s of ours", whose, ahead.Abs().Round(time.Millisecond), map[bool]string{true: "ahead", false: "behind"}[ahead > 0])
	switch {
	case off > nodetime.MaxOffset:
		d.add(area, isFail, text, "synchronise both clocks: a server here issues and refreshes nothing until they agree")
	case off > nodetime.Tolerance:
		d.add(area, isWarn, text, "synchronise both clocks: at more than "+nodetime.MaxOffset.String()+" a server here issues nothing")
	default:
		d.ok(area, "%s clock agrees with ours within %v", whose, max(ahead.Abs(), within).Round(time.Millisecond))
	}
}
