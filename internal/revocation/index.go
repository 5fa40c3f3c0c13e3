package revocation

import (
	"hash/maphash"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/counterfoil/counterfoil/internal/token"
)

// Index is the part of one epoch of the revocation log that can still matter. Asking it
// about a copy costs a few map look-ups, however long the log is. Entries are only added,
// and dropped when nothing they cover can be alive (REV-10, REV-13).
//
// It is in shards: a reader waits for one access to one map at most while a page is
// applied, and for a small part of a sweep.
type Index struct {
	seed   maphash.Seed
	shards [indexShards]indexShard
	size   atomic.Int64 // entries in shards and in unknown

	unknownMu sync.RWMutex // guards unknown
	unknown   []Revocation // entries of a scope that this program does not know: they cover everything
}

const indexShards = 256

type indexShard struct {
	mu   sync.RWMutex // guards byID
	byID map[target]Revocation
}

// target is the thing that an entry names. Of several cutoffs the latest says all: a copy
// that was born before an earlier one was born before it too.
type target struct {
	scope Scope
	id    string
}

// NewIndex returns an empty index.
func NewIndex() *Index { return &Index{seed: maphash.MakeSeed()} }

func (x *Index) shard(t target) *indexShard {
	return &x.shards[maphash.Comparable(x.seed, t)%indexShards]
}

// Apply adds entries of one epoch. Doing so twice, or in another order, changes
// nothing.
func (x *Index) Apply(entries []Revocation) {
	for _, r := range entries {
		switch r.Scope {
		case ScopeSession, ScopeGrant, ScopeToken, ScopeKey, ScopeSubject, ScopeClaims, ScopeClient, ScopeAll:
			x.add(r)
		default:
			x.addUnknown(r)
		}
	}
}

func (x *Index) add(r Revocation) {
	t := target{r.Scope, r.ID}
	s := x.shard(t)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byID == nil {
		s.byID = make(map[target]Revocation)
	}
	held, ok := s.byID[t]
	if !ok {
		x.size.Add(1)
	} else if held.At.Epoch == r.At.Epoch {
		if held.At.Seq > r.At.Seq {
			held, r = r, held
		}
		if held.Expires.After(r.Expires) {
			r.Expires = held.Expires
		}
	}
	s.byID[t] = r
}

func (x *Index) addUnknown(r Revocation) {
	x.unknownMu.Lock()
	defer x.unknownMu.Unlock()
	if !slices.ContainsFunc(x.unknown, func(u Revocation) bool { return u.At == r.At }) {
		x.unknown = append(x.unknown, r)
		x.size.Add(1)
	}
}

// Covers returns an entry that covers the copy of these names. An entry that ends the
// login comes before one that only makes its claims stale.
func (x *Index) Covers(n Names) (Revocation, bool) {
	if x.size.Load() == 0 {
		return Revocation{}, false
	}
	for _, t := range [...]target{
		{ScopeSession, n.Session}, {ScopeToken, n.Token}, {ScopeKey, n.Key}, {ScopeSubject, n.Subject},
		{ScopeClient, n.Client}, {ScopeAll, ""},
	} {
		if r, ok := x.find(t); ok && r.covers(&n) {
			return r, true
		}
	}
	if r, ok := x.find(target{ScopeGrant, token.GrantID(n.Session, n.Client)}); ok && r.covers(&n) {
		return r, true
	}
	if r, ok := x.find(target{ScopeClaims, n.Subject}); ok && r.covers(&n) {
		return r, true
	}
	x.unknownMu.RLock()
	defer x.unknownMu.RUnlock()
	if len(x.unknown) > 0 {
		return x.unknown[0], true
	}
	return Revocation{}, false
}

func (x *Index) find(t target) (Revocation, bool) {
	shard := x.shard(t)
	shard.mu.RLock()
	defer shard.mu.RUnlock()
	r, ok := shard.byID[t]
	return r, ok
}

// Drop forgets the entries that expired before the given time, which must never
// go backwards and must leave room for the leeway of the program that asks Covers. It
// looks at every entry.
func (x *Index) Drop(before time.Time) {
	for i := range x.shards {
		s := &x.shards[i]
		s.mu.Lock()
		for t, r := range s.byID {
			if r.Expires.Before(before) {
				delete(s.byID, t)
				x.size.Add(-1)
			}
		}
		s.mu.Unlock()
	}
	x.unknownMu.Lock()
	defer x.unknownMu.Unlock()
	held := len(x.unknown)
	x.unknown = slices.DeleteFunc(x.unknown, func(r Revocation) bool { return r.Expires.Before(before) })
	x.size.Add(int64(len(x.unknown) - held))
}

// Len returns the number of entries held.
func (x *Index) Len() int { return int(x.size.Load()) }

// Reset forgets everything: only for a log of another epoch, under which nothing
// that was covered is accepted anyway.
func (x *Index) Reset() {
	for i := range x.shards {
		s := &x.shards[i]
		s.mu.Lock()
		x.size.Add(-int64(len(s.byID)))
		s.byID = nil
		s.mu.Unlock()
	}
	x.unknownMu.Lock()
	defer x.unknownMu.Unlock()
	x.size.Add(-int64(len(x.unknown)))
	x.unknown = nil
}
