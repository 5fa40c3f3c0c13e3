// Package accounts does what touches a person and their sessions together: it makes,
// changes, disables and deletes users, and sets their passwords. Who loses which sessions
// when is decided here and nowhere else. Begin with [New].
//
// Users are records of package directory, sessions are records of package issuer, and the
// two may be in two stores. So a change is a sequence of commits, and any of them may be
// the last before a crash. The order keeps one rule: nobody can do more than is written.
//
//	step                            what a crash after it leaves
//	1. take from the sessions       less is in force than is written
//	   what the change takes away
//	2. write the user, by           the change is written, and so is what is due: to end
//	   compare-and-swap             sessions that the old password opened, or to give
//	3. give the sessions what       nothing; doing it again changes nothing
//	   is due, and strike it off
//
// A caller that has an error does the same again. What a stopped process left is also
// found without its caller: [Accounts.Finish] does what is due, at each start and every
// minute. A new password is the one change that takes away in step 3 only, for an outage in
// between must not sign anybody out: until then sessions from before it live on.
//
// Any number of nodes may change one user at once, and no lock is held. Each change has a
// version, which step 1 announces to the sessions and step 2 writes. Step 3 never gives
// what an older version than the announced one says. So a node that read the user before
// another node's step 2 gives nothing back that the other took in its step 1.
package accounts

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"

	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/rights"
)

// ErrAdminRole means that a caller without directory.ScopeAdmin asked for a session with a role
// that [Administers].
var ErrAdminRole = errors.New("only an administrator may make a session of an administrator")

// ErrOtherClient means that an API key asked for a session or a token of a client that is not its own.
var ErrOtherClient = errors.New("the API key makes sessions of its own clients alone")

// Passwords checks and hashes passwords: package login/password. It stores none.
type Passwords interface {
	// Choose returns the hash of a password that somebody chose for an account.
	Choose(ctx context.Context, from netip.Addr, identifier, name string, chosen login.Secret) (hash string, err error)

	// Replace returns the hash of the password that replaces the current one.
	Replace(ctx context.Context, from netip.Addr, u directory.User, current, next login.Secret) (hash string, err error)

	// Adopt returns how a hash from elsewhere is stored, and what its check costs.
	Adopt(foreign string) (hash string, work directory.Work, err error)
}

// Options of New. Users, Issuer and Passwords are required.
type Options struct {
	Users     *directory.Directory
	Issuer    *issuer.Issuer
	Passwords Passwords

	// Post takes messages to users; nil: there is no mail. Admit counts what somebody at an address of the
	// network does that has mail sent, or answers one, or returns login.Throttled; nil: none is counted.
	Post  Post
	Admit func(ctx context.Context, from netip.Addr, sends bool) error

	// Knows reports whether a device credential is of one that signed the user of an identifier in before; nil: none is.
	Knows func(identifier string, device login.Secret) bool

	Now func() time.Time // nil: time.Now
}

// Accounts is the users of an issuer. It is safe for concurrent use.
type Accounts struct {
	users     *directory.Directory
	issuer    *issuer.Issuer
	passwords Passwords
	post      Post
	admit     func(ctx context.Context, from netip.Addr, sends bool) error
	knows     func(identifier string, device login.Secret) bool
	now       func() time.Time
}

// New checks o.
func New(o Options) (*Accounts, error) {
	if o.Users == nil || o.Issuer == nil || o.Passwords == nil {
		return nil, errors.New("accounts: Options.Users, Options.Issuer and Options.Passwords are required")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Admit == nil {
		o.Admit = func(context.Context, netip.Addr, bool) error { return nil }
	}
	if o.Knows == nil {
		o.Knows = func(string, login.Secret) bool { return false }
	}
	return &Accounts{o.Users, o.Issuer, o.Passwords, o.Post, o.Admit, o.Knows, o.Now}, nil
}

// ByID returns a user, or store.ErrNotFound.
func (a *Accounts) ByID(ctx context.Context, id string) (directory.User, error) {
	return a.users.ByID(ctx, id)
}

// ByIdentifier returns a user by any spelling of the identifier, or store.ErrNotFound.
func (a *Accounts) ByIdentifier(ctx context.Context, identifier string) (directory.User, error) {
	return a.users.ByIdentifier(ctx, identifier)
}

// Called returns what users are called; see [directory.Directory.Called].
func (a *Accounts) Called(ctx context.Context, ids ...string) (map[string]directory.Called, error) {
	return a.users.Called(ctx, ids...)
}

// List returns up to limit users after the one with the given id, by id, and whether there
// are more.
func (a *Accounts) List(ctx context.Context, after string, limit int) (page []directory.User, more bool, err error) {
	return a.users.List(ctx, after, limit)
}

// Search returns a page of the users that f is for; see [directory.Directory.Search].
func (a *Accounts) Search(ctx context.Context, f directory.Filter, after string, limit int) (directory.Found, error) {
	return a.users.Search(ctx, f, after, limit)
}

// Count returns how many users f is for; see [directory.Directory.Count].
func (a *Accounts) Count(ctx context.Context, f directory.Filter) (n int, more bool, err error) {
	return a.users.Count(ctx, f)
}

// Reindex makes users and sessions searchable that a version without the search has written, or a
// move. It does nothing if all are. progress is told how many users or sessions it has written.
func (a *Accounts) Reindex(ctx context.Context, progress func(what string, done int)) error {
	if err := a.users.Reindex(ctx, func(done int) { progress("users", done) }); err != nil {
		return err
	}
	return a.issuer.Reindex(ctx, func(done int) { progress("sessions", done) })
}

// Create adds a user who has no password and no invitation yet, with directory.ErrTaken if
// somebody has that identifier. Identifier, Name, Roles and Address are taken from u. who must have the right
// Write, or it is [rights.Forbidden], as for each method here that changes something of somebody else.
func (a *Accounts) Create(ctx context.Context, who rights.Actor, act audit.Act, u directory.User) (directory.User, error) {
	if err := who.Need(rights.Write); err != nil {
		return directory.User{}, err
	}
	return a.users.Create(ctx, act, directory.User{Identifier: u.Identifier, Name: u.Name, Roles: u.Roles, Address: u.Address, Verified: u.Verified})
}

// CreateInvited is Create, and Invite in the same commit.
func (a *Accounts) CreateInvited(ctx context.Context, who rights.Actor, act audit.Act, u directory.User) (made directory.User, invitation login.Secret, expires time.Time, err error) {
	if err := who.Need(rights.Write); err != nil {
		return made, invitation, expires, err
	}
	return a.users.CreateInvited(ctx, act, u)
}

// Invite makes an invitation to choose the password of a user, which is good once, and takes
// the place of earlier ones (LOGIN-12). It is good for 24 hours, or for 15 minutes if the user
// has a password. The password and the sessions of now stay until somebody redeems it.
func (a *Accounts) Invite(ctx context.Context, who rights.Actor, id string, act audit.Act) (invitation login.Secret, expires time.Time, err error) {
	if err := who.Need(rights.Write); err != nil {
		return invitation, expires, err
	}
	return a.users.Invite(ctx, id, act)
}

// SignIn makes a session for a subject whom the caller has authenticated itself, with roles
// unless the subject was given others here. by is the API key of the caller; nil: there is none. A key makes
// sessions of its own clients alone, otherwise it is ErrOtherClient. Without the right Write it takes a key with
// directory.ScopeSessions, or it is [rights.Forbidden], which makes none with a role that Administers, otherwise it is
// ErrAdminRole. It fails like issuer.Login.
func (a *Accounts) SignIn(ctx context.Context, who rights.Actor, subject string, roles []string, ask issuer.Request, by *directory.APIKey) (*issuer.Issued, error) {
	admin := who.May(rights.Write)
	if !admin && (by == nil || !by.Has(directory.ScopeSessions)) {
		return nil, rights.Forbidden{Why: "it needs the right " + string(rights.Write) + ", or an API key with the scope " + directory.ScopeSessions}
	}
	if by != nil {
		if err := ownClient(&ask.Client, by); err != nil {
			return nil, err
		}
	}
	held, err := a.issuer.Subject(ctx, subject)
	if err != nil {
		return nil, err
	}
	if !admin && slices.ContainsFunc(slices.Concat(roles, held.Roles), Administers) {
		return nil, ErrAdminRole // a program that makes sessions must not make itself an administrator
	}
	// The revision has the login fail if the roles change meanwhile.
	proof := login.Proof{Subject: subject, Roles: roles, At: a.now(), SubjectRev: held.Rev()}
	return a.issuer.Login(ctx, proof, ask)
}
