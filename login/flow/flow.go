// Package flow runs ways of signing in. It finds the account, counts the attempt, calls
// the method, and keeps what lies between a challenge and its answer. So a method holds
// no store, cannot forget the counters, and cannot tell a name that exists from one that
// does not.
//
// Begin with [New], then [Flow.Begin] and, while there is a challenge, [Flow.Finish].
// Flow makes no session: its result is a proof for package issuer.
package flow

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/internal/check"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/login/throttle"
	"github.com/counterfoil/counterfoil/store"
)

// Users is what package flow needs of the directory. It changes no user: of a credential
// it keeps what a login made of it, such as a counter, or another hash of the same password.
type Users interface {
	IDOf(ctx context.Context, identifier string) (string, error)
	Account(ctx context.Context, id, kind string) (login.Account, error)
	SaveCredential(ctx context.Context, user string, c login.Credential, note audit.Entry) error
}

// Options of New.
type Options struct {
	Store    store.Store        // required: where attempts are kept
	Users    Users              // required: a *directory.Directory
	Throttle *throttle.Throttle // required
	Methods  []login.Method     // required: the first is for clients that name none

	// SubjectRev reads the revision that goes into a proof (LOGIN-19); required.
	SubjectRev func(ctx context.Context, subject string) (uint64, error)

	Now func() time.Time // nil: time.Now
}

// Flow runs methods. It is safe for concurrent use.
type Flow struct {
	opts Options
}

// New checks o.
func New(o Options) (*Flow, error) {
	if o.Store == nil || o.Users == nil || o.Throttle == nil || o.SubjectRev == nil || len(o.Methods) == 0 {
		return nil, errors.New("flow: Options.Store, Users, Throttle, SubjectRev and Methods are required")
	}
	seen := map[string]bool{}
	for _, m := range o.Methods {
		name := m.Name()
		if !check.Method(name) || seen[name] {
			return nil, fmt.Errorf("flow: method %q: a name is 1 to 32 lower-case letters, digits and dashes, and has one method", name)
		}
		seen[name] = true
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Flow{o}, nil
}

func (f *Flow) method(name string) (login.Method, error) {
	for _, m := range f.opts.Methods {
		if name == "" || m.Name() == name {
			return m, nil
		}
	}
	return nil, login.ErrUnknownMethod
}

// Request begins an attempt.
type Request struct {
	Method     string       // empty: the first
	Identifier string       // who wants to sign in, as typed; empty: the method finds out
	StepUp     bool         // who has that identifier is signed in, and proves it anew
	Input      login.Secret // one JSON object for the method
	Device     login.Secret // what the client kept of an earlier login, see Device
	Address    netip.Addr   // where it comes from

	// Apart says that the client keeps the secret of a challenge apart from its name:
	// a browser in a cookie. Otherwise one text has both.
	Apart bool

	Client  string // whose attempt it is: no other may answer
	Session string // that is stepped up, with StepUp: only who holds it may answer, whatever client

	Keep json.RawMessage // what Answer.Kept is given, at most 2 KiB
}

// Result is how far an attempt has come: either Proof or Challenge is set.
type Result struct {
	Proof   *login.Proof
	Account string // that was proven, in the one spelling of its name; empty: of no user here

	Challenge json.RawMessage // for the client
	Method    string          // that the challenge is of
	Attempt   string          // names the attempt to Finish; without Apart it is a secret
	Secret    login.Secret    // with Apart: what the client must show as well
	Expires   time.Time       // when the challenge can no longer be answered
}

// Device returns what the client of a login that succeeded should keep and show at the
// next as Request.Device. If presented is such a credential already, it is returned.
func (f *Flow) Device(identifier string, presented login.Secret) login.Secret {
	return f.opts.Throttle.Device(accountOf(identifier), presented)
}

// Begin starts an attempt. It fails with login.ErrRefused, login.Throttled,
// login.ErrBusy, login.ErrUnknownMethod or login.BadInput.
func (f *Flow) Begin(ctx context.Context, r Request) (Result, error) {
	m, err := f.method(r.Method)
	if err != nil {
		return Result{}, err
	}
	if len(r.Keep) > maxKeep {
		return Result{}, fmt.Errorf("flow: %d bytes to keep, more than %d", len(r.Keep), maxKeep)
	}
	name := accountOf(r.Identifier)
	_, sends := m.(login.Sender)
	ticket, err := f.opts.Throttle.Take(ctx, throttle.Guess{Account: name, Device: r.Device, Address: r.Address, Sends: sends})
	if err != nil {
		return Result{}, err
	}
	at := &attempt{Counter: ticket.Counter(), Known: ticket.Known(), StepUp: r.StepUp, Apart: r.Apart, Client: r.Client, Session: r.Session, Keep: r.Keep}
	find := func(ctx context.Context) (account login.Account, err error) {
		if at.Named, err = f.named(ctx, name); err != nil {
			return account, err
		}
		return f.subject(ctx, at.Named, m.Name())
	}
	begin := func(ctx context.Context, a login.Attempt) (login.Step, error) {
		step, err := m.Begin(ctx, a)
		if err == nil && at.Named == "" { // the method found out itself who it is
			at.Named, err = f.named(ctx, name)
		}
		return step, err
	}
	result, err := f.step(ctx, at, m, begin, find, login.Attempt{Input: r.Input, Known: ticket.Known()})
	if err != nil && !errors.Is(err, login.ErrRefused) {
		err = errors.Join(err, ticket.Undo(ctx)) // nothing was guessed
	}
	return result, err
}

// Answer answers the challenge of an attempt.
type Answer struct {
	Attempt string       // of the Result
	Secret  login.Secret // of the Result, if it was kept apart
	Input   login.Secret // one JSON object for the method
	Address netip.Addr

	Client string // of who answers

	// Session returns the id of the session of who answers. It is called for the attempt of a
	// step-up alone. Its error is returned, and leaves the attempt as it was. nil: none.
	Session func(ctx context.Context) (id string, err error)

	// Kept is given Request.Keep, before anything is done. Its error is returned, and leaves
	// the attempt as it was. nil: it is not asked for.
	Kept func(keep json.RawMessage) error
}

// Finish answers a challenge. It fails like Begin, and with login.ErrOver if the
// challenge cannot be answered or was answered before: of two answers at once, one is
// looked at. After an answer that was refused the attempt is over; after an outage, and
// after one that was no answer at all, it is as it was.
func (f *Flow) Finish(ctx context.Context, a Answer) (Result, error) {
	// To open an attempt costs one read, less than to count. Who holds one that a known device
	// began goes on with what is kept for those: otherwise strangers could stop the owner here.
	at, over := f.open(ctx, a)
	g := throttle.Guess{Address: a.Address}
	if over == nil && at.Known {
		g.Known = at.Counter
	}
	if _, err := f.opts.Throttle.Take(ctx, g); err != nil {
		return Result{}, err
	}
	if over != nil {
		return Result{}, over
	}
	m, err := f.method(at.Method)
	if err != nil {
		return Result{}, login.ErrOver // it was taken out of the configuration meanwhile
	}
	if err := f.take(ctx, at); err != nil {
		return Result{}, err
	}
	before := *at
	find := func(ctx context.Context) (login.Account, error) { return f.subject(ctx, at.Subject, m.Name()) }
	result, err := f.step(ctx, at, m, m.Finish, find, login.Attempt{Input: a.Input, State: at.State})
	if err != nil && !errors.Is(err, login.ErrRefused) {
		err = errors.Join(err, f.restore(ctx, &before))
	}
	return result, err
}

// call is Begin or Finish of a method.
type call func(context.Context, login.Attempt) (login.Step, error)

// find returns the account of an attempt.
type find func(context.Context) (login.Account, error)

// step calls a method, and goes on with what it answers.
func (f *Flow) step(ctx context.Context, at *attempt, m login.Method, call call, find find, a login.Attempt) (Result, error) {
	a.StepUp = at.StepUp
	account, step, err := f.run(ctx, m, call, find, a)
	if err != nil {
		return Result{}, err
	}
	if step.Challenge != nil {
		return f.challenge(ctx, at, m.Name(), account.Subject, step.Challenge)
	}
	if err := at.add(m.Name(), step.Proof, f.opts.Now()); err != nil {
		return Result{}, err
	}
	for _, other := range f.opts.Methods {
		second, ok := other.(login.Second)
		if !ok || slices.Contains(at.Proven, other.Name()) {
			continue
		}
		asked, err := f.after(ctx, at, second)
		if err != nil {
			return Result{}, err
		}
		if asked != nil {
			return f.challenge(ctx, at, other.Name(), at.Proof.Subject, asked)
		}
	}
	if at.Named == nobody || at.Named == at.Proof.Subject { // who is somebody else ends no row of the name's
		if err := f.opts.Throttle.Succeeded(ctx, at.Counter); err != nil {
			return Result{}, err
		}
	}
	if account.Subject != at.Proof.Subject { // the method looked at another one last
		account = login.Account{}
	}
	return Result{Proof: at.Proof, Account: account.Identifier}, nil
}

// after asks whether the account that was proven must answer m too.
func (f *Flow) after(ctx context.Context, at *attempt, m login.Second) (*login.Challenge, error) {
	seen := &reader{find: func(ctx context.Context) (login.Account, error) { return f.subject(ctx, at.Proof.Subject, m.Name()) }}
	return m.After(ctx, login.Attempt{StepUp: at.StepUp, Account: seen.account, Lookup: f.lookup(m, seen)})
}

// reader reads the account when a method asks for it, and knows what it read last.
type reader struct {
	find find
	last *login.Account
}

func (r *reader) account(ctx context.Context) (login.Account, error) {
	found, err := r.find(ctx)
	if err != nil {
		return login.Account{}, err
	}
	r.last = &found
	return found, nil
}

// lookup is Attempt.Lookup for a method.
func (f *Flow) lookup(m login.Method, seen *reader) func(context.Context, string) (login.Account, error) {
	return func(ctx context.Context, subject string) (login.Account, error) {
		found, err := f.subject(ctx, subject, m.Name())
		if err == nil {
			seen.last = &found
		}
		return found, err
	}
}

// tries bounds how often a method is called because others use its credential at the
// same time.
const tries = 3

// run calls a method, and keeps the credential that it used. The account that it returns
// is the one that the method looked at last.
func (f *Flow) run(ctx context.Context, m login.Method, call call, find find, a login.Attempt) (login.Account, login.Step, error) {
	for range tries {
		seen := &reader{find: find}
		a.Account, a.Lookup = seen.account, f.lookup(m, seen)
		step, err := call(ctx, a)
		if err == nil && (step.Proof == nil) == (step.Challenge == nil) {
			err = fmt.Errorf("method %s answered neither a proof nor a challenge, or both", m.Name())
		}
		if err == nil && seen.last == nil {
			_, err = seen.account(ctx)
		}
		if err == nil && step.Used != nil {
			err = f.used(ctx, *seen.last, *step.Used)
		}
		if err == nil {
			return *seen.last, step, nil
		}
		if !errors.Is(err, store.ErrConflict) {
			return login.Account{}, login.Step{}, err
		}
	}
	return login.Account{}, login.Step{}, login.ErrBusy
}

// usedEvery is how exact Credential.LastUsed is: a login need not write it.
const usedEvery = 24 * time.Hour

// used keeps c, if there is something to keep.
func (f *Flow) used(ctx context.Context, of login.Account, c login.Credential) error {
	n := slices.IndexFunc(of.Credentials, func(was login.Credential) bool { return was.ID == c.ID })
	if n < 0 {
		return fmt.Errorf("method used credential %q, which %s does not have", c.ID, of.Subject)
	}
	was, now := of.Credentials[n], f.opts.Now()
	if was.Rev > 0 && bytes.Equal(was.Data, c.Data) && now.Sub(was.LastUsed) < usedEvery {
		return nil
	}
	was.Data, was.LastUsed = c.Data, now
	return f.opts.Users.SaveCredential(ctx, of.Subject, was, audit.Entry{})
}

// accountOf is the one name that all aliases of an account share; empty: nobody can have
// that name.
func accountOf(identifier string) string {
	account, err := directory.Canonical(identifier)
	if err != nil {
		return ""
	}
	return account
}

// nobody is read on in vain: a name that nobody has costs what others cost (LOGIN-06).
const nobody = directory.Nobody

// named is the id of the user whom a name means.
func (f *Flow) named(ctx context.Context, name string) (id string, err error) {
	id, err = f.opts.Users.IDOf(ctx, name)
	if errors.Is(err, store.ErrNotFound) {
		return nobody, nil
	}
	return id, err
}

// subject is the account of a subject, which may be no user here. The revision is read
// before the credential that is checked, so that one that is changed in between makes
// the proof void (LOGIN-19).
func (f *Flow) subject(ctx context.Context, id, kind string) (login.Account, error) {
	if id == "" {
		id = nobody
	}
	rev, err := f.opts.SubjectRev(ctx, id)
	if err != nil {
		return login.Account{}, err
	}
	account, err := f.opts.Users.Account(ctx, id, kind)
	if errors.Is(err, store.ErrNotFound) {
		account, err = login.Account{Subject: id}, nil
	}
	if err != nil || account.Subject == nobody || account.Subject == "" {
		return login.Account{}, err
	}
	account.SubjectRev = rev
	return account, nil
}
