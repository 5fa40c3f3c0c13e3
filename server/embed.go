package server

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/accounts"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/internal/secret"
	"github.com/counterfoil/counterfoil/internal/token"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/keyring"
	"github.com/counterfoil/counterfoil/login/password"
	"github.com/counterfoil/counterfoil/login/throttle"
	"github.com/counterfoil/counterfoil/store"
)

// Config of Open. Store and URL are required; everything else has a safe zero.
type Config struct {
	Store store.Store // memory.New(), sqlite.Open(…): the caller closes it after Close

	// Sessions is a store for sessions and the revocation log alone; users, keys, clients
	// and the audit trail stay in Store. nil: everything is in Store.
	Sessions store.Store

	URL string // where clients reach the server; https, or http on loopback

	// SealKey encrypts the signing keys in the store. It must be the same at every
	// start and live outside the store. Zero is for a lossy store only.
	SealKey [32]byte

	// Algorithm of new signing keys: ES256 (zero), ES384, Ed25519, RS256, PS256; or
	// HS256, whose tokens nobody but this process can check: the key set is empty.
	Algorithm string

	// ACRs are the authentication context classes that proofs may state, the weakest
	// first: a step-up never goes down. nil: it knows of none.
	ACRs []string

	AccessTTL time.Duration // life of a copy until it is refreshed; zero: 5 min; at most 15 min
	Idle      time.Duration // a cookie session unused for so long has ended; zero: 1 h; at least 3 min
	Absolute  time.Duration // no session lives longer, used or not; zero: 24 h

	Registration  bool // strangers may make themselves an account
	ClearSiteData bool // a logout also empties cache, cookies and storage of the whole origin (SES-20)

	Logger *slog.Logger // nil: slog.Default()

	Audit     func(audit.Entry) // hears every event of the audit trail; nil: audit.Log(Logger)
	KeepAudit time.Duration     // how long the store keeps them; zero: 90 days; negative: not at all

	Now func() time.Time // nil: time.Now

	// InsecureHashes makes password hashes that cost nothing, to compute or to break: for
	// tests that are not about passwords.
	InsecureHashes bool
}

// Embedded is an auth server inside your program, with everything it is made of.
type Embedded struct {
	*Server
	issuer   *issuer.Issuer
	verifier *counterfoil.Verifier
	cancel   context.CancelFunc
	done     chan struct{} // closed when the sweeping has ended
	moved    chan struct{} // closed when audit entries no longer move
	users    *accounts.Accounts
}

// Open puts a whole auth server together over a store: keys, issuer, users and
// handler, a verifier that follows the issuer directly, and the sweeping that a
// server needs. Close ends what it started.
func Open(ctx context.Context, c Config) (*Embedded, error) {
	if c.Store == nil {
		return nil, errors.New("server: Config.Store is required")
	}
	if c.Sessions == nil {
		c.Sessions = c.Store
	}
	if c.SealKey == [32]byte{} {
		if c.Store.Describe().Durability == store.Durable {
			return nil, errors.New("server: Config.SealKey is required with a durable store")
		}
		rand.Read(c.SealKey[:])
	}
	keys, err := keyring.Open(ctx, keyring.Options{Store: c.Store, SealKey: c.SealKey, Alg: token.Alg(c.Algorithm), Now: c.Now})
	if err != nil {
		return nil, err
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Audit == nil {
		c.Audit = audit.Log(c.Logger)
	}
	trail, err := audit.New(audit.Options{Store: c.Store, Beside: c.Sessions, Keep: c.KeepAudit, Hook: c.Audit, Now: c.Now})
	if err != nil {
		return nil, err
	}
	e := &Embedded{done: make(chan struct{}), moved: make(chan struct{})}
	users, err := directory.New(directory.Options{Store: c.Store, Audit: trail, Now: c.Now})
	if err != nil {
		return nil, err
	}
	if e.issuer, err = issuer.New(ctx, issuer.Options{
		Store: c.Sessions, Clients: c.Store, Keys: keys, URL: c.URL, Audit: trail,
		ACRs: c.ACRs, AccessTTL: c.AccessTTL, Idle: c.Idle, Absolute: c.Absolute, Now: c.Now,
	}); err != nil {
		return nil, err
	}
	guesses, err := throttle.New(throttle.Options{Store: c.Store, Key: e.issuer.Derive("device"), Now: c.Now})
	if err != nil {
		return nil, err
	}
	passwords, err := password.New(password.Options{
		Users: users, Throttle: guesses, SubjectRev: e.issuer.SubjectRev, Now: c.Now, InsecureHashes: c.InsecureHashes,
	})
	if err != nil {
		return nil, err
	}
	if e.users, err = accounts.New(accounts.Options{Users: users, Issuer: e.issuer, Passwords: passwords, Now: c.Now}); err != nil {
		return nil, err
	}
	if err := e.users.Finish(ctx); err != nil {
		return nil, err
	}
	if e.Server, err = New(Options{
		Issuer: e.issuer, Users: e.users, Passwords: passwords,
		URL: c.URL, Registration: c.Registration, ClearSiteData: c.ClearSiteData, Logger: c.Logger, Now: c.Now,
	}); err != nil {
		return nil, err
	}
	if e.verifier, err = counterfoil.NewVerifier(ctx, e.issuer, counterfoil.Options{
		Issuer: c.URL, Audience: c.URL, Logger: c.Logger, Now: c.Now,
	}); err != nil {
		return nil, err
	}
	sweeping, cancel := context.WithCancel(context.WithoutCancel(ctx))
	e.cancel = cancel
	go e.sweep(sweeping)
	go func() { defer close(e.moved); trail.Run(sweeping) }()
	return e, nil
}

// Verifier checks the requests of your own handlers, without a network.
func (e *Embedded) Verifier() *counterfoil.Verifier { return e.verifier }

// Issuer makes and ends sessions, also for subjects you authenticated yourself.
func (e *Embedded) Issuer() *issuer.Issuer { return e.issuer }

// Users is the people who have an account, and the API keys.
func (e *Embedded) Users() *accounts.Accounts { return e.users }

// Close stops what Open started, and waits for it.
func (e *Embedded) Close() {
	e.cancel()
	<-e.done
	<-e.moved
	e.verifier.Close()
}

func (e *Embedded) sweep(ctx context.Context) {
	defer close(e.done)
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := errors.Join(e.users.Finish(ctx), e.issuer.Sweep(ctx)); err != nil && ctx.Err() == nil {
				e.log.Error("sweep", "error", err.Error())
			}
		}
	}
}

// AddUser registers a user with a password, whether registration is open or not.
// It fails with directory.ErrTaken if there is one, and with
// login.RejectedPassword if the password is not acceptable.
func (e *Embedded) AddUser(ctx context.Context, identifier, pass string, roles ...string) error {
	_, err := e.users.Register(ctx, audit.Act{By: audit.ByLocal}, identifier, "", secret.New(pass), roles)
	return err
}
