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
	ScopeFeed       = "revocation:read" // follow the revocation log
	ScopeIntrospect = "introspect"      // resolve credentials
	ScopeSessions   = "sessions:create" // make sessions for subjects it authenticated itself
	ScopeAdmin      = "admin"           // everything
)

// APIKey is what is kept of a key: never the key.
type APIKey struct {
	ID       string    `json:"-"` // a hash: public
	Client   string    `json:"client"`
	Scopes   []string  `json:"scopes"`
	Audience []string  `json:"audience,omitempty"` // whose credentials it may introspect; nil: all of this issuer
	User     string    `json:"user,omitempty"`     // whom it acts for: it ends with the account; empty: nobody
	Created  time.Time `json:"created"`
}

const apiKeyPrefix = "cfk_" // lets secret scanners recognise a leaked one

func (k APIKey) check() error {
	for _, s := range k.Scopes {
		if !slices.Contains([]string{ScopeFeed, ScopeIntrospect, ScopeSessions, ScopeAdmin}, s) {
			return fmt.Errorf("%w: unknown scope %q: want %s, %s, %s or %s", ErrBadKey, s, ScopeFeed, ScopeIntrospect, ScopeSessions, ScopeAdmin)
		}
	}
	if len(k.Scopes) == 0 || len(k.Scopes) > 4 || len(k.Audience) > 16 {
		return fmt.Errorf("%w: 1 to 4 scopes, at most 16 audiences", ErrBadKey)
	}
	for _, a := range k.Audience {
		if err := token.CheckAudience(a); err != nil {
			return fmt.Errorf("%w: %w", ErrBadKey, err)
		}
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

// NewKey makes the key that k describes, for a program. It is shown once: only its
// hash is kept. ID and Created are set here. It fails with ErrBadKey, and with
// store.ErrNotFound if k is for a user who is not there.
func (d *Directory) NewKey(ctx context.Context, act audit.Act, k APIKey) (APIKey, secret.String, error) {
	if err := k.check(); err != nil {
		return APIKey{}, secret.String{}, err
	}
	raw := make([]byte, 32)
	rand.Read(raw)
	key := apiKeyPrefix + base64.RawURLEncoding.EncodeToString(raw)
	k.ID, k.Created = hashID(key), d.now()
	value, err := json.Marshal(k)
	if err != nil {
		return APIKey{}, secret.String{}, err
	}
	note := act.Entry(audit.CreateAPIKey, k.User)
	note.Client, note.Target, note.Detail = k.Client, k.ID, "scopes="+strings.Join(k.Scopes, ",")
	for {
		b := store.Batch{Put: []store.Record{{Key: store.Key{Kind: kindAPIKey, ID: k.ID}, Owner: k.owner(), Value: value}}}
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

// Keys returns all API keys, by id.
func (d *Directory) Keys(ctx context.Context) ([]APIKey, error) {
	var keys []APIKey
	for rec, err := range d.store.List(ctx, kindAPIKey, "*", "") {
		if err != nil {
			return nil, err
		}
		k := APIKey{ID: rec.ID}
		if err := json.Unmarshal(rec.Value, &k); err != nil {
			return nil, fmt.Errorf("api key: %w", err)
		}
		keys = append(keys, k)
	}
	return keys, nil
}

// DeleteKey ends a key at once, or returns store.ErrNotFound.
func (d *Directory) DeleteKey(ctx context.Context, id string, act audit.Act) error {
	key := store.Key{Kind: kindAPIKey, ID: id}
	rec, err := store.One(ctx, d.store, key)
	if err != nil {
		return err
	}
	var k APIKey
	if err := json.Unmarshal(rec.Value, &k); err != nil {
		return fmt.Errorf("api key: %w", err)
	}
	note := act.Entry(audit.DeleteAPIKey, k.User)
	note.Client, note.Target = k.Client, id
	_, err = d.audit.Commit(ctx, d.store, store.Batch{
		Require: []store.Require{{Key: key, Rev: rec.Rev}}, Delete: []store.Key{key},
	}, note)
	if errors.Is(err, store.ErrConflict) {
		return store.ErrNotFound // keys never change: somebody else deleted it
	}
	return err
}

// Authenticate returns what a presented key may do, or login.ErrRefused. Only the
// whole key has its hash: no part of one is good for anything. A key that acts for
// a user is as good as the account.
func (d *Directory) Authenticate(ctx context.Context, presented string) (APIKey, error) {
	if len(presented) != len(apiKeyPrefix)+43 || !strings.HasPrefix(presented, apiKeyPrefix) {
		return APIKey{}, login.ErrRefused
	}
	k := APIKey{ID: hashID(presented)}
	rec, err := store.One(ctx, d.store, store.Key{Kind: kindAPIKey, ID: k.ID})
	if errors.Is(err, store.ErrNotFound) {
		return APIKey{}, login.ErrRefused
	}
	if err != nil {
		return APIKey{}, err
	}
	if err := json.Unmarshal(rec.Value, &k); err != nil {
		return APIKey{}, fmt.Errorf("api key: %w", err)
	}
	if k.User == "" {
		return k, nil
	}
	u, err := d.ByID(ctx, k.User)
	if errors.Is(err, store.ErrNotFound) || err == nil && u.Status != Active {
		return APIKey{}, login.ErrRefused
	}
	return k, err
}
