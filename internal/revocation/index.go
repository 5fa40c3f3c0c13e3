package revocation

import (
	"hash/maphash"
	"maps"
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
	seed    maphash.Seed
	dropped atomic.Int64 // see Dropped
	shards  [indexShards]indexShard
	size    atomic.Int64 // entries in shards and in unknown

	unknownMu sync.RWMutex // guards unknown
	unknown   []Revocation // entries of a scope that this program does not know: they cover everything
}

const indexShards = 256

type indexShard struct {
	mu   sync.RWMutex // guards byID
	byID map[target]Revocation

	// second has, for a subject with several entries of ScopeOthers, the latest that spares
	// another session than the one in byID.
	second map[target]Revocation
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

// Apply adds entries of one epoch. Doing so twice, or in another order, changes nothing; of
// one entry with two expiries the later holds, since a wrong clock may have dated the other.
func (x *Index) Apply(entries []Revocation) {
	for _, r := range entries {
		switch r.Scope {
		case ScopeSession, ScopeGrant, ScopeToken, ScopeKey, ScopeSubject, ScopeClaims, ScopeClient, ScopeAll:
			x.add(target{r.Scope, r.ID}, r)
		case ScopeOthers:
			if subject, _, ok := token.CutOthersID(r.ID); ok {
				x.addOthers(target{ScopeOthers, subject}, r)
			} else {
				x.addUnknown(r)
			}
		default:
			x.addUnknown(r)
		}
	}
}

func (x *Index) add(t target, r Revocation) {
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

// addOthers keeps two entries of a subject, which say what all of them say: the latest, and
// for the session that it spares the latest that spares another one. Both are kept until
// the last of all expires.
func (x *Index) addOthers(t target, r Revocation) {
	s := x.shard(t)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byID == nil {
		s.byID = make(map[target]Revocation)
	}
	if s.second == nil {
		s.second = make(map[target]Revocation)
	}
	first, ok := s.byID[t]
	second, two := s.second[t]
	last := slices.MaxFunc([]Revocation{r, first, second}, func(a, b Revocation) int { return a.Expires.Compare(b.Expires) }).Expires
	switch {
	case !ok || first.At.Epoch != r.At.Epoch:
		first, last, two = r, r.Expires, false
	case r.At.Seq > first.At.Seq:
		if r.ID != first.ID {
			second, two = first, true
		}
		first = r
	case r.ID != first.ID && (!two || r.At.Seq > second.At.Seq):
		second, two = r, true
	}
	x.size.Add(-int64(len(s.byID) + len(s.second)))
	first.Expires, second.Expires = last, last
	s.byID[t] = first
	if delete(s.second, t); two {
		s.second[t] = second
	}
	x.size.Add(int64(len(s.byID) + len(s.second)))
}

func (x *Index) addUnknown(r Revocation) {
	x.unknownMu.Lock()
	defer x.unknownMu.Unlock()
	if at := slices.IndexFunc(x.unknown, func(u Revocation) bool { return u.At == r.At }); at < 0 {
		x.unknown = append(x.unknown, r)
		x.size.Add(1)
	} else if r.Expires.After(x.unknown[at].Expires) {
		x.unknown[at].Expires = r.Expires
	}
}

// Covers returns an entry that covers the copy of these names. An entry that ends the
// login comes before one that only makes its claims stale.
func (x *Index) Covers(n Names) (Revocation, bool) {
	if x.size.Load() == 0 {
		return Revocation{}, false
	}
	if n.Actor != "" {
		if r, ok := x.Covers(n.actor()); ok {
			return r, true
		}
	}
	for _, t := range [...]target{
		{ScopeSession, n.Session}, {ScopeToken, n.Token}, {ScopeKey, n.Key}, {ScopeSubject, n.Subject},
		{ScopeClient, n.Client}, {ScopeAll, ""},
	} {
		if r, ok := x.find(t); ok && r.covers(&n) {
			return r, true
		}
	}
	if r, ok := x.others(&n); ok {
		return r, true
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

// Find returns the latest entry with that scope and id. It finds none of a scope that this program
// does not know, and none of ScopeOthers that two later ones of the subject say as well.
func (x *Index) Find(scope Scope, id string) (Revocation, bool) {
	if scope != ScopeOthers {
		return x.find(target{scope, id})
	}
	subject, _, _ := token.CutOthersID(id)
	t := target{ScopeOthers, subject}
	shard := x.shard(t)
	shard.mu.RLock()
	defer shard.mu.RUnlock()
	for _, held := range []map[target]Revocation{shard.byID, shard.second} {
		if r, ok := held[t]; ok && r.ID == id {
			return r, true
		}
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

// others returns the entry of ScopeOthers that covers the copy of n.
func (x *Index) others(n *Names) (Revocation, bool) {
	t := target{ScopeOthers, n.Subject}
	shard := x.shard(t)
	shard.mu.RLock()
	defer shard.mu.RUnlock()
	if r, ok := shard.byID[t]; ok && r.covers(n) {
		return r, true
	}
	r, ok := shard.second[t]
	return r, ok && r.covers(n)
}

// Drop forgets the entries that expired before the given time. By every clock that the
// program judges copies by, that time less its leeway must have come: a program that
// afterwards goes by an earlier time must read the log again from zero, into a [Index.Clone].
// Drop looks at every entry.
func (x *Index) Drop(before time.Time) {
	for i := range x.shards {
		s := &x.shards[i]
		s.mu.Lock()
		for t, r := range s.byID {
			if r.Expires.Before(before) {
				x.drop(before)
				x.size.Add(-int64(len(s.byID) + len(s.second)))
				delete(s.byID, t)
				delete(s.second, t) // it expires at the same time
				x.size.Add(int64(len(s.byID) + len(s.second)))
			}
		}
		s.mu.Unlock()
	}
	x.unknownMu.Lock()
	defer x.unknownMu.Unlock()
	held := len(x.unknown)
	x.unknown = slices.DeleteFunc(x.unknown, func(r Revocation) bool {
		gone := r.Expires.Before(before)
		if gone {
			x.drop(before)
		}
		return gone
	})
	x.size.Add(int64(len(x.unknown) - held))
}

// drop comes before an entry is gone: who does not find it finds Dropped.
func (x *Index) drop(before time.Time) {
	for to := before.UnixNano(); ; {
		if was := x.dropped.Load(); was >= to || x.dropped.CompareAndSwap(was, to) {
			return
		}
	}
}

// Dropped is the latest time before which entries were dropped, if any was, in nanoseconds
// since 1970: what those covered ends before it. It is 0 if none was.
func (x *Index) Dropped() int64 { return x.dropped.Load() }

// Clone returns an index of the same entries that has dropped none. x must not change
// meanwhile.
func (x *Index) Clone() *Index {
	c := &Index{seed: x.seed}
	for i := range x.shards {
		s := &x.shards[i]
		s.mu.RLock()
		c.shards[i].byID, c.shards[i].second = maps.Clone(s.byID), maps.Clone(s.second)
		s.mu.RUnlock()
	}
	x.unknownMu.RLock()
	defer x.unknownMu.RUnlock()
	c.unknown = slices.Clone(x.unknown)
	c.size.Store(x.size.Load())
	return c
}

// Len returns the number of entries held.
func (x *Index) Len() int { return int(x.size.Load()) }

// Reset forgets everything: only for a log of another epoch, under which nothing
// that was covered is accepted anyway.
func (x *Index) Reset() {
	for i := range x.shards {
		s := &x.shards[i]
		s.mu.Lock()
		x.size.Add(-int64(len(s.byID) + len(s.second)))
		s.byID, s.second = nil, nil
		s.mu.Unlock()
	}
	x.unknownMu.Lock()
	defer x.unknownMu.Unlock()
	x.size.Add(-int64(len(x.unknown)))
	x.unknown = nil
	x.dropped.Store(0)
}
