package counterfoil

import (
	"errors"
	"hash/maphash"
	"sync"
	"sync/atomic"

	"github.com/counterfoil/counterfoil/internal/revocation"
	"github.com/counterfoil/counterfoil/internal/token"
)

// news carries entries of the log to the copies that they may cover. So a check
// need not ask the log, however long it is and however fast it grows: it compares
// entry.good with the generation of its knowledge, and asks only if they differ.
//
// This is why it cannot accept what an entry covers (P1). The follower, in this order,
// adds a page to Revocations, tells the copies, and publishes knowledge. A check loads
// knowledge first. Say that it has some with the page of a revocation that covers its
// copy, and reads the knowledge's generation in good. Whoever wrote that had knowledge
// of this generation, so of this very Revocations; he had asked it before, and found
// what was in good unchanged since before he asked. The revocation was in the log by
// the time its copies were told, so he asked before the copy was told, or he would
// have been refused; then what was told stands in good, or changed it under his hands.
// Unless the copy was not told. Then either it was not linked yet: but it is asked
// about for the first time after that, and good was not of any generation until then.
// Or it was not linked any longer: but from before that on it is alone, which is for
// ever, and what is alone is asked about at every check.
//
// Clients, keys and everybody are not linked: they cover so much that they make a
// new generation instead, and everything is asked about once.
type news struct {
	seed   maphash.Seed
	stamps atomic.Uint64 // the last number given to news or to a generation
	shards [newsShards]newsShard
}

// alone is in entry.good of a copy that nobody tells anything, and of one that was
// refused as revoked: it stays refused (P3).
const alone = 0

const newsShards = 64

type newsShard struct {
	mu    sync.Mutex
	heads []*link // as many as a power of two, or none
	size  int
}

// kind is by what a copy can be told news.
type kind int

const (
	bySession kind = iota
	bySubject
	byToken
	kinds
)

// link puts an entry into the list of those whose name of one kind has one place.
type link struct {
	entry      *entry // nil: not linked
	hash       uint64
	next, prev *link
}

func newNews() *news { return &news{seed: maphash.MakeSeed()} }

// stamp returns a number that was never in any entry.good.
func (n *news) stamp() uint64 { return n.stamps.Add(1) }

func (n *news) hash(k kind, id string) uint64 {
	return maphash.String(n.seed, id) ^ uint64(k)<<48
}

func (n *news) shard(hash uint64) *newsShard { return &n.shards[hash>>58] }

// link makes e hear of news from here on. It must not have been linked before, and
// nobody else may know it yet.
func (n *news) link(e *entry) {
	e.good.Store(n.stamp())
	s := e.session
	for k, id := range [kinds]string{bySession: s.ID, bySubject: s.Subject, byToken: s.TokenID} {
		if id == "" {
			continue
		}
		h := n.hash(kind(k), id)
		e.links[k] = link{entry: e, hash: h}
		n.shard(h).add(&e.links[k])
	}
}

// unlink is the end of that.
func (n *news) unlink(e *entry) {
	e.good.Store(alone) // before it cannot be told any longer
	for k := range e.links {
		if l := &e.links[k]; l.entry != nil {
			n.shard(l.hash).remove(l)
		}
	}
}

// tell makes all copies that r may cover ask about it, before r's page is
// published. It reports whether it could: if not, it takes a new generation.
func (n *news) tell(r revocation.Revocation) bool {
	var h uint64
	switch r.Scope {
	case revocation.ScopeSession:
		h = n.hash(bySession, r.ID)
	case revocation.ScopeGrant: // of all clients of the session: those that it does not cover ask once more
		sid, _, _ := token.CutGrantID(r.ID)
		h = n.hash(bySession, sid)
	case revocation.ScopeSubject, revocation.ScopeClaims:
		h = n.hash(bySubject, r.ID)
	case revocation.ScopeToken:
		h = n.hash(byToken, r.ID)
	default:
		return false
	}
	s := n.shard(h)
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.heads) == 0 {
		return true
	}
	for l := *s.head(h); l != nil; l = l.next {
		if l.hash == h {
			l.entry.tell(n.stamp())
		}
	}
	return true
}

// tell leaves news that e must ask about. What is alone asks anyway, and stays so.
func (e *entry) tell(stamp uint64) {
	for {
		good := e.good.Load()
		if good == alone || e.good.CompareAndSwap(good, stamp) {
			return
		}
	}
}

// answered remembers what k's log said about e, unless there has been news since
// good was found in e (P1). That it is revoked is for ever (P3).
func (e *entry) answered(k *knowledge, good uint64, err error) {
	switch {
	case err == nil && good != alone:
		e.good.CompareAndSwap(good, k.gen)
	case errors.Is(err, ErrRevoked) || errors.Is(err, ErrStaleClaims):
		e.good.Store(alone)
	}
}

// head is where the list of hash begins. The caller holds mu, and there are heads.
func (s *newsShard) head(hash uint64) **link { return &s.heads[hash&uint64(len(s.heads)-1)] }

func (s *newsShard) add(l *link) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.size == len(s.heads) {
		s.grow()
	}
	s.size++
	s.push(l)
}

func (s *newsShard) push(l *link) {
	head := s.head(l.hash)
	if l.prev, l.next = nil, *head; l.next != nil {
		l.next.prev = l
	}
	*head = l
}

func (s *newsShard) grow() {
	old := s.heads
	s.heads = make([]*link, max(8, 2*len(old)))
	for _, l := range old {
		for l != nil {
			next := l.next
			s.push(l)
			l = next
		}
	}
}

func (s *newsShard) remove(l *link) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.size--
	if l.next != nil {
		l.next.prev = l.prev
	}
	if l.prev != nil {
		l.prev.next = l.next
	} else {
		*s.head(l.hash) = l.next
	}
}
