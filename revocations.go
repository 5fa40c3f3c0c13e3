package counterfoil

import (
	"slices"
	"sync"
	"time"
)

// Revocations is the part of the revocation log that can still matter, indexed
// so that asking about a session costs a few map look-ups however long the log
// is. Entries are only added, and dropped when nothing they cover can be alive
// (REV-10, REV-13).
type Revocations struct {
	mu   sync.RWMutex // guards both; held for map access only
	byID map[target]Revocation
	odd  []Revocation // entries of a scope this program does not know: they cover everything
}

// target is what an entry names. For cutoffs the latest entry says all: what is
// born before an earlier one is born before it too.
type target struct {
	scope Scope
	id    string
}

// NewRevocations returns an empty index.
func NewRevocations() *Revocations { return &Revocations{byID: make(map[target]Revocation)} }

// Apply adds entries. Doing so twice, or in another order, changes nothing.
func (rs *Revocations) Apply(entries []Revocation) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	for _, r := range entries {
		switch r.Scope {
		case ScopeSession, ScopeToken, ScopeKey, ScopeSubject, ScopeClaims, ScopeClient, ScopeAll:
		default:
			if !slices.ContainsFunc(rs.odd, func(o Revocation) bool { return o.At == r.At }) {
				rs.odd = append(rs.odd, r)
			}
			continue
		}
		known, ok := rs.byID[target{r.Scope, r.ID}]
		if ok && known.At.Epoch == r.At.Epoch {
			if known.At.Seq > r.At.Seq {
				known, r = r, known
			}
			if known.Expires.After(r.Expires) {
				r.Expires = known.Expires
			}
		}
		rs.byID[target{r.Scope, r.ID}] = r
	}
}

// Covers returns an entry that covers s. One that ends the login comes before
// one that only makes its claims stale.
func (rs *Revocations) Covers(s *Session) (Revocation, bool) {
	rs.mu.RLock()
	defer rs.mu.RUnlock()
	for _, t := range [...]target{
		{ScopeSession, s.ID}, {ScopeToken, s.TokenID}, {ScopeKey, s.KeyID}, {ScopeSubject, s.Subject},
		{ScopeClient, s.Client}, {ScopeAll, ""}, {ScopeClaims, s.Subject},
	} {
		if r, ok := rs.byID[t]; ok && r.Covers(s) {
			return r, true
		}
	}
	if len(rs.odd) > 0 {
		return rs.odd[0], true
	}
	return Revocation{}, false
}

// Drop forgets the entries that expired before the given time, which must never
// go backwards and must leave room for the leeway of whoever asks Covers.
func (rs *Revocations) Drop(before time.Time) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	for t, r := range rs.byID {
		if r.Expires.Before(before) {
			delete(rs.byID, t)
		}
	}
	rs.odd = slices.DeleteFunc(rs.odd, func(r Revocation) bool { return r.Expires.Before(before) })
}

// Len returns the number of entries held.
func (rs *Revocations) Len() int {
	rs.mu.RLock()
	defer rs.mu.RUnlock()
	return len(rs.byID) + len(rs.odd)
}

// Reset forgets everything: only for a log of another epoch, under which nothing
// that was covered is accepted anyway.
func (rs *Revocations) Reset() {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	clear(rs.byID)
	rs.odd = nil
}
