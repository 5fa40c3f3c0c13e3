package counterfoil

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/counterfoil/counterfoil/internal/token"
)

// Options of NewVerifier. The zero value of each field is the safe default.
type Options struct {
	Issuer   string // required: iss, exactly
	Audience string // required: what aud must contain (TOK-21)

	// Bound is D: no credential is accepted on knowledge older than this. Zero
	// is 10 s; at least 2 s, and no more than the issuer allows.
	Bound time.Duration

	Leeway          time.Duration // for clocks that disagree; zero: 30 s; at most 60 s
	MaxLifetime     time.Duration // tokens made for longer are refused; zero: 15 min
	Formats         []Format      // what is accepted; nil: all three
	Origins         []string      // exact origins that may send unsafe requests with a cookie; nil: the Issuer's
	InsecureCookies bool          // the cookie names for plain http on loopback
	MaxSeen         int           // how many verified copies are remembered; zero: 100,000

	Now func() time.Time // nil: time.Now
}

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
	origins []string
	cookie  string

	revoked *Revocations
	keys    atomic.Pointer[map[string]token.Key]
	keyMu   sync.Mutex // held by whoever fetches keys
	fetched time.Time  // when keys were last asked for; guarded by keyMu
	missed  time.Time  // when an unknown key id last caused that; guarded by keyMu

	mu      sync.RWMutex // guards all below; held for map access only
	applied Cursor
	anchor  time.Time // when the question was sent that the last complete page answered
	ahead   time.Duration
	latest  time.Time            // the latest time ever returned by now
	seen    map[seenKey]*Session // verified copies by whole text
	watches map[*watch]struct{}
	moved   chan struct{} // closed, and made anew, when applied moves

	cancel context.CancelFunc
	done   chan struct{}
	poke   chan struct{}
}

type seenKey struct {
	transport Transport
	text      string
}

// NewVerifier returns a verifier that follows source. It blocks until it has the
// keys and has read the log to its head (REV-07), or until ctx ends.
func NewVerifier(ctx context.Context, source Source, o Options) (*Verifier, error) {
	if source == nil || o.Issuer == "" || o.Audience == "" {
		return nil, errors.New("counterfoil: a verifier needs a source, Options.Issuer and Options.Audience")
	}
	for _, d := range []struct {
		name            string
		value           *time.Duration
		zero, low, high time.Duration
	}{
		{"Bound", &o.Bound, 10 * time.Second, 2 * time.Second, time.Minute},
		{"Leeway", &o.Leeway, 30 * time.Second, time.Second, time.Minute},
		{"MaxLifetime", &o.MaxLifetime, 15 * time.Minute, time.Minute, time.Hour},
	} {
		if *d.value == 0 {
			*d.value = d.zero
		}
		if *d.value < d.low || *d.value > d.high {
			return nil, fmt.Errorf("counterfoil: Options.%s is %v: want %v to %v", d.name, *d.value, d.low, d.high)
		}
	}
	if o.MaxSeen == 0 {
		o.MaxSeen = 100_000
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	v := &Verifier{
		opts: o, source: source, id: token.NewOpaque(), origins: o.Origins, cookie: CookieName,
		revoked: NewRevocations(), seen: make(map[seenKey]*Session), watches: make(map[*watch]struct{}), moved: make(chan struct{}),
		done: make(chan struct{}), poke: make(chan struct{}, 1),
	}
	if o.InsecureCookies {
		v.cookie = InsecureCookieName
	}
	if v.origins == nil {
		u, err := url.Parse(o.Issuer)
		if err != nil {
			return nil, fmt.Errorf("counterfoil: Options.Issuer: %w", err)
		}
		v.origins = []string{u.Scheme + "://" + u.Host}
	}
	if err := v.fetchKeys(ctx); err != nil {
		return nil, err
	}
	for !v.fresh() {
		if err := v.follow(ctx, 0); err != nil {
			return nil, fmt.Errorf("counterfoil: read the revocation log: %w", err)
		}
	}
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	v.cancel = cancel
	go v.run(run)
	return v, nil
}

// Close stops following and waits for the goroutine to end. The verifier goes
// stale.
func (v *Verifier) Close() {
	v.cancel()
	<-v.done
}

// Verify returns the session of a credential that came in a header. It never
// returns a session beside an error.
func (v *Verifier) Verify(ctx context.Context, credential string) (*Session, error) {
	return v.verify(ctx, Credential{credential, Header})
}

func (v *Verifier) verify(ctx context.Context, c Credential) (*Session, error) {
	if len(c.Value) > token.MaxSize {
		return nil, ErrInvalidToken
	}
	k := seenKey{c.Transport, c.Value}
	v.mu.RLock()
	s := v.seen[k]
	v.mu.RUnlock()
	if s == nil || !v.now().Before(s.Expires) {
		var err error
		if s, err = v.resolve(ctx, c); err != nil {
			return nil, err
		}
		v.remember(k, s)
	}
	if err := v.check(s); err != nil {
		if errors.Is(err, ErrInvalidToken) { // stale knowledge says nothing about the copy
			v.forget(k)
		}
		if errors.Is(err, ErrStaleClaims) && s.Carrier.Format == Opaque {
			return v.again(ctx, c, k)
		}
		return nil, err
	}
	return s, nil
}

// again resolves an opaque id whose copy went stale: the row has the new claims.
func (v *Verifier) again(ctx context.Context, c Credential, k seenKey) (*Session, error) {
	s, err := v.resolve(ctx, c)
	if err != nil {
		return nil, err
	}
	if err := v.check(s); err != nil {
		return nil, err
	}
	v.remember(k, s)
	return s, nil
}

// check decides on a genuine copy. Staleness is asked last, so no time passes
// between it and the answer.
func (v *Verifier) check(s *Session) error {
	now := v.now()
	if !now.Before(s.Expires.Add(v.leewayFor(s))) {
		return ErrExpired
	}
	v.mu.RLock()
	epoch := v.applied.Epoch
	v.mu.RUnlock()
	if s.Born.Epoch != epoch {
		v.sync() // the log may have begun anew and this is the first we see of it
		return ErrInvalidToken
	}
	if r, ok := v.revoked.Covers(s); ok {
		if r.Scope == ScopeClaims {
			return ErrStaleClaims
		}
		return ErrRevoked
	}
	if !v.fresh() {
		return ErrStale
	}
	return nil
}

// leewayFor is for tokens, whose expiry another clock wrote. A looked-up copy
// ends when its issuer said.
func (v *Verifier) leewayFor(s *Session) time.Duration {
	if s.Carrier.Format == Opaque {
		return 0
	}
	return v.opts.Leeway
}

// resolve finds out what a credential is: by its signature, or by asking.
func (v *Verifier) resolve(ctx context.Context, c Credential) (*Session, error) {
	shape := token.ShapeOf(c.Value)
	format, ok := map[token.Shape]Format{token.ShapeOpaque: Opaque, token.ShapeJWT: JWT, token.ShapeJWE: JWE}[shape]
	if !ok || (v.opts.Formats != nil && !slices.Contains(v.opts.Formats, format)) {
		return nil, ErrInvalidToken
	}
	if !v.fresh() {
		return nil, ErrStale // before any work: an answer could not be given anyway
	}
	var s *Session
	var err error
	if format == JWT {
		s, err = v.open(ctx, c.Value)
	} else {
		if s, err = v.source.Lookup(ctx, c.Value); err == nil {
			copied := *s // the source may share it
			s = &copied
		}
	}
	if err != nil {
		return nil, err
	}
	if s.Issuer != v.opts.Issuer || !slices.Contains(s.Audience, v.opts.Audience) {
		return nil, ErrInvalidToken
	}
	s.Carrier = Carrier{format, c.Transport}
	return s, nil
}

// open checks signature and claims of a JWT.
func (v *Verifier) open(ctx context.Context, text string) (*Session, error) {
	unknown := false
	find := func(kid string) (token.Key, bool) {
		k, ok := (*v.keys.Load())[kid]
		unknown = unknown || !ok
		return k, ok
	}
	payload, kid, err := token.VerifyJWS(text, "at+jwt", find)
	if err != nil && unknown {
		if ferr := v.refetchKeys(ctx); ferr != nil {
			return nil, ErrInvalidToken
		}
		payload, kid, err = token.VerifyJWS(text, "at+jwt", find)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalidToken, err)
	}
	c, err := token.ParseClaims(payload)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalidToken, err)
	}
	born, err := ParseCursor(c.RV)
	if err != nil || c.SID == "" || c.ID == "" {
		return nil, fmt.Errorf("%w: rv, sid or jti", ErrInvalidToken)
	}
	now, expires, issued := v.now(), time.Unix(c.Expires, 0), time.Unix(c.IssuedAt, 0)
	switch {
	case !now.Before(expires.Add(v.opts.Leeway)):
		return nil, ErrExpired
	case c.IssuedAt == 0 || now.Before(issued.Add(-v.opts.Leeway)):
		return nil, fmt.Errorf("%w: iat", ErrInvalidToken)
	case c.NotBefore != 0 && now.Before(time.Unix(c.NotBefore, 0).Add(-v.opts.Leeway)):
		return nil, fmt.Errorf("%w: nbf", ErrInvalidToken)
	case expires.Sub(issued) > v.opts.MaxLifetime:
		return nil, fmt.Errorf("%w: made for too long", ErrInvalidToken)
	}
	v.mu.RLock()
	behind := v.applied.Before(born)
	v.mu.RUnlock()
	if behind {
		v.sync() // REV-11: it was born after what we know; the bound still holds
	}
	return &Session{
		ID: c.SID, Issuer: c.Issuer, Subject: c.Subject, Client: c.Client, Audience: c.Audience,
		Roles: c.Roles, Scopes: c.Scopes, Methods: c.Methods, ACR: c.ACR,
		AuthTime: time.Unix(c.AuthTime, 0), ClaimsVersion: c.ClaimsVersion, Attributes: c.Attributes,
		TokenID: c.ID, KeyID: kid, IssuedAt: issued, Expires: expires, Born: born,
	}, nil
}

// remember keeps a verified copy. Only what was verified gets in, so junk cannot
// fill the table; beyond MaxSeen any other entry makes room.
func (v *Verifier) remember(k seenKey, s *Session) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for other := range v.seen {
		if len(v.seen) < v.opts.MaxSeen {
			break
		}
		delete(v.seen, other)
	}
	v.seen[k] = s
}

func (v *Verifier) forget(k seenKey) {
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.seen, k)
}

// now is the issuer's time as far as it is known to be ahead of ours, and never
// goes backwards: a clock that steps back cannot bring back what had expired
// (TOK-25).
func (v *Verifier) now() time.Time {
	v.mu.Lock()
	defer v.mu.Unlock()
	if t := v.opts.Now().Round(0).Add(v.ahead); t.After(v.latest) {
		v.latest = t
	}
	return v.latest
}

// fresh reports whether the last complete page is young enough. Both clocks
// count: the monotonic one stops while a machine is suspended, the wall clock
// can be set (REV-06).
func (v *Verifier) fresh() bool { return v.Staleness() <= v.opts.Bound }

// Staleness is the age of what the verifier knows, from when it asked (REV-05).
func (v *Verifier) Staleness() time.Duration {
	v.mu.RLock()
	anchor := v.anchor
	v.mu.RUnlock()
	if anchor.IsZero() {
		return time.Duration(1<<63 - 1)
	}
	now := v.opts.Now()
	return max(now.Sub(anchor), now.Round(0).Sub(anchor.Round(0)))
}

// WaitFor returns nil when the verifier has applied the log up to at, which a
// receipt of a revocation names. A cursor of another epoch than the log's is
// never reached; ctx bounds the wait.
func (v *Verifier) WaitFor(ctx context.Context, at Cursor) error {
	for {
		v.mu.RLock()
		reached, moved := v.applied.Epoch == at.Epoch && v.applied.Seq >= at.Seq, v.moved
		v.mu.RUnlock()
		if reached {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-moved:
		}
	}
}
