package counterfoil

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/counterfoil/counterfoil/internal/clock"
	"github.com/counterfoil/counterfoil/internal/revocation"
	"github.com/counterfoil/counterfoil/internal/token"
)

// keysEvery is how often the keys are fetched anew; keysCooldown bounds what
// unknown key ids can cause (KEY-08), and what a failing source is asked.
const (
	keysEvery    = 5 * time.Minute
	keysCooldown = 10 * time.Second
	keysTimeout  = 5 * time.Second
	keysSpread   = 2 * time.Second        // in which the verifiers of one issuer fetch after a key was revoked
	keysPatience = 500 * time.Millisecond // of a request
)

// keySet is the issuer's keys as last fetched. It never changes.
type keySet struct {
	byID    map[string]token.Key
	skipped int           // keys of the fetched set that cannot be used (KEY-01)
	asked   clock.Instant // when the question was sent that byID answers
	failed  error         // of the last attempt; nil: byID is its answer
	next    chan struct{} // closed when another attempt is over
}

// lender is a Source in this process that lends its keys themselves, where others
// see the public ones: a secret (HS256) can be used by no other verifier, and a
// public key is known here the moment it signs. What it lends is of one kind, public
// or secret, never both (TOK-03).
type lender interface {
	VerificationKey(id string) (token.Key, bool)
}

// keyCache fetches the keys. One goroutine does, however many ask.
type keyCache struct {
	source  Source
	lender  lender // nil: keys are fetched
	allowed []token.Alg
	checks  *token.Signatures // how their signatures are checked; nil: by the standard library
	clock   *clock.Clock
	set     atomic.Pointer[keySet]
	want    chan struct{} // asks run for another attempt
	soon    chan struct{} // asks it for one within keysSpread
	count   atomic.Uint64 // attempts

	mu     sync.Mutex          // guards all below, and the order of changes to set
	denied map[string]struct{} // ids that the log revoked; the issuer may list them still (KEY-05)
	asking bool                // run was asked for an attempt that is not over
	missed clock.Instant       // when an unknown id last caused one
	closed bool                // run has ended
}

func newKeyCache(source Source, allowed []token.Alg, checks *token.Signatures, c *clock.Clock) *keyCache {
	k := &keyCache{source: source, allowed: allowed, checks: checks, clock: c, want: make(chan struct{}, 1), soon: make(chan struct{}, 1), denied: make(map[string]struct{})}
	k.lender, _ = source.(lender)
	k.set.Store(&keySet{next: make(chan struct{})})
	return k
}

// run fetches the keys when they are due or wanted, until ctx ends.
func (c *keyCache) run(ctx context.Context, failed func(error)) {
	for c.wait(ctx) {
		if err := c.fetch(ctx); err != nil && ctx.Err() == nil {
			failed(err)
		}
	}
	c.close()
}

// wait waits until the keys are due or wanted, and reports whether ctx goes on.
func (c *keyCache) wait(ctx context.Context) bool {
	wait := keysEvery
	if c.set.Load().failed != nil {
		wait = keysCooldown
	}
	due := time.Now().Add(wait - rand.N(wait/10))
	for {
		timer := time.NewTimer(time.Until(due))
		select {
		case <-ctx.Done():
			timer.Stop()
			return false
		case <-c.soon:
			timer.Stop()
			if at := time.Now().Add(rand.N(keysSpread)); at.Before(due) {
				due = at
			}
		case <-c.want:
			timer.Stop()
			return true
		case <-timer.C:
			return true
		}
	}
}

// close ends the wait of every check that waits for an attempt.
func (c *keyCache) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	last := *c.set.Load()
	c.asking, c.closed = false, true
	close(last.next)
	last.next = make(chan struct{})
	c.set.Store(&last)
}

// fetch makes one attempt. When it fails the old keys stay, with their age.
func (c *keyCache) fetch(ctx context.Context) error {
	c.count.Add(1)
	fetched := &keySet{asked: c.clock.Read(), next: make(chan struct{})}
	var err error
	if c.lender == nil {
		fetched.byID, fetched.skipped, err = c.ask(ctx)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	old := c.set.Load()
	if err != nil {
		err = fmt.Errorf("fetch keys: %w", err)
		fetched.byID, fetched.skipped, fetched.asked, fetched.failed = old.byID, old.skipped, old.asked, err
	} else {
		maps.DeleteFunc(fetched.byID, c.isDenied)
	}
	c.asking = false
	c.set.Store(fetched)
	close(old.next)
	return err
}

// ask asks the source for its set. One that would leave no key is refused: it is a
// mistake, and a verifier that followed it would refuse every signed copy.
func (c *keyCache) ask(ctx context.Context) (byID map[string]token.Key, skipped int, err error) {
	ctx, cancel := context.WithTimeout(ctx, keysTimeout)
	defer cancel()
	jwks, err := c.source.Keys(ctx)
	if err != nil {
		return nil, 0, err
	}
	keys, bad, err := token.ParseJWKS(jwks)
	if err != nil {
		return nil, 0, err
	}
	byID = make(map[string]token.Key, len(keys))
	for _, k := range keys {
		if slices.Contains(c.allowed, k.Alg) {
			byID[k.ID] = k.With(c.checks)
		}
	}
	if len(byID) == 0 {
		return nil, 0, errors.New("no key in the set can be used")
	}
	return byID, len(keys) - len(byID) + len(bad), nil
}

func (c *keyCache) isDenied(id string, _ token.Key) bool {
	_, denied := c.denied[id]
	return denied
}

// deny takes in the key events among entries: the key is dropped for as long as
// this process runs, even if its entry expires while the issuer still lists it
// (4.8). Its copies are refused without a question to the issuer. Another key signs now: see
// renew.
func (c *keyCache) deny(entries []revocation.Revocation) {
	c.mu.Lock()
	defer c.mu.Unlock()
	changed := false
	for _, r := range entries {
		if _, denied := c.denied[r.ID]; r.Scope == revocation.ScopeKey && !denied {
			c.denied[r.ID] = struct{}{}
			changed = true
		}
	}
	if !changed {
		return
	}
	kept := *c.set.Load() // with its next: no attempt is over
	kept.byID = maps.Clone(kept.byID)
	maps.DeleteFunc(kept.byID, c.isDenied)
	c.set.Store(&kept)
	c.renew()
}

// begunAnew fetches the set: a log that began anew may come with other keys, if
// its store lost everything.
func (c *keyCache) begunAnew() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.renew()
}

// renew is for a set that has changed: the next unknown id has it fetched at once, and
// without one it is fetched soon. Every verifier reads of the change in the same moment, and
// all of them together would ask the issuer while it still sends the entry to others. Only the
// issuer's log says so, and that is no way around the cooldown. The caller holds mu.
func (c *keyCache) renew() {
	c.missed = clock.Instant{}
	c.haste()
}

// tooOld has a set fetched that is beyond its age, because the machine slept or its clock was
// set. A set that could not be fetched is fetched again anyway.
func (c *keyCache) tooOld() {
	if c.set.Load().failed == nil {
		c.haste()
	}
}

func (c *keyCache) haste() {
	select {
	case c.soon <- struct{}{}:
	default: // it has been asked
	}
}

func (c *keyCache) wake() {
	select {
	case c.want <- struct{}{}:
	default: // it has been asked
	}
}

// find returns the key of that id. For one that is unknown the keys are fetched,
// at most once in a while, however many checks ask for it (KEY-08). It fails with
// ErrRevoked for a key the log revoked, with ErrUnavailable if the issuer could not
// be asked, and with ErrInvalidToken if it does not know the id either.
func (c *keyCache) find(ctx context.Context, id string) (token.Key, error) {
	if c.lender != nil {
		return c.borrow(id)
	}
	for {
		set := c.set.Load()
		if k, ok := set.byID[id]; ok {
			return k, nil
		}
		next, err := c.attempt(id)
		if err != nil {
			return token.Key{}, err
		}
		if next == nil {
			return token.Key{}, unknownKey(c.set.Load())
		}
		// Not for long: anybody can make up an id, and an issuer can hang.
		patience, cancel := context.WithTimeout(ctx, keysPatience)
		select {
		case <-patience.Done():
			cancel()
			return token.Key{}, fmt.Errorf("%w: %w", ErrUnavailable, patience.Err())
		case <-next:
			cancel()
		}
		// Looked for again: another attempt is made for it only if the set has changed
		// since that one began.
	}
}

// attempt returns what closes when the attempt is over that may find an unknown id, or
// nil if there is none.
func (c *keyCache) attempt(id string) (next <-chan struct{}, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.isDenied(id, token.Key{}) {
		return nil, ErrRevoked
	}
	set := c.set.Load()
	if _, ok := set.byID[id]; ok { // it has just been found
		over := make(chan struct{})
		close(over)
		return over, nil
	}
	now := c.clock.Read()
	if !c.asking && !c.closed && (c.missed == (clock.Instant{}) || now.Since(&c.missed) >= keysCooldown) {
		c.asking, c.missed = true, now
		c.wake()
	}
	if !c.asking {
		return nil, nil
	}
	return set.next, nil
}

func unknownKey(set *keySet) error {
	if set.failed != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, set.failed)
	}
	return fmt.Errorf("%w: unknown kid", ErrInvalidToken)
}

func (c *keyCache) borrow(id string) (token.Key, error) {
	c.mu.Lock()
	denied := c.isDenied(id, token.Key{})
	c.mu.Unlock()
	if denied {
		return token.Key{}, ErrRevoked
	}
	if k, ok := c.lender.VerificationKey(id); ok && slices.Contains(c.allowed, k.Alg) {
		return k, nil
	}
	return token.Key{}, fmt.Errorf("%w: unknown kid", ErrInvalidToken)
}
