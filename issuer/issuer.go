// Package issuer is the only package that writes sessions. It turns the proof of a login
// into a session and a credential, makes new copies of the session, looks it up, and ends
// it. The revocation log is kept by package revlog, the settings of clients by package
// clients.
//
// Begin with [New], then [Issuer.Login]. An Issuer is a counterfoil.Source: a verifier in
// the same process follows it directly. It knows no HTTP and no passwords.
package issuer

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/clients"
	"github.com/counterfoil/counterfoil/internal/check"
	"github.com/counterfoil/counterfoil/internal/coalesce"
	"github.com/counterfoil/counterfoil/internal/limit"
	"github.com/counterfoil/counterfoil/internal/nodetime"
	"github.com/counterfoil/counterfoil/internal/urls"
	"github.com/counterfoil/counterfoil/keyring"
	"github.com/counterfoil/counterfoil/revlog"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store"
)

// What callers branch on, besides the errors of packages counterfoil and clients.
var (
	// ErrProveAgain means that the subject changed while its login was under
	// way: the proof no longer counts, and only a new one does (LOGIN-19).
	ErrProveAgain = errors.New("subject changed during login: prove it again")

	// ErrBadRequest means that an argument is not acceptable; nothing was done.
	ErrBadRequest = check.ErrBadRequest

	// ErrTooLarge means that the claims of a session do not fit its carrier: no browser
	// would keep such a cookie, or no server take such a header. Fewer roles, scopes or
	// attributes fit.
	ErrTooLarge = errors.New("claims are too large for the carrier")

	// ErrReused means that a refresh token was presented a second time, too late or by
	// another party: the session has been revoked (REF-02).
	ErrReused = fmt.Errorf("refresh token was used before: session revoked: %w", counterfoil.ErrInvalidToken)

	// ErrReplaced means that a step-up a moment ago made another refresh token the good
	// one: the login lives on, for the holder of that one.
	ErrReplaced = fmt.Errorf("refresh token was replaced: %w", counterfoil.ErrInvalidToken)

	// ErrOtherClient means that a refresh token is good, and not the caller's: the
	// login that it belongs to lives on (REF-06).
	ErrOtherClient = fmt.Errorf("refresh token of another client: %w", counterfoil.ErrInvalidToken)
)

// Options of New. The zero value of each duration is the safe default. A client may have shorter
// ones of its own for the first three and RefreshIdle: clients.Client.Lifetimes.
type Options struct {
	Store   store.Store      // required: sessions, grants, subjects, the log
	Clients store.Store      // the settings of clients; nil: Store
	Keys    *keyring.Keyring // required

	URL      string   // required: the iss of every token, such as https://auth.example.com; http is for loopback only
	Audience []string // aud of every token; nil: the URL

	// ACRs are the authentication context classes that proofs may state, the weakest
	// first: how StepUp knows which of two is above the other. nil: it knows of none.
	ACRs []string

	AccessTTL time.Duration // life of a copy; zero: 5 min; at most 15 min
	Idle      time.Duration // an opaque session unused for so long has ended; zero: 1 h; at least 3 min
	Absolute  time.Duration // no session lives longer, used or not; zero: 24 h
	Grace     time.Duration // how long a refresh may be repeated; zero: 10 s; at most 1 min
	MaxBound  time.Duration // the largest staleness bound a verifier may follow with; zero: 10 s; at most 1 min

	// MaxSessions is how many sessions one subject may have; zero: 100; at most 10,000. A
	// login beyond that ends the oldest, and tells the subject by a notice.
	MaxSessions int

	// RefreshIdle is how long a grant lives whose refresh token is not used: a grant of a
	// token carrier, the session's own or a further one. Zero: 7 days; at least 15 min, so that
	// it never ends before a copy does.
	RefreshIdle time.Duration

	Audit *audit.Trail // nil: entries are kept in Clients for 90 days, and logged

	// Time dates what is issued, and decides what may be swept. nil: Now is believed,
	// and compared with no other clock.
	Time *nodetime.Clock
	Now  func() time.Time // without Time; nil: time.Now
}

// What Options are that are zero, besides the lifetimes, which [clients.Registry.InForce] has.
const (
	DefaultGrace       = 10 * time.Second
	DefaultMaxBound    = 10 * time.Second
	DefaultMaxSessions = 100
)

// Issuer writes sessions. Its methods are safe for concurrent use.
type Issuer struct {
	opts       Options
	store      store.Store
	clients    *clients.Registry
	keys       *keyring.Keyring
	audit      *audit.Trail
	log        *revlog.Log
	feed       *revlog.Feed
	refreshKey []byte
	partyKey   []byte
	signing    atomic.Pointer[string] // id of the key that signed when it was last looked at

	// By session: how often a copy of it is given up, see GiveUp, and how often the end of one
	// that has ended already is asked for, see ended.
	givenUp, endings *limit.Limiter

	handed *limit.Limiter // by session: how often it is handed over to a host

	maxPlan int // a plan counts so far, see PlanRevocation

	node string        // names this process in jobs
	jobs chan struct{} // holds one token when a job began here

	keyReads     coalesce.Reads[struct{}] // reads of the keyring
	unknownReads coalesce.Reads[struct{}] // those that unknown key ids cause
	reloaded     time.Time                // when the last of unknownReads began; owned by the one that runs
}

// countedSessions is how many sessions a limit by session counts at a time.
const countedSessions = 100_000

// New checks o and returns an issuer. It reads nothing yet, and starts nothing in the
// background: call Sweep now and then.
func New(o Options) (*Issuer, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	i := &Issuer{
		opts: o, store: o.Store, keys: o.Keys, audit: o.Audit,
		refreshKey: o.Keys.Derive("refresh token"), partyKey: o.Keys.Derive("refresh party"),
		maxPlan: MaxCount, node: rand.Text(), jobs: make(chan struct{}, 1),
		givenUp: limit.New(16, time.Minute, countedSessions),
		endings: limit.New(30, 2*time.Second, countedSessions),
		handed:  limit.New(2*maxHosts, 15*time.Second, countedSessions),
	}
	var err error
	i.log, err = revlog.New(revlog.Options{
		Store: o.Store, Audit: o.Audit, ProofKey: o.Keys.Derive("log proof"), Time: o.Time,
		EndAll: i.endEverything, KeyRevoked: i.keyRevoked,
	})
	if err != nil {
		return nil, err
	}
	i.feed = revlog.NewFeed(i.log, o.MaxBound)
	i.clients, err = clients.New(clients.Options{
		Store: o.Clients, Sessions: o.Store, Log: i.log, Audit: o.Audit, Shortest: shortest, Longest: o.lifetimes(),
	})
	if err != nil {
		return nil, err
	}
	i.newSigner()
	return i, nil
}

// complete puts the defaults into o, and checks it.
func (o *Options) complete() (err error) {
	if o.Store == nil || o.Keys == nil {
		return errors.New("issuer: Options.Store and Options.Keys are required")
	}
	if _, err := urls.Issuer(o.URL); err != nil {
		return fmt.Errorf("issuer: Options.URL: %w", err)
	}
	if o.Audience == nil {
		o.Audience = []string{o.URL}
	}
	for _, d := range []struct {
		name     string
		value    *time.Duration
		zero     time.Duration
		least    time.Duration
		greatest time.Duration
	}{
		{"AccessTTL", &o.AccessTTL, 5 * time.Minute, time.Duration(shortest.AccessTTL), revlog.MaxCopyTTL},
		{"Idle", &o.Idle, time.Hour, time.Duration(shortest.Idle), 365 * 24 * time.Hour},
		{"RefreshIdle", &o.RefreshIdle, 7 * 24 * time.Hour, time.Duration(shortest.RefreshIdle), 365 * 24 * time.Hour},
		{"Absolute", &o.Absolute, 24 * time.Hour, time.Duration(shortest.Absolute), 365 * 24 * time.Hour},
		{"Grace", &o.Grace, DefaultGrace, time.Second, time.Minute},
		{"MaxBound", &o.MaxBound, DefaultMaxBound, 2 * time.Second, time.Minute},
	} {
		if *d.value == 0 {
			*d.value = d.zero
		}
		if *d.value < d.least || *d.value > d.greatest {
			return fmt.Errorf("issuer: Options.%s is %v: want %v to %v", d.name, *d.value, d.least, d.greatest)
		}
	}
	if o.MaxSessions == 0 {
		o.MaxSessions = DefaultMaxSessions
	}
	if o.MaxSessions < 1 || o.MaxSessions > 10_000 {
		return fmt.Errorf("issuer: Options.MaxSessions is %d: want 1 to 10,000", o.MaxSessions)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Time == nil {
		o.Time = nodetime.Believe(o.Store, o.Now)
	}
	o.Now = o.Time.Now
	if o.Clients == nil {
		o.Clients = o.Store
	}
	if o.Audit == nil {
		o.Audit, err = audit.New(audit.Options{Store: o.Clients, Beside: o.Store, Now: o.Now})
	}
	return err
}

// Log returns the next page of the revocation log, see counterfoil.Source.
func (i *Issuer) Log(ctx context.Context, f source.Follow) (source.Page, error) {
	return i.feed.Page(ctx, f)
}

// Feed serves the revocation log to verifiers, and tells which of them follow it.
func (i *Issuer) Feed() *revlog.Feed { return i.feed }

// Clients keeps the settings of clients.
func (i *Issuer) Clients() *clients.Registry { return i.clients }

// Head reads the head of the log from the store: an issuer that can do that can answer.
func (i *Issuer) Head(ctx context.Context) (counterfoil.Cursor, error) { return i.log.Head(ctx) }

// Remember tells the issuer the latest head that an earlier process saw, before anything
// is served. If the store was put back since, every session ends (REV-09).
func (i *Issuer) Remember(ctx context.Context, seen counterfoil.Cursor) error {
	return i.log.Remember(ctx, seen)
}

// BeginEpoch begins another log although nothing is lost. Sessions and refresh tokens go
// on; copies from before count no longer, and are refreshed (4.6).
func (i *Issuer) BeginEpoch(ctx context.Context, reason string) error {
	return i.log.Begin(ctx, reason)
}

// Derive returns a secret for one purpose of the program that serves this issuer: the same
// in every process on one store. The issuer's own purposes cannot be named (KEY-13).
func (i *Issuer) Derive(purpose string) []byte { return i.keys.Derive("server " + purpose) }

// Audience is the aud of copies whose client has none of its own.
func (i *Issuer) Audience() []string { return i.opts.Audience }

// Audit is the trail that this issuer writes to.
func (i *Issuer) Audit() *audit.Trail { return i.audit }

// Sweep drops what has expired, and rotates the keys. Call it every minute. While the clocks
// do not agree it does nothing.
func (i *Issuer) Sweep(ctx context.Context) error {
	before, err := i.opts.Time.SweepBefore(ctx)
	if err != nil || i.opts.Time.Err() != nil {
		return err
	}
	if err := i.keys.Tick(ctx); err != nil {
		return unavailable(err)
	}
	if kid, changed := i.newSigner(); changed { // its time came: nobody rotated it, so nothing else tells of it
		note := audit.Act{Reason: "its time has come"}.Entry(audit.RotateKey, "")
		note.Target = kid
		i.audit.Tell(note)
	}
	if !before.IsZero() {
		i.log.Forget(before)
		_, err = i.store.Sweep(ctx, before)
	}
	if i.opts.Clients != i.store {
		if !before.IsZero() {
			_, other := i.opts.Clients.Sweep(ctx, before)
			err = errors.Join(err, other)
		}
		err = errors.Join(err, i.audit.Move(ctx))
	}
	return unavailable(err)
}

// unavailable marks an error of a store or of the keyring as an outage, which says
// nothing about any credential. What callers branch on passes through.
func unavailable(err error) error {
	if errors.Is(err, keyring.ErrConfigured) {
		return fmt.Errorf("%w: %w", ErrBadRequest, err) // trying again would not help
	}
	return store.Outage(err)
}
