package server

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os/exec"
	"sync"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/accounts"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/clients"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/internal/nodetime"
	"github.com/counterfoil/counterfoil/internal/secret"
	"github.com/counterfoil/counterfoil/internal/token"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/keyring"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/login/flow"
	"github.com/counterfoil/counterfoil/login/mailcode"
	"github.com/counterfoil/counterfoil/login/password"
	"github.com/counterfoil/counterfoil/login/throttle"
	"github.com/counterfoil/counterfoil/mail"
	"github.com/counterfoil/counterfoil/monitor"
	"github.com/counterfoil/counterfoil/outbox"
	"github.com/counterfoil/counterfoil/rights"
	"github.com/counterfoil/counterfoil/store"
)

// Config of [Open]. Store and URL are required; everything else has a safe zero.
type Config struct {
	Store store.Store // memory.New(), sqlite.Open(…): the caller closes it after Close

	// Sessions is a store for sessions and the revocation log alone; users, keys, clients
	// and the audit trail stay in Store. nil: everything is in Store.
	Sessions store.Store

	URL      string   // where clients reach the server; https, or http on loopback; with the path that it is below, if any: [CheckURL]
	Hosts    []string // names beside that of URL that requests may have as Host, without a port: of a proxy that does not pass the name on, or inside a cluster
	Audience []string // aud of the copies of a client that has none of its own; nil: URL

	// SealKey encrypts the signing keys in the store. It must be the same at every
	// start and live outside the store. Zero is for a lossy store only.
	SealKey [32]byte

	// Algorithm of new signing keys: ES256 (zero), ES384, Ed25519, RS256, PS256; or
	// HS256, whose tokens nobody but this process can check: the key set is empty. Ed25519
	// is a name that most libraries do not know yet (docs/clients.md).
	Algorithm string

	// HMACSecret signs with HS256, where somebody else must know the secret too; at least
	// 32 random bytes. nil: one is made, kept in Store and rotated.
	HMACSecret []byte

	// ACRs are the authentication context classes that proofs may state, the weakest
	// first: a step-up never goes down. nil: it knows of none.
	ACRs []string

	AccessTTL   time.Duration // life of a copy until it is refreshed; zero: 5 min; at most 15 min
	Idle        time.Duration // an opaque cookie's session unused for so long has ended; zero: 1 h; at least 3 min
	Absolute    time.Duration // no session lives longer, used or not; zero: 24 h
	MaxSessions int           // sessions that one subject may have; zero: 100; at most 10,000; a login beyond that ends the oldest

	Grace    time.Duration // how long a refresh may be repeated; zero: 10 s; at most 1 min
	MaxBound time.Duration // the largest staleness bound a verifier may follow with; zero: 10 s; at most 1 min

	// RefreshIdle is how long a login with refresh tokens lives that is not refreshed; zero:
	// 7 days; at least 15 min.
	RefreshIdle time.Duration

	// Methods are ways of signing in beside the password, in the order in which second
	// steps are asked for.
	Methods []login.Method

	// Post takes messages to users, for a program that sends them in its own way. nil: they are mailed, if
	// Mail is set.
	Post accounts.Post

	// SignInByMail lets users sign in by a code that is mailed to the address that they have proven. It is one
	// factor, and needs mail.
	SignInByMail bool

	Registration  bool // strangers may make themselves an account
	ClearSiteData bool // a logout also empties cache, cookies and storage of the whole origin (SES-20)

	// LoginsPerSecond is how many attempts to sign in all nodes together look at, the same
	// on every node. A quarter is kept for clients that signed the account in before. Others are
	// told to come later. Zero: as many as this machine can hash, measured at the start, and at
	// least 10; with InsecureHashes or Offline 50.
	LoginsPerSecond int

	// HashWorker makes a command that runs password.Work on its standard input and output:
	// then a flood of logins takes nothing from the checks of sessions in this process
	// (LOGIN-04). Slots count from 0. nil: password hashes are computed in this process.
	HashWorker func(slot int) *exec.Cmd
	HashSlots  int // hashes at a time, of 64 MiB each; zero: 1 to 8, as many as CPUs

	// Head remembers how far the revocation log had come, so that a backup of the store
	// that is put back revives no login. nil: a file beside that of the store, if the
	// store is a file; otherwise nothing does, and Open says so in the log.
	Head HeadKeeper

	Brand Brand // name, logo, accent and footer of the pages and mails; zero: Counterfoil's own

	// Mail says how mails are sent. The fields from Brand on are filled in. Without Mail.URL no mail is
	// sent, and nothing is offered that needs one.
	Mail mail.Options

	// Delivered hears how each delivery of the outbox went: mails and what else leaves the server.
	// nil: nobody does.
	Delivered func(outbox.Told)

	// Monitor says which endpoints are watched, and who is told. nil: none is. SetMonitor replaces it.
	Monitor *monitor.File

	Ran func(*monitor.Check, monitor.Result) // hears of each run of a check; nil: nobody does

	Logger *slog.Logger // nil: slog.Default()

	Audit     func(audit.Entry) // hears every event of the audit trail; nil: audit.Log(Logger)
	KeepAudit time.Duration     // how long the store keeps them; zero: 90 days; negative: not at all

	// Swept hears of each sweep, one a minute, which drops what has expired and does what
	// is due to users. nil: nobody does; an error is in the log all the same.
	Swept func(took time.Duration, err error)

	// Settings are those of the program, as GET /v1/admin/settings shows them: no value is a
	// secret. nil: the fields of this struct. At most 100.
	Settings []Setting

	// NoVerifier is for a program with no handlers of its own to protect: Verifier
	// returns nil, and nothing follows the revocation log in this process.
	NoVerifier bool

	// ServeStale is for how long at most a route may go on that chooses counterfoil.ServeStale
	// (Verifier.With). Zero: none may choose it.
	ServeStale time.Duration

	// Offline is for a command that looks at a store or changes something in it, and ends:
	// there is no verifier, and nothing runs in the background.
	Offline bool

	// Demo is for a program that adds users with a public password. A new store is marked as a
	// demo's. Open refuses a store with the mark without Demo, and a store in use that has no
	// mark with it.
	Demo bool

	// Now is the wall clock; nil: time.Now. It is compared with the clock of the store and with
	// the time that passes, and what is dated goes by all three (4.9a).
	Now func() time.Time

	// Elapsed counts by a clock that nobody can set, from any moment on: for tests in which
	// Now is set. nil: the monotonic clock; or, with Now, what Now has counted.
	Elapsed func() time.Duration

	// ClockWasSetBack says that the clock is right, although it is earlier than the time that
	// the store remembers. Copies from before count no longer then, and clients refresh them.
	// Set it for one start.
	ClockWasSetBack bool

	// InsecureHashes makes password hashes that cost nothing, to compute or to break: for
	// tests that are not about passwords.
	InsecureHashes bool
}

// Embedded is an auth server inside your program, with everything it is made of.
type Embedded struct {
	*Server
	config    Config
	time      *nodetime.Clock
	trail     *audit.Trail
	outbox    *outbox.Outbox
	mail      *mail.Sender // nil: no mail is sent
	issuer    *issuer.Issuer
	users     *accounts.Accounts
	passwords *password.Passwords
	head      *keptHead // nil: nothing remembers the head
	verifier  *counterfoil.Verifier
	cancel    context.CancelFunc
	running   sync.WaitGroup // what cancel ends
	close     func() error   // the first time alone
}

// Open puts a whole auth server together over a store: keys, audit trail, users, issuer,
// passwords and handler, a verifier that follows the issuer directly, and what runs in the
// background. It is the only place that does; the program, tests and programs that embed
// the server begin here. Before it returns, a store of a later version is refused, a store
// that was put back is noticed (REV-09), and what a stopped server left is finished. Close ends what it started.
func Open(ctx context.Context, c Config) (*Embedded, error) {
	if err := c.complete(); err != nil {
		return nil, err
	}
	e := &Embedded{config: c, cancel: func() {}}
	e.close = sync.OnceValue(e.end)
	if err := e.assemble(ctx); err != nil {
		return nil, err
	}
	if c.Offline {
		return e, nil
	}
	if !c.NoVerifier {
		if err := e.follow(ctx); err != nil {
			return nil, errors.Join(err, e.passwords.Close())
		}
	}
	e.run(ctx)
	return e, nil
}

// complete puts the defaults into c.
func (c *Config) complete() error {
	if c.Store == nil {
		return errors.New("server: Config.Store is required")
	}
	if c.SignInByMail && c.Post == nil && c.Mail.URL == "" {
		return errors.New("server: Config.SignInByMail needs Config.Mail or Config.Post")
	}
	if len(c.Settings) > maxSettings {
		return fmt.Errorf("server: Config.Settings has %d settings, and at most %d are possible", len(c.Settings), maxSettings)
	}
	if c.Sessions == nil {
		c.Sessions = c.Store
	}
	if c.SealKey == [32]byte{} {
		if c.Store.Describe().Durability == store.Durable {
			return errors.New("server: Config.SealKey is required with a durable store")
		}
		rand.Read(c.SealKey[:])
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Audit == nil {
		c.Audit = audit.Log(c.Logger)
	}
	return nil
}

// assemble makes all parts. Each rests on those before it.
func (e *Embedded) assemble(ctx context.Context) error {
	c := &e.config
	if err := e.checkFormats(ctx); err != nil {
		return err
	}
	e.time = nodetime.New(nodetime.Options{Store: c.Sessions, Now: c.Now, Elapsed: c.Elapsed, SetBack: c.ClockWasSetBack, Logger: c.Logger})
	if err := e.time.Look(ctx); err != nil {
		return err
	}
	now := e.time.Now
	counts := newStats(now)
	keys, err := keyring.Open(ctx, keyring.Options{Store: c.Store, SealKey: c.SealKey, Alg: token.Alg(c.Algorithm), Secret: c.HMACSecret, Now: now, Doubt: func() bool { return e.time.Err() != nil }})
	if err != nil {
		return err
	}
	if e.trail, err = audit.New(audit.Options{Store: c.Store, Beside: c.Sessions, Keep: c.KeepAudit, Hook: counts.heard(c.Audit), Anchor: audit.LogSeal(c.Logger), Now: now}); err != nil {
		return err
	}
	if err := e.openOutbox(keys); err != nil {
		return err
	}
	users, err := directory.New(directory.Options{Store: c.Store, Audit: e.trail, Now: now})
	if err != nil {
		return err
	}
	if e.issuer, err = issuer.New(issuer.Options{
		Store: c.Sessions, Clients: c.Store, Keys: keys, URL: c.URL, Audience: c.Audience, Audit: e.trail, Time: e.time,
		ACRs: c.ACRs, AccessTTL: c.AccessTTL, Idle: c.Idle, Absolute: c.Absolute, Grace: c.Grace, MaxBound: c.MaxBound,
		RefreshIdle: c.RefreshIdle, MaxSessions: c.MaxSessions,
	}); err != nil {
		return err
	}
	if err := e.remember(ctx); err != nil {
		return err
	}
	if err := e.setBack(ctx); err != nil {
		return err
	}
	how := password.Options{Users: users, Now: now, Worker: c.HashWorker, Slots: c.HashSlots, InsecureHashes: c.InsecureHashes}
	how.Throttle, err = throttle.New(throttle.Options{Store: c.Store, Key: e.issuer.Derive("device"), PerSecond: c.perSecond(how), Now: now})
	if err != nil {
		return err
	}
	if e.passwords, err = password.New(how); err != nil {
		return err
	}
	if e.users, err = accounts.New(accounts.Options{Users: users, Issuer: e.issuer, Passwords: e.passwords, Post: c.Post, Admit: how.Throttle.Admit, Knows: how.Throttle.Knows, Now: now}); err != nil {
		return err
	}
	if err := e.reindex(ctx); err != nil {
		return err
	}
	if !c.Offline {
		if err := e.users.Finish(ctx); err != nil {
			return err
		}
	}
	methods := []login.Method{e.passwords}
	if c.SignInByMail {
		byCode, err := mailcode.New(mailcode.Options{Key: e.issuer.Derive("mailed code"), Compose: e.users.ComposeCode, Send: e.users.SendCode, Now: now})
		if err != nil {
			return err
		}
		methods = append(methods, byCode)
	}
	ways, err := flow.New(flow.Options{
		Store: c.Store, Users: users, Throttle: how.Throttle, Methods: append(methods, c.Methods...),
		SubjectRev: e.issuer.SubjectRev, Now: now,
	})
	if err != nil {
		return err
	}
	if e.Server, err = newServer(c, e.time, e.issuer, e.users, ways); err != nil {
		return err
	}
	if c.Settings == nil {
		c.Settings = settingsOf(c, e.issuer.Clients().InForce(new(clients.Client)))
	}
	e.stats, e.settings, e.offline = counts, c.Settings, c.Offline
	e.Server.outbox = e.outbox
	return e.openMonitor()
}

// openOutbox makes what mails leave by.
func (e *Embedded) openOutbox(keys *keyring.Keyring) (err error) {
	c := &e.config
	e.outbox, err = outbox.New(outbox.Options{Store: c.Store, Key: keys.Derive, Audit: e.trail, Hook: c.Delivered, Logger: c.Logger, Now: e.time.Now})
	if err != nil || c.Mail.URL == "" {
		return err
	}
	u, err := parseURL(c.URL)
	if err != nil {
		return fmt.Errorf("server: Config.URL: %w", err)
	}
	o := c.Mail
	o.Brand, o.Host, o.Outbox, o.Logger, o.Now = c.Brand.mail(), u.Host, e.outbox, c.Logger, e.time.Now
	if e.mail, err = mail.New(o); err != nil {
		return err
	}
	e.outbox.Handle(mail.Kind, e.mail.Deliver)
	if c.Post == nil {
		c.Post = post{c.URL, e.mail}
	}
	return nil
}

// setBack goes on with a clock that was set back. Entries may have been swept that cover
// copies which are alive by that clock, so no copy from before counts (4.9a).
func (e *Embedded) setBack(ctx context.Context) error {
	if !e.time.SetBack() {
		return nil
	}
	if err := e.issuer.BeginEpoch(ctx, "the clock was set back: copies from before are refreshed"); err != nil {
		return err
	}
	if e.head != nil {
		if err := e.head.keep(ctx, e.issuer); err != nil {
			return err
		}
	}
	return e.time.Forget(ctx)
}

// reindex makes what an earlier version has written searchable, before anybody searches. A node of
// that version may still run beside this one, so each sweep looks again; that is one question.
func (e *Embedded) reindex(ctx context.Context) error {
	return e.users.Reindex(ctx, func(what string, done int) {
		if done%50_000 == 0 && done > 0 {
			e.config.Logger.Info("making what is stored searchable", "kind", what, "done", done)
		}
	})
}

// leastPerSecond is what a slow machine, or one that was busy when it was measured, looks at.
const leastPerSecond = 10

// perSecond is LoginsPerSecond, or what this machine can hash (LOGIN-09): more would fill the
// queue of hashes, and then nobody is let in.
func (c *Config) perSecond(how password.Options) int {
	if c.LoginsPerSecond != 0 || c.InsecureHashes || c.Offline {
		return c.LoginsPerSecond
	}
	measured, one := password.Measure(how)
	n := min(max(measured, leastPerSecond), 10_000)
	c.Logger.Info("limit of attempts to sign in", "per_second", n, "one_hash", one.Round(time.Millisecond).String(), "hint", "set logins_per_second to choose another")
	return n
}

// follow starts the verifier. Its bound is one that the server allows, and no longer than by default.
func (e *Embedded) follow(ctx context.Context) (err error) {
	audience := e.config.URL
	if len(e.config.Audience) > 0 {
		audience = e.config.Audience[0]
	}
	e.verifier, err = counterfoil.NewVerifier(ctx, e.issuer, counterfoil.Options{
		Issuer: e.config.URL, Audience: audience, Logger: e.config.Logger, Now: e.config.Now,
		Bound: min(cmp.Or(e.config.MaxBound, issuer.DefaultMaxBound), issuer.DefaultMaxBound), ServeStale: e.config.ServeStale,
	})
	return err
}

// run starts what works in the background until Close.
func (e *Embedded) run(ctx context.Context) {
	if e.config.InsecureHashes {
		e.log.Warn("password hashes are insecure", "hint", "Config.InsecureHashes is for tests")
	}
	ctx, e.cancel = context.WithCancel(context.WithoutCancel(ctx))
	e.running.Go(func() { e.time.Run(ctx) })
	e.running.Go(func() { e.sweep(ctx) })
	e.running.Go(func() { e.trail.Run(ctx) })
	e.running.Go(func() { e.issuer.Feed().Lags(ctx, e.stats.took) })
	e.running.Go(func() { e.issuer.RunJobs(ctx) })
	e.running.Go(func() { e.outbox.Run(ctx) })
	if e.watching != nil {
		e.running.Go(func() { e.watching.run(ctx) })
	}
	if e.head != nil {
		e.running.Go(func() { e.keepHead(ctx) })
	}
}

// Verifier checks the requests of your own handlers, without a network. It is nil with
// Config.NoVerifier and Config.Offline.
func (e *Embedded) Verifier() *counterfoil.Verifier { return e.verifier }

// Issuer makes and ends sessions, also for subjects you authenticated yourself.
func (e *Embedded) Issuer() *issuer.Issuer { return e.issuer }

// Users is the people who have an account, and the API keys.
func (e *Embedded) Users() *accounts.Accounts { return e.users }

// FirstAdministrator returns the link with which the first administrator makes the account, once
// and within 24 hours, or nothing if there is one or was one. Each call makes a new link and ends
// the one before. Show it to the owner of the machine alone, and write it to no log.
func (e *Embedded) FirstAdministrator(ctx context.Context) (link login.Secret, expires time.Time, err error) {
	token, expires, err := e.users.InviteAdministrator(ctx, audit.Act{By: audit.ByLocal, Reason: "there is no administrator"})
	if err != nil || token.Reveal() == "" {
		return login.Secret{}, time.Time{}, err
	}
	return secret.New(e.linkOf(token)), expires, nil
}

// Outbox is what leaves the server by itself once a commit is durable: mails, and what else a program
// has it deliver.
func (e *Embedded) Outbox() *outbox.Outbox { return e.outbox }

// Mail makes and sends mails. It is nil without Config.Mail.
func (e *Embedded) Mail() *mail.Sender { return e.mail }

// Clock compares the clock of this node with that of the store.
func (e *Embedded) Clock() *nodetime.Clock { return e.time }

// Hashing says how busy the hashing of passwords is.
func (e *Embedded) Hashing() password.Load { return e.passwords.Load() }

// closing bounds what Close does at the store.
const closing = 5 * time.Second

// Close stops what Open started, and waits for it. Nothing may be served any more. An
// error says what could not be written at the end; nothing acknowledged is lost with it.
// A second Close does nothing, and returns the same.
func (e *Embedded) Close() error { return e.close() }

func (e *Embedded) end() error {
	e.cancel()
	e.running.Wait()
	if e.verifier != nil {
		e.verifier.Close()
	}
	if e.mail != nil {
		e.mail.Close()
	}
	ctx, cancel := context.WithTimeout(context.Background(), closing)
	defer cancel()
	var head error
	if e.head != nil {
		head = e.head.keep(ctx, e.issuer)
	}
	return errors.Join(e.passwords.Close(), e.trail.Move(ctx), head)
}

func (e *Embedded) sweep(ctx context.Context) {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		begun := time.Now()
		err := errors.Join(e.users.Finish(ctx), e.issuer.Sweep(ctx), e.reindex(ctx))
		if ctx.Err() != nil {
			return
		}
		if e.config.Swept != nil {
			e.config.Swept(time.Since(begun), err)
		}
		if err != nil {
			e.log.Error("sweep", "error", err.Error())
		}
	}
}

// AddUser registers a user with a password, whether registration is open or not.
// It fails with directory.ErrTaken if there is one, and with
// login.RejectedPassword if the password is not acceptable.
func (e *Embedded) AddUser(ctx context.Context, identifier, pass string, roles ...string) error {
	_, err := e.users.Register(ctx, rights.Owner(), audit.Act{By: audit.ByLocal}, identifier, "", secret.New(pass), roles)
	return err
}
