package issuer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/internal/check"
	"github.com/counterfoil/counterfoil/internal/token"
	"github.com/counterfoil/counterfoil/internal/urls"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store"
)

// DefaultClient is the client of a login that names none. It is always there: until
// somebody sets it, it may use every carrier and has no scopes.
const DefaultClient = "default"

// What a login or a refresh may also fail with.
var (
	ErrUnknownClient  = fmt.Errorf("client is not registered: %w", ErrBadRequest)
	ErrClientDisabled = errors.New("client is disabled")
	ErrCarrier        = fmt.Errorf("carrier is not one of the client's: %w", ErrBadRequest)
	ErrScope          = fmt.Errorf("scope is wider than what was granted: %w", ErrBadRequest)
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
	Disabled bool                  `json:"disabled,omitempty"`

	EncryptionKey *EncryptionKey `json:"encryption_key,omitempty"` // of the services that open its JWEs themselves; nil: this issuer's

	// Generation counts how often all sessions of the client were ended; a row
	// carries the one of its birth. The issuer keeps it.
	Generation uint64 `json:"generation,omitempty"`

	rev  uint64     // of the settings, where clients are kept
	mark clientMark // under which the settings were read
}

// The values of Client.SameSite. Empty is Lax.
const (
	SameSiteLax    = "lax"    // a link from another site finds its visitor signed in
	SameSiteStrict = "strict" // the cookie comes with requests of its own site only
)

func clientKey(id string) store.Key { return store.Key{Kind: kindClient, ID: id} }

func (c *Client) record() (store.Record, error) {
	value, err := json.Marshal(c)
	return store.Record{Key: clientKey(c.ID), Rev: c.rev, Value: value}, err
}

// carrier is what a login that asks for c gets; the zero carrier asks for none.
func (c *Client) carrier(want counterfoil.Carrier) (counterfoil.Carrier, error) {
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

// narrow returns the scopes that are asked for, all of granted if none are. What was
// granted is never exceeded (REF-07).
func narrow(asked, granted []string) ([]string, error) {
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

// Clients returns all clients by id, the default one included.
func (i *Issuer) Clients(ctx context.Context) ([]Client, error) {
	var all []Client
	for rec, err := range i.clients.List(ctx, kindClient, "*") {
		if err != nil {
			return nil, unavailable(err)
		}
		c := Client{ID: rec.ID, rev: rec.Rev}
		if err := json.Unmarshal(rec.Value, &c); err != nil {
			return nil, fmt.Errorf("client %s: %w", rec.ID, err)
		}
		all = append(all, c)
	}
	if !slices.ContainsFunc(all, func(c Client) bool { return c.ID == DefaultClient }) {
		all = append(all, Client{ID: DefaultClient})
		slices.SortFunc(all, func(a, b Client) int { return strings.Compare(a.ID, b.ID) })
	}
	return all, nil
}

// SetClient registers a client, or changes it; change may be called again. Disabling
// ends all its sessions. Scopes, audience and carriers that are taken away are gone
// from the next copy on: those that are out live for at most AccessTTL. On an error the
// outcome is unknown, and doing it again is safe.
func (i *Issuer) SetClient(ctx context.Context, id string, act audit.Act, change func(*Client)) error {
	note := act.Entry(audit.SetClient, "")
	note.Client = id
	return i.setClient(ctx, id, note, change)
}

func (i *Issuer) setClient(ctx context.Context, id string, note audit.Entry, change func(*Client)) error {
	if id == "" || check.Text("client", id, 64) != nil {
		return fmt.Errorf("%w: a client's id is 1 to 64 printable ASCII characters without spaces", ErrBadRequest)
	}
	for {
		c, _, err := i.readClient(ctx, id)
		if err != nil {
			return err
		}
		before := *c
		change(c)
		c.ID, c.Generation, c.rev, c.mark = id, before.Generation, before.rev, before.mark // change may have set all of it
		if err := c.check(); err != nil {
			return err
		}
		if note.Action != "" {
			note.Detail = fmt.Sprintf("disabled=%v", c.Disabled)
			if c.EncryptionKey != nil {
				note.Detail += " encryption_key=" + c.EncryptionKey.ID()
			}
		}
		rec, err := c.record()
		if err != nil {
			return err
		}
		reason := ""
		if c.Disabled { // also when it was already: the sessions may not have been ended then
			reason = "client disabled"
		}
		err = i.commitClient(ctx, c, store.Batch{Put: []store.Record{rec}}, reason, note)
		if !errors.Is(err, store.ErrConflict) {
			return unavailable(err)
		}
	}
}

// DeleteClient ends all sessions of a client and forgets it. The default client
// cannot be deleted. On an error the outcome is unknown, and doing it again is safe.
func (i *Issuer) DeleteClient(ctx context.Context, id string, act audit.Act) error {
	if id == DefaultClient {
		return fmt.Errorf("%w: the client %q is always there", ErrBadRequest, id)
	}
	note := act.Entry(audit.DeleteClient, "")
	note.Client = id
	for {
		c, registered, err := i.readClient(ctx, id)
		if err != nil {
			return err
		}
		if !registered {
			return ErrUnknownClient
		}
		if i.clients == i.store {
			err = i.commitClient(ctx, c, c.forget(), "client deleted", note)
		} else {
			err = i.deleteApart(ctx, id, note)
		}
		if !errors.Is(err, store.ErrConflict) {
			return unavailable(err)
		}
	}
}

// deleteApart is for two stores. The sessions end first, by disabling: once the client is
// forgotten, nobody could find out that some are left.
func (i *Issuer) deleteApart(ctx context.Context, id string, note audit.Entry) error {
	if err := i.setClient(ctx, id, audit.Entry{}, func(c *Client) { c.Disabled = true }); err != nil {
		return err
	}
	c, _, err := i.readClient(ctx, id)
	if err != nil {
		return err
	}
	if !c.Disabled {
		return store.ErrConflict // somebody enabled it meanwhile
	}
	_, err = i.audit.Commit(ctx, i.clients, c.forget(), note)
	return err
}

// forget deletes the settings, if they are still those of c.
func (c *Client) forget() store.Batch {
	key := clientKey(c.ID)
	return store.Batch{Require: []store.Require{{Key: key, Rev: c.rev}}, Delete: []store.Key{key}}
}

// revokeClient ends all sessions of a client. Its rows may be many: they are refused
// by their generation, and swept when they expire.
func (i *Issuer) revokeClient(ctx context.Context, entry source.Revocation, note audit.Entry) (Receipt, error) {
	for {
		c, err := i.Client(ctx, entry.ID)
		if errors.Is(err, ErrUnknownClient) {
			return i.receipt(ctx, entry)
		}
		if err != nil {
			return Receipt{}, err
		}
		rec, err := c.mark.next(c, true)
		if err != nil {
			return Receipt{}, err
		}
		receipt, err := i.commit(ctx, entry, store.Batch{Put: []store.Record{rec}}, note)
		if !errors.Is(err, store.ErrConflict) {
			return receipt, err
		}
	}
}

// check refuses what no client may be.
func (c *Client) check() error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: client: %s", ErrBadRequest, fmt.Sprintf(format, args...))
	}
	if len(c.Name) > 200 || strings.ContainsFunc(c.Name, notPrintable) {
		return bad("a name is at most 200 bytes of printable text")
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
	return nil
}
