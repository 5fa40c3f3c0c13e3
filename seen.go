package counterfoil

import (
	"hash/maphash"
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

const (
	maxShards = 64

	// minShardBytes is what a shard has room for at least, so that a slab takes several entries, and
	// counts once what they share.
	minShardBytes = 32 << 10
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
