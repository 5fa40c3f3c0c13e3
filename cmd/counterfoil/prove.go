package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/internal/textfile"
	"github.com/counterfoil/counterfoil/prove"
)

type proveCommand struct {
	Issuer   string `placeholder:"URL" help:"A running server to test, instead of servers of its own. The command makes sessions there and ends them."`
	Key      string `type:"path" placeholder:"FILE" help:"File with an API key of that server: admin, revocation:read, introspect, sessions:create."`
	Audience string `placeholder:"NAME" help:"The aud of its tokens. Empty: the issuer."`

	Store []string `placeholder:"NAME" help:"Store of the servers that the command starts: memory, sqlite, postgres://… or redis://…; may be repeated. Empty: the first two."`
	Dir   string   `type:"path" placeholder:"DIR" help:"Folder for the files of sqlite, which the command removes. Empty: the temporary folder."`

	Duration  time.Duration `default:"30s" placeholder:"TIME" help:"Duration of each of the two long scenarios."`
	Bound     time.Duration `default:"2s" placeholder:"TIME" help:"Staleness bound of the verifiers, 2s to 1m."`
	Verifiers int           `default:"8" placeholder:"N" help:"How many verifiers follow."`
	Clients   int           `default:"8" placeholder:"N" help:"How many clients call them all the time."`
	Revokers  int           `default:"4" placeholder:"N" help:"How many clients sign in and revoke all the time."`
	Flood     int           `default:"1000" placeholder:"N" help:"Revocations per second in the scenario flood."`
	Seed      uint64        `default:"1" placeholder:"N" help:"Seed of the random choices."`
	Only      []string      `placeholder:"NAME" help:"Run this scenario; may be repeated. Empty: all."`
	List      bool          `help:"Print the scenarios and run none."`
	JSON      bool          `help:"Print JSON."`

	Matrix bool  `help:"Instead of the scenarios, revoke sessions, subjects and keys in each carrier and print how long refusal takes."`
	Fleet  []int `default:"100" placeholder:"N" help:"How many verifiers follow in the matrix; may be repeated."`
	Runs   int   `default:"5" placeholder:"N" help:"Runs of each cell of the matrix."`

	Clocks bool `help:"Instead of the scenarios, set the clock of a node, a verifier, both or the database wrong in every way, in simulated time, and print what that did. --only TEXT runs the cells whose name has TEXT in it."`

	Child bool `hidden:"" help:"Run as the process that the scenarios stop and kill."`
}

var errNotHeld = errors.New("the revocation contract is not held")

// Run tests servers against the revocation contract and prints a report.
func (c *proveCommand) Run(ctx context.Context) error {
	switch {
	case c.Child:
		return prove.Child(ctx, os.Stdin, os.Stdout, openProvePlace)
	case c.List:
		for _, s := range prove.Scenarios() {
			fmt.Printf("%-17s %s\n", s.Name, s.About)
		}
		return nil
	}
	o, err := c.options()
	if err != nil {
		return err
	}
	switch {
	case c.Matrix:
		return c.matrix(ctx, o.Stores)
	case c.Clocks:
		return c.clocks(ctx, o)
	}
	report, err := prove.Run(ctx, o)
	switch {
	case errors.Is(err, counterfoil.ErrUnavailable):
		return unfollowed(c.Issuer, "admin, revocation:read, introspect and sessions:create", err)
	case err != nil:
		return err
	case c.JSON:
		err = writeJSON(os.Stdout, report)
	default:
		err = report.Print(os.Stdout)
	}
	if err == nil && !report.Held() {
		return errNotHeld
	}
	return err
}

// matrix prints how long refusal takes. It fails if a verifier does not refuse in time.
func (c *proveCommand) matrix(ctx context.Context, stores []prove.Store) error {
	if c.Issuer != "" {
		return misuse("--matrix revokes signing keys, so it does not run on --issuer")
	}
	cells, err := prove.Matrix(ctx, prove.MatrixOptions{
		Stores: stores, Fleets: c.Fleet, Runs: c.Runs,
		Begin: func(store string, verifiers int) { fmt.Fprintf(os.Stderr, "%s: %d verifiers\n", store, verifiers) },
	})
	if err != nil {
		return err
	}
	passed := !slices.ContainsFunc(cells, func(cell prove.Cell) bool { return len(cell.Problems) > 0 })
	if c.JSON {
		err = writeJSON(os.Stdout, cells)
	} else {
		passed, err = prove.PrintMatrix(os.Stdout, cells)
	}
	if err == nil && !passed {
		return errNotHeld
	}
	return err
}

// clocks prints the clock matrix. It fails if a wrong clock did what it must not.
func (c *proveCommand) clocks(ctx context.Context, o prove.Options) error {
	if c.Issuer != "" {
		return misuse("--clocks sets the clocks of servers, so it does not run on --issuer")
	}
	cells, err := prove.Clocks(ctx, prove.ClocksOptions{
		Stores: o.Stores, Child: o.Child,
		Only: func(cell prove.ClocksCell) bool {
			return len(c.Only) == 0 || slices.ContainsFunc(c.Only, func(text string) bool { return strings.Contains(cell.String(), text) })
		},
		Ended: func(cell prove.ClocksCell) { fmt.Fprintf(os.Stderr, "%s: held: %v\n", cell, cell.Held()) },
	})
	switch {
	case errors.Is(err, prove.ErrNoCell):
		return misuse("--only: no cell has that in its name\nhint: the names are printed while the cells run: counterfoil prove --clocks")
	case err != nil:
		return err
	}
	held := !slices.ContainsFunc(cells, func(cell prove.ClocksCell) bool { return !cell.Held() })
	if c.JSON {
		err = writeJSON(os.Stdout, cells)
	} else {
		held, err = prove.PrintClocks(os.Stdout, cells)
	}
	if err == nil && !held {
		return errNotHeld
	}
	return err
}

// check refuses values that no run can work with.
func (c *proveCommand) check() error {
	for _, name := range c.Only {
		if !c.Clocks && !slices.ContainsFunc(prove.Scenarios(), func(s prove.Scenario) bool { return s.Name == name }) {
			return misuse("there is no scenario %q\nhint: counterfoil prove --list", name)
		}
	}
	if c.Bound < 2*time.Second || c.Bound > time.Minute {
		return misuse("--bound is %v: want 2s to 1m", c.Bound)
	}
	if c.Duration <= 0 {
		return misuse("--duration is %v: want more than 0s", c.Duration)
	}
	for _, n := range []struct {
		flag        string
		value, most int
	}{{"verifiers", c.Verifiers, 1000}, {"clients", c.Clients, 1000}, {"revokers", c.Revokers, 1000}, {"flood", c.Flood, 1_000_000}} {
		if n.value < 1 || n.value > n.most {
			return misuse("--%s is %d: want 1 to %d", n.flag, n.value, n.most)
		}
	}
	return nil
}

func (c *proveCommand) options() (prove.Options, error) {
	if err := c.check(); err != nil {
		return prove.Options{}, err
	}
	self, err := os.Executable()
	if err != nil {
		return prove.Options{}, err
	}
	o := prove.Options{
		Bound: c.Bound, Duration: c.Duration, Verifiers: c.Verifiers, Clients: c.Clients, Revokers: c.Revokers,
		Flood: c.Flood, Seed: c.Seed, Only: c.Only, Child: []string{self, "prove", "--child"},
		Begin: func(store, scenario string) { fmt.Fprintf(os.Stderr, "%s: %s\n", store, scenario) },
	}
	if c.Issuer != "" {
		if len(c.Store) > 0 {
			return o, misuse("--issuer and --store exclude each other: a running server has its own store")
		}
		o.Deployment, err = c.deployment()
		return o, err
	}
	if len(c.Store) == 0 {
		c.Store = []string{"memory", "sqlite"}
	}
	for _, name := range c.Store {
		s, err := proveStore(name, c.Dir)
		if err != nil {
			return o, err
		}
		o.Stores = append(o.Stores, s)
	}
	return o, nil
}

// deployment reads the API key from a file: everybody on the machine can read flags (OPS-11).
func (c *proveCommand) deployment() (*prove.Deployment, error) {
	if c.Key == "" {
		return nil, misuse("--issuer needs --key FILE\nhint: counterfoil apikey create --help")
	}
	if _, err := counterfoil.Remote(c.Issuer, counterfoil.RemoteOptions{}); err != nil {
		return nil, misuse("--%s", strings.TrimPrefix(err.Error(), "counterfoil: "))
	}
	key, err := textfile.ReadSecret(c.Key)
	if err != nil {
		return nil, err
	}
	return &prove.Deployment{URL: c.Issuer, Key: key, Audience: c.Audience}, nil
}
