package counterfoil

import (
	"hash/maphash"
	"math/bits"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/counterfoil/counterfoil/internal/clock"
	"github.com/counterfoil/counterfoil/internal/token"
)

// seenCache holds the copies that were verified, by transport and whole text: a hash finds
// the place, and a tag of the text decides. Only a verified copy gets in, so junk cannot fill it.
//
// Readers take no lock and write nothing, except that a copy was used once in a while. A
// reader may miss an entry that is just being moved, which costs another
// verification and nothing else, and may hold one that has just been removed,
// which notifier.unsubscribe has made harmless before.
//
// Room is made by the second-chance rule: an entry that was not used since the
// hand last came by goes. A new one has not been used, so copies that are seen only once,
// be it a million tokens of one login, push out their like and not those in use.
type seenCache struct {
	seed     maphash.Seed
	tagger   *tagger
	shards   []shard // as many as a power of two
	hot      hotCopies
	limit    int64
	maxBytes int64        // of entries
	size     atomic.Int64 // entries, and those for which room is being made
	bytes    atomic.Int64 // that they take, about, without the hot ones
	arena    *arena
	notifier *notifier
	shared   sharedParts

	swept clock.Instant // when a shard was last swept; the goroutine of the follower writes it
	next  int           // the shard to be swept next; likewise
}

// shard is an open hash table with linear probing, at most seven eighths full, and the slabs of its
// entries. Eight slots are one line of a processor's cache, and a look-up rarely leaves it.
type shard struct {
	slots atomic.Pointer[[]slot] // as many as a power of two
	cache *seenCache

	mu     sync.Mutex // guards all writing
	size   int
	hand   int     // where room is looked for next
	filled *slab   // new entries come into this one; nil: into another
	sparse []*slab // less than half of what they hold can be found: that is to be moved

	_ [56]byte // another shard is another line of the cache
}

// slot has the hash of an entry in its upper half, and its id in its lower one. 0: empty.
type slot = atomic.Uint64

func slotOf(hash uint32, id entryID) uint64 { return uint64(hash)<<32 | uint64(id) }

const (
	maxShards = 64
	minSlots  = 8
	patience  = 64 // entries in use that are passed over before one of them goes

	// minShardBytes is what a shard has room for at least, so that a slab takes several entries, and
	// counts once what they share.
	minShardBytes = 32 << 10

	// copyCost is what a copy takes beyond its lines: three slots, and its part of the lists of
	// notifier and slab.
	copyCost = 3*8 + 16
)

func newSeenCache(limit int, maxBytes int64, n *notifier) *seenCache {
	shards := maxShards
	for shards > 1 && (limit/shards < 16 || maxBytes/int64(shards) < minShardBytes) {
		shards /= 2
	}
	cache := &seenCache{
		seed: maphash.MakeSeed(), tagger: newTagger(), shards: make([]shard, shards),
		limit: int64(limit), arena: n.arena, notifier: n,
	}
	cache.hot.start(limit, maxBytes)
	cache.maxBytes = maxBytes - cache.hot.bytes
	for i := range cache.shards {
		slots := make([]slot, minSlots)
		cache.shards[i].slots.Store(&slots)
		cache.shards[i].cache = cache
	}
	return cache
}

// tail is how much of a text is hashed: a signature, an authentication tag or a
// random id is in it. An attacker cannot choose the tail of a text that gets in, except for
// JWEs to a key of ours: their maker knows the content key, and can make any number of JWEs
// of one token that end alike. So maxAlike bounds those of one hash.
const (
	tail     = 64
	maxAlike = 4
)

// hash is the place of a credential. Its upper bits name the shard, its lower ones the slot.
func (c *seenCache) hash(of credential) uint64 {
	text := of.value
	if len(text) > tail {
		text = text[len(text)-tail:]
	}
	return maphash.String(c.seed, text) + uint64(of.transport)
}

func (c *seenCache) shard(hash uint64) *shard { return &c.shards[hash>>58&uint64(len(c.shards)-1)] }

// get finds the copy of a credential, and sets f, which is empty.
func (c *seenCache) get(of credential, f *found) bool {
	if len(of.value) > token.MaxSize {
		return false // not worth a tag
	}
	h := c.hash(of)
	if hot := c.hot.get(h, of); hot != nil {
		hot.entry.use()
		hot.found(f)
		return true
	}
	return c.getByTag(h, of, f)
}

// getByTag is get for a copy that is not hot.
func (c *seenCache) getByTag(h uint64, of credential, f *found) bool {
	slots := *c.shard(h).slots.Load()
	var t tag
	for i, tagged := h, false; ; i++ {
		word := slots[i&uint64(len(slots)-1)].Load()
		if word == 0 {
			return false
		}
		if uint32(word>>32) != uint32(h) {
			continue
		}
		// The slot may be of another moment than the slab, where another entry begins, or none: the
		// tag decides. What stands there instead of one, nobody chose who knows the tag.
		b, at := c.arena.find(entryID(word))
		if b == nil {
			continue
		}
		e := &b.lines[at]
		first := e.tag() // this line and the next ones are on their way while the tag of the text is made
		b.fetch(at + 1)
		b.fetch(at + 2)
		if !tagged {
			t, tagged = c.tagger.of(of), true
		}
		if first == t && !e.is(isGone) {
			e.use()
			*f = found{entry: e, slab: b, at: at, cold: true}
			return true
		}
	}
}

// warm has chance decide whether f, which was found by its tag and accepted, becomes a hot copy.
func (c *seenCache) warm(of credential, f *found) {
	if c.hot.wants() {
		f.session = f.Session()
		c.hot.put(c.hash(of), of, *f)
	}
}

// rooms are for packed sessions on their way into a slab.
var rooms = sync.Pool{New: func() any { return new([512]byte) }}

// put takes a copy in, instead of another one of the same credential if there is one. It is asleep until it is
// found again.
func (c *seenCache) put(n *newCopy) found {
	h := c.hash(n.credential)
	room := rooms.Get().(*[512]byte)
	defer rooms.Put(room)
	e := newEntry{
		tag: c.tagger.of(n.credential), hash: uint32(h), deadline: n.deadline, state: stateOf(n.session, n.signed),
		packed: pack(room[:0], n.session, uint32(h), n.era), shared: c.shared.of(n.session),
	}
	cost := int64(e.cost() + sharedCost(e.shared)) // the most that it can be
	if cost > c.maxBytes {
		return n.alone()
	}
	c.size.Add(1)
	c.bytes.Add(cost)
	for c.size.Load() > c.limit || c.bytes.Load() > c.maxBytes {
		if !c.makeRoom(h) {
			break
		}
	}
	f, ok := c.shard(h).put(&e)
	c.bytes.Add(-cost) // the shard has counted what it costs there
	if !ok {
		c.size.Add(-1)
		return n.alone()
	}
	f.session = n.session
	return f
}

// makeRoom removes an entry of the shard of hash, or of another one if it has none. It reports
// whether there was one.
func (c *seenCache) makeRoom(hash uint64) bool {
	for i := range uint64(len(c.shards)) {
		if c.shard(hash + i<<58).evict() {
			return true
		}
	}
	return false
}

// drop removes f, if it is remembered.
func (c *seenCache) drop(of credential, f *found) {
	if f.slab != nil {
		h := c.hash(of)
		c.shard(h).remove(uint32(h), func(e *entry) bool { return e == f.entry })
	}
}

// forget drops the copy of a credential, whichever it is.
func (c *seenCache) forget(of credential) {
	h, t := c.hash(of), c.tagger.of(of)
	c.shard(h).remove(uint32(h), func(e *entry) bool { return e.tag() == t })
}

// refuse has every check of the copy of a credential ask the log, because a check that did not judge the
// entry itself was refused (P3): the log covers the copy, and perhaps the entry is not notified yet.
func (c *seenCache) refuse(of credential) {
	h, t := c.hash(of), c.tagger.of(of)
	c.shard(h).refuse(uint32(h), func(e *entry) bool { return e.tag() == t })
}

// sweepEvery is how often each shard is swept.
const sweepEvery = 10 * time.Second

// sweep drops from one shard the copies that may be forgotten at now, if it is time for that:
// one shard at a time, since the log must not wait.
func (c *seenCache) sweep(at clock.Instant, now int64) {
	if at.Since(&c.swept) < sweepEvery/maxShards {
		return
	}
	c.swept = at
	c.shards[c.next%len(c.shards)].expire(now)
	c.hot.sweep(c.next%maxShards, maxShards)
	c.next++
}

func (c *seenCache) len() int { return int(c.size.Load()) }

// taken is how many bytes all that is remembered takes, about.
func (c *seenCache) taken() int64 { return c.bytes.Load() + c.hot.table.Load().bytes.Load() }

// newEntry is what becomes an entry.
type newEntry struct {
	tag      tag
	hash     uint32
	deadline int64
	state    uint64
	packed   []byte
	shared   *Session
}

// find returns where the first entry is that is meant, or the empty slot where it
// would be. The caller holds mu.
func (s *shard) find(slots []slot, hash uint32, meant func(*entry) bool) (at int, id entryID) {
	for i := hash; ; i++ {
		at := int(i) & (len(slots) - 1)
		switch word := slots[at].Load(); {
		case word == 0:
			return at, 0
		case uint32(word>>32) == hash:
			if e, _ := s.cache.arena.entry(entryID(word)); meant(e) {
				return at, entryID(word)
			}
		}
	}
}

func never(*entry) bool { return false }

// put makes an entry, and has it found. It takes the place of another copy of its credential, or
// of the last of maxAlike of its hash. Without room for another slab it does nothing.
func (s *shard) put(n *newEntry) (f found, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f, ok = s.add(n, false, false)
	if !ok {
		return f, false
	}
	slots := *s.slots.Load()
	alike := 0
	at, old := s.find(slots, n.hash, func(o *entry) bool { alike++; return o.tag() == n.tag || alike == maxAlike })
	if old == 0 {
		if s.size++; 8*s.size > 7*len(slots) {
			slots = s.grow(slots)
			at, _ = s.find(slots, n.hash, never)
		}
	}
	s.replace(slots, at, old, &f)
	if old != 0 {
		s.removed(old)
	}
	s.moveSparse()
	return f, true
}

// replace has f found instead of old, if there is one. A check that has a hot copy may still meet old. So
// every check of old asks the log from here on: f may have been refused before (P3). The caller holds mu.
func (s *shard) replace(slots []slot, at int, old entryID, f *found) {
	if old != 0 {
		e, _ := s.cache.arena.entry(old)
		e.setCheckedGen(detached)
	}
	slots[at].Store(slotOf(f.slab.hash(f.at), f.slab.id(f.at)))
}

// add makes an entry that no slot has. It is subscribed if it takes the place of one that is. The caller holds
// mu.
func (s *shard) add(n *newEntry, listed, refused bool) (f found, ok bool) {
	b, lines := s.filled, linesOf(len(n.packed))
	if b == nil || !b.hasRoom(lines) {
		if b = s.another(lines); b == nil {
			return found{}, false
		}
	}
	at := b.add(n)
	e := &b.lines[at]
	if listed {
		s.cache.notifier.subscribe(b, at)
	}
	if refused {
		e.setCheckedGen(detached)
	}
	b.publish(at)
	s.cache.bytes.Add(int64(b.cost(at)))
	return found{entry: e, slab: b, at: at}, true
}

// wake subscribes an entry that is seen again, and returns its checkedGen.
func (s *shard) wake(b *slab, at uint32) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := &b.lines[at]
	if !e.is(isGone) && !e.is(isListed) {
		s.cache.notifier.subscribe(b, at)
	}
	return e.checkedGen()
}

// another seals the slab that was filled and returns the next one, or nil if there is no number
// for it. It is the larger the more entries there are, so that little room is empty. The caller
// holds mu.
func (s *shard) another(lines int) *slab {
	if old := s.filled; old != nil {
		old.sealed = true
		old.made += 8 * lineWords * (len(old.lines) - int(old.count.Load()))
		s.filled = nil
		s.released(old)
	}
	b := newSlab(max(lines, min(8<<bits.Len(uint(s.size/8)), slabSize)))
	b.shard = s
	if !s.cache.arena.take(b) {
		return nil
	}
	s.filled = b
	return b
}

// removed ends an entry that has just lost its slot. The caller holds mu.
func (s *shard) removed(id entryID) {
	e, b := s.cache.arena.entry(id)
	s.cache.size.Add(-1)
	s.end(id, e, b)
}

// end has an entry not found any more, not even by who knows where it is. The caller holds mu.
func (s *shard) end(id entryID, e *entry, b *slab) {
	e.mark(isGone)
	s.cache.notifier.unsubscribe(b, id.at())
	cost := b.cost(id.at())
	s.cache.bytes.Add(-int64(cost))
	b.live -= cost
	s.released(b)
}

// released drops a slab that has no entries left, and remembers one that has few: by what they cost,
// since large ones may go and small ones stay. The caller holds mu.
func (s *shard) released(b *slab) {
	switch {
	case b.sealed && b.live == 0:
		s.cache.arena.drop(b)
		s.sparse = slices.DeleteFunc(s.sparse, func(o *slab) bool { return o == b })
	case b.sealed && !b.waiting && 2*b.live < b.made:
		b.waiting = true
		s.sparse = append(s.sparse, b)
	}
	if s.size == 0 && s.filled != nil && s.filled.live == 0 {
		s.cache.arena.drop(s.filled)
		s.filled = nil
	}
}

// moveSparse moves the entries of one slab that has few: another copy takes the place of each,
// and the slab can go. The caller holds mu.
func (s *shard) moveSparse() {
	n := len(s.sparse) - 1
	if n < 0 {
		return
	}
	from := s.sparse[n]
	s.sparse[n], s.sparse = nil, s.sparse[:n]
	slots := *s.slots.Load()
	room := rooms.Get().(*[512]byte)
	defer rooms.Put(room)
	for at := uint32(0); at < from.count.Load(); at += uint32(linesOf(from.size(at))) {
		e := &from.lines[at]
		if e.is(isGone) {
			continue
		}
		n := newEntry{
			tag: e.tag(), hash: from.hash(at), deadline: e.deadline(), state: e.state() & (1<<sharedShift - 1) &^ isListed,
			packed: from.packed(at, room[:0]), shared: from.sharedOf(at),
		}
		f, ok := s.add(&n, e.is(isListed), e.checkedGen() == detached)
		if !ok {
			return
		}
		slot, id := s.find(slots, n.hash, func(o *entry) bool { return o == e })
		s.replace(slots, slot, id, &f)
		s.end(id, e, from)
	}
}

// grow makes room for twice as much. Readers go on in what there was.
func (s *shard) grow(slots []slot) []slot {
	larger := make([]slot, 2*len(slots))
	for i := range slots {
		if word := slots[i].Load(); word != 0 {
			at, _ := s.find(larger, uint32(word>>32), never)
			larger[at].Store(word)
		}
	}
	s.slots.Store(&larger)
	s.hand = 0
	return larger
}

func (s *shard) remove(hash uint32, meant func(*entry) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	slots := *s.slots.Load()
	if at, id := s.find(slots, hash, meant); id != 0 {
		s.empty(slots, at)
		s.removed(id)
	}
}

func (s *shard) refuse(hash uint32, meant func(*entry) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, id := s.find(*s.slots.Load(), hash, meant); id != 0 {
		e, _ := s.cache.arena.entry(id)
		e.setCheckedGen(detached)
	}
}

// evict removes an entry that was not used since the hand came by, or the last one
// that it had patience for. It reports whether there was one.
func (s *shard) evict() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	slots := *s.slots.Load()
	for passed := 0; s.size > 0; s.hand++ {
		s.hand &= len(slots) - 1
		word := slots[s.hand].Load()
		if word == 0 {
			continue
		}
		e, _ := s.cache.arena.entry(entryID(word))
		if passed++; passed < patience && e.is(isUsed) {
			e.unmark(isUsed)
			continue
		}
		s.empty(slots, s.hand)
		s.removed(entryID(word))
		return true
	}
	return false
}

func (s *shard) expire(now int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	slots := *s.slots.Load()
	for at := 0; at < len(slots); {
		word := slots[at].Load()
		if word != 0 {
			if e, _ := s.cache.arena.entry(entryID(word)); e.forget() <= now {
				s.empty(slots, at) // another one may have moved here
				s.removed(entryID(word))
				continue
			}
		}
		at++
	}
}

// empty empties a slot, and moves those behind it that the gap would hide from a reader. The
// caller holds mu.
func (s *shard) empty(slots []slot, at int) {
	mask := len(slots) - 1
	for next := (at + 1) & mask; ; next = (next + 1) & mask {
		word := slots[next].Load()
		if word == 0 {
			break
		}
		if home := int(word>>32) & mask; (next-home)&mask < (next-at)&mask {
			continue // it is looked for from a place behind the gap
		}
		slots[at].Store(word)
		at = next
	}
	slots[at].Store(0)
	s.size--
}

// newCopy is a credential that was found genuine.
type newCopy struct {
	credential credential
	session    *Session
	deadline   int64
	signed     bool
	era        uint32
}

// alone returns n as a copy that is not remembered: every check asks about it.
func (n *newCopy) alone() found {
	e := new(entry)
	e[wordDeadline] = uint64(n.deadline)
	e[wordState] = stateOf(n.session, n.signed)
	return found{entry: e, session: n.session, era: n.era}
}

// watched returns n as a copy that a connection has, in a slab of its own.
func (c *seenCache) watched(n *newCopy) (found, bool) {
	e := newEntry{deadline: n.deadline, state: stateOf(n.session, n.signed), packed: pack(nil, n.session, 0, n.era), shared: n.session}
	b := newSlab(linesOf(len(e.packed)))
	if !c.arena.take(b) {
		return n.alone(), false
	}
	c.notifier.subscribe(b, b.add(&e))
	b.publish(0)
	return found{entry: &b.lines[0], slab: b, session: n.session}, true
}

// unwatched ends what watched began.
func (c *seenCache) unwatched(f *found) {
	c.notifier.unsubscribe(f.slab, f.at)
	c.arena.drop(f.slab)
}
