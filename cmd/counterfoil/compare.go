package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil/compare"
	"github.com/counterfoil/counterfoil/internal/textfile"
	"github.com/counterfoil/counterfoil/prove"
)

type compareCommand struct {
	Store []string `placeholder:"NAME" help:"Store to compare with: sqlite, postgres://… or redis://…; may be repeated. The first one is also that of our auth server. Empty: sqlite."`
	Dir   string   `type:"path" placeholder:"DIR" help:"Folder for the files of sqlite, which the command removes. Empty: the temporary folder."`

	Only     []string      `placeholder:"ROW" help:"Measure this row or group of rows; may be repeated. Empty: all."`
	List     bool          `help:"Print the rows and measure none."`
	Quick    bool          `help:"Measure for about half a minute: less is decided."`
	Rounds   int           `placeholder:"N" help:"How often each contender is measured. Default: 13; with --quick 9. Fewer than 6 have no interval of 95 %."`
	Duration time.Duration `placeholder:"TIME" help:"Duration of one measurement of one contender. Default: 80ms; with --quick 30ms."`
	Rate     float64       `default:"1000" placeholder:"N" help:"Requests per second of the rows of latency."`
	Users    []int         `placeholder:"N" help:"Signed-in users of the rows of memory, up to 1000000; may be repeated. Default: 1000 and 10000."`
	Seed     uint64        `default:"1" placeholder:"N" help:"Seed of the random order and of the random times."`

	From   string `type:"path" placeholder:"FILE" help:"Print what an earlier run wrote with --format json, and measure nothing."`
	Format string `default:"text" enum:"text,json,markdown,go-bench,html" placeholder:"FORMAT" help:"text, json, markdown, go-bench or html: one page with plots, which loads nothing."`
	Out    string `type:"path" placeholder:"FILE" help:"Write to this file. Empty: standard output."`

	Child bool `hidden:"" help:"Run as a process that is measured."`
}

// Help is the long help of the command.
func (c *compareCommand) Help() string {
	return `Sessions and JWTs, as they are usually written, and the carriers of Counterfoil guard the same handler in the same process, and are asked by the same client in turns. Each number is the median of the rounds, with an interval. "#1" is the best; "#2–4" means that nothing is decided among those, because their intervals overlap. Ctrl-C ends it and prints what was measured.

A database that --store names is not touched: the command makes one of its own there, or a prefix of its own at a Redis, and removes it.`
}

// Run measures and prints.
func (c *compareCommand) Run(ctx context.Context) error {
	switch {
	case c.Child:
		return compare.Child(ctx, os.Stdin, os.Stdout, openProvePlace)
	case c.List:
		return c.list()
	case c.From != "":
		return c.again()
	}
	o, remove, err := c.options(ctx)
	if err != nil {
		return err
	}
	p := newProgress("starts")
	o.Progress = func(done float64, left time.Duration, doing string) {
		p.at(done, fmt.Sprintf("%s, %s left", doing, left.Round(time.Second)))
	}
	var result *compare.Result
	err = p.during(func() error { result, err = compare.Run(ctx, o); return err })
	err = errors.Join(err, remove())
	switch {
	case errors.Is(err, compare.ErrUnknown):
		return misuse("--only: %v\nhint: counterfoil compare --list", err)
	case result == nil:
		return err
	}
	return errors.Join(c.print(result), err)
}

// again prints the result of an earlier run.
func (c *compareCommand) again() error {
	r, err := readComparison(c.From)
	if err != nil {
		return err
	}
	return c.print(r)
}

// readComparison reads the result of an earlier run.
func readComparison(file string) (*compare.Result, error) {
	text, err := textfile.Read(file)
	if err != nil {
		return nil, err
	}
	r := new(compare.Result)
	if err := json.Unmarshal(text, r); err != nil || r.Schema != compare.Schema {
		return nil, fmt.Errorf("%s was not written by counterfoil compare --format json", file)
	}
	return r, nil
}

func (c *compareCommand) list() error {
	var rows [][]string
	for _, g := range compare.Groups() {
		rows = append(rows, []string{g.ID, g.About, strings.Join(g.Rows, " ")})
	}
	return table([]column{{name: "GROUP"}, {name: "MEASURES"}, {name: "ROWS", cut: true}}, rows)
}

func (c *compareCommand) check() error {
	for _, n := range []struct {
		flag        string
		value, most int
	}{{"rounds", c.Rounds, 1000}} {
		if n.value < 0 || n.value > n.most {
			return misuse("--%s is %d: want 1 to %d", n.flag, n.value, n.most)
		}
	}
	for _, n := range c.Users {
		if n < 100 || n > 1_000_000 {
			return misuse("--users is %d: want 100 to 1000000", n)
		}
	}
	if c.Duration < 0 || c.Duration > 0 && c.Duration < time.Millisecond || c.Duration > time.Hour {
		return misuse("--duration is %v: want 1ms to 1h", c.Duration)
	}
	if c.Rate < 1 || c.Rate > 1e6 {
		return misuse("--rate is %g: want 1 to 1000000", c.Rate)
	}
	return nil
}

// options also returns what removes the databases that were made.
func (c *compareCommand) options(ctx context.Context) (o compare.Options, remove func() error, err error) {
	if err := c.check(); err != nil {
		return o, nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return o, nil, err
	}
	o = compare.Options{
		Version: version().Version, Child: []string{self, "compare", "--child"}, Only: c.Only,
		Rounds: c.Rounds, Measure: c.Duration, Rate: c.Rate, Users: c.Users, Seed: c.Seed, Browser: chromium(),
	}
	if c.Quick {
		if o.Rounds == 0 {
			o.Rounds = 9
		}
		if o.Measure == 0 {
			o.Measure = 30 * time.Millisecond
		}
		if o.Users == nil {
			o.Users = []int{1000}
		}
		o.Delays = []int{0, 20}
	}
	if len(c.Store) == 0 {
		c.Store = []string{"sqlite"}
	}
	var removes []func() error
	remove = func() (err error) {
		for _, remove := range removes {
			err = errors.Join(err, remove())
		}
		return err
	}
	for _, name := range c.Store {
		place, kind, err := comparePlace(ctx, name, c.Dir)
		if err != nil {
			return o, nil, errors.Join(err, remove())
		}
		removes = append(removes, place.Remove)
		plain := place.Name
		if kind == "sqlite" {
			plain += "-plain" // a file of its own: ours belongs to one process
		}
		o.Stores = append(o.Stores, compare.Store{Kind: kind, Auth: place.Name, Plain: plain})
	}
	return o, remove, nil
}

// comparePlace makes a place in the store that --store names.
func comparePlace(ctx context.Context, name, dir string) (*prove.Place, string, error) {
	if name == "memory" {
		return nil, "", misuse("--store memory: memory is compared in any case; want sqlite, postgres://… or redis://…")
	}
	s, err := proveStore(name, dir)
	if err != nil {
		return nil, "", err
	}
	place, err := s.New(ctx)
	if err != nil {
		return nil, "", openError("store", name, err)
	}
	return place, s.Name, nil
}

// chromium is the path of Chromium or Chrome; empty: it is not installed.
func chromium() string {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// print writes the result to standard output or to the file.
func (c *compareCommand) print(r *compare.Result) (err error) {
	out, wide := io.Writer(os.Stdout), terminalWidth()
	if c.Out != "" {
		f, err := os.Create(c.Out)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, f.Close()) }()
		out, wide = f, 0
	}
	switch c.Format {
	case "json":
		return writeJSON(out, r)
	case "markdown":
		return r.WriteMarkdown(out)
	case "html":
		return r.WriteHTML(out)
	case "go-bench":
		return r.WriteGoBench(out)
	}
	return printComparison(out, wide, r)
}
