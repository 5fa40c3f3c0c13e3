// Package throttle limits guessing: how often anybody may try a credential, per
// account, per device, per address, and in all.
//
// The counters are records of the store. All nodes on it share one budget, and a
// restart forgets nothing. Begin with New; call Take before a credential is checked,
// and Ticket.Succeeded or Ticket.Undo after it. An attempt is counted before it is
// checked: of many at once, no more get through than one after another would.
//
// Package throttle checks no credential, and it limits no requests that cost little.
package throttle

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/netip"
	"sync"
	"time"

	"github.com/counterfoil/counterfoil/internal/secret"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/store"
)

// Options of New.
type Options struct {
	Store store.Store // required: where the counters are

	// Key has 32 bytes, the same on every node; required. Device credentials are made
	// with it, and it hides accounts and addresses in the ids of records: what
	// somebody typed as a name may be a password.
	Key []byte

	PerSecond int              // attempts in all, of everybody on every node; zero: 50
	Now       func() time.Time // nil: time.Now
}

// Throttle counts attempts. It is safe for concurrent use.
type Throttle struct {
	opts  Options
	rates rates
	idKey []byte

	mu      sync.Mutex // guards waits and waiting; held for a few assignments
	waits   map[string]known
	waiting []*job // what the next commit does, see do

	turn chan struct{} // holds one token while a goroutine works for those in waiting
}

// New checks o.
func New(o Options) (*Throttle, error) {
	if o.Store == nil || len(o.Key) != 32 {
		return nil, errors.New("throttle: Options.Store is required, and a Key of 32 bytes")
	}
	if o.PerSecond == 0 {
		o.PerSecond = 50
	}
	if o.PerSecond < 1 || o.PerSecond > 10_000 {
		return nil, errors.New("throttle: Options.PerSecond must be 1 to 10000")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	id := hmac.New(sha256.New, o.Key)
	id.Write([]byte("ids")) // shorter than what a device credential is made of: see deviceMAC
	return &Throttle{
		opts: o, rates: newRates(o.PerSecond), idKey: id.Sum(nil),
		waits: map[string]known{}, turn: make(chan struct{}, 1),
	}, nil
}

// Guess is an attempt that is about to be checked.
type Guess struct {
	Account string        // whose credential it is; names that mean one account must be one text; empty: only rates count
	Device  secret.String // what the client kept of an earlier login, see Throttle.Device; may be empty or anything
	Known   string        // without Account: the counter of a ticket that was Known, of which this is a further step; empty: none
	Address netip.Addr    // where it comes from
	Local   bool          // it comes by no network, but from the program or its machine: no rates
	Sends   bool          // it has a message sent to somebody, whom it does not cost anything
}

// Ticket is a counted attempt.
type Ticket struct {
	throttle *Throttle
	counter  string // the record of failures in a row; empty: none
	share    share  // the rates that it was counted in
	early    share  // those of this node
	before   tally  // of counter
	counted  tally  // of counter
	known    bool
}

// Known reports whether the attempt came from a device that signed the account in before.
// What is scarce has a part that is kept for those.
func (t Ticket) Known() bool { return t.known }

// Take counts g as a failure, or answers login.Throttled and counts nothing: a refused
// attempt makes no wait longer, so a stranger cannot keep an owner out by trying again
// and again. Nor does one whose ctx ends. Without the store the answer is an outage, and the
// credential must not be checked. It answers login.ErrBusy when other nodes were faster too
// often, or too many attempts wait to be counted.
func (t *Throttle) Take(ctx context.Context, g Guess) (Ticket, error) {
	mine, device := t.id("account", g.Account), t.device(g.Account, g.Device)
	switch {
	case g.Account == "":
		device = g.Known
	case device != "":
		mine = device
	}
	early, err := t.early(g, mine, device)
	if err != nil {
		return Ticket{}, err
	}
	ticket := Ticket{throttle: t, early: early}
	var refused error
	j := &job{done: make(chan struct{})}
	if g.Account != "" {
		j.ids = append(j.ids, mine, t.id("account", g.Account))
	}
	for _, s := range append(t.shares(g, device), t.shares(g, "")...) {
		for _, r := range s {
			j.ids = append(j.ids, r.id)
		}
	}
	if len(j.ids) == 0 {
		return ticket, nil // it comes by no network, and is counted nowhere
	}
	j.apply = func(now time.Time, of tallies) {
		var wait time.Duration
		if wait, refused = t.count(&ticket, g, mine, device, now, of), nil; wait > 0 {
			refused = login.Throttled{RetryAfter: wait}
		}
	}
	j.left = func() { _ = ticket.Undo(context.Background()) }
	queue := t.queue
	if g.Local {
		queue = t.do // it waits, however many do
	}
	if err := queue(ctx, j); err != nil {
		return Ticket{}, err // j may still be done: ticket and refused are its own
	}
	return ticket, refused
}

// Admit is Take for what is no guess at a credential that can be undone: a request that has a message
// sent, and an answer to one.
func (t *Throttle) Admit(ctx context.Context, from netip.Addr, sends bool) error {
	_, err := t.Take(ctx, Guess{Address: from, Local: !from.IsValid(), Sends: sends})
	return err
}

// count is what Take does to the counters. All of them are asked before one changes.
func (t *Throttle) count(ticket *Ticket, g Guess, mine, device string, now time.Time, of tallies) (wait time.Duration) {
	account := t.id("account", g.Account)
	ticket.counter, ticket.share, ticket.counted, ticket.known = "", nil, tally{}, device != ""
	if g.Account != "" {
		ticket.counter = mine
		if ticket.known && of.get(mine).failures(now) >= maxDeviceFailures {
			ticket.counter, ticket.known = account, false
		}
		ticket.before = of.get(ticket.counter)
		if wait = ticket.before.wait(now); wait > 0 {
			t.remember(mine, now, wait)
			return wait
		}
	}
	if !ticket.known {
		device = ""
	}
	if ticket.share, wait = take(t.shares(g, device), now, of); wait > 0 {
		return wait
	}
	if g.Account != "" {
		ticket.counted = ticket.before.fail(now)
		of.set(ticket.counter, ticket.counted)
	}
	return 0
}

// Counter names what the attempt is counted in; empty: nothing.
func (t Ticket) Counter() string { return t.counter }

// Succeeded ends the row of failures that the attempt was counted in.
func (t Ticket) Succeeded(ctx context.Context) error { return t.throttle.Succeeded(ctx, t.counter) }

// Succeeded is that of a ticket with that counter, for an attempt that took long.
func (t *Throttle) Succeeded(ctx context.Context, counter string) error {
	if counter == "" {
		return nil
	}
	err := t.do(ctx, &job{
		ids: []string{counter}, done: make(chan struct{}),
		apply: func(_ time.Time, of tallies) { of.set(counter, tally{}) },
	})
	t.forget(counter)
	return err
}

// Undo takes the attempt back: nothing was guessed, because the server was too busy or
// something that it needs was out of reach. The counters are as they were before, also
// those of this node. If that fails, the attempt stays counted. It does not end with ctx:
// if that has ended, the client went away. It has guessed nothing either, but the attempt
// stays counted in the rates, for it had a place in the queue: otherwise one address could
// keep the queue full by attempts that it breaks off.
func (t Ticket) Undo(ctx context.Context) error {
	if ctx.Err() != nil {
		t.share, t.early = nil, nil
	}
	if t.counted == (tally{}) && len(t.share) == 0 {
		return nil // nothing was taken
	}
	j := &job{done: make(chan struct{})}
	for _, r := range t.share {
		j.ids = append(j.ids, r.id)
	}
	if t.counter != "" {
		j.ids = append(j.ids, t.counter)
	}
	j.apply = func(_ time.Time, of tallies) {
		for _, r := range t.share {
			b := r.rate.Back(of.get(r.id).bucket())
			of.set(r.id, tally{Debt: b.Debt, At: b.At})
		}
		if t.counter != "" {
			of.set(t.counter, of.get(t.counter).back(t.counted, t.before))
		}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), within)
	defer cancel()
	if err := t.throttle.do(ctx, j); err != nil {
		return err
	}
	for _, r := range t.early {
		r.local.Back(r.here)
	}
	t.throttle.forget(t.counter)
	return nil
}

// early refuses what this node knows to come too early, without asking the store. Its
// own rates count an attempt also if the store refuses it. It returns what it counted.
func (t *Throttle) early(g Guess, mine, device string) (share, error) {
	now := t.opts.Now()
	if wait := t.knownWait(mine, now); g.Account != "" && wait > 0 {
		return nil, login.Throttled{RetryAfter: wait}
	}
	taken, wait := takeLocal(t.shares(g, device), now)
	if wait > 0 {
		return nil, login.Throttled{RetryAfter: wait}
	}
	return taken, nil
}

// known is what a node heard of a counter that must wait.
type known struct{ heard, until time.Time }

// askAgain is how long a node relies on what it knows of a counter: a login that
// succeeds on another node ends a wait.
const askAgain = time.Second

// maxKnown bounds the waits that are known. Of others the store is asked.
const maxKnown = 10_000

func (t *Throttle) remember(counter string, now time.Time, wait time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.waits) >= maxKnown {
		clear(t.waits)
	}
	t.waits[counter] = known{now, now.Add(wait)}
}

// knownWait says how long counter must wait; zero: the store is to be asked.
func (t *Throttle) knownWait(counter string, now time.Time) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	k, found := t.waits[counter]
	if age := now.Sub(k.heard); found && age >= 0 && age < askAgain {
		return max(0, k.until.Sub(now))
	}
	delete(t.waits, counter)
	return 0
}

// forget has the store asked about counter at the next attempt: it has changed.
func (t *Throttle) forget(counter string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.waits, counter)
}

// id names the record of a counter.
func (t *Throttle) id(what, of string) string {
	m := hmac.New(sha256.New, t.idKey)
	m.Write([]byte(what + " " + of))
	return what + "-" + base64.RawURLEncoding.EncodeToString(m.Sum(nil)[:16])
}
