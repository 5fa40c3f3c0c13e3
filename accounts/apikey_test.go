package accounts_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/accounts"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/clients"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/internal/secret"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/rights"
	"github.com/counterfoil/counterfoil/server"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store"
)

// kinds of keys that the matrix below is about.
const (
	ofAdmin   = "admin key of an administrator"
	ofUser    = "feed key of an administrator"
	ofClient  = "key of a registered client"
	ofService = "key of a program that is no client"
)

// scopesOf has the scopes of each.
var scopesOf = map[string][]string{
	ofAdmin: {directory.ScopeAdmin, directory.ScopeFeed}, ofUser: {directory.ScopeFeed},
	ofClient: {directory.ScopeSessions, directory.ScopeFeed}, ofService: {directory.ScopeFeed, directory.ScopeAdmin},
}

// keyEnds is the matrix of docs/decisions/0036-api-keys.md: what happens, and what each
// key may do afterwards. A kind that is not named keeps all its scopes; nil: it has ended.
var keyEnds = map[string]struct {
	do   func(n node, u directory.User) error
	then map[string][]string
}{
	"nothing": {func(node, directory.User) error { return nil }, nil},
	"the user is disabled": {func(n node, u directory.User) error {
		_, err := n.Users().Update(n.t.Context(), rights.Owner(), u.ID, noAct, status(directory.Disabled))
		return err
	}, map[string][]string{ofAdmin: nil, ofUser: nil}},
	"the user is disabled, and enabled again": {func(n node, u directory.User) error {
		_, err := n.Users().Update(n.t.Context(), rights.Owner(), u.ID, noAct, status(directory.Disabled))
		_, again := n.Users().Update(n.t.Context(), rights.Owner(), u.ID, noAct, status(directory.Active))
		return errors.Join(err, again)
	}, map[string][]string{ofAdmin: nil, ofUser: nil}},
	"the user is deleted": {func(n node, u directory.User) error {
		return n.Users().Delete(n.t.Context(), rights.Owner(), u.ID, noAct)
	},
		map[string][]string{ofAdmin: nil, ofUser: nil}},
	"the role is taken away": {func(n node, u directory.User) error {
		_, err := n.Users().Update(n.t.Context(), rights.Owner(), u.ID, noAct, roles("staff"))
		return err
	}, map[string][]string{ofAdmin: {directory.ScopeFeed}}},
	"the role is taken away, and given back": {func(n node, u directory.User) error {
		_, err := n.Users().Update(n.t.Context(), rights.Owner(), u.ID, noAct, roles("staff"))
		_, again := n.Users().Update(n.t.Context(), rights.Owner(), u.ID, noAct, roles(accounts.RoleAdmin))
		return errors.Join(err, again)
	}, map[string][]string{ofAdmin: nil, ofUser: nil}},
	"a role is given to who stays an administrator": {func(n node, u directory.User) error {
		_, err := n.Users().Update(n.t.Context(), rights.Owner(), u.ID, noAct, roles(accounts.RoleAdmin, "staff", "more"))
		return err
	}, map[string][]string{ofAdmin: nil, ofUser: nil}}, // the sessions end as well: no change of their roles came before
	"the subject is revoked": {func(n node, u directory.User) error { return n.revoke(source.ScopeSubject, u.ID) },
		map[string][]string{ofAdmin: nil, ofUser: nil}},
	"the password is set": {func(n node, u directory.User) error {
		return n.Users().SetPassword(n.t.Context(), rights.Owner(), u.ID, noAct, secret.New(nextPass))
	}, map[string][]string{ofAdmin: nil, ofUser: nil}},
	"the user changes the password": {func(n node, u directory.User) error {
		session := n.signIn(u, counterfoil.CarrierBearer).Session
		_, err := n.Users().ChangePassword(n.t.Context(), session, noAct, secret.New(pass), secret.New(nextPass), issuer.Request{})
		return err
	}, map[string][]string{ofAdmin: nil, ofUser: nil}},
	"the user signs out everywhere else": {func(n node, u directory.User) error {
		_, err := n.Issuer().EndOthers(n.t.Context(), n.signIn(u, counterfoil.CarrierBearer).Session, noAct)
		return err
	}, nil},
	"a session of the user ends": {func(n node, u directory.User) error {
		return n.revoke(source.ScopeSession, n.signIn(u, counterfoil.CarrierBearer).Session.ID)
	}, nil},
	"the client is disabled": {func(n node, u directory.User) error { return n.disable("shop", true) },
		map[string][]string{ofClient: nil}},
	"the client is disabled, and enabled again": {func(n node, u directory.User) error {
		return errors.Join(n.disable("shop", true), n.disable("shop", false))
	}, map[string][]string{ofClient: nil}},
	"the client is deleted": {func(n node, u directory.User) error {
		return n.Issuer().Clients().Delete(n.t.Context(), rights.Owner(), "shop", noAct)
	}, map[string][]string{ofClient: nil}},
	"the client is deleted, and registered again": {func(n node, u directory.User) error {
		return errors.Join(n.Issuer().Clients().Delete(n.t.Context(), rights.Owner(), "shop", noAct), n.disable("shop", false))
	}, map[string][]string{ofClient: nil}},
	"the client is revoked": {func(n node, u directory.User) error { return n.revoke(source.ScopeClient, "shop") },
		map[string][]string{ofClient: nil}},
	"the client is changed": {func(n node, u directory.User) error {
		return n.Issuer().Clients().Set(n.t.Context(), rights.Owner(), "shop", noAct, func(c *clients.Client) { c.Scopes = []string{"orders"} })
	}, nil},
	"everybody is revoked": {func(n node, u directory.User) error { return n.revoke(source.ScopeAll, "") },
		map[string][]string{ofAdmin: nil, ofUser: nil}},
}

func (n node) revoke(scope source.Scope, id string) error {
	_, err := n.Issuer().Revoke(n.t.Context(), scope, id, noAct)
	return err
}

func (n node) disable(client string, to bool) error {
	return n.Issuer().Clients().Set(n.t.Context(), rights.Owner(), client, noAct, func(c *clients.Client) { c.Disabled = to })
}

// keys makes one of each kind, for u, the client shop and a service.
func (n node) keys(u directory.User) map[string]string {
	n.t.Helper()
	made := map[string]string{}
	for kind, k := range map[string]directory.APIKey{
		ofAdmin: {Client: "script", User: u.ID}, ofUser: {Client: "script", User: u.ID},
		ofClient: {Client: "shop"}, ofService: {Client: "orders"},
	} {
		k.Scopes = scopesOf[kind]
		_, key, err := n.Users().NewKey(n.t.Context(), rights.Owner(), noAct, k)
		must(n.t, err)
		made[kind] = key.Reveal()
	}
	return made
}

// may returns what a key may do; nil: it is refused.
func (n node) may(key string) []string {
	n.t.Helper()
	k, err := n.Users().Authenticate(n.t.Context(), key)
	if errors.Is(err, login.ErrRefused) {
		return nil
	}
	must(n.t, err)
	return k.Scopes
}

// SES-14: what ends the sessions of a user or of a client ends its API keys, and a
// key never exceeds the present roles of the user that it acts for. In one store and in two,
// and at a node that heard of nothing but what the stores hold.
func TestWhatEndsAPIKeys(t *testing.T) {
	for place, make := range map[string]func(*testing.T) stores{
		"one store":  func(t *testing.T) stores { return stores{users: inMemory(t)} },
		"two stores": func(t *testing.T) stores { return stores{inMemory(t), inMemory(t)} },
	} {
		t.Run(place, func(t *testing.T) {
			for what, c := range keyEnds {
				s := make(t)
				n, other := open(t, s), open(t, s)
				u := n.user("ann", accounts.RoleAdmin, "staff")
				must(t, n.disable("shop", false)) // register it
				keys, session := n.keys(u), n.signIn(u, counterfoil.CarrierBearer)
				must(t, c.do(n, u))
				_, over := n.Issuer().Lookup(t.Context(), session.Access.Reveal())
				if keep, named := c.then[ofUser]; over == nil && named && keep == nil {
					t.Errorf("%s: sessions of the user live on, and keys do not", what)
				}
				for kind, key := range keys {
					want, changed := c.then[kind]
					if !changed {
						want = scopesOf[kind]
					}
					for _, at := range []node{n, other} {
						if got := at.may(key); !slices.Equal(got, want) {
							t.Errorf("%s: the %s may %q, want %q", what, kind, got, want)
						}
					}
				}
			}
		})
	}
}

// A key that acts for a user who is no administrator is not made with a power of one, and
// none is made for a client that is disabled.
func TestKeysThatAreNotMade(t *testing.T) {
	n := open(t, stores{users: inMemory(t)})
	ann := n.user("ann", "staff")
	must(t, n.disable("shop", true))
	for name, c := range map[string]struct {
		key  directory.APIKey
		want error
	}{
		"admin of a user":           {directory.APIKey{Client: "script", User: ann.ID, Scopes: []string{directory.ScopeAdmin}}, directory.ErrBadKey},
		"sessions:create of a user": {directory.APIKey{Client: "script", User: ann.ID, Scopes: []string{directory.ScopeSessions}}, directory.ErrBadKey},
		"feed of a user":            {directory.APIKey{Client: "script", User: ann.ID, Scopes: []string{directory.ScopeFeed}}, nil},
		"nobody":                    {directory.APIKey{Client: "script", User: "usr_nobody", Scopes: []string{directory.ScopeFeed}}, store.ErrNotFound},
		"disabled client":           {directory.APIKey{Client: "shop", Scopes: []string{directory.ScopeFeed}}, clients.ErrDisabled},
	} {
		if _, _, err := n.Users().NewKey(t.Context(), rights.Owner(), noAct, c.key); !errors.Is(err, c.want) {
			t.Errorf("%s: NewKey = %v, want %v", name, err, c.want)
		}
	}
}

// A key expires, its use is noted once an hour, and the list shows both.
func TestKeyExpiryAndUse(t *testing.T) {
	now := time.Now()
	s := inMemory(t)
	e, err := server.Open(t.Context(), server.Config{
		Store: s, URL: "https://auth.test", Audit: func(audit.Entry) {}, InsecureHashes: true, KeepAudit: -1, Offline: true,
		Now: func() time.Time { return now },
	})
	must(t, err)
	n := node{e, t}
	k, key, err := n.Users().NewKey(t.Context(), rights.Owner(), noAct, directory.APIKey{Client: "orders", Scopes: []string{directory.ScopeFeed}, Expires: now.Add(48 * time.Hour)})
	must(t, err)
	shown := func() accounts.Key {
		t.Helper()
		all, _, err := n.Users().Keys(t.Context(), "", 0)
		must(t, err)
		return all[0]
	}
	if got := shown(); !got.LastUsed.IsZero() || got.State != accounts.KeyActive || !got.Expires.Equal(k.Expires) {
		t.Errorf("a new key is %+v", got)
	}
	var before time.Time
	for _, c := range []struct {
		after time.Duration
		noted bool
	}{{0, true}, {59 * time.Minute, false}, {time.Minute, true}, {30 * time.Hour, true}} {
		now = now.Add(c.after)
		if n.may(key.Reveal()) == nil {
			t.Fatalf("%v later the key is refused", c.after)
		}
		if got := shown().LastUsed; got.Equal(before) == c.noted {
			t.Errorf("%v later the last use is %v, before %v", c.after, got, before)
		} else {
			before = got
		}
	}
	now = k.Expires
	if n.may(key.Reveal()) != nil {
		t.Error("a key that has expired is good")
	}
	if got := shown().State; got != accounts.KeyExpired {
		t.Errorf("a key that has expired is %s", got)
	}
	for _, sweep := range []struct { // it is listed for 30 days
		days, left int
	}{{29, 1}, {31, 0}} {
		_, err := s.Sweep(t.Context(), k.Expires.AddDate(0, 0, sweep.days))
		must(t, err)
		if all, _, err := n.Users().Keys(t.Context(), "", 0); err != nil || len(all) != sweep.left {
			t.Errorf("%d days after it has expired: %d keys, %v", sweep.days, len(all), err)
		}
	}
	k, _, err = n.Users().NewKey(t.Context(), rights.Owner(), noAct, directory.APIKey{Client: "orders", Scopes: []string{directory.ScopeFeed}})
	must(t, err)
	must(t, n.Users().DeleteKey(t.Context(), rights.Owner(), k.ID, noAct))
}

// Keys of earlier versions go on: they are given what keys have by now, and then end as
// others do. One whose client was disabled or deleted is not brought back by that.
func TestKeysOfEarlierVersions(t *testing.T) {
	s := inMemory(t)
	n := open(t, stores{users: s})
	u := n.user("ann", accounts.RoleAdmin, "staff")
	must(t, n.disable("shop", false))
	keys := n.keys(u)
	var puts []store.Record
	for rec, err := range s.List(t.Context(), "apikey", "*", "") {
		must(t, err)
		var all map[string]any
		must(t, json.Unmarshal(rec.Value, &all))
		delete(all, "since")
		delete(all, "expires")
		rec.Value, err = json.Marshal(all)
		must(t, err)
		rec.Expires = time.Time{}
		puts = append(puts, rec)
	}
	for n := range directory.MaxPage { // so the others are on the next page
		rec := puts[0]
		rec.ID, rec.Rev = fmt.Sprintf("!%03d", n), 0
		puts = append(puts, rec)
	}
	_, err := s.Commit(t.Context(), store.Batch{Put: puts})
	must(t, err)
	must(t, n.disable("shop", true))
	must(t, n.Users().Finish(t.Context()))
	for kind, key := range keys {
		if got := n.may(key); (got == nil) != (kind == ofClient) {
			t.Errorf("the %s may %q", kind, got)
		}
	}
	all, _, err := n.Users().Keys(t.Context(), "", 0)
	must(t, err)
	for _, k := range all {
		if k.Expires.IsZero() {
			t.Errorf("the key of %s does not expire", k.Client)
		}
	}
	must(t, n.revoke(source.ScopeSubject, u.ID))
	if n.may(keys[ofAdmin]) != nil {
		t.Error("a key of an earlier version lives on when its user is revoked")
	}
}

// A store that can be read and not written does not stop a key.
func TestKeyWhoseUseCannotBeNoted(t *testing.T) {
	s := inMemory(t)
	broken := &unwritable{Store: s}
	n := openForSteps(t, stores{users: broken})
	_, key, err := n.Users().NewKey(t.Context(), rights.Owner(), noAct, directory.APIKey{Client: "orders", Scopes: []string{directory.ScopeFeed}})
	must(t, err)
	broken.on = true
	if n.may(key.Reveal()) == nil {
		t.Error("the key is refused")
	}
}

// unwritable refuses writes of API keys while on.
type unwritable struct {
	store.Store
	on bool
}

func (u *unwritable) Commit(ctx context.Context, b store.Batch) (counterfoil.Cursor, error) {
	if u.on && len(b.Put) > 0 && strings.HasPrefix(string(b.Put[0].Key.Kind), "apikey") {
		return counterfoil.Cursor{}, store.ErrConflict
	}
	return u.Store.Commit(ctx, b)
}
