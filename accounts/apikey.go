package accounts

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/clients"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/rights"
	"github.com/counterfoil/counterfoil/store"
)

// KeyState says what has become of an API key.
type KeyState string

// The states of an API key.
const (
	KeyActive  KeyState = "active"
	KeyLimited KeyState = "limited" // its user has no longer the role that some of its scopes need
	KeyExpired KeyState = "expired"
	KeyDamaged KeyState = "damaged" // its record cannot be read: it has an ID and nothing else
	KeyEnded   KeyState = "ended"   // with the sessions of its user or its client; it never comes back
)

// Key is an API key and its state.
type Key struct {
	directory.APIKey
	State KeyState
}

// needs says which right the user of a key must have for a scope: a key that acts for a user has
// the scope while the user has the right. Other scopes need none.
var needs = map[string]rights.Right{directory.ScopeAdmin: rights.Write, directory.ScopeSessions: rights.Write, directory.ScopeAdminRead: rights.Audit}

// NewKey makes an API key, see [directory.Directory.NewKey]. A key that acts for a user has
// no scope that the user may not use now, or it is directory.ErrBadKey. It ends with what
// ends all sessions of its user, of its client or, if it acts for a user, of everybody:
// docs/decisions/0036-api-keys.md.
func (a *Accounts) NewKey(ctx context.Context, who rights.Actor, act audit.Act, k directory.APIKey) (directory.APIKey, login.Secret, error) {
	none := func(err error) (directory.APIKey, login.Secret, error) {
		return directory.APIKey{}, login.Secret{}, err
	}
	if err := who.Need(rights.Write); err != nil {
		return none(err)
	}
	at, err := a.issuer.Standing(ctx, k.User, k.Client) // first: what comes after it ends the key
	if err != nil {
		return none(err)
	}
	c, err := a.issuer.Clients().Client(ctx, k.Client)
	switch {
	case err == nil && c.Disabled:
		return none(clients.ErrDisabled)
	case err != nil && !errors.Is(err, clients.ErrUnknown): // a service need not be a client
		return none(err)
	}
	k.Since = since(at)
	if k.User != "" {
		u, err := a.users.ByID(ctx, k.User)
		if err != nil {
			return none(err)
		}
		if may := within(k.Scopes, u, at); len(may) < len(k.Scopes) {
			return none(fmt.Errorf("%w: its user has no role for one of its scopes, or is disabled", directory.ErrBadKey))
		}
	}
	return a.users.NewKey(ctx, act, k)
}

func since(at issuer.Standing) *directory.Since {
	return &directory.Since{User: at.Subject.Generation, Client: at.Client, All: at.All}
}

// within returns those of scopes that u may use: what is written of u, and what is in force
// for its sessions, of which either may be ahead for a moment.
func within(scopes []string, u directory.User, at issuer.Standing) []string {
	if u.Status != directory.Active || at.Subject.Disabled {
		return nil
	}
	has := rightsOf(u.Roles)
	if at.Subject.ClaimsVersion > 0 {
		inForce := rightsOf(at.Subject.Roles)
		has = slices.DeleteFunc(has, func(r rights.Right) bool { return !slices.Contains(inForce, r) })
	}
	return slices.DeleteFunc(slices.Clone(scopes), func(s string) bool {
		right, needed := needs[s]
		return needed && !slices.Contains(has, right)
	})
}

// Authenticate returns what a presented API key may do now, or login.ErrRefused. A key that
// acts for a user may do no more than the user may. The use is noted, to the hour.
func (a *Accounts) Authenticate(ctx context.Context, presented string) (directory.APIKey, error) {
	k, err := a.users.Key(ctx, presented)
	if err != nil {
		return directory.APIKey{}, err
	}
	scopes, state, err := a.judge(ctx, k)
	if err != nil {
		return directory.APIKey{}, err
	}
	if state == KeyExpired || state == KeyEnded {
		return directory.APIKey{}, login.ErrRefused
	}
	a.noteUse(ctx, k)
	k.Scopes = scopes
	return k, nil
}

// judge is the one place that says whether a key counts, and which scopes it has now.
func (a *Accounts) judge(ctx context.Context, k directory.APIKey) (scopes []string, state KeyState, err error) {
	if k.Damaged() {
		return nil, KeyDamaged, nil
	}
	if k.Expired(a.now()) {
		return nil, KeyExpired, nil
	}
	at, err := a.issuer.Standing(ctx, k.User, k.Client)
	if err != nil {
		return nil, "", err
	}
	if k.Since != nil {
		ended := k.Since.Client != at.Client
		if k.User != "" {
			// A key of a program outlives the end of everybody's sessions: no login made it, and
			// verifiers need theirs to hear of that end.
			ended = ended || k.Since.User != at.Subject.Generation || k.Since.All != at.All
		}
		if ended {
			return nil, KeyEnded, nil
		}
	}
	if k.User == "" {
		return k.Scopes, KeyActive, nil
	}
	u, err := a.users.ByID(ctx, k.User)
	if errors.Is(err, store.ErrNotFound) {
		return nil, KeyEnded, nil
	}
	if err != nil {
		return nil, "", err
	}
	switch scopes = within(k.Scopes, u, at); {
	case u.Status != directory.Active || at.Subject.Disabled:
		return nil, KeyEnded, nil
	case len(scopes) < len(k.Scopes):
		return scopes, KeyLimited, nil
	}
	return scopes, KeyActive, nil
}

// usedEvery is how exact the last use of a key is: a use is not a write.
const usedEvery = time.Hour

// noteUse writes that k is used, at most once in usedEvery. It is best effort and takes a
// second at most: a store that can be read and not written must not stop verifiers.
func (a *Accounts) noteUse(ctx context.Context, k directory.APIKey) {
	now := a.now().UTC().Truncate(time.Second)
	if now.Sub(k.LastUsed) < usedEvery {
		return
	}
	k.LastUsed = now
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	_ = a.users.WriteKey(ctx, k)
}

// Keys returns a page of API keys, see [directory.Directory.Keys].
func (a *Accounts) Keys(ctx context.Context, after string, limit int) (page []Key, more bool, err error) {
	all, more, err := a.users.Keys(ctx, after, limit)
	if err != nil {
		return nil, false, err
	}
	for _, k := range all {
		_, state, err := a.judge(ctx, k)
		if err != nil {
			return nil, false, err
		}
		page = append(page, Key{k, state})
	}
	return page, more, nil
}

// KeyByID returns an API key, or store.ErrNotFound.
func (a *Accounts) KeyByID(ctx context.Context, id string) (Key, error) {
	k, err := a.users.KeyByID(ctx, id)
	if err != nil {
		return Key{}, err
	}
	_, state, err := a.judge(ctx, k)
	return Key{k, state}, err
}

// DeleteKey ends an API key at once, or returns store.ErrNotFound.
func (a *Accounts) DeleteKey(ctx context.Context, who rights.Actor, id string, act audit.Act) error {
	if err := who.Need(rights.Write); err != nil {
		return err
	}
	return a.users.DeleteKey(ctx, id, act)
}

// adoptKeys gives keys that an earlier version made what keys have by now: they rest on
// what is now, and expire.
func (a *Accounts) adoptKeys(ctx context.Context) error {
	var errs []error
	for after, more := "", true; more; {
		page, further, err := a.users.Keys(ctx, after, directory.MaxPage)
		if err != nil {
			return errors.Join(append(errs, err)...)
		}
		if more = further; more {
			after = page[len(page)-1].ID
		}
		errs = append(errs, a.adopt(ctx, page))
	}
	return errors.Join(errs...)
}

func (a *Accounts) adopt(ctx context.Context, keys []directory.APIKey) error {
	var errs []error
	for _, k := range keys {
		if k.Since != nil || k.Damaged() {
			continue
		}
		at, err := a.issuer.Standing(ctx, k.User, k.Client)
		c, unknown := a.issuer.Clients().Client(ctx, k.Client)
		switch {
		case errors.Is(unknown, clients.ErrUnknown):
			if at.Client > 0 { // it was deleted
				at.Client--
			}
		case unknown != nil:
			err = unknown
		case c.Disabled && at.Client > 0:
			at.Client-- // the key rests on what has ended
		}
		if err == nil {
			k.Since, k.Expires = since(at), a.now().Add(directory.MaxKeyLife).UTC().Truncate(time.Second)
			if k.Has(directory.ScopeSessions) && len(k.Clients) == 0 {
				k.Clients = []string{everyClient} // as it was when the key was made
			}
			err = a.users.WriteKey(ctx, k)
		}
		if err != nil && !errors.Is(err, store.ErrConflict) { // it was used meanwhile: the next call finds it
			errs = append(errs, fmt.Errorf("API key %s: %w", k.ID, err))
		}
	}
	return errors.Join(errs...)
}

// everyClient stands in directory.APIKey.Clients for all of them.
const everyClient = "*"

// ownClient is the one place that says whose sessions a program works with: it makes client, which
// the program with the API key by has named, one that the key is for, or refuses it. A key with
// directory.ScopeAdmin is for every client. If none is named, it is the first client of the key; a key
// that lists none is for the client of its name, or for clients.Default if it is for every client.
func ownClient(client *string, by *directory.APIKey) error {
	own, every := by.Clients, by.Has(directory.ScopeAdmin) || slices.Contains(by.Clients, everyClient)
	if len(own) == 0 && !every {
		own = []string{by.Client}
	}
	switch {
	case *client == "" && len(own) > 0 && own[0] != everyClient:
		*client = own[0]
	case *client == "":
		*client = clients.Default
	case !every && !slices.Contains(own, *client):
		return ErrOtherClient
	}
	return nil
}

// program is ownClient for a program that must have a scope, or it is [rights.Forbidden].
func program(client *string, by *directory.APIKey, scope string) error {
	if !by.Has(scope) {
		return rights.Forbidden{Why: "it needs an API key with the scope " + scope}
	}
	return ownClient(client, by)
}

// Exchange is [issuer.Issuer.Exchange] for a program with the API key by, which gets tokens of its own
// clients alone.
func (a *Accounts) Exchange(ctx context.Context, credential string, ask issuer.Request, by *directory.APIKey) (*issuer.Issued, error) {
	if err := program(&ask.Client, by, directory.ScopeExchange); err != nil {
		return nil, err
	}
	return a.issuer.Exchange(ctx, credential, ask)
}

// RedeemCode is [issuer.Issuer.Redeem] for a program with the API key by, which may do that for its
// own clients. A code that comes without its browser's secret is good for nothing, also to who has
// stolen the key.
func (a *Accounts) RedeemCode(ctx context.Context, r issuer.Redemption, by *directory.APIKey) (*issuer.Issued, error) {
	if err := program(&r.Client, by, directory.ScopeHandover); err != nil {
		return nil, err
	}
	return a.issuer.Redeem(ctx, r)
}
