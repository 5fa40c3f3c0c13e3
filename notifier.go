package counterfoil

import (
	"encoding/binary"
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
//	C2  loads e.checkedGen; if that is k.gen, it accepts e here; if e is asleep and is not seen
//	    for the first time, it subscribes e and loads checkedGen again;
//	C3  asks the index whether an entry covers e;
//	C4  if none does, sets checkedGen to k.gen, unless it has changed since C2 or e is asleep, and accepts;
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
//  5. Was e not subscribed yet? Then it was asleep. The earlier check wrote its C4, so at the end of its
//     C2 it found e not asleep any more: e was subscribed by then, which was after F2. So it
//     asked after F1, and refused. That contradicts 2.
//     An entry whose slab has few others is moved: another entry is made of it, and is
//     subscribed before it takes the place of e, and e is detached before that, too. This is a copy of its own, like one that
//     was verified again, and what was asked about e does not count for it.
//  6. Was e not subscribed any more? To unsubscribe begins with detached, which no check
//     overwrites. So C2 of our check finds detached. That contradicts 2. For that, the memory
//     of an entry is never used for another one: a check that is late meets e, or nothing.
//
// Entries for clients, keys and everybody notify nobody: they cover so many copies that the
// follower takes a new generation instead, and every copy is asked about once.
// TestEveryOrder runs the steps in every order.
type notifier struct {
	arena  *arena
	seed   maphash.Seed
	stamps atomic.Uint64 // the last number given to a stamp or to a generation
	shards [notifierShards]notifierShard
}

// Values of entry.checkedGen that no stamp and no generation has. Of such a copy every check asks the log.
const (
	// detached is of a copy that is not subscribed any more, and of one that was refused as revoked: it stays
	// refused (P3).
	detached = 0

	// asleep is of a copy that was seen once, and is not subscribed. Many are never seen again.
	asleep = 1<<64 - 1
)

const notifierShards = 64

type notifierShard struct {
	mu    sync.Mutex // guards all below
	lists [topics]lists
}

// lists are those of one topic. Copies whose names have one place are in one list.
type lists struct {
	heads []entryID // as many as a power of two, or none
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

// link puts an entry into a list.
type link struct{ next, prev entryID }

func newNotifier() *notifier { return &notifier{arena: new(arena), seed: maphash.MakeSeed()} }

// stamp returns a number that was never in any entry.checkedGen.
func (n *notifier) stamp() uint64 { return n.stamps.Add(1) }

// hash returns the place of a name. It is never 0.
func (n *notifier) hash(t topic, id string) uint64 {
	return t.place(maphash.String(n.seed, id))
}

// place returns the place of a name whose hash is this one.
func (t topic) place(hash uint64) uint64 { return hash ^ uint64(t)<<48 | 1<<32 }

func (n *notifier) shard(hash uint64) *notifierShard { return &n.shards[hash>>58] }

// places are where the lists of a copy are: the hash of its name of each topic, and 0 without one.
type places [topics]uint64

// places returns the places of an entry. An impersonation has names of two sessions, and is rare: it
// is in no list and detached, so every check asks about it.
func (n *notifier) places(b *slab, at uint32) (p places) {
	if b.sharedOf(at).Actor != "" {
		return p
	}
	var room [512]byte
	rest := b.packed(at, room[:0])[packedHead+1:]
	for t := range topics { // they are packed in the same order
		size, read := binary.Uvarint(rest)
		if size > 0 {
			p[t] = t.place(maphash.Bytes(n.seed, rest[read:][:size]))
		}
		rest = rest[read+int(size):]
	}
	return p
}

// subscribe has an entry notified from here on. It must not have been subscribed before. Checks may have
// it, and nobody else subscribes or unsubscribes it meanwhile.
func (n *notifier) subscribe(b *slab, at uint32) { n.wake(&b.lines[at], n.list(b, at)) }

// list puts an entry into its lists, and reports whether it has any.
func (n *notifier) list(b *slab, at uint32) (listed bool) {
	e := &b.lines[at]
	for t, h := range n.places(b, at) {
		if h != 0 {
			n.shard(h).add(n, topic(t), h, b.id(at), e)
			listed = true
		}
	}
	e.mark(isListed)
	return listed
}

// wake lets checks remember what the log says about an entry, which is listed by now. One that was notified
// or refused meanwhile is not asleep any more.
func (n *notifier) wake(e *entry, listed bool) {
	gen := uint64(detached)
	if listed {
		gen = n.stamp()
	}
	e.swapCheckedGen(asleep, gen)
}

// unsubscribe ends the notifications of an entry.
func (n *notifier) unsubscribe(b *slab, at uint32) {
	e := &b.lines[at]
	e.setCheckedGen(detached) // before it cannot be notified any more
	if !e.is(isListed) {
		return
	}
	for t, h := range n.places(b, at) {
		if h != 0 {
			n.shard(h).remove(n, topic(t), h, e)
		}
	}
}

// notify makes the checks of all copies that r may cover ask the log, before r's page is
// published. It reports whether it could: if not, the caller takes a new generation.
func (n *notifier) notify(r revocation.Revocation) bool {
	var t topic
	name := r.ID
	switch r.Scope {
	case revocation.ScopeSession:
		t = bySession
	case revocation.ScopeGrant: // of all clients of the session: those that it does not cover ask once more
		t = bySession
		name, _, _ = token.CutGrantID(r.ID)
	case revocation.ScopeSubject, revocation.ScopeClaims:
		t = bySubject
	case revocation.ScopeOthers: // of all sessions of the subject: the spared one asks once more
		subject, _, ok := token.CutOthersID(r.ID)
		if !ok {
			return false
		}
		t, name = bySubject, subject
	case revocation.ScopeToken:
		t = byToken
	default:
		return false
	}
	h := n.hash(t, name)
	shard := n.shard(h)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	if len(shard.lists[t].heads) == 0 {
		return true
	}
	for id := *shard.lists[t].head(h); id != 0; { // those with other names in this place ask once more
		e, _ := n.arena.entry(id)
		e.notify(n.stamp())
		id = e.link(t).next
	}
	return true
}

// notify leaves a stamp, so that the next check of e asks the log. A detached copy is asked
// about anyway, and stays detached.
func (e *entry) notify(stamp uint64) {
	for {
		gen := e.checkedGen()
		if gen == detached || e.swapCheckedGen(gen, stamp) {
			return
		}
	}
}

// checked remembers what the log of k said about e, unless e was notified since gen was
// found in checkedGen (P1). That it is revoked is for ever (P3).
func (e *entry) checked(k *knowledge, gen uint64, err error) {
	switch {
	case err == nil && gen != detached && gen != asleep:
		e.swapCheckedGen(gen, k.gen)
	case covered(err):
		e.setCheckedGen(detached)
	}
}

// head is where the list of hash begins. The caller holds mu, and there are heads.
func (l *lists) head(hash uint64) *entryID { return &l.heads[hash&uint64(len(l.heads)-1)] }

func (s *notifierShard) add(n *notifier, t topic, hash uint64, id entryID, e *entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := &s.lists[t]
	if l.size == len(l.heads) {
		l.grow(n, t)
	}
	l.size++
	l.push(n, t, hash, id, e)
}

func (l *lists) push(n *notifier, t topic, hash uint64, id entryID, e *entry) {
	head := l.head(hash)
	e.setLink(t, link{next: *head})
	if *head != 0 {
		next, _ := n.arena.entry(*head)
		next.setLink(t, link{next.link(t).next, id})
	}
	*head = id
}

func (l *lists) grow(n *notifier, t topic) {
	old := l.heads
	l.heads = make([]entryID, max(8, 2*len(old)))
	for _, id := range old {
		for id != 0 {
			e, b := n.arena.entry(id)
			next := e.link(t).next
			l.push(n, t, n.places(b, id.at())[t], id, e)
			id = next
		}
	}
}

func (s *notifierShard) remove(n *notifier, t topic, hash uint64, e *entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l, of := &s.lists[t], e.link(t)
	l.size--
	if of.next != 0 {
		next, _ := n.arena.entry(of.next)
		next.setLink(t, link{next.link(t).next, of.prev})
	}
	if of.prev != 0 {
		prev, _ := n.arena.entry(of.prev)
		prev.setLink(t, link{of.next, prev.link(t).prev})
	} else {
		*l.head(hash) = of.next
	}
}
