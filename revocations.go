package counterfoil

import (
	"hash/maphash"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/counterfoil/counterfoil/internal/token"
)

// Revocations is the part of one epoch of the revocation log that can still
// matter, indexed so that asking about a session costs a few map look-ups however
// long the log is. Entries are only added, and dropped when nothing they cover can
// be alive (REV-10, REV-13).
//
// It is in shards, so that whoever asks waits for one access to one map at most
// while a page is applied, and for a small part of a sweep.
type Revocations struct {
	seed   maphash.Seed
	shards [revocationShards]revocationShard
	size   atomic.Int64 // entries in shards and odd

	oddMu sync.RWMutex
	odd   []Revocation // entries of a scope this program does not know: they cover everything
}

const revocationShards = 256

type revocationShard struct {
	mu   sync.RWMutex // guards byID
	byID map[target]Revocation
}

// target is what an entry names. For cutoffs the latest entry says all: what is
// born before an earlier one is born before it too.
type target struct {
	scope Scope
	id    string
}

// NewRevocations returns an empty index.
func NewRevocations() *Revocations { return &Revocations{seed: maphash.MakeSeed()} }

func (rs *Revocations) shard(t target) *revocationShard {
	return &rs.shards[maphash.Comparable(rs.seed, t)%revocationShards]
}

// Apply adds entries of one epoch. Doing so twice, or in another order, changes
// nothing.
func (rs *Revocations) Apply(entries []Revocation) {
	for _, r := range entries {
		switch r.Scope {
		case ScopeSession, ScopeGrant, ScopeToken, ScopeKey, ScopeSubject, ScopeClaims, ScopeClient, ScopeAll:
			rs.add(r)
		default:
			rs.addOdd(r)
		}
	}
}

func (rs *Revocations) add(r Revocation) {
	t := target{r.Scope, r.ID}
	s := rs.shard(t)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byID == nil {
		s.byID = make(map[target]Revocation)
	}
	known, ok := s.byID[t]
	if !ok {
		rs.size.Add(1)
	} else if known.At.Epoch == r.At.Epoch {
		if known.At.Seq > r.At.Seq {
			known, r = r, known
		}
		if known.Expires.After(r.Expires) {
			r.Expires = known.Expires
		}
	}
	s.byID[t] = r
}

func (rs *Revocations) addOdd(r Revocation) {
	rs.oddMu.Lock()
	defer rs.oddMu.Unlock()
	if !slices.ContainsFunc(rs.odd, func(o Revocation) bool { return o.At == r.At }) {
		rs.odd = append(rs.odd, r)
		rs.size.Add(1)
	}
}

// Covers returns an entry that covers s. One that ends the login comes before
// one that only makes its claims stale.
func (rs *Revocations) Covers(s *Session) (Revocation, bool) {
	if rs.size.Load() == 0 {
		return Revocation{}, false
	}
	for _, t := range [...]target{
		{ScopeSession, s.ID}, {ScopeToken, s.TokenID}, {ScopeKey, s.KeyID}, {ScopeSubject, s.Subject},
		{ScopeClient, s.Client}, {ScopeAll, ""},
	} {
		if r, ok := rs.find(t); ok && r.Covers(s) {
			return r, true
		}
	}
	if r, ok := rs.find(target{ScopeGrant, token.GrantID(s.ID, s.Client)}); ok && r.Covers(s) {
		return r, true
	}
	if r, ok := rs.find(target{ScopeClaims, s.Subject}); ok && r.Covers(s) {
		return r, true
	}
	rs.oddMu.RLock()
	defer rs.oddMu.RUnlock()
	if len(rs.odd) > 0 {
		return rs.odd[0], true
	}
	return Revocation{}, false
}

func (rs *Revocations) find(t target) (Revocation, bool) {
	shard := rs.shard(t)
	shard.mu.RLock()
	defer shard.mu.RUnlock()
	r, ok := shard.byID[t]
	return r, ok
}

// Drop forgets the entries that expired before the given time, which must never
// go backwards and must leave room for the leeway of whoever asks Covers. It looks
// at every entry.
func (rs *Revocations) Drop(before time.Time) {
	for i := range rs.shards {
		s := &rs.shards[i]
		s.mu.Lock()
		for t, r := range s.byID {
			if r.Expires.Before(before) {
				delete(s.byID, t)
				rs.size.Add(-1)
			}
		}
		s.mu.Unlock()
	}
	rs.oddMu.Lock()
	defer rs.oddMu.Unlock()
	n := len(rs.odd)
	rs.odd = slices.DeleteFunc(rs.odd, func(r Revocation) bool { return r.Expires.Before(before) })
	rs.size.Add(int64(len(rs.odd) - n))
}

// Len returns the number of entries held.
func (rs *Revocations) Len() int { return int(rs.size.Load()) }

// Reset forgets everything: only for a log of another epoch, under which nothing
// that was covered is accepted anyway.
func (rs *Revocations) Reset() {
	for i := range rs.shards {
		s := &rs.shards[i]
		s.mu.Lock()
		rs.size.Add(-int64(len(s.byID)))
		s.byID = nil
		s.mu.Unlock()
	}
	rs.oddMu.Lock()
	defer rs.oddMu.Unlock()
	rs.size.Add(-int64(len(rs.odd)))
	rs.odd = nil
}
