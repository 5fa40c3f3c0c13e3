package counterfoil

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// StalePolicy says what happens to a request while the verifier's knowledge is
// older than its bound. None of them lets through what an entry already covers.
// The zero StalePolicy is that of the verifier (Options.Stale), and there
// FailClosed.
type StalePolicy struct {
	mode staleMode
	max  time.Duration // of serveStale
}

type staleMode uint8

const (
	inherit staleMode = iota
	failClosed
	introspect
	serveStale
)

// maxServeStale caps ServeStale.
const maxServeStale = time.Minute

// FailClosed answers ErrStale: 503, and the client keeps its credential.
func FailClosed() StalePolicy { return StalePolicy{mode: failClosed} }

// Introspect asks the issuer about this one credential, for this one request. The
// answer is not kept. If the issuer cannot be asked in time, the answer is ErrStale.
func Introspect() StalePolicy { return StalePolicy{mode: introspect} }

// ServeStale goes on for up to max beyond the bound, but never beyond the expiry
// of a copy, and marks the session (Session.Stale). What was revoked since the
// verifier last heard of its issuer is let through: it is for routes where that is
// better than no answer. Options.ServeStale must allow it.
func ServeStale(max time.Duration) StalePolicy { return StalePolicy{serveStale, max} }

// String returns the policy as Status shows it.
func (p StalePolicy) String() string {
	switch p.mode {
	case introspect:
		return "introspect"
	case serveStale:
		return fmt.Sprintf("serve_stale(%v)", p.max)
	}
	return "fail_closed"
}

// resolves reports whether what was never seen is looked into by knowledge that is over
// its bound. Who introspects needs no look-up here, but a signature shows what is not
// worth a question.
func (p StalePolicy) resolves(f Format, over time.Duration) bool {
	switch p.mode {
	case introspect:
		return f == JWT
	case serveStale:
		return over <= p.max
	}
	return false
}

// stale answers for a verifier whose knowledge does not suffice for c. e is the
// copy if it was found genuine, else nil.
func (v *Verifier) stale(ctx context.Context, c credential, d *demand, e *entry, cause error) (*Session, error) {
	switch d.policy.mode {
	case introspect:
		return v.introspect(ctx, c, d, e != nil, cause)
	case serveStale:
		if e == nil {
			return nil, cause
		}
		// Judged anew, by the knowledge whose age is asked: what e was found good by may
		// be older than an entry that covers it. Of a copy of another epoch than ours
		// nothing is known, not even that it was good when we last heard.
		k := v.known.Load()
		if err := k.judge(e.session); errors.Is(err, errOtherEpoch) {
			return nil, cause
		} else if err != nil {
			return nil, err
		}
		at := v.clock.Read()
		expired := at.Effective >= e.session.Expires.UnixNano()
		if expired || v.overdue(k, e.signed, &at) > d.policy.max {
			return nil, cause
		}
		if !v.serving.Swap(true) {
			v.log.WarnContext(ctx, "accepting credentials on stale knowledge", "staleness", v.Staleness().String())
		}
		v.count.servedStale.Add(1)
		s := *e.session
		s.Stale = true
		return &s, nil
	}
	return nil, cause
}

// introspect accepts what the issuer says is good now. What is known here still
// counts: once refused as revoked is refused for ever (P3). known is for what was found
// genuine.
func (v *Verifier) introspect(ctx context.Context, c credential, d *demand, known bool, cause error) (*Session, error) {
	format, err := v.format(c, d)
	if err != nil {
		return nil, err
	}
	s, err := v.introspections.do(ctx, c, known)
	if errors.Is(err, ErrInvalidToken) {
		return nil, err
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", cause, err)
	}
	if !v.meant(s) {
		return nil, ErrInvalidToken
	}
	err = v.known.Load().judge(s)
	if err != nil && !errors.Is(err, errOtherEpoch) { // the issuer knows which epochs count
		return nil, err
	}
	if at := v.clock.Read(); at.Effective >= s.Expires.UnixNano() {
		return nil, ErrExpired
	}
	s.Carrier = Carrier{format, c.transport}
	return s, nil
}

// demand is what a route asks for beyond a good credential.
type demand struct {
	policy  StalePolicy // never inherit
	formats []Format    // nil: those of the verifier
	strict  bool        // know at least what the copy's issuer knew when it made it
	min     Cursor      // know at least this; zero: nothing
}

// simple reports whether a copy that passes check is all that d asks for.
func (d *demand) simple() bool { return d.formats == nil && !d.strict && d.min == (Cursor{}) }

// met reports whether k is as recent as d demands for s.
func (d *demand) met(k *knowledge, s *Session) bool {
	return (!d.strict || k.reached(s.Born)) && (d.min == (Cursor{}) || k.reached(d.min))
}

// catchUp waits a moment for what d demands, then leaves it to the stale policy
// (REV-11). What meets the demand may be younger than what e was found good by.
func (v *Verifier) catchUp(ctx context.Context, d *demand, e *entry) error {
	if !d.strict && d.min == (Cursor{}) {
		return nil
	}
	met := func(k *knowledge) bool { return d.met(k, e.session) }
	if !met(v.known.Load()) {
		if err := v.await(ctx, met); err != nil {
			return fmt.Errorf("%w: the log is not applied as far as demanded: %w", ErrStale, err)
		}
	}
	return v.check(e)
}
