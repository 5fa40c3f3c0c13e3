package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/prove"
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/memory"
	"github.com/counterfoil/counterfoil/store/sqlite"
)

type proveCommand struct {
	Issuer   string `placeholder:"URL" help:"A server that runs, instead of own ones. Sessions are made in it, and ended."`
	Key      string `type:"path" placeholder:"FILE" help:"API key for it: admin, revocation:read, introspect, sessions:create."`
	Audience string `placeholder:"NAME" help:"The aud of its tokens. Empty: the issuer."`

	Store []string `placeholder:"NAME" help:"Store of own servers: memory or sqlite; may be repeated. Empty: both."`
	Dir   string   `type:"path" placeholder:"DIR" help:"Where sqlite makes its files, and removes them. Empty: the temporary folder."`

	Duration  time.Duration `default:"30s" placeholder:"TIME" help:"Of each of the two long scenarios."`
	Bound     time.Duration `default:"2s" placeholder:"TIME" help:"Staleness bound of the verifiers, 2s to 1m."`
	Verifiers int           `default:"8" placeholder:"N" help:"How many follow."`
	Clients   int           `default:"8" placeholder:"N" help:"How many ask them all the time."`
	Revokers  int           `default:"4" placeholder:"N" help:"How many sign in and revoke all the time."`
	Flood     int           `default:"1000" placeholder:"N" help:"Revocations a second of the flood."`
	Seed      uint64        `default:"1" placeholder:"N" help:"Of what is random."`
	Only      []string      `placeholder:"NAME" help:"A scenario; may be repeated. Empty: all."`
	List      bool          `help:"List the scenarios and do nothing."`
	JSON      bool          `help:"Print JSON."`

	Child bool `hidden:"" help:"Be the process that is stopped and killed."`
}

var errNotHeld = errors.New("the revocation contract is not held")

// Run holds servers to the revocation contract and prints what it saw.
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
	report, err := prove.Run(ctx, o)
	switch {
	case errors.Is(err, counterfoil.ErrUnavailable):
		return fmt.Errorf("%w: %w", errUnreachable, err)
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

func (c *proveCommand) options() (prove.Options, error) {
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
			return o, misuse("--issuer and --store are both there: a deployment has its own store")
		}
		o.Deployment, err = c.deployment()
		return o, err
	}
	if len(c.Store) == 0 {
		c.Store = []string{"memory", "sqlite"}
	}
	for _, name := range c.Store {
		s, err := c.proveStore(name)
		if err != nil {
			return o, err
		}
		o.Stores = append(o.Stores, s)
	}
	return o, nil
}

// deployment reads the API key from its file: a flag is seen by everybody on the
// machine (OPS-11).
func (c *proveCommand) deployment() (*prove.Deployment, error) {
	if c.Key == "" {
		return nil, misuse("--issuer needs --key FILE\nhint: counterfoil apikey create --help")
	}
	key, err := os.ReadFile(c.Key)
	if err != nil {
		return nil, err
	}
	return &prove.Deployment{URL: c.Issuer, Key: strings.TrimSpace(string(key)), Audience: c.Audience}, nil
}

// proveStore is a store by its name in --store. Another engine is another case here
// and in openProvePlace.
func (c *proveCommand) proveStore(name string) (prove.Store, error) {
	switch name {
	case "memory":
		return prove.Store{Name: name, Lossy: true, New: func(context.Context) (*prove.Place, error) { return provePlace("memory:"), nil }}, nil
	case "sqlite":
		return prove.Store{Name: name, Backups: true, New: func(context.Context) (*prove.Place, error) {
			dir, err := os.MkdirTemp(c.Dir, "counterfoil-prove")
			if err != nil {
				return nil, err
			}
			place := provePlace("sqlite:" + filepath.Join(dir, "counterfoil.db"))
			place.Backup = func(context.Context) (func(context.Context) error, error) { return prove.CopyFolder(dir) }
			place.Remove = func() error { return os.RemoveAll(dir) }
			return place, nil
		}}, nil
	}
	return prove.Store{}, misuse("--store %s: want memory or sqlite", name)
}

func provePlace(name string) *prove.Place {
	return &prove.Place{Name: name, Open: func(ctx context.Context) (store.Store, error) { return openProvePlace(ctx, name) }}
}

// openProvePlace opens a store by the name of its place, in the child process too.
func openProvePlace(ctx context.Context, name string) (store.Store, error) {
	kind, where, _ := strings.Cut(name, ":")
	switch kind {
	case "memory":
		return memory.New(), nil
	case "sqlite":
		return sqlite.Open(ctx, where)
	}
	return nil, fmt.Errorf("no store at %q", name)
}
