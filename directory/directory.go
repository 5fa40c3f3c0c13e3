// Package directory is whom the issuer knows: people (users), and programs by
// their API keys. It keeps records and proves nothing: passwords are package
// login/password's.
package directory

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/counterfoil/counterfoil/internal/secret"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/store"
	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// What callers branch on.
var (
	ErrTaken         = errors.New("identifier is taken")
	ErrBadIdentifier = errors.New("identifier is not acceptable")
)

const (
	kindUser       store.Kind = "user"       // ID: user id
	kindIdentifier store.Kind = "identifier" // ID: hash of the canonical identifier; makes it unique
	kindAPIKey     store.Kind = "apikey"     // ID: hash of the key; owner: client
)

// The states of a user.
const (
	Active   = "active"
	Disabled = "disabled"
)

// User is a person's account.
type User struct {
	ID         string    `json:"-"`
	Identifier string    `json:"identifier"` // canonical
	Name       string    `json:"name,omitempty"`
	Status     string    `json:"status"`
	Roles      []string  `json:"roles,omitempty"`
	Password   string    `json:"password,omitempty"` // PHC string of argon2id; empty: no password matches
	Created    time.Time `json:"created"`
}

// Directory keeps users and API keys in a store.
type Directory struct {
	store store.Store
	now   func() time.Time
}

// New returns a directory; nil now is time.Now.
func New(s store.Store, now func() time.Time) *Directory {
	if now == nil {
		now = time.Now
	}
	return &Directory{s, now}
}

// Canonical returns the one spelling of an identifier that all its aliases share
// (LOGIN-11): NFKC with case folded, no control characters, at most one @.
func Canonical(identifier string) (string, error) {
	s := norm.NFKC.String(cases.Fold().String(norm.NFKC.String(strings.TrimSpace(identifier))))
	bad := strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) || unicode.IsSpace(r) || r == unicode.ReplacementChar })
	if s == "" || len(s) > 254 || bad || strings.Count(s, "@") > 1 || strings.HasPrefix(s, "@") || strings.HasSuffix(s, "@") {
		return "", ErrBadIdentifier
	}
	return s, nil
}

func hashID(s string) string {
	sum := sha256.Sum256([]byte(s))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// Create adds a user, with ErrTaken if somebody has that identifier. ID, Status and
// Created are set here.
func (d *Directory) Create(ctx context.Context, u User) (User, error) {
	var err error
	if u.Identifier, err = Canonical(u.Identifier); err != nil {
		return User{}, err
	}
	u.ID, u.Status, u.Created = "usr_"+strings.ToLower(rand.Text()), Active, d.now()
	value, err := json.Marshal(u)
	if err != nil {
		return User{}, err
	}
	pointer, err := json.Marshal(map[string]string{"user": u.ID})
	if err != nil {
		return User{}, err
	}
	_, err = d.store.Commit(ctx, store.Batch{Put: []store.Record{
		{Key: store.Key{Kind: kindUser, ID: u.ID}, Value: value},
		{Key: store.Key{Kind: kindIdentifier, ID: hashID(u.Identifier)}, Value: pointer},
	}})
	if errors.Is(err, store.ErrConflict) {
		return User{}, ErrTaken
	}
	return u, err
}

// ByID returns a user, or store.ErrNotFound.
func (d *Directory) ByID(ctx context.Context, id string) (User, error) {
	u, _, err := d.byID(ctx, id)
	return u, err
}

func (d *Directory) byID(ctx context.Context, id string) (User, uint64, error) {
	rec, err := d.store.Get(ctx, store.Key{Kind: kindUser, ID: id})
	if err != nil {
		return User{}, 0, err
	}
	u := User{ID: id}
	if err := json.Unmarshal(rec.Value, &u); err != nil {
		return User{}, 0, fmt.Errorf("user %s: %w", id, err)
	}
	return u, rec.Rev, nil
}

// ByIdentifier returns a user by any spelling of the identifier, or
// store.ErrNotFound.
func (d *Directory) ByIdentifier(ctx context.Context, identifier string) (User, error) {
	canonical, err := Canonical(identifier)
	if err != nil {
		return User{}, store.ErrNotFound // no account can have it
	}
	rec, err := d.store.Get(ctx, store.Key{Kind: kindIdentifier, ID: hashID(canonical)})
	if err != nil {
		return User{}, err
	}
	var pointer struct{ User string }
	if err := json.Unmarshal(rec.Value, &pointer); err != nil {
		return User{}, fmt.Errorf("identifier: %w", err)
	}
	return d.ByID(ctx, pointer.User)
}

// Update changes a user by compare-and-swap: change may be called again. ID and
// Identifier stay.
func (d *Directory) Update(ctx context.Context, id string, change func(*User) error) error {
	for {
		u, rev, err := d.byID(ctx, id)
		if err != nil {
			return err
		}
		identifier := u.Identifier
		if err := change(&u); err != nil {
			return err
		}
		u.Identifier = identifier
		value, err := json.Marshal(u)
		if err != nil {
			return err
		}
		_, err = d.store.Commit(ctx, store.Batch{Put: []store.Record{{Key: store.Key{Kind: kindUser, ID: id}, Rev: rev, Value: value}}})
		if !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
}

// What an API key may be for.
const (
	ScopeFeed       = "revocation:read" // follow the revocation log
	ScopeIntrospect = "introspect"      // resolve credentials
	ScopeSessions   = "sessions:create" // make sessions for subjects it authenticated itself
	ScopeAdmin      = "admin"           // everything
)

// APIKey is what is kept of a key: never the key.
type APIKey struct {
	Client   string    `json:"client"`
	Scopes   []string  `json:"scopes"`
	Audience []string  `json:"audience,omitempty"` // whose credentials it may introspect; nil: all of this issuer
	Created  time.Time `json:"created"`
}

const apiKeyPrefix = "cfk_" // lets secret scanners recognise a leaked one

// NewKey makes a key for a program. It is shown once: only its hash is kept.
func (d *Directory) NewKey(ctx context.Context, client string, scopes, audience []string) (secret.String, error) {
	for _, s := range scopes {
		switch s {
		case ScopeFeed, ScopeIntrospect, ScopeSessions, ScopeAdmin:
		default:
			return secret.String{}, fmt.Errorf("unknown scope %q", s)
		}
	}
	raw := make([]byte, 32)
	rand.Read(raw)
	key := apiKeyPrefix + base64.RawURLEncoding.EncodeToString(raw)
	value, err := json.Marshal(APIKey{client, scopes, audience, d.now()})
	if err != nil {
		return secret.String{}, err
	}
	_, err = d.store.Commit(ctx, store.Batch{Put: []store.Record{{Key: store.Key{Kind: kindAPIKey, ID: hashID(key)}, Owner: client, Value: value}}})
	return secret.New(key), err
}

// Authenticate returns what a presented key may do, or login.ErrRefused. Only the
// whole key has its hash: no part of one is good for anything.
func (d *Directory) Authenticate(ctx context.Context, presented string) (APIKey, error) {
	if len(presented) != len(apiKeyPrefix)+43 || !strings.HasPrefix(presented, apiKeyPrefix) {
		return APIKey{}, login.ErrRefused
	}
	rec, err := d.store.Get(ctx, store.Key{Kind: kindAPIKey, ID: hashID(presented)})
	if errors.Is(err, store.ErrNotFound) {
		return APIKey{}, login.ErrRefused
	}
	if err != nil {
		return APIKey{}, err
	}
	var k APIKey
	if err := json.Unmarshal(rec.Value, &k); err != nil {
		return APIKey{}, fmt.Errorf("api key: %w", err)
	}
	return k, nil
}
