// Package clients keeps the settings of clients: which carriers, scopes, audience, origins and
// lifetimes each may have, and how often all its sessions were ended. Begin with [New]. It
// makes no session: the issuer asks it what a session of a client may be.
package clients

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/internal/check"
	"github.com/counterfoil/counterfoil/internal/token"
	"github.com/counterfoil/counterfoil/internal/urls"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store"
)

// Default is the client of a login that names none. It is always there: until it is set,
// it may use every carrier and has no scopes.
const Default = "default"

// What callers branch on, besides the errors of package counterfoil.
var (
	ErrBadRequest = check.ErrBadRequest // an argument is not acceptable; nothing was done
	ErrUnknown    = fmt.Errorf("client is not registered: %w", ErrBadRequest)
	ErrDamaged    = errors.New("damaged") // the settings cannot be read; they can be set anew, and the client can be deleted
	ErrDisabled   = errors.New("client is disabled")
	ErrCarrier    = fmt.Errorf("carrier is not one of the client's: %w", ErrBadRequest)
	ErrScope      = fmt.Errorf("scope is wider than what was granted: %w", ErrBadRequest)
)

// Client is what holds for all sessions of one client.
type Client struct {
	ID       string                `json:"-"`
	Name     string                `json:"name,omitempty"`     // shown to people
	Carriers []counterfoil.Carrier `json:"carriers,omitempty"` // allowed; the first is for a login that names none; none: all, cookie first
	Audience []string              `json:"audience,omitempty"` // aud of its copies; none: the issuer's
	Scopes   []string              `json:"scopes,omitempty"`   // what it may ask for; a login that names none gets all
	Origins  []string              `json:"origins,omitempty"`  // of its pages, exactly: they may call the API across origins
	SameSite string                `json:"same_site,omitempty"`
	Opens    string                `json:"opens,omitempty"` // what its tokens open at the issuer, see OpensNothing; empty: the account for the client Default, otherwise nothing
	Disabled bool                  `json:"disabled,omitempty"`

	// Damaged is set by List if the settings that are kept cannot be read: the client has an
	// ID and nothing else, and nobody can sign in to it until it is set anew.
	Damaged bool `json:"-"`

	Lifetimes // of what it is given; zero: the server's

	EncryptionKey *EncryptionKey `json:"encryption_key,omitempty"` // of the services that open its JWEs themselves; nil: this issuer's

	// Generation counts how often all sessions of the client were ended; a session
	// carries the one of its birth. The registry keeps it.
	Generation uint64 `json:"generation,omitempty"`

	rev      uint64   // of the record of the settings
	revision revision // under which the settings were read
}

// The values of Client.SameSite. Empty is Lax.
const (
	SameSiteLax    = "lax"    // a link from another site finds its visitor signed in
	SameSiteStrict = "strict" // the cookie comes with requests of its own site only
)

// The values of Client.Opens: what a token of the client may do at the issuer, besides
// refreshing and ending itself. Services that get its tokens can do the same, so set none of
// the latter two for a client whose tokens go to services. A cookie always opens the account.
const (
	OpensNothing        = "nothing"
	OpensAccount        = "account"        // sessions, step-up and password of its subject
	OpensAdministration = "administration" // the account, and /v1/admin if its subject is an administrator
)

// OpensAccount reports whether a token of c in a header opens its subject's account.
func (c *Client) OpensAccount() bool {
	return c.Opens == OpensAccount || c.Opens == OpensAdministration || c.Opens == "" && c.ID == Default
}

const kindSettings store.Kind = "client" // ID: client id

func settingsKey(id string) store.Key { return store.Key{Kind: kindSettings, ID: id} }

func (c *Client) record() (store.Record, error) {
	value, err := json.Marshal(c)
	return store.Record{Key: settingsKey(c.ID), Rev: c.rev, Value: value}, err
}

// Carrier returns what a login that wants a carrier gets; the zero carrier asks for none.
func (c *Client) Carrier(want counterfoil.Carrier) (counterfoil.Carrier, error) {
	switch {
	case want == counterfoil.Carrier{} && len(c.Carriers) > 0:
		return c.Carriers[0], nil
	case want == counterfoil.Carrier{}:
		return counterfoil.CarrierCookie, nil
	case len(c.Carriers) > 0 && !slices.Contains(c.Carriers, want):
		return want, ErrCarrier
	}
	return want, nil
}

// Narrow returns the scopes that are asked for, all of granted if none are. What was
// granted is never exceeded (REF-07).
func Narrow(asked, granted []string) ([]string, error) {
	if len(asked) == 0 {
		return granted, nil
	}
	for _, s := range asked {
		if !slices.Contains(granted, s) {
			return nil, ErrScope
		}
	}
	return asked, nil
}

// Keep returns those of scopes that c still has.
func (c *Client) Keep(scopes []string) []string {
	gone := func(s string) bool { return !slices.Contains(c.Scopes, s) }
	if !slices.ContainsFunc(scopes, gone) {
		return scopes
	}
	return slices.DeleteFunc(slices.Clone(scopes), gone)
}

func (c *Client) clone() *Client {
	other := *c
	other.Carriers, other.Audience = slices.Clone(c.Carriers), slices.Clone(c.Audience)
	other.Scopes, other.Origins = slices.Clone(c.Scopes), slices.Clone(c.Origins)
	return &other
}

// check refuses what no client may be.
func (c *Client) check() error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: client: %s", ErrBadRequest, fmt.Sprintf(format, args...))
	}
	if len(c.Name) > 200 {
		return bad("a name is at most 200 bytes, and this one is %d", len(c.Name))
	}
	if err := check.People(c.Name); err != nil {
		return bad("the name %v", err)
	}
	if len(c.Carriers) > 5 || len(c.Audience) > 16 || len(c.Scopes) > 32 || len(c.Origins) > 32 {
		return bad("at most 5 carriers, 16 audiences, 32 scopes and 32 origins")
	}
	for _, carrier := range c.Carriers {
		if _, err := source.ParseCarrier(carrier.String()); err != nil {
			return bad("%v", err)
		}
	}
	for _, a := range c.Audience {
		if err := token.CheckAudience(a); err != nil {
			return bad("%v", err)
		}
	}
	if len(strings.Join(c.Scopes, " ")) > 1000 {
		return bad("its scopes are at most 1000 bytes together")
	}
	for _, s := range c.Scopes {
		if s == "" || check.Text("scope", s, 64) != nil {
			return bad("a scope is 1 to 64 printable ASCII characters without spaces")
		}
	}
	for _, o := range c.Origins {
		if _, err := urls.Origin(o); err != nil {
			return bad("origin %v", err)
		}
	}
	if c.EncryptionKey != nil && c.EncryptionKey.to == nil {
		return bad("an encryption key is made by ParseEncryptionKey")
	}
	if c.SameSite != "" && c.SameSite != SameSiteLax && c.SameSite != SameSiteStrict {
		return bad("same_site is %q or %q", SameSiteLax, SameSiteStrict)
	}
	switch c.Opens {
	case "", OpensNothing, OpensAccount, OpensAdministration:
	default:
		return bad("opens is %q, %q or %q", OpensNothing, OpensAccount, OpensAdministration)
	}
	return nil
}
