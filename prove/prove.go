// Package prove tests whether a deployment of Counterfoil keeps the revocation contract.
// Real verifiers follow a real auth server over networks that fail, while clients make, use
// and revoke sessions. The package records every operation with its start, end and result.
// Then it checks the recorded history with code that shares nothing with the verifier and the
// server:
//
//	P1  no verifier accepts a credential later than D(1+rho) after its revocation returned
//	P2  no verifier refuses a credential that was not revoked
//	P3  a verifier that has refused a credential never accepts it again, even after a restart
//	P4  when the network works again, a verifier accepts good credentials again within two
//	    heartbeats (half of D) and one read of the log from zero
//
// Call [Run] first. [Scenarios] lists the scenarios, with the numbers of the contract's own
// list of tests.
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

// Options of [Run]. Set Stores or Deployment; the zero value of every other field is usable.
type Options struct {
	Stores     []Store     // Run starts its own servers, each on a new place of a store
	Deployment *Deployment // a server that already runs, instead of Stores

	Bound     time.Duration // D of the verifiers; zero: 2 s, the shortest bound
	Duration  time.Duration // of the history scenarios; zero: 30 s; the others take a few D
	Verifiers int           // zero: 8
	Clients   int           // goroutines that ask the verifiers all the time; zero: 8
	Revokers  int           // zero: 4
	Flood     int           // revocations a second of the flood; zero: 1000
	Seed      uint64        // seed of the random choices

	// Child is a command that calls Child. Scenarios that stop or kill a process start it.
	Child []string

	Only  []string                 // names of scenarios; nil: all
	Begin func(store, name string) // called when a scenario begins; may be nil

	// patience is added to two limits, because tests run on busy machines: how long a
	// verifier may take to accept again after a fault, and how long wait=all may take.
	patience time.Duration
	atOnce   int // how many scenarios run at a time: most of them wait; zero: 5

	newVerifier func(ctx context.Context, s counterfoil.Source, o counterfoil.Options) (verifier, error)
}

// Deployment is an auth server that already runs.
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
	Lossy   bool // the store is empty when it is opened again
	Backups bool // its places have Backup
	Alone   bool // only one server at a time can open a place; the store has no clock
}

// Place is one database of a store. It can be opened again after it was closed.
type Place struct {
	Name string // a child opens the place by this name: see Child
	Open func(ctx context.Context) (store.Store, error)

	// Backup copies the data while the place is closed; nil: the place has no backups.
	Backup func(ctx context.Context) (restore func(context.Context) error, err error)
	Remove func() error // removes the data; nil: there is nothing to remove
}

// verifier is the verifier under test. *counterfoil.Verifier is one.
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
		max   int
	}{{&o.Verifiers, 8, 1000}, {&o.Clients, 8, 1000}, {&o.Revokers, 4, 1000}, {&o.Flood, 1000, 1_000_000}} {
		if *n.value == 0 {
			*n.value = n.zero
		}
		if *n.value < 1 || *n.value > n.max {
			return o, fmt.Errorf("prove: %d verifiers, clients, revokers or revocations a second: want 1 to %d", *n.value, n.max)
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

// Run runs the scenarios and returns a report, which says whether the contract is held. An
// error means that Run could not find out.
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

// reach checks that the deployment can be used. It returns [counterfoil.ErrUnavailable] if
// the deployment does not answer or refuses the key. It returns another error if the
// deployment has another issuer URL.
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
	var concurrent sync.WaitGroup
	slots := make(chan struct{}, o.atOnce)
	for _, exclusive := range []bool{true, false} {
		for n, sc := range all {
			if sc.exclusive != exclusive {
				continue
			}
			run := func() {
				o.Begin(name, sc.Name)
				results[n] = sc.run(ctx, o, name, s)
			}
			if exclusive {
				run()
				continue
			}
			concurrent.Go(func() {
				slots <- struct{}{}
				defer func() { <-slots }()
				run()
			})
		}
	}
	concurrent.Wait()
	r.Results = append(r.Results, results...)
	return ctx.Err()
}
