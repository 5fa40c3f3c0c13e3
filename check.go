package counterfoil

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/counterfoil/counterfoil/internal/clock"
	"github.com/counterfoil/counterfoil/internal/token"
)

// demand is what a route asks for beyond a good credential.
type demand struct {
	policy  StalePolicy // never inherit
	formats []Format    // nil: those of the verifier
	strict  bool        // know at least what the issuer knew when it made the copy
	min     Cursor      // know at least this; zero: nothing
}

// simple reports whether a copy that passes check is all that d asks for.
func (d *demand) simple() bool { return d.formats == nil && !d.strict && d.min == (Cursor{}) }

func (d *demand) accepts(f Format) bool { return d.formats == nil || slices.Contains(d.formats, f) }

// met reports whether k is as recent as d demands for a copy that was born then.
func (d *demand) met(k *knowledge, born Cursor) bool {
	return (!d.strict || k.reached(born)) && (d.min == (Cursor{}) || k.reached(d.min))
}

// verify is the whole of a check. It answers at once for a copy that was seen before and is
// good; decide does the rest. Without an error it sets f.
func (v *Verifier) verify(ctx context.Context, c credential, d *demand, f *found) (err error) {
	unseen := false
	if d.simple() {
		if unseen = !v.seen.get(c, f); !unseen && v.check(f) == nil {
			return nil
		}
	}
	*f, err = v.decide(ctx, c, d, unseen)
	return err
}

// check decides on a genuine copy. The order is what P1 rests on: knowledge is
// loaded, then the log is asked, then the clock is read. So time that passes in
// between counts as staleness, and an entry that was dropped because all it covers
// has ended was dropped before the end is asked about. C1 to C4 are of notifier.
func (v *Verifier) check(f *found) error {
	e, k := f.entry, v.follower.known.Load() // C1
	if gen := e.checkedGen(); gen != k.gen { // C2
		if err := v.ask(f, k, gen); err != nil {
			return err
		}
	}
	at := v.clock.Read()
	if deadline := e.deadline(); k.time.latestAt(&at) >= deadline {
		return k.ended(deadline, &at)
	}
	if v.overdue(k, e.is(isSigned), &at) > 0 {
		return ErrStale
	}
	return nil
}

// judge refuses a copy that the log of k covers, or whose end must be asked for anew.
func (f *found) judge(k *knowledge) error {
	names, era := f.names()
	err := k.judge(names)
	if err == nil && f.format() == Opaque && era != k.era {
		return errOtherEra
	}
	return err
}

// ask asks the log of k about e, in whose checkedGen gen was found. An entry may have been
// dropped before, by newer knowledge than k, if e had ended by then. So a copy that ended at
// such a time is not remembered as one that no entry covers.
func (v *Verifier) ask(e *found, k *knowledge, gen uint64) error {
	if gen == asleep && e.is(isUsed) {
		gen = e.slab.shard.wake(e.slab, e.at) // still C2
	}
	err := e.judge(k) // C3
	if err == nil && e.deadline() <= k.dropped(v.opts.Leeway) {
		at := v.clock.Read()
		return k.ended(e.deadline(), &at)
	}
	e.checked(k, gen, err) // C4
	return err
}

// covered reports whether err says that an entry of the log covers a copy. That is for ever (P3).
func covered(err error) bool { return errors.Is(err, ErrRevoked) || errors.Is(err, ErrStaleClaims) }

// overdue is by how much the older of what k and, for a signed copy, the keys
// tell is beyond its bound; not positive: fresh.
func (v *Verifier) overdue(k *knowledge, signed bool, at *clock.Instant) time.Duration {
	over := k.age(at) - v.opts.Bound
	if signed {
		over = max(over, at.Since(&v.keys.set.Load().asked)-v.opts.MaxKeysAge)
	}
	return over
}

// decide is a check in full:
//
//  1. The shape of the credential shows its form. The route may not take this form.
//  2. The copy is found: it was seen before, or this is first sight of it.
//  3. Log and clocks judge it (check).
//  4. A copy of an opaque session that is over may be renewed by another look-up.
//  5. A copy of another epoch waits until the log shows which epoch is over.
//  6. A strict route, or a client that names a cursor, waits for the log.
//  7. The policy of the route answers for knowledge that is still stale.
//
// unseen says that c was just looked for, and not found.
func (v *Verifier) decide(ctx context.Context, c credential, d *demand, unseen bool) (found, error) {
	if len(c.value) > token.MaxSize {
		return found{}, ErrInvalidToken
	}
	var e *found
	var copied found
	seen := !unseen && v.seen.get(c, &copied)
	if seen {
		e = &copied
	}
	f, err := v.formOf(c, e)
	if err == nil && !d.accepts(f.format) {
		err = errNotHere
	}
	if err != nil {
		return found{}, err
	}
	lookedUp := false
	if !seen {
		e, err = v.firstSight(ctx, c, f, d, false, &copied)
		lookedUp = e != nil && !e.is(isSigned)
	}
	if err == nil {
		err = v.check(e)
	}
	if e != nil && f.format == Opaque && renewable(err, seen) {
		// The cache keeps e until there is another copy: it shows that c was good.
		if e, err = v.firstSight(ctx, c, f, d, true, &copied); err == nil {
			lookedUp, err = true, v.check(e)
		}
	}
	if errors.Is(err, errOtherEpoch) {
		err = v.settleEpoch(ctx, e)
	}
	if err == nil {
		err = v.catchUp(ctx, d, e)
	}
	if covered(err) && e != nil && e.slab == nil {
		v.seen.refuse(c) // e is not what the cache has
	}
	switch {
	case err == nil:
		return *e, nil
	case errors.Is(err, ErrExpired) && e != nil && (lookedUp || f.format == Opaque):
		// The issuer has said that it is good. Perhaps it ended since; the next check asks.
		return v.stale(ctx, c, f, d, e, errDoubt)
	case errors.Is(err, ErrExpired) && e != nil:
		v.seen.drop(c, e) // a revoked one stays for as long as it lives: refusing it again is cheap
	case errors.Is(err, ErrStale):
		return v.stale(ctx, c, f, d, e, err)
	}
	return found{}, err
}

// formOf is step 1. e is the copy if it was seen before, else nil.
func (v *Verifier) formOf(c credential, e *found) (form, error) {
	if e != nil {
		return form{format: e.format()}, nil
	}
	return v.reader.formOf(c.value)
}

// firstSight finds out what a credential is: by its signature, or by a look-up at the
// issuer. wasGood is for a credential that was found good before. It returns into, which it has set.
func (v *Verifier) firstSight(ctx context.Context, c credential, f form, d *demand, wasGood bool, into *found) (*found, error) {
	k, at := v.follower.known.Load(), v.clock.Read()
	over := v.overdue(k, f.format == JWT, &at)
	if over > 0 && (v.waits.Load() != nil || !d.policy.allowsFirstSight(f.format, over)) {
		return nil, ErrStale // before any work: an answer could not be given anyway
	}
	s, signed, err := v.reader.read(ctx, c.value, f)
	if f.format == JWT && over > 0 && errors.Is(err, ErrUnavailable) {
		err = fmt.Errorf("%w: %w", ErrStale, err) // the issuer may have an answer, if not its keys
	}
	if err == nil && !signed {
		s, err = v.lookups.do(ctx, c, wasGood)
	}
	if err != nil {
		return nil, err
	}
	n, err := v.reader.newCopy(c, f.format, s, signed, k.era)
	if err != nil {
		return nil, err
	}
	if v.follower.known.Load().applied.Before(s.Born) {
		v.follower.wake() // REV-11: the copy is younger than our knowledge; the bound still holds
	}
	if signed {
		*into = v.seen.put(&n)
	} else { // keep has put it
		*into = n.alone()
	}
	return into, nil
}

// keep is for a look-up that begins. It takes the answer into the cache: a session is
// remembered, and a credential that the issuer refused is forgotten.
func (v *Verifier) keep() settle {
	era := v.follower.known.Load().era
	return func(c credential, s *Session, err error) {
		if errors.Is(err, ErrInvalidToken) {
			v.seen.forget(c)
		}
		if err != nil {
			return
		}
		f := Opaque
		if token.ShapeOf(c.value) == token.ShapeJWE {
			f = JWE
		}
		copied := *s
		if n, err := v.reader.newCopy(c, f, &copied, false, era); err == nil {
			v.seen.put(&n)
		}
	}
}

// renewable reports whether err is the end of our copy of an opaque session, and
// need not be that of the session. Another look-up may make a good copy: the row has the
// new claims, a later expiry, and may have outlived its log. A copy that has just been
// looked up and is expired was the whole answer.
func renewable(err error, seen bool) bool {
	return (seen && errors.Is(err, ErrExpired)) || errors.Is(err, ErrStaleClaims) || errors.Is(err, errOtherEpoch) || errors.Is(err, errOtherEra)
}

// settleEpoch decides about a copy of another epoch than the known one.
func (v *Verifier) settleEpoch(ctx context.Context, e *found) error {
	names, _ := e.names()
	epoch := names.Born.Epoch
	if v.follower.isOver(epoch) {
		return errOtherEpoch
	}
	if err := v.follower.anotherAnswer(ctx, epoch); err != nil {
		return fmt.Errorf("%w: credential of another epoch: %w", ErrStale, err)
	}
	err := v.check(e)
	if errors.Is(err, errOtherEpoch) {
		v.follower.setOver(epoch)
	}
	return err
}

// catchUp waits a moment for the knowledge that d demands, then leaves it to the stale policy
// (REV-11). Knowledge that meets the demand may be younger than that of the check of e.
func (v *Verifier) catchUp(ctx context.Context, d *demand, e *found) error {
	if !d.strict && d.min == (Cursor{}) {
		return nil
	}
	names, _ := e.names()
	met := func(k *knowledge) bool { return d.met(k, names.Born) }
	if !met(v.follower.known.Load()) {
		if err := v.follower.catchUp(ctx, met); err != nil {
			return fmt.Errorf("%w: the log is not applied as far as demanded: %w", ErrStale, err)
		}
	}
	return v.check(e)
}

// stale answers by the policy of the route when knowledge does not suffice for c. e is the
// copy if it was found genuine, else nil.
func (v *Verifier) stale(ctx context.Context, c credential, f form, d *demand, e *found, cause error) (found, error) {
	var s *Session
	err := cause
	switch {
	case d.policy.mode == introspect:
		s, err = v.introspect(ctx, c, f, e != nil, cause)
	case d.policy.mode == serveStale && e != nil:
		s, err = v.serveStale(ctx, d.policy.max, e, cause)
	}
	if covered(err) {
		v.seen.refuse(c)
	}
	return found{session: s}, err
}

// introspect accepts a credential that the issuer says is good now. The log that is known
// here still counts: a copy that was refused as revoked is refused for ever (P3). wasGood is
// for a credential that was found genuine. Before the log was read once, nothing is accepted (REV-07).
func (v *Verifier) introspect(ctx context.Context, c credential, f form, wasGood bool, cause error) (*Session, error) {
	if v.waits.Load() != nil {
		return nil, cause
	}
	s, err := v.introspections.do(ctx, c, wasGood)
	if errors.Is(err, ErrInvalidToken) {
		return nil, err
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", cause, err)
	}
	if !v.reader.meant(s) {
		return nil, errNotHere
	}
	err = v.follower.known.Load().judge(s.Names())
	if err != nil && !errors.Is(err, errOtherEpoch) { // the issuer knows which epochs count
		return nil, err
	}
	if _, latest := v.issuerTime(); !latest.Before(s.Expires) {
		return nil, errDoubt // the issuer has just said that it is good
	}
	s.Carrier = Carrier{f.format, c.transport}
	return s, nil
}

// serveStale accepts e for up to most beyond the bound. It is judged anew, by the knowledge
// whose age is measured: the knowledge that checkedGen tells of may be older than an entry
// that covers e. Of a copy of another epoch nothing is known, not even that it was good at
// any time.
func (v *Verifier) serveStale(ctx context.Context, most time.Duration, e *found, cause error) (*Session, error) {
	k := v.follower.known.Load()
	if err := e.judge(k); errors.Is(err, errOtherEpoch) || errors.Is(err, errOtherEra) {
		return nil, cause
	} else if err != nil {
		return nil, err
	}
	s := *e.Session()
	at := v.clock.Read()
	ended := k.latest(&at, v.opts.Leeway) >= s.Expires.UnixNano()
	if ended || v.overdue(k, e.is(isSigned), &at) > most {
		return nil, cause
	}
	if !v.servingStale.Swap(true) {
		v.log.WarnContext(ctx, "accepting credentials on stale knowledge", "staleness", v.Staleness().String())
	}
	v.servedStale.Add(1)
	s.Stale = true
	return &s, nil
}

// isFresh ends what serveStale began. The follower calls it.
func (v *Verifier) isFresh(ctx context.Context) {
	if v.servingStale.Swap(false) {
		v.log.InfoContext(ctx, "no longer accepting credentials on stale knowledge")
	}
}
