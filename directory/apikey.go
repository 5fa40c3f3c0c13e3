package directory

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/internal/check"
	"github.com/counterfoil/counterfoil/internal/secret"
	"github.com/counterfoil/counterfoil/internal/token"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/store"
)

// ErrBadKey means that an API key was asked for that cannot be.
var ErrBadKey = errors.New("api key is not acceptable")

// What an API key may be for.
const (
	ScopeFeed       = "revocation:read"   // follow the revocation log
	ScopeIntrospect = "introspect"        // resolve credentials
	ScopeSessions   = "sessions:create"   // make sessions for subjects it authenticated itself
	ScopeHandover   = "sessions:handover" // redeem the codes with which a browser takes its session to another host
	ScopeExchange   = "sessions:exchange" // exchange the cookies of browsers for tokens of its clients
	ScopeAdmin      = "admin"             // everything
	ScopeAdminRead  = "admin:read"        // see what /v1/admin shows, and change nothing
)

// How long a key lives.
const (
	KeyLife    = 90 * 24 * time.Hour  // unless something else is asked for
	MaxKeyLife = 365 * 24 * time.Hour // at most
)

// ExpBound has answers of introspection expire after the largest staleness bound that the server
// allows a verifier, if the credential does not expire before: issuer.Options.MaxBound.
const ExpBound = "bound"

// APIKey is what is kept of a key: never the key.
type APIKey struct {
	ID       string   `json:"-"` // a hash: public
	Client   string   `json:"client"`
	Scopes   []string `json:"scopes"`
	Audience []string `json:"audience,omitempty"` // whose credentials it may introspect; nil: all of this issuer
	Clients  []string `json:"clients,omitempty"`  // whose sessions it may make with ScopeSessions, take to other hosts with ScopeHandover, and get tokens of with ScopeExchange, "*": of every client; nil: those of Client
	User     string   `json:"user,omitempty"`     // whom it acts for; empty: nobody

	// IntrospectionExp is ExpBound for a service that keeps an answer of introspection until its
	// exp, and hears of no revocation meanwhile. Empty: exp is when the credential expires.
	IntrospectionExp string `json:"introspection_exp,omitempty"`

	Created  time.Time `json:"created"`
	Expires  time.Time `json:"expires,omitzero"`   // zero: an earlier version made it, see package accounts
	LastUsed time.Time `json:"last_used,omitzero"` // to the hour; zero: never
	Since    *Since    `json:"since,omitempty"`    // nil: an earlier version made it

	rev     uint64
	damaged bool
}

// Damaged reports whether the record of the key cannot be read. The key has an ID and
// nothing else, and counts for nothing; it can be deleted.
func (k APIKey) Damaged() bool { return k.damaged }

// Since is how often all sessions of its user, of its client and of everybody had been
// ended when a key was made. Package accounts compares it with how often that is by now.
type Since struct {
	User   uint64 `json:"user,omitempty"`
	Client uint64 `json:"client,omitempty"`
	All    uint64 `json:"all,omitempty"`
}

// Has reports whether the key has a scope.
func (k APIKey) Has(scope string) bool { return slices.Contains(k.Scopes, scope) }

// Expired reports whether the life of the key is over.
func (k APIKey) Expired(now time.Time) bool { return !k.Expires.IsZero() && !now.Before(k.Expires) }

var allScopes = []string{ScopeFeed, ScopeIntrospect, ScopeSessions, ScopeHandover, ScopeExchange, ScopeAdmin, ScopeAdminRead}

const apiKeyPrefix = "cfk_" // lets secret scanners recognise a leaked one

func (k APIKey) check(now time.Time) error {
	for _, s := range k.Scopes {
		if !slices.Contains(allScopes, s) {
			return fmt.Errorf("%w: unknown scope %q: want some of %s", ErrBadKey, s, strings.Join(allScopes, ", "))
		}
	}
	if len(k.Scopes) == 0 || len(k.Scopes) > len(allScopes) || len(k.Audience) > 16 {
		return fmt.Errorf("%w: 1 to %d scopes, at most 16 audiences", ErrBadKey, len(allScopes))
	}
	for _, a := range k.Audience {
		if err := token.CheckAudience(a); err != nil {
			return fmt.Errorf("%w: %w", ErrBadKey, err)
		}
	}
	if len(k.Clients) > 16 {
		return fmt.Errorf("%w: at most 16 clients", ErrBadKey)
	}
	for _, c := range k.Clients {
		if c == "" || len(c) > 64 || !check.Printable(c) {
			return fmt.Errorf("%w: a client whose sessions it may make is 1 to 64 printable ASCII characters without spaces", ErrBadKey)
		}
	}
	switch {
	case k.IntrospectionExp == "":
	case k.IntrospectionExp != ExpBound:
		return fmt.Errorf("%w: introspection_exp is %s, or not there", ErrBadKey, ExpBound)
	case !k.Has(ScopeIntrospect) || k.Has(ScopeFeed):
		return fmt.Errorf("%w: introspection_exp is for a key that has the scope %s, and not %s", ErrBadKey, ScopeIntrospect, ScopeFeed)
	}
	if life := k.Expires.Sub(now); life <= 0 || life > MaxKeyLife {
		return fmt.Errorf("%w: a key expires in the future, and at most %d days from now", ErrBadKey, MaxKeyLife/(24*time.Hour))
	}
	if k.Client == "" || len(k.Client) > 128 || !check.Printable(k.Client) {
		return fmt.Errorf("%w: client is 1 to 128 printable ASCII characters without spaces", ErrBadKey)
	}
	return nil
}

func (k APIKey) owner() string {
	if k.User != "" {
		return k.User
	}
	return "client " + k.Client // with a space, so that no user id is one
}

// keptExpired is how long the list still shows a key that has expired.
const keptExpired = 30 * 24 * time.Hour

func apiKeyKey(id string) store.Key { return store.Key{Kind: kindAPIKey, ID: id} }

func (k APIKey) record() (store.Record, error) {
	rec := store.Record{Key: apiKeyKey(k.ID), Owner: k.owner(), Rev: k.rev}
	if !k.Expires.IsZero() {
		rec.Expires = k.Expires.Add(keptExpired)
	}
	var err error
	rec.Value, err = json.Marshal(k)
	return rec, err
}

func parseAPIKey(rec store.Record) (APIKey, error) {
	k := APIKey{ID: rec.ID, rev: rec.Rev}
	if err := json.Unmarshal(rec.Value, &k); err != nil {
		return APIKey{}, fmt.Errorf("api key: %w", err)
	}
	for _, t := range []time.Time{k.Created, k.Expires, k.LastUsed} {
		if err := check.Time("time", t); err != nil {
			return APIKey{}, fmt.Errorf("api key: %w", err)
		}
	}
	return k, nil
}

// NewKey makes the key that k describes, for a program. It is shown once: only its
// hash is kept. ID, Created and LastUsed are set here; without Expires it lives for
// [KeyLife]. It fails with ErrBadKey, and with store.ErrNotFound if k is for a user who is
// not there.
func (d *Directory) NewKey(ctx context.Context, act audit.Act, k APIKey) (APIKey, secret.String, error) {
	now := d.now().UTC().Truncate(time.Second)
	if k.Expires.IsZero() {
		k.Expires = now.Add(KeyLife)
	}
	k.Expires = k.Expires.UTC().Truncate(time.Second)
	if err := k.check(now); err != nil {
		return APIKey{}, secret.String{}, err
	}
	key, id := newKeyText()
	k.ID, k.Created, k.LastUsed, k.rev = id, now, time.Time{}, 0
	rec, err := k.record()
	if err != nil {
		return APIKey{}, secret.String{}, err
	}
	note := act.Entry(audit.CreateAPIKey, k.User)
	note.Client, note.Target, note.Detail = k.Client, k.ID, "scopes="+strings.Join(k.Scopes, ",")+" expires="+k.Expires.Format(time.RFC3339)
	if k.IntrospectionExp != "" {
		note.Detail += " introspection_exp=" + k.IntrospectionExp
	}
	for {
		b := store.Batch{Put: []store.Record{rec}}
		if k.User != "" {
			u, err := d.ByID(ctx, k.User)
			if err != nil {
				return APIKey{}, secret.String{}, err
			}
			// A user who is deleted meanwhile must not leave a key behind.
			b.Require = []store.Require{u.require()}
		}
		_, err = d.audit.Commit(ctx, d.store, b, note)
		if errors.Is(err, store.ErrConflict) {
			continue
		}
		return k, secret.New(key), err
	}
}

// newKeyText makes a key and its id. The id does not begin with a dash, because commands would take
// it for a flag.
func newKeyText() (key, id string) {
	for {
		raw := make([]byte, 32)
		rand.Read(raw)
		key = apiKeyPrefix + base64.RawURLEncoding.EncodeToString(raw)
		if id = hashID(key); id[0] != '-' {
			return key, id
		}
	}
}

// Keys returns a page of API keys by id, beginning after the id after, and whether there are more. A
// limit of zero, and one above MaxPage, is MaxPage. One whose record cannot be read is Damaged, and hides
// none of the others.
func (d *Directory) Keys(ctx context.Context, after string, limit int) (page []APIKey, more bool, err error) {
	if limit <= 0 || limit > MaxPage {
		limit = MaxPage
	}
	for rec, err := range d.store.List(ctx, kindAPIKey, "*", after) {
		if err != nil {
			return nil, false, err
		}
		if len(page) == limit {
			return page, true, nil
		}
		page = append(page, shownAPIKey(rec))
	}
	return page, false, nil
}

// KeyByID returns an API key, which may be Damaged, or store.ErrNotFound.
func (d *Directory) KeyByID(ctx context.Context, id string) (APIKey, error) {
	rec, err := store.One(ctx, d.store, apiKeyKey(id))
	if err != nil {
		return APIKey{}, err
	}
	return shownAPIKey(rec), nil
}

// shownAPIKey is the key of a record, for people: one that cannot be read is Damaged.
func shownAPIKey(rec store.Record) APIKey {
	k, err := parseAPIKey(rec)
	if err != nil {
		return APIKey{ID: rec.ID, rev: rec.Rev, damaged: true}
	}
	return k
}

// DeleteKey ends a key at once, or returns store.ErrNotFound.
func (d *Directory) DeleteKey(ctx context.Context, id string, act audit.Act) error {
	for {
		rec, err := store.One(ctx, d.store, apiKeyKey(id))
		if err != nil {
			return err
		}
		k, _ := parseAPIKey(rec) // also one that cannot be read
		note := act.Entry(audit.DeleteAPIKey, k.User)
		note.Client, note.Target = k.Client, id
		_, err = d.audit.Commit(ctx, d.store, store.Batch{
			Require: []store.Require{{Key: apiKeyKey(id), Rev: rec.Rev}}, Delete: []store.Key{apiKeyKey(id)},
		}, note)
		if !errors.Is(err, store.ErrConflict) { // it was used meanwhile, or somebody else deleted it
			return err
		}
	}
}

func (d *Directory) apiKey(ctx context.Context, id string) (APIKey, error) {
	rec, err := store.One(ctx, d.store, apiKeyKey(id))
	if err != nil {
		return APIKey{}, err
	}
	return parseAPIKey(rec)
}

// Key returns what was written of a presented key, or login.ErrRefused. Only the whole key
// has its hash: no part of one is good for anything. Whether the key still counts is for
// package accounts to say.
func (d *Directory) Key(ctx context.Context, presented string) (APIKey, error) {
	if len(presented) != len(apiKeyPrefix)+43 || !strings.HasPrefix(presented, apiKeyPrefix) {
		return APIKey{}, login.ErrRefused
	}
	k, err := d.apiKey(ctx, hashID(presented))
	if errors.Is(err, store.ErrNotFound) {
		return APIKey{}, login.ErrRefused
	}
	return k, err
}

// WriteKey replaces the key that was read by k. If it was written or deleted meanwhile, the
// error is store.ErrConflict.
func (d *Directory) WriteKey(ctx context.Context, k APIKey) error {
	rec, err := k.record()
	if err != nil {
		return err
	}
	_, err = d.store.Commit(ctx, store.Batch{Put: []store.Record{rec}})
	return err
}
