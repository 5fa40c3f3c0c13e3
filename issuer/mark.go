package issuer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/internal/check"
	"github.com/counterfoil/counterfoil/revlog"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store"
)

// clientMark is what stands of a client beside its sessions, for its settings may be in
// another store. Its revision changes after every change of the settings, so who read
// settings under a mark, and requires it in a commit, acts on none that were replaced
// before. It outlives the client: another one of the same id has no old sessions.
type clientMark struct {
	Generation uint64 `json:"generation,omitempty"` // as Client.Generation

	rev uint64
}

func markKey(client string) store.Key { return store.Key{Kind: kindCutoff, ID: "client " + client} }

func (c *Client) require() store.Require {
	return store.Require{Key: markKey(c.ID), Rev: c.mark.rev}
}

// next is the mark after m, which ends all sessions of c if ends is true.
func (m clientMark) next(c *Client, ends bool) (store.Record, error) {
	m.Generation = max(m.Generation, c.Generation)
	if ends {
		m.Generation++
	}
	value, err := json.Marshal(m)
	return store.Record{Key: markKey(c.ID), Rev: m.rev, Value: value}, err
}

func (i *Issuer) readMark(ctx context.Context, client string) (clientMark, error) {
	recs, err := i.store.Get(ctx, markKey(client))
	if err != nil {
		return clientMark{}, unavailable(err)
	}
	return parseMark(recs[0])
}

// parseMark returns the mark of a record that may be absent.
func parseMark(rec store.Record) (m clientMark, err error) {
	if m.rev = rec.Rev; rec.Rev == 0 {
		return m, nil
	}
	if err := json.Unmarshal(rec.Value, &m); err != nil {
		return m, fmt.Errorf("mark %s: %w", rec.ID, err)
	}
	return m, nil
}

// commitClient does b, a change of the settings of c, and then moves its mark; with a
// reason all its sessions end. In one store that is one commit. In two the settings go
// first: whoever sees the new mark finds the new settings, and until then nobody has
// been told that anything changed.
func (i *Issuer) commitClient(ctx context.Context, c *Client, b store.Batch, reason string, note audit.Entry) error {
	rec, err := c.mark.next(c, reason != "")
	if err != nil {
		return err
	}
	var entries []source.Revocation
	if reason != "" {
		entries = []source.Revocation{revlog.Entry(source.ScopeClient, c.ID, reason, i.opts.Now())}
	}
	if i.clients == i.store {
		b.Put, b.Revoke = append(b.Put, rec), entries
		_, err := i.log.Commit(ctx, b, note)
		return err
	}
	if _, err := i.audit.Commit(ctx, i.clients, b, note); err != nil {
		return err
	}
	for {
		_, err := i.log.Commit(ctx, store.Batch{Put: []store.Record{rec}, Revoke: entries})
		if !errors.Is(err, store.ErrConflict) {
			return err
		}
		m, err := i.readMark(ctx, c.ID)
		if err != nil {
			return err
		}
		if rec, err = m.next(c, reason != ""); err != nil {
			return err
		}
	}
}

// Client returns a registered client, or the default one; otherwise ErrUnknownClient.
// What it returns is no older than the last change that returned: settings are read
// once for every mark, and the mark is read from the store each time.
func (i *Issuer) Client(ctx context.Context, id string) (*Client, error) {
	if id == "" || check.Text("client", id, 64) != nil {
		return nil, ErrUnknownClient
	}
	recs, err := i.store.Get(ctx, markKey(id))
	if err != nil {
		return nil, unavailable(err)
	}
	return i.clientUnder(ctx, id, recs[0])
}

// clientUnder is Client for a mark that was read already, and may be absent.
func (i *Issuer) clientUnder(ctx context.Context, id string, mark store.Record) (*Client, error) {
	m, err := parseMark(mark)
	if err != nil {
		return nil, err
	}
	epoch := i.log.Applied().Epoch // before the settings are read
	if known := i.known.get(id, m.rev, epoch); known != nil {
		return known, nil
	}
	c, registered, err := i.settings(ctx, id, m)
	if err != nil {
		return nil, err
	}
	if !registered {
		return nil, ErrUnknownClient
	}
	i.known.put(c, epoch)
	return c, nil
}

// readClient is Client, from the stores: for who is about to change it. One that is not
// registered comes as it would be if it were registered now.
func (i *Issuer) readClient(ctx context.Context, id string) (c *Client, registered bool, err error) {
	m, err := i.readMark(ctx, id)
	if err != nil {
		return nil, false, err
	}
	return i.settings(ctx, id, m)
}

// settings reads the client under m, which was read before.
func (i *Issuer) settings(ctx context.Context, id string, m clientMark) (c *Client, registered bool, err error) {
	c = &Client{ID: id, Generation: m.Generation, mark: m}
	rec, err := store.One(ctx, i.clients, clientKey(id))
	if errors.Is(err, store.ErrNotFound) {
		return c, id == DefaultClient, nil
	}
	if err != nil {
		return nil, false, unavailable(err)
	}
	if err := json.Unmarshal(rec.Value, c); err != nil {
		return nil, false, fmt.Errorf("client %s: %w", id, err)
	}
	c.rev, c.Generation = rec.Rev, max(c.Generation, m.Generation)
	return c, true, nil
}

// clientCache remembers the settings that were read under a mark. It grows with the
// number of registered clients alone. A store that began another epoch may have lost
// marks, and then their revisions come again: so settings count in the epoch of the log
// in which they were read. Before the epoch is known, it is 0, and nothing is remembered.
type clientCache struct {
	mu sync.RWMutex // guards by
	by map[string]cachedClient
}

type cachedClient struct {
	*Client
	epoch uint64
}

// get returns a copy of what was read under the mark of that revision, or nil.
func (k *clientCache) get(id string, rev, epoch uint64) *Client {
	k.mu.RLock()
	defer k.mu.RUnlock()
	if c := k.by[id]; c.Client != nil && c.mark.rev == rev && c.epoch == epoch {
		return c.clone()
	}
	return nil
}

func (k *clientCache) put(c *Client, epoch uint64) {
	if epoch == 0 {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.by == nil {
		k.by = make(map[string]cachedClient)
	}
	k.by[c.ID] = cachedClient{c.clone(), epoch}
}

func (c *Client) clone() *Client {
	other := *c
	other.Carriers, other.Audience = slices.Clone(c.Carriers), slices.Clone(c.Audience)
	other.Scopes, other.Origins = slices.Clone(c.Scopes), slices.Clone(c.Origins)
	return &other
}
