package clients

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/internal/check"
	"github.com/counterfoil/counterfoil/revlog"
	"github.com/counterfoil/counterfoil/rights"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store"
)

// Options of New. All are required.
type Options struct {
	Store    store.Store  // the settings
	Sessions store.Store  // the sessions, and their log; may be Store
	Log      *revlog.Log  // of Sessions
	Audit    *audit.Trail // hears of changes

	Shortest, Longest Lifetimes // that a client may have; Longest are the server's own
}

// Registry keeps the settings of all clients. Its methods are safe for concurrent use.
type Registry struct {
	opts  Options
	cache cache
}

// New returns the registry of o.Store. It reads nothing yet.
func New(o Options) (*Registry, error) {
	unset := func(l named) bool { return l.Lifetime == 0 }
	if o.Store == nil || o.Sessions == nil || o.Log == nil || o.Audit == nil || slices.ContainsFunc(append(o.Shortest.all(), o.Longest.all()...), unset) {
		return nil, errors.New("clients: all Options are required")
	}
	return &Registry{opts: o}, nil
}

// Client returns a registered client, or the default one; otherwise ErrUnknown. What it
// returns is no older than the last change that returned: the registry reads settings once
// for every revision, and the revision from the store each time.
func (g *Registry) Client(ctx context.Context, id string) (*Client, error) {
	if id == "" || check.Text("client", id, 64) != nil {
		return nil, ErrUnknown
	}
	recs, err := g.opts.Sessions.Get(ctx, RevisionKey(id))
	if err != nil {
		return nil, store.Outage(err)
	}
	return g.Under(ctx, id, recs[0])
}

// Under is Client for a caller that has read the record of RevisionKey, which may be
// absent.
func (g *Registry) Under(ctx context.Context, id string, rec store.Record) (*Client, error) {
	v, err := parseRevision(rec)
	if err != nil {
		return nil, err
	}
	epoch := g.opts.Log.Applied().Epoch // before the settings are read
	if known := g.cache.get(id, v.rev, epoch); known != nil {
		return known, nil
	}
	c, registered, err := g.settings(ctx, id, v)
	if err != nil {
		return nil, err
	}
	if !registered {
		return nil, ErrUnknown
	}
	g.cache.put(c, epoch)
	return c, nil
}

// read is Client, from the stores, for a caller that is about to change it. A client that
// is not registered comes as it would be if it were registered now.
func (g *Registry) read(ctx context.Context, id string) (c *Client, registered bool, err error) {
	v, err := g.readRevision(ctx, id)
	if err != nil {
		return nil, false, err
	}
	return g.settings(ctx, id, v)
}

// settings reads the client under v, which was read before.
func (g *Registry) settings(ctx context.Context, id string, v revision) (c *Client, registered bool, err error) {
	c = &Client{ID: id, Generation: v.Generation, revision: v}
	rec, err := store.One(ctx, g.opts.Store, settingsKey(id))
	if errors.Is(err, store.ErrNotFound) {
		return c, id == Default, nil
	}
	if err != nil {
		return nil, false, store.Outage(err)
	}
	if err := json.Unmarshal(rec.Value, c); err != nil {
		blank := &Client{ID: id, Generation: v.Generation, Damaged: true, revision: v, rev: rec.Rev}
		return blank, true, fmt.Errorf("client %s is %w: %w", id, ErrDamaged, err)
	}
	c.rev, c.Generation = rec.Rev, max(c.Generation, v.Generation)
	return c, true, nil
}

// MaxPage is how many clients a page has at most.
const MaxPage = 200

// List returns a page of clients by id, beginning after the id after, and whether there are more. A limit
// of zero, and one above MaxPage, is MaxPage. The default client has its place among them also while it is
// not set. One whose settings cannot be read is Damaged, and hides none of the others.
func (g *Registry) List(ctx context.Context, after string, limit int) (page []Client, more bool, err error) {
	if limit <= 0 || limit > MaxPage {
		limit = MaxPage
	}
	add := func(c Client) bool {
		if more = len(page) == limit; !more {
			page = append(page, c)
		}
		return !more
	}
	settled := after >= Default // the default client is on this page already, or on one before
	for rec, err := range g.opts.Store.List(ctx, kindSettings, "*", after) {
		if err != nil {
			return nil, false, store.Outage(err)
		}
		if !settled && rec.ID > Default && !add(Client{ID: Default}) {
			return page, true, nil
		}
		settled = settled || rec.ID >= Default
		c := Client{ID: rec.ID, rev: rec.Rev}
		if json.Unmarshal(rec.Value, &c) != nil {
			c = Client{ID: rec.ID, Damaged: true}
		}
		if !add(c) {
			return page, true, nil
		}
	}
	if !settled {
		add(Client{ID: Default})
	}
	return page, more, nil
}

// Set registers a client, or changes it; change may be called again. Disabling
// ends all its sessions. Scopes, audience and carriers that are taken away are gone
// from the next copy on: those that are out live for at most AccessTTL. What a change of the
// lifetimes does to sessions that live, the issuer says. On an error the outcome is unknown,
// and doing it again is safe. who must have the right Write, or it is [rights.Forbidden].
func (g *Registry) Set(ctx context.Context, who rights.Actor, id string, act audit.Act, change func(*Client)) error {
	if err := who.Need(rights.Write); err != nil {
		return err
	}
	note := act.Entry(audit.SetClient, "")
	note.Client = id
	return g.set(ctx, id, note, change)
}

func (g *Registry) set(ctx context.Context, id string, note audit.Entry, change func(*Client)) error {
	if id == "" || check.Text("client", id, 64) != nil {
		return fmt.Errorf("%w: a client's id is 1 to 64 printable ASCII characters without spaces", ErrBadRequest)
	}
	for {
		c, _, err := g.read(ctx, id)
		if err != nil && !errors.Is(err, ErrDamaged) {
			return err
		}
		c.Damaged = false
		before := *c
		change(c)
		c.ID, c.Generation, c.rev, c.revision = id, before.Generation, before.rev, before.revision // change may have set all of it
		if err := c.check(); err != nil {
			return err
		}
		if err := g.checkLifetimes(c.Lifetimes, before.Lifetimes); err != nil {
			return err
		}
		if note.Action != "" {
			note.Detail = fmt.Sprintf("disabled=%v", c.Disabled) + c.words()
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
		err = g.commit(ctx, c, store.Batch{Put: []store.Record{rec}}, reason, note)
		if !errors.Is(err, store.ErrConflict) {
			return store.Outage(err)
		}
	}
}

// Delete ends all sessions of a client and forgets it. The default client
// cannot be deleted. On an error the outcome is unknown, and doing it again is safe. who must have the right Write.
func (g *Registry) Delete(ctx context.Context, who rights.Actor, id string, act audit.Act) error {
	if err := who.Need(rights.Write); err != nil {
		return err
	}
	if id == Default {
		return fmt.Errorf("%w: the client %q is always there", ErrBadRequest, id)
	}
	note := act.Entry(audit.DeleteClient, "")
	note.Client = id
	for {
		c, registered, err := g.read(ctx, id)
		if err != nil && !errors.Is(err, ErrDamaged) {
			return err
		}
		if !registered {
			return ErrUnknown
		}
		if g.opts.Store == g.opts.Sessions {
			err = g.commit(ctx, c, c.forget(), "client deleted", note)
		} else {
			err = g.deleteApart(ctx, id, note)
		}
		if !errors.Is(err, store.ErrConflict) {
			return store.Outage(err)
		}
	}
}

// deleteApart is Delete for two stores. The sessions end first, by disabling: once the
// client is forgotten, no call could find out that some are left.
func (g *Registry) deleteApart(ctx context.Context, id string, note audit.Entry) error {
	if err := g.set(ctx, id, audit.Entry{}, func(c *Client) { c.Disabled = true }); err != nil {
		return err
	}
	c, _, err := g.read(ctx, id)
	if err != nil {
		return err
	}
	if !c.Disabled {
		return store.ErrConflict // another caller enabled it meanwhile
	}
	_, err = g.opts.Audit.Commit(ctx, g.opts.Store, c.forget(), note)
	return err
}

// forget deletes the settings, if they are still those of c.
func (c *Client) forget() store.Batch {
	key := settingsKey(c.ID)
	return store.Batch{Require: []store.Require{{Key: key, Rev: c.rev}}, Delete: []store.Key{key}}
}

// commit does b, a change of the settings of c, and then moves its revision; with a reason
// all its sessions end. In one store that is one commit. In two stores the settings go
// first: a reader that sees the new revision finds the new settings, and until then nobody
// was told that anything changed.
func (g *Registry) commit(ctx context.Context, c *Client, b store.Batch, reason string, note audit.Entry) error {
	rec, err := c.revision.next(c, reason != "")
	if err != nil {
		return err
	}
	var entries []source.Revocation
	var ended audit.Entry // tells of the end of the sessions, if note does not
	if reason != "" {
		entries = []source.Revocation{revlog.Entry(source.ScopeClient, c.ID, reason)}
		if note.Action == audit.SetClient {
			ended = note
			ended.Action, ended.Target, ended.Detail = audit.Revoke, string(source.ScopeClient), ""
		}
	}
	if g.opts.Store == g.opts.Sessions {
		b.Put, b.Revoke = append(b.Put, rec), entries
		_, err := g.opts.Log.Commit(ctx, b, note, ended)
		return err
	}
	if _, err := g.opts.Audit.Commit(ctx, g.opts.Store, b, note); err != nil {
		return err
	}
	for {
		_, err := g.opts.Log.Commit(ctx, store.Batch{Put: []store.Record{rec}, Revoke: entries}, ended)
		if !errors.Is(err, store.ErrConflict) {
			return err
		}
		v, err := g.readRevision(ctx, c.ID)
		if err != nil {
			return err
		}
		if rec, err = v.next(c, reason != ""); err != nil {
			return err
		}
	}
}
