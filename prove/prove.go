// Package prove shows whether a deployment of Counterfoil holds the revocation
// contract: real verifiers follow a real auth server through networks that fail,
// while sessions are made, used and revoked. Every operation is written down with
// its start, end and result, and the history is judged by code that shares nothing
// with what it judges:
//
//	P1  nothing is accepted later than D(1+rho) after its revocation returned
//	P2  nothing is refused that nobody revoked
//	P3  what a verifier refused it never accepts again, started anew or not
//	P4  when the network is whole again, good credentials are accepted again
//	    within two heartbeats (half of D) and one read of the log from zero
//
// Begin with Run. Scenarios lists what it does, with the numbers of the contract's
// own list of tests.
package prove

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/internal/urls"
	"github.com/counterfoil/counterfoil/store"
)

// Options of Run. The zero value of each field but Stores is usable.
type Options struct {
	Stores     []Store     // own servers are started on a new place of each
	Deployment *Deployment // instead of own servers

	Bound     time.Duration // D of the verifiers; zero: 2 s, the least there is
	Duration  time.Duration // of the history scenarios; zero: 30 s; the others take a few D
	Verifiers int           // zero: 8
	Clients   int           // who ask them all the time; zero: 8
	Revokers  int           // zero: 4
	Flood     int           // revocations a second of the flood; zero: 1000
	Seed      uint64        // of what is random

	// Child is a command that runs Child in another process, which is stopped and
	// killed.
	Child []string

	Only  []string                 // names of scenarios; nil: all
	Begin func(store, name string) // told when a scenario begins; nil: nobody

	// patience is added to what is allowed for being back and for wait=all to return:
	// tests run on machines that are busy with something else.
	patience time.Duration
	atOnce   int // how many scenarios run side by side: most of them wait; zero: 5

	newVerifier func(ctx context.Context, s counterfoil.Source, o counterfoil.Options) (verifier, error)
}

// Deployment is an auth server that runs already.
type Deployment struct {
	URL       string          // its issuer
	Key       string          // an API key with the scopes admin, revocation:read, introspect and sessions:create
	Audience  string          // of its tokens; empty: URL
	Transport *http.Transport // nil: a clone of http.DefaultTransport
}

// Store makes new places for one kind of store.
type Store struct {
	Name    string
	New     func(ctx context.Context) (*Place, error)
	Lossy   bool // what is in it is gone when it is opened again
	Backups bool // its places have Backup
}

// Place is where a store's data lies. It can be opened again when it is closed.
type Place struct {
	Name string // opens it in a child: see Child
	Open func(ctx context.Context) (store.Store, error)

	// Backup copies what is there, while nobody has it open; nil: it cannot.
	Backup func(ctx context.Context) (restore func(context.Context) error, err error)
	Remove func() error // gives the place back; nil: nothing to do
}

// verifier is what is on trial. *counterfoil.Verifier is one.
type verifier interface {
	VerifyRequest(*http.Request) (*counterfoil.Session, error)
	Close()
}

func (o Options) withDefaults() (Options, error) {
	if (len(o.Stores) == 0) == (o.Deployment == nil) {
		return o, errors.New("prove: either Stores or a Deployment")
	}
	for _, n := range []struct {
		value *int
		zero  int
		most  int
	}{{&o.Verifiers, 8, 1000}, {&o.Clients, 8, 1000}, {&o.Revokers, 4, 1000}, {&o.Flood, 1000, 1_000_000}} {
		if *n.value == 0 {
			*n.value = n.zero
		}
		if *n.value < 1 || *n.value > n.most {
			return o, fmt.Errorf("prove: %d verifiers, clients, revokers or revocations a second: want 1 to %d", *n.value, n.most)
		}
	}
	if o.Bound == 0 {
		o.Bound = 2 * time.Second
	}
	if o.atOnce == 0 {
		o.atOnce = 5
	}
	if o.Duration == 0 {
		o.Duration = 30 * time.Second
	}
	if o.Begin == nil {
		o.Begin = func(string, string) {}
	}
	if o.newVerifier == nil {
		o.newVerifier = func(ctx context.Context, s counterfoil.Source, v counterfoil.Options) (verifier, error) {
			return counterfoil.NewVerifier(ctx, s, v)
		}
	}
	for _, name := range o.Only {
		if !slices.ContainsFunc(scenarios, func(s Scenario) bool { return s.Name == name }) {
			return o, fmt.Errorf("prove: no scenario is called %q", name)
		}
	}
	return o, nil
}

// Run runs the scenarios and returns what they show. An error means that it could
// not be found out; whether the contract is held is in the report.
func Run(ctx context.Context, o Options) (*Report, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	report := &Report{Bound: o.Bound, Seed: o.Seed, Verifiers: o.Verifiers}
	if o.Deployment != nil {
		u, err := urls.Issuer(o.Deployment.URL)
		if err != nil {
			return nil, fmt.Errorf("prove: Deployment.URL: %w", err)
		}
		if err := o.reach(ctx); err != nil {
			return nil, err
		}
		return report, report.section(ctx, o, u.Host, nil)
	}
	for _, s := range o.Stores {
		if err := report.section(ctx, o, s.Name, &s); err != nil {
			return report, err
		}
	}
	return report, nil
}

// reach fails with counterfoil.ErrUnavailable if the deployment does not answer, or
// does not take the key, and otherwise if it calls itself otherwise than we do.
func (o Options) reach(ctx context.Context) error {
	w, err := newWorld(ctx, o, nil)
	if err == nil {
		err = w.readKeys(ctx)
	}
	if err == nil {
		_, err = w.readLog(ctx)
	}
	if err != nil {
		return fmt.Errorf("prove: %w", err)
	}
	return nil
}

// section runs all scenarios on one store, or on the deployment if s is nil.
func (r *Report) section(ctx context.Context, o Options, name string, s *Store) error {
	var all []Scenario
	for _, sc := range scenarios {
		if o.Only != nil && !slices.Contains(o.Only, sc.Name) {
			continue
		}
		if why := sc.cannot(o, s); why != "" {
			r.Left = append(r.Left, Left{name, sc.Name, why})
			continue
		}
		all = append(all, sc)
	}
	results := make([]Result, len(all))
	var beside sync.WaitGroup
	slots := make(chan struct{}, o.atOnce)
	for _, alone := range []bool{true, false} {
		for n, sc := range all {
			if sc.alone != alone {
				continue
			}
			run := func() {
				o.Begin(name, sc.Name)
				results[n] = sc.run(ctx, o, name, s)
			}
			if alone {
				run()
				continue
			}
			beside.Go(func() {
				slots <- struct{}{}
				defer func() { <-slots }()
				run()
			})
		}
	}
	beside.Wait()
	r.Results = append(r.Results, results...)
	return ctx.Err()
}
