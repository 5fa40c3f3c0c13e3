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
	"github.com/counterfoil/counterfoil/internal/resource"
	"github.com/counterfoil/counterfoil/internal/token"
)

// Verifier tells a service who is calling. It refuses a revoked session at most Bound
// after the revocation returned, and usually within milliseconds: it accepts
// only while it holds a complete page of the log that it asked for no longer than
// Bound ago, and that page's entries are applied before the page counts
// (P1 of the revocation contract). Stale knowledge is [ErrStale], never a guess.
//
// Its methods are safe for concurrent use.
type Verifier struct {
	opts   Options
	id     string // random: under which the issuer knows it
	cookie string
	guard  *Guard // of the zero Route

	metadata string // URL of the metadata of Options.Resource; empty: there is none
	log      *slog.Logger

	clock    *clock.Clock
	keys     *keyCache
	follower follower
	seen     *seenCache
	reader   reader

	lookups, introspections *lookups
	watches                 watches

	servingStale atomic.Bool // a credential was accepted on stale knowledge, since knowledge was last fresh
	servedStale  atomic.Uint64
	refused      refusals

	waits atomic.Pointer[error] // why nothing is known of the issuer yet; nil: something is

	cancel context.CancelFunc
	done   sync.WaitGroup
}

// NewVerifier returns a verifier that follows source. It blocks until it has the
// keys and has read the log to its head (REV-07), or until ctx ends. See Options.StartStale
// for a program that must start without.
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
	v := &Verifier{opts: o, id: token.NewOpaque(), cookie: request.CookieName, log: o.Logger, clock: clock.New(o.Now, boot)}
	if o.Resource != "" {
		v.metadata = resource.MetadataURL(o.Resource)
	}
	if o.InsecureCookies {
		v.cookie = request.InsecureCookieName
	}
	notifier := newNotifier()
	v.keys = newKeyCache(source, algorithms, o.Signatures, v.clock)
	v.seen = newSeenCache(o.MaxSeen, o.MaxSeenBytes, notifier)
	v.reader = reader{opts: &v.opts, time: v.issuerTime, keys: v.keys, openers: openers}
	v.follower.source, v.follower.id, v.follower.opts, v.follower.log = source, v.id, &v.opts, v.log
	v.follower.clock, v.follower.notifier, v.follower.keys = v.clock, notifier, v.keys
	v.follower.fresh, v.follower.between = v.isFresh, v.sweep
	v.lookups = newLookups(source, lookupTimeout, v.keep)
	v.introspections = newLookups(source, introspectTimeout, func() settle {
		return func(c credential, _ *Session, err error) {
			if errors.Is(err, ErrInvalidToken) {
				v.seen.forget(c)
			}
		}
	})
	v.guard = v.With(Route{})
	if err := v.start(ctx); err != nil {
		return nil, err
	}
	return v, nil
}

// Close stops following the log and ends the contexts of [Verifier.Watch]. It waits for the
// goroutines. The verifier goes stale.
func (v *Verifier) Close() {
	v.cancel()
	v.lookups.close()
	v.introspections.close()
	v.done.Wait()
}

// Verify returns the session of a credential that came in a header. It never
// returns a session with an error.
func (v *Verifier) Verify(ctx context.Context, credential string) (*Session, error) {
	return verified(v, ctx, credential, (*Verifier).verifyText, (*found).into)
}

// verified is Verify. The compiler puts it into the callers of Verify: it is small enough, because
// a call of a parameter counts less than that of a function. So a caller who does not keep
// the session has no memory allocated for it. TestSessionThatIsNotKept holds that.
func verified(
	v *Verifier, ctx context.Context, text string,
	verify func(*Verifier, context.Context, string, *found) (*Session, error), into func(*found, *Session),
) (s *Session, err error) {
	var f found
	if s, err = verify(v, ctx, text, &f); s == nil && err == nil {
		s = new(Session)
		into(&f, s)
	}
	return
}

// verifyText sets f, and returns its session unless that is to be made.
func (v *Verifier) verifyText(ctx context.Context, text string, f *found) (*Session, error) {
	if err := v.guard.take(ctx, inHeader(text), &v.guard.demand, f); err != nil {
		v.refused.count(err)
		return nil, err
	}
	return f.session, nil
}

// WaitFor returns nil when the verifier has applied the log up to at, which a
// receipt of a revocation names. A cursor of another epoch than the log's is
// never reached; ctx bounds the wait.
func (v *Verifier) WaitFor(ctx context.Context, at Cursor) error {
	return v.follower.waitUntil(ctx, func(k *knowledge) bool { return k.reached(at) })
}

// Staleness is the age of what the verifier knows, from when it asked (REV-05).
func (v *Verifier) Staleness() time.Duration {
	k, at := v.follower.known.Load(), v.clock.Read()
	return k.age(&at)
}

// issuerTime returns between what times the issuer's is, by all that is known.
func (v *Verifier) issuerTime() (earliest, latest time.Time) {
	k, at := v.follower.known.Load(), v.clock.Read()
	return time.Unix(0, k.time.earliestAt(&at)), time.Unix(0, k.latest(&at, v.opts.Leeway))
}

// sweep drops copies that have ended. The follower calls it between two questions.
func (v *Verifier) sweep(at clock.Instant) {
	v.seen.sweep(at, v.follower.known.Load().time.earliestAt(&at))
}

// Ready returns nil while what the verifier knows is within its bounds, and what
// is wrong otherwise, as an [ErrStale].
func (v *Verifier) Ready() error {
	k, at := v.follower.known.Load(), v.clock.Read()
	switch {
	case v.overdue(k, true, &at) <= 0:
		return nil
	case !k.complete:
		if why := v.waits.Load(); why != nil {
			return fmt.Errorf("%w: the issuer has not answered yet: %v", ErrStale, *why)
		}
		return fmt.Errorf("%w: the revocation log is not read to its head", ErrStale)
	case v.overdue(k, false, &at) > 0:
		return fmt.Errorf("%w: the revocation log was last read %v ago", ErrStale, k.age(&at))
	}
	return fmt.Errorf("%w: the issuer's keys are too old", ErrStale)
}
