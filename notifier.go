package counterfoil

import (
	"errors"
	"hash/maphash"
	"sync"
	"sync/atomic"

	"github.com/counterfoil/counterfoil/internal/revocation"
	"github.com/counterfoil/counterfoil/internal/token"
)

// notifier tells copies that an entry of the log may cover them. So a check need not ask
// the log, however long the log is and however fast it grows: it compares entry.checkedGen
// with the generation of its knowledge, and asks the log only if they differ.
//
// Why a check cannot accept a copy e that an entry r covers (P1). The follower, in this
// order:
//
//	F1  adds the page of r to the index;
//	F2  notifies: it writes a new stamp to checkedGen of each subscribed copy that r may cover;
//	F3  publishes knowledge that has the page.
//
// A check of e, in this order:
//
//	C1  loads knowledge k;
//	C2  loads e.checkedGen; if that is k.gen, it accepts e here;
//	C3  asks the index whether an entry covers e;
//	C4  if none does, sets checkedGen to k.gen, unless it has changed since C2, and accepts;
//	    if one does, sets checkedGen to detached, for ever, and refuses.
//
// Say that a check of e loads knowledge that has the page of r. It refuses:
//
//  1. If it does not find k.gen at C2, it asks at C3. That is after F3, so r is in the
//     index. It refuses.
//  2. If it finds k.gen at C2, then an earlier check of e wrote that at its C4. The earlier
//     check had knowledge of the same generation, so it asked this very index.
//  3. The earlier check accepted, so r was not in the index at its C3. So its C2 was before
//     F1, and before F2.
//  4. Was e subscribed at F2? Then the follower wrote a stamp. If it did before C4 of the
//     earlier check, then checkedGen had changed since C2 of that check, and C4 wrote
//     nothing. If it did after that C4, then C2 of our check finds the stamp, or what a
//     check wrote that found the stamp: that one asked after F1, and refused. Both
//     contradict 2.
//  5. Was e not subscribed yet? To subscribe writes a new stamp, before any check can find e.
//     So all checks of e began after F2, asked after F1, and refused. That contradicts 2.
//  6. Was e not subscribed any more? To unsubscribe begins with detached, which no check
//     overwrites. So C2 of our check finds detached. That contradicts 2.
//
// Entries for clients, keys and everybody notify nobody: they cover so many copies that the
// follower takes a new generation instead, and every copy is asked about once.
// TestEveryOrder runs the steps in every order.
type notifier struct {
	seed   maphash.Seed
	stamps atomic.Uint64 // the last number given to a stamp or to a generation
	shards [notifierShards]notifierShard
}

// detached is entry.checkedGen of a copy that is not subscribed any more, and of one that
// was refused as revoked: it stays refused (P3). A detached copy is asked about at every
// check.
const detached = 0

const notifierShards = 64

type notifierShard struct {
	mu    sync.Mutex      // guards all below
	heads []*subscription // as many as a power of two, or none
	size  int
}

// topic is a kind of name under which a copy is notified.
type topic int

const (
	bySession topic = iota
	bySubject
	byToken
	topics
)

// subscription puts an entry into the list of those whose names of one topic have one place.
type subscription struct {
	entry      *entry // nil: not subscribed
	hash       uint64
	next, prev *subscription
}

func newNotifier() *notifier { return &notifier{seed: maphash.MakeSeed()} }

// stamp returns a number that was never in any entry.checkedGen.
func (n *notifier) stamp() uint64 { return n.stamps.Add(1) }

func (n *notifier) hash(t topic, id string) uint64 {
	return maphash.String(n.seed, id) ^ uint64(t)<<48
}

func (n *notifier) shard(hash uint64) *notifierShard { return &n.shards[hash>>58] }

// subscribe has e notified from here on. An impersonation has names of two sessions, and is rare:
// it is detached, so every check asks about it. It must not have been subscribed before, and no
// other goroutine may have it yet.
func (n *notifier) subscribe(e *entry) {
	s := e.session
	if s.Actor != "" {
		e.checkedGen.Store(detached)
		return
	}
	e.checkedGen.Store(n.stamp())
	for t, id := range [topics]string{bySession: s.ID, bySubject: s.Subject, byToken: s.TokenID} {
		if id == "" {
			continue
		}
		h := n.hash(topic(t), id)
		e.subscriptions[t] = subscription{entry: e, hash: h}
		n.shard(h).add(&e.subscriptions[t])
	}
}

// unsubscribe ends the notifications of e.
func (n *notifier) unsubscribe(e *entry) {
	e.checkedGen.Store(detached) // before it cannot be notified any more
	for t := range e.subscriptions {
		if s := &e.subscriptions[t]; s.entry != nil {
			n.shard(s.hash).remove(s)
		}
	}
}

// notify makes the checks of all copies that r may cover ask the log, before r's page is
// published. It reports whether it could: if not, the caller takes a new generation.
func (n *notifier) notify(r revocation.Revocation) bool {
	var h uint64
	switch r.Scope {
	case revocation.ScopeSession:
		h = n.hash(bySession, r.ID)
	case revocation.ScopeGrant: // of all clients of the session: those that it does not cover ask once more
		sid, _, _ := token.CutGrantID(r.ID)
		h = n.hash(bySession, sid)
	case revocation.ScopeSubject, revocation.ScopeClaims:
		h = n.hash(bySubject, r.ID)
	case revocation.ScopeOthers: // of all sessions of the subject: the spared one asks once more
		subject, _, ok := token.CutOthersID(r.ID)
		if !ok {
			return false
		}
		h = n.hash(bySubject, subject)
	case revocation.ScopeToken:
		h = n.hash(byToken, r.ID)
	default:
		return false
	}
	shard := n.shard(h)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	if len(shard.heads) == 0 {
		return true
	}
	for s := *shard.head(h); s != nil; s = s.next {
		if s.hash == h {
			s.entry.notify(n.stamp())
		}
	}
	return true
}

// notify leaves a stamp, so that the next check of e asks the log. A detached copy is asked
// about anyway, and stays detached.
func (e *entry) notify(stamp uint64) {
	for {
		gen := e.checkedGen.Load()
		if gen == detached || e.checkedGen.CompareAndSwap(gen, stamp) {
			return
		}
	}
}

// checked remembers what the log of k said about e, unless e was notified since gen was
// found in checkedGen (P1). That it is revoked is for ever (P3).
func (e *entry) checked(k *knowledge, gen uint64, err error) {
	switch {
	case err == nil && gen != detached:
		e.checkedGen.CompareAndSwap(gen, k.gen)
	case errors.Is(err, ErrRevoked) || errors.Is(err, ErrStaleClaims):
		e.checkedGen.Store(detached)
	}
}

// head is where the list of hash begins. The caller holds mu, and there are heads.
func (n *notifierShard) head(hash uint64) **subscription {
	return &n.heads[hash&uint64(len(n.heads)-1)]
}

func (n *notifierShard) add(s *subscription) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.size == len(n.heads) {
		n.grow()
	}
	n.size++
	n.push(s)
}

func (n *notifierShard) push(s *subscription) {
	head := n.head(s.hash)
	if s.prev, s.next = nil, *head; s.next != nil {
		s.next.prev = s
	}
	*head = s
}

func (n *notifierShard) grow() {
	old := n.heads
	n.heads = make([]*subscription, max(8, 2*len(old)))
	for _, s := range old {
		for s != nil {
			next := s.next
			n.push(s)
			s = next
		}
	}
}

func (n *notifierShard) remove(s *subscription) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.size--
	if s.next != nil {
		s.next.prev = s.prev
	}
	if s.prev != nil {
		s.prev.next = s.next
	} else {
		*n.head(s.hash) = s.next
	}
}
