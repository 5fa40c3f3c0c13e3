package clients

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"

	"github.com/counterfoil/counterfoil/store"
)

// revision is the record of a client that lies in the store of the sessions, because the
// settings may lie in another store. Every change of the settings also writes it. A caller
// that reads settings under a revision, and requires that revision in a commit, does not
// act on settings that were replaced before. The record outlives the client: another
// client of the same id has no old sessions.
type revision struct {
	Generation uint64 `json:"generation,omitempty"` // as Client.Generation

	rev uint64
}

// RevisionKey names the record whose revision changes with the settings of a client. A
// caller that reads it with other records gives it to [Registry.Under].
func RevisionKey(client string) store.Key { return store.Key{Kind: "cutoff", ID: "client " + client} }

// Generation returns how often all sessions of a client were ended, from the record of
// [RevisionKey], which may be absent. That counts also for a client that was deleted, or
// never registered.
func Generation(rec store.Record) (uint64, error) {
	v, err := parseRevision(rec)
	return v.Generation, err
}

// Require is the condition of a commit that the settings of c are still those.
func (c *Client) Require() store.Require {
	return store.Require{Key: RevisionKey(c.ID), Rev: c.revision.rev}
}

// End returns the record that ends all sessions of c when it is committed, with a log
// entry for c.
func (c *Client) End() (store.Record, error) { return c.revision.next(c, true) }

// next is the revision after v, which ends all sessions of c if ends is true.
func (v revision) next(c *Client, ends bool) (store.Record, error) {
	v.Generation = max(v.Generation, c.Generation)
	if ends {
		v.Generation++
	}
	value, err := json.Marshal(v)
	return store.Record{Key: RevisionKey(c.ID), Rev: v.rev, Value: value}, err
}

func (g *Registry) readRevision(ctx context.Context, client string) (revision, error) {
	recs, err := g.opts.Sessions.Get(ctx, RevisionKey(client))
	if err != nil {
		return revision{}, store.Outage(err)
	}
	return parseRevision(recs[0])
}

// parseRevision returns the revision of a record that may be absent.
func parseRevision(rec store.Record) (v revision, err error) {
	if v.rev = rec.Rev; rec.Rev == 0 {
		return v, nil
	}
	if err := json.Unmarshal(rec.Value, &v); err != nil {
		return v, fmt.Errorf("revision of %s: %w", rec.ID, err)
	}
	return v, nil
}

// cache remembers the settings that were read under a revision. It grows with the number
// of registered clients alone. A store that began another epoch may have lost revisions,
// and then the same numbers come again: so settings count only in the epoch of the log in
// which they were read. Before the epoch is known, it is 0, and nothing is remembered.
type cache struct {
	mu sync.RWMutex // guards by
	by map[string]cached
}

type cached struct {
	*Client
	epoch uint64
}

// get returns a copy of what was read under that revision, or nil.
func (k *cache) get(id string, rev, epoch uint64) *Client {
	k.mu.RLock()
	defer k.mu.RUnlock()
	if c := k.by[id]; c.Client != nil && c.revision.rev == rev && c.epoch == epoch {
		return c.clone()
	}
	return nil
}

func (k *cache) put(c *Client, epoch uint64) {
	if epoch == 0 {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.by == nil {
		k.by = make(map[string]cached)
	}
	k.by[c.ID] = cached{c.clone(), epoch}
}
