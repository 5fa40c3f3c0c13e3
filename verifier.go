package counterfoil

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/counterfoil/counterfoil/internal/clock"
	"github.com/counterfoil/counterfoil/internal/request"
	"github.com/counterfoil/counterfoil/internal/revocation"
	"github.com/counterfoil/counterfoil/internal/token"
)

// Verifier tells who is calling. It refuses a revoked session at most Bound
// after the revocation returned, and usually within milliseconds: it accepts
// only while it holds a complete page of the log that it asked for no longer than
// Bound ago, and that page's entries are applied before the page counts
// (P1 of the revocation contract). Stale knowledge is ErrStale, never a guess.
//
// Its methods are safe for concurrent use.
type Verifier struct {
	opts    Options
	source  Source
	id      string
	cookie  string
	guard   *Guard // of the zero Route
	openers map[string]*token.Opener
	log     *slog.Logger

	clock *clock.Clock
	keys  *keyCache
	known atomic.Pointer[knowledge] // set by the follower alone; never nil
	news  *news
	seen  *table

	lookups, introspections *lookups
	watches                 watches

	cursor  Cursor        // after which the follower asks; the follower's own
	proof   string        // that the issuer was there; the follower's own
	asks    atomic.Uint64 // number of the last question to the log
	poke    chan struct{} // makes the follower ask at once
	poked   atomic.Int64  // when a request last did, as time since clock.base
	full    atomic.Bool   // MaxEntries is reached
	skew    atomic.Int64  // of the last page
	serving atomic.Bool   // a credential was accepted on stale knowledge, since knowledge was last fresh

	endedMu sync.Mutex        // guards endings
	endings map[uint64]uint64 // epochs that were over, and the epoch that came after

	count  counters
	cancel context.CancelFunc
	done   sync.WaitGroup
}

// NewVerifier returns a verifier that follows source. It blocks until it has the
// keys and has read the log to its head (REV-07), or until ctx ends.
func NewVerifier(ctx context.Context, source Source, o Options) (*Verifier, error) {
	return newVerifier(ctx, source, o, clock.Boot)
}

func newVerifier(ctx context.Context, source Source, o Options, boot func() time.Duration) (*Verifier, error) {
	if source == nil {
		return nil, errors.New("counterfoil: a verifier needs a source")
	}
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	algorithms, err := o.algorithms(source)
	if err != nil {
		return nil, err
	}
	openers, err := o.openers()
	if err != nil {
		return nil, err
	}
	c, news := clock.New(o.Now, boot), newNews()
	v := &Verifier{
		opts: o, source: source, id: token.NewOpaque(), cookie: request.CookieName, openers: openers, log: o.Logger,
		clock: c, keys: newKeyCache(source, algorithms, c), news: news, seen: newTable(o.MaxSeen, news),
		poke: make(chan struct{}, 1),
	}
	v.lookups = newLookups(source, lookupTimeout, v.keep)
	v.introspections = newLookups(source, introspectTimeout, func(c credential, _ *Session, err error) {
		if errors.Is(err, ErrInvalidToken) {
			v.seen.forget(c)
		}
	})
	if o.InsecureCookies {
		v.cookie = request.InsecureCookieName
	}
	v.guard = v.With(Route{})
	v.publish(&knowledge{revoked: revocation.NewIndex(), gen: news.stamp()})
	if err := v.keys.fetch(ctx); err != nil {
		return nil, fmt.Errorf("counterfoil: %w", err)
	}
	for v.Ready() != nil {
		if err := errors.Join(v.follow(ctx, 0), ctx.Err()); err != nil {
			return nil, fmt.Errorf("counterfoil: read the revocation log: %w", err)
		}
	}
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	v.cancel = cancel
	v.done.Go(func() { v.run(run) })
	v.done.Go(func() { v.watch(run) })
	v.done.Go(func() {
		v.keys.run(run, func(err error) { v.log.WarnContext(run, "keys of the issuer", "error", err.Error()) })
	})
	return v, nil
}

// Close stops following, ends what is watched, and waits for both. The verifier
// goes stale.
func (v *Verifier) Close() {
	v.cancel()
	v.lookups.close()
	v.introspections.close()
	v.done.Wait()
}

// Verify returns the session of a credential that came in a header. It never
// returns a session beside an error.
func (v *Verifier) Verify(ctx context.Context, text string) (*Session, error) {
	s, err := v.verify(ctx, credential{text, Header}, &v.guard.demand)
	v.count.refuse(err)
	return s, err
}

// verify is short for what was seen before and is good; decide does the rest.
func (v *Verifier) verify(ctx context.Context, c credential, d *demand) (*Session, error) {
	if d.simple() {
		if e := v.seen.get(c); e != nil && v.check(e) == nil {
			return e.session, nil
		}
	}
	return v.decide(ctx, c, d)
}

func (v *Verifier) decide(ctx context.Context, c credential, d *demand) (*Session, error) {
	e, seen, err := v.find(ctx, c, d)
	if err == nil {
		err = v.check(e)
	}
	if e != nil && renewable(err, seen) && e.session.Carrier.Format == Opaque {
		// The table keeps e until there is another: it shows that c was good.
		if e, err = v.resolve(ctx, c, d, true); err == nil {
			err = v.check(e)
		}
	}
	if errors.Is(err, errOtherEpoch) {
		err = v.settle(ctx, e)
	}
	if err == nil {
		err = v.catchUp(ctx, d, e)
	}
	switch {
	case err == nil:
		return e.session, nil
	case errors.Is(err, ErrExpired) && e != nil:
		v.seen.drop(e) // a revoked one stays for as long as it lives: refusing it again is cheap
	case errors.Is(err, ErrStale):
		return v.stale(ctx, c, d, e, err)
	}
	return nil, err
}

// renewable reports whether err is the end of our copy of an opaque session, and
// need not be that of the session: another look-up may make a good copy, since the
// row has the new claims, a later expiry, and may have outlived its log. One that has
// just been looked up and is expired was the whole answer.
func renewable(err error, seen bool) bool {
	return (seen && errors.Is(err, ErrExpired)) || errors.Is(err, ErrStaleClaims) || errors.Is(err, errOtherEpoch)
}

// find returns the copy that c is: seen before, or by resolving it.
func (v *Verifier) find(ctx context.Context, c credential, d *demand) (e *entry, seen bool, err error) {
	if len(c.value) > token.MaxSize {
		return nil, false, ErrInvalidToken
	}
	if e = v.seen.get(c); e == nil {
		e, err = v.resolve(ctx, c, d, false)
		return e, false, err
	}
	if !d.accepts(e.session.Carrier.Format) {
		return nil, false, ErrInvalidToken
	}
	return e, true, nil
}

// check decides on a genuine copy. The order is what P1 rests on: knowledge is
// loaded, then the log is asked, then the clock is read. So time that passes in
// between counts as staleness, and an entry that was dropped because all it covers
// has expired was dropped before the expiry is asked about.
func (v *Verifier) check(e *entry) error {
	k := v.known.Load()
	if good := e.good.Load(); good != k.gen {
		if err := e.ask(k, good); err != nil {
			return err
		}
	}
	at := v.clock.Read()
	if at.Effective >= e.deadline {
		return ErrExpired
	}
	if v.overdue(k, e.signed, &at) > 0 {
		return ErrStale
	}
	return nil
}

// ask asks the log about e, in whose good was found what is good here.
func (e *entry) ask(k *knowledge, good uint64) error {
	err := k.judge(e.session)
	e.answered(k, good, err)
	return err
}

// overdue is by how much the older of what k and, for a signed copy, the keys
// tell is beyond its bound; not positive: fresh.
func (v *Verifier) overdue(k *knowledge, signed bool, at *clock.Instant) time.Duration {
	over := k.age(at) - v.opts.Bound
	if signed {
		over = max(over, at.Since(&v.keys.set.Load().asked)-v.opts.MaxKeysAge)
	}
	return over
}

// Staleness is the age of what the verifier knows, from when it asked (REV-05).
func (v *Verifier) Staleness() time.Duration {
	k, at := v.known.Load(), v.clock.Read()
	return k.age(&at)
}

// Ready returns nil while what the verifier knows is within its bounds, and what
// is wrong otherwise, as an ErrStale.
func (v *Verifier) Ready() error {
	k, at := v.known.Load(), v.clock.Read()
	switch {
	case v.overdue(k, true, &at) <= 0:
		return nil
	case !k.complete:
		return fmt.Errorf("%w: the revocation log is not read to its head", ErrStale)
	case v.overdue(k, false, &at) > 0:
		return fmt.Errorf("%w: the revocation log was last read %v ago", ErrStale, k.age(&at))
	}
	return fmt.Errorf("%w: the issuer's keys are too old", ErrStale)
}
