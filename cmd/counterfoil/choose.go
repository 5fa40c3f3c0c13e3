package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/counterfoil/counterfoil/choose"
	"github.com/counterfoil/counterfoil/compare"
)

type chooseCommand struct {
	Clients    []string `placeholder:"NAME" help:"Which programs call: pages, spa, mobile or machines; may be repeated. Default: pages."`
	Servers    string   `placeholder:"WORD" help:"How many programs check who is calling: one, several (copies of one program) or services. Default: one."`
	Sites      string   `placeholder:"WORD" help:"At which hosts browsers reach them: one-host, one-site or several-sites. Default: one-host."`
	Languages  string   `placeholder:"WORD" help:"Language of the programs that check: go, mixed or other. Default: go."`
	Revocation string   `placeholder:"WORD" help:"When requests of a session that is ended must be refused: now, soon or expiry. Default: now."`
	Claims     string   `placeholder:"WORD" help:"Whether the holder of a credential may read it: readable or hidden. Default: readable."`
	Outage     string   `placeholder:"WORD" help:"What services do while the auth server cannot be reached: refuse or serve. Default: refuse."`
	Store      string   `placeholder:"WORD" help:"What you run already: files (no database server), postgres, or redis (besides postgres). Default: files."`
	Users      string   `placeholder:"WORD" help:"How many people are signed in at the same time: thousands, hundreds-of-thousands or millions. Default: thousands."`

	Measured string `type:"path" placeholder:"FILE" help:"What counterfoil compare --format json wrote: the numbers of its rows stand beside what rests on them."`

	Out  string `type:"path" placeholder:"FILE" help:"Also write a configuration of counterfoil serve to this new file."`
	JSON bool   `help:"Print JSON."`
}

// Help is the long help of the command.
func (c *chooseCommand) Help() string {
	return `Nine questions, each a flag; the page /choose of a running server asks the same. Each recommendation comes with its reason, the rows of "counterfoil compare" that measure it on your machine, and the answers that would change it. docs/choosing.md has all rules.`
}

// Run prints what is recommended.
func (c *chooseCommand) Run() error {
	answers, err := choose.Parse(c.given())
	if err != nil {
		return misuse("%v", err)
	}
	measured := new(compare.Result)
	if c.Measured != "" {
		if measured, err = readComparison(c.Measured); err != nil {
			return err
		}
	}
	advice := choose.Choose(answers)
	if c.Out != "" {
		if err := writeNew(c.Out, advice.Config()); err != nil {
			return err
		}
		if !advice.Needed {
			fmt.Fprintln(os.Stderr, "counterfoil: by your answers you do not need Counterfoil: a library is enough")
		}
		fmt.Fprintf(os.Stderr, "counterfoil: wrote %s; start it with: counterfoil serve --config %s\n", c.Out, c.Out)
	}
	if c.JSON {
		return writeJSON(os.Stdout, struct {
			*choose.Advice
			Decisions []flippedDecision `json:"decisions"`
			Config    string            `json:"config"`
			Commands  []string          `json:"commands"`
		}{advice, withFlips(advice.Decisions), advice.Config(), advice.Commands()})
	}
	printAdvice(os.Stdout, advice, measured)
	return nil
}

// flippedDecision is a decision as JSON has it, with what would change it.
type flippedDecision struct {
	choose.Decision
	Flips []choose.Flip `json:"flips,omitempty"`
}

func withFlips(decisions []choose.Decision) (all []flippedDecision) {
	for _, d := range decisions {
		all = append(all, flippedDecision{d, d.Flips()})
	}
	return all
}

// joined are alternatives in one line.
func joined(changes []choose.Change) string {
	var all []string
	for _, c := range changes {
		all = append(all, c.String())
	}
	return strings.Join(all, ", or ")
}

// given are the flags that were set, by question.
func (c *chooseCommand) given() map[string][]string {
	given := make(map[string][]string)
	for question, answer := range map[string]string{
		"servers": c.Servers, "sites": c.Sites, "languages": c.Languages, "revocation": c.Revocation,
		"claims": c.Claims, "outage": c.Outage, "store": c.Store, "users": c.Users,
	} {
		if answer != "" {
			given[question] = []string{answer}
		}
	}
	if len(c.Clients) > 0 {
		given["clients"] = c.Clients
	}
	return given
}

// measurements are the cells of a row that a recommendation rests on, in one line: a session in a
// store, a JWT, and two carriers. It is empty if the row was not measured.
func measurements(r *compare.Result, id string) string {
	row := r.Row(id)
	if row == nil {
		return ""
	}
	var cells []string
	for _, cell := range row.Cells {
		c := r.Contender(cell.Contender)
		among := c.Family == compare.FamilySession && c.Store != "" || c.ID == "jwt-es256" || c.ID == "counterfoil-cookie" || c.ID == "counterfoil-bearer"
		switch {
		case !among:
		case cell.Value != nil:
			cells = append(cells, c.Name+" "+strings.TrimSpace(compare.Number(*cell.Value)+" "+row.Unit))
		case cell.Text != "":
			cells = append(cells, c.Name+" "+cell.Text)
		}
	}
	return row.Title + ": " + strings.Join(cells, "; ")
}

func printAdvice(w io.Writer, advice *choose.Advice, measured *compare.Result) {
	fmt.Fprintf(w, "For %s\n", advice.Answers.Flags())
	wide := 96
	if of := terminalWidth(); of > 0 {
		wide = max(30, min(wide, of-6))
	}
	paragraph := func(first, text string) {
		for _, line := range wrapped(text, wide) {
			fmt.Fprintf(w, "  %-3s %s\n", first, line)
			first = ""
		}
	}
	for _, d := range advice.Decisions {
		fmt.Fprintf(w, "\n%s\n", d.Title)
		paragraph("→", d.Choice)
		paragraph("", d.Because)
		missing := slices.Clone(d.Rows)
		for _, id := range d.Rows {
			if numbers := measurements(measured, id); numbers != "" {
				paragraph("·", numbers)
				missing = slices.DeleteFunc(missing, func(other string) bool { return other == id })
			}
		}
		if len(missing) > 0 {
			paragraph("", "Measured by: counterfoil compare --only "+strings.Join(missing, ","))
		}
		flips := d.Flips()
		if len(flips) == 0 {
			paragraph("", "No other single answer changes this.")
		}
		for _, flip := range flips {
			paragraph("≠", strings.TrimSuffix(flip.Choice, ".")+", if "+joined(flip.If))
		}
		if d.Topic == "need" && !advice.Needed {
			fmt.Fprintln(w, "\nIf you take Counterfoil all the same:")
		}
	}
	if commands := advice.Commands(); len(commands) > 0 {
		fmt.Fprintf(w, "\nOnce the server runs, with your own names and origins\n")
		for _, command := range commands {
			fmt.Fprintf(w, "  %s\n", command)
		}
	}
}
