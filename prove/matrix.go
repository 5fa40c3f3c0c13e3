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
)

// MatrixOptions of [Matrix]. The zero value of every field except Stores is usable.
type MatrixOptions struct {
	Stores []Store
	Fleets []int // how many verifiers follow; nil: 100
	Runs   int   // of each cell; zero: 5

	Bound time.Duration                     // D; zero: 10 s, the default of a verifier
	Begin func(store string, verifiers int) // called when a part begins; may be nil
}

// Cell is one carrier and one scope of revocation, on one store.
type Cell struct {
	Store     string `json:"store"`
	Verifiers int    `json:"verifiers"`
	Carrier   string `json:"carrier"`
	Scope     string `json:"scope"`

	// RevokeToRefusal is the time from the return of the revocation until a verifier
	// refuses, one sample for each verifier. Each figure is the median over the runs.
	RevokeToRefusal Distribution  `json:"revoke_to_refusal"`
	Revoke          time.Duration `json:"revoke_ns"` // time of the call, median over the runs

	// Untouched is true if this scope does not cover this carrier: verifiers must go on
	// accepting the credential.
	Untouched bool     `json:"untouched,omitempty"`
	Problems  []string `json:"problems,omitempty"`
}

// matrixScopes are the scopes of the cells.
var matrixScopes = []string{"session", "subject", "key"}

// Matrix revokes a session, a subject and a signing key, for every carrier, on every store,
// with fleets of verifiers. It finds out whether every verifier refuses the credential within
// D and refuses no other credential, and how long that takes.
func Matrix(ctx context.Context, o MatrixOptions) ([]Cell, error) {
	if o.Fleets == nil {
		o.Fleets = []int{100}
	}
	if o.Runs == 0 {
		o.Runs = 5
	}
	if o.Bound == 0 {
		o.Bound = 10 * time.Second
	}
	if o.Begin == nil {
		o.Begin = func(string, int) {}
	}
	if len(o.Stores) == 0 || o.Runs < 1 || slices.Min(o.Fleets) < 1 || slices.Max(o.Fleets) > maxFleet {
		return nil, fmt.Errorf("prove: want stores, runs, and fleets of 1 to %d verifiers", maxFleet)
	}
	var cells []Cell
	for _, s := range o.Stores {
		for _, size := range o.Fleets {
			o.Begin(s.Name, size)
			got, err := o.part(ctx, &s, size)
			if err != nil {
				return cells, fmt.Errorf("prove: %s, %d verifiers: %w", s.Name, size, err)
			}
			cells = append(cells, got...)
		}
	}
	return cells, nil
}

const maxFleet = 5000

// part returns all cells of one store and one fleet.
func (o MatrixOptions) part(ctx context.Context, s *Store, size int) (cells []Cell, err error) {
	w, err := newWorld(ctx, Options{Bound: o.Bound}, s)
	if w != nil {
		defer w.close()
	}
	if err == nil {
		err = w.serve(ctx)
	}
	if err != nil {
		return nil, err
	}
	f, err := w.startFleet(ctx, size)
	if err != nil {
		return nil, err
	}
	for _, scope := range matrixScopes {
		for _, carrier := range carriers {
			cell := Cell{Store: s.Name, Verifiers: size, Carrier: carrier.String(), Scope: scope}
			if err := f.fill(ctx, &cell, carrier, o.Runs); err != nil {
				return nil, fmt.Errorf("%v, %s: %w", carrier, scope, err)
			}
			cells = append(cells, cell)
		}
	}
	return cells, nil
}

// fleet has verifiers that follow one server, each over its own connections.
type fleet struct {
	w   *world
	all []*counterfoil.Verifier
}

// atOnce is how many goroutines work on the verifiers of a fleet.
const atOnce = 16

// each calls do for every verifier, in several goroutines. A goroutine stops at its first
// error. each returns the errors of all goroutines.
func (f *fleet) each(do func(n int) error) error {
	var all sync.WaitGroup
	errs := make([]error, atOnce)
	for worker := range atOnce {
		all.Go(func() {
			for n := worker; n < len(f.all) && errs[worker] == nil; n += atOnce {
				errs[worker] = do(n)
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

func (w *world) startFleet(ctx context.Context, size int) (*fleet, error) {
	f := &fleet{w: w, all: make([]*counterfoil.Verifier, size)}
	vias := make([]*http.Transport, size)
	w.later(func() {
		for n, v := range f.all {
			if v != nil {
				v.Close()
				vias[n].CloseIdleConnections()
			}
		}
	})
	return f, f.each(func(n int) error {
		vias[n] = &http.Transport{MaxIdleConnsPerHost: 1}
		source, err := counterfoil.Remote(w.url, counterfoil.RemoteOptions{Credential: *w.current.Load(), Transport: vias[n]})
		if err != nil {
			return err
		}
		f.all[n], err = counterfoil.NewVerifier(ctx, source, counterfoil.Options{
			Issuer: w.url, Audience: w.audience(), Bound: w.Bound, InsecureCookies: true, Logger: quiet,
		})
		return err
	})
}

// fill runs the trial of a cell the given number of times, and fills in the cell.
func (f *fleet) fill(ctx context.Context, cell *Cell, carrier counterfoil.Carrier, runs int) error {
	var all []Distribution
	var calls []time.Duration
	for range runs {
		t, err := f.try(ctx, carrier, cell.Scope)
		if err != nil {
			return err
		}
		cell.Untouched = t.untouched
		cell.Problems = append(cell.Problems, t.problems...)
		all, calls = append(all, distribution(t.took)), append(calls, t.call)
	}
	cell.Revoke = median(calls)
	if cell.Untouched {
		return nil
	}
	of := func(part func(Distribution) time.Duration) time.Duration {
		var values []time.Duration
		for _, d := range all {
			values = append(values, part(d))
		}
		return median(values)
	}
	cell.RevokeToRefusal = Distribution{
		N:   len(f.all) * runs,
		P50: of(func(d Distribution) time.Duration { return d.P50 }),
		P99: of(func(d Distribution) time.Duration { return d.P99 }),
		Max: of(func(d Distribution) time.Duration { return d.Max }),
	}
	return nil
}

func median(all []time.Duration) time.Duration {
	slices.Sort(all)
	return all[len(all)/2]
}

// trial is one run of a cell.
type trial struct {
	*fleet
	gone, other *credential       // gone is revoked; verifiers must go on accepting other
	untouched   bool              // the scope does not cover gone: see Cell
	lives       []context.Context // for each verifier: ends when the verifier refuses gone
	ended       []chan time.Time  // for each verifier: gets the time when lives ended
	took        []time.Duration   // for each verifier: from the return of the revocation to refusal
	call        time.Duration     // time of the revocation itself

	mu       sync.Mutex // guards problems
	problems []string
}

func (t *trial) problem(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.problems = append(t.problems, fmt.Sprintf(format, args...))
}

// try is one trial: it signs in, sends the credential to every verifier, revokes, and measures
// when each verifier refuses.
func (f *fleet) try(ctx context.Context, carrier counterfoil.Carrier, scope string) (*trial, error) {
	t := &trial{
		fleet: f, untouched: scope == "key" && carrier.Format == counterfoil.Opaque,
		lives: make([]context.Context, len(f.all)), ended: make([]chan time.Time, len(f.all)), took: make([]time.Duration, len(f.all)),
	}
	id, err := t.signIn(ctx, carrier, scope)
	if err != nil {
		return nil, err
	}
	ctx, end := context.WithCancel(ctx)
	defer end()
	if err := t.show(ctx); err != nil {
		return nil, err
	}
	pause(ctx, time.Duration(len(f.all))*time.Millisecond/2+50*time.Millisecond) // until all verifiers have a long poll
	asked := time.Now()
	r, err := f.w.revoke(ctx, scope, id, false)
	returned := time.Now()
	if err != nil {
		return nil, err
	}
	t.call = returned.Sub(asked)
	return t, t.collect(ctx, r.cursor(), returned)
}

// signIn makes gone and other. It returns the id of gone that scope needs.
func (t *trial) signIn(ctx context.Context, carrier counterfoil.Carrier, scope string) (id string, err error) {
	w := t.w
	subject, other, otherCarrier := w.subject("gone"), w.subject("other"), carrier
	switch scope {
	case "session": // another session of the same subject must go on
		other = subject
	case "key": // an opaque credential must go on: no key signs it
		otherCarrier = counterfoil.CarrierCookie
	}
	if t.gone, err = w.login(ctx, subject, defaultClient, carrier); err != nil {
		return "", err
	}
	if t.other, err = w.login(ctx, other, defaultClient, otherCarrier); err != nil {
		return "", err
	}
	if scope != "key" {
		return map[string]string{"session": t.gone.sid, "subject": subject}[scope], nil
	}
	signed, err := w.login(ctx, subject, defaultClient, counterfoil.CarrierBearer) // a JWT, which has the key id
	if err != nil {
		return "", err
	}
	return signed.key, nil
}

// show makes every verifier accept both credentials, and watch the session of gone.
func (t *trial) show(ctx context.Context) error {
	return t.each(func(n int) error {
		v := t.all[n]
		if _, err := t.accept(ctx, v, t.other); err != nil {
			return err
		}
		s, err := t.accept(ctx, v, t.gone)
		if err != nil {
			return err
		}
		live, stop := v.Watch(ctx, s)
		context.AfterFunc(ctx, stop)
		ended := make(chan time.Time, 1)
		context.AfterFunc(live, func() { ended <- time.Now() })
		t.lives[n], t.ended[n] = live, ended
		return nil
	})
}

// accept sends c until the verifier accepts or refuses it, or D has passed. On a busy machine
// a verifier may fail to reach the issuer for a while, and then has no verdict.
func (t *trial) accept(ctx context.Context, v *counterfoil.Verifier, c *credential) (*counterfoil.Session, error) {
	for begun := time.Now(); ; pause(ctx, 10*time.Millisecond) {
		s, err := v.VerifyRequest(c.request().WithContext(ctx))
		switch {
		case err == nil || errors.Is(err, counterfoil.ErrInvalidToken):
			return s, err
		case time.Since(begun) > t.w.Bound: // most likely the machine is too slow for the fleet
			return nil, fmt.Errorf("a verifier has no verdict on a credential for D; its knowledge is %v old: %w", v.Staleness(), err)
		}
	}
}

// collect waits until every verifier has refused gone, or D has passed. Then it sends both
// credentials to each verifier again.
func (t *trial) collect(ctx context.Context, at counterfoil.Cursor, returned time.Time) error {
	bound, cancel := context.WithDeadline(ctx, returned.Add(t.w.bound()))
	defer cancel()
	for n, v := range t.all {
		if t.untouched {
			if err := v.WaitFor(bound, at); err != nil {
				t.problem("verifier %d has not read the revocation within D", n)
			}
			continue
		}
		select {
		case when := <-t.ended[n]:
			t.took[n] = max(when.Sub(returned), 0)
		case <-bound.Done():
			t.took[n] = t.w.bound()
			t.problem("verifier %d accepts a revoked %v credential beyond D", n, t.gone.carrier)
		}
		if cause := context.Cause(t.lives[n]); cause != nil && !errors.Is(cause, counterfoil.ErrRevoked) {
			t.problem("verifier %d: %v", n, cause)
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return t.each(func(n int) error {
		_, err := t.all[n].VerifyRequest(t.gone.request().WithContext(ctx))
		if (err == nil) != t.untouched {
			t.problem("verifier %d, %v credential: %v", n, t.gone.carrier, err)
		}
		if _, err := t.all[n].VerifyRequest(t.other.request().WithContext(ctx)); err != nil {
			t.problem("verifier %d refuses a %v credential that is good: %v", n, t.other.carrier, err)
		}
		return nil
	})
}
