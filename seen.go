package counterfoil

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	"github.com/counterfoil/counterfoil/internal/clock"
)

// entry is a copy that was found genuine. The fields above checkedGen never change, and all
// that a check reads fits one line of a processor's cache.
type entry struct {
	credential credential
	deadline   int64 // when it must be looked at anew, in nanoseconds since 1970
	session    *Session
	signed     bool // proven by a key, not by a look-up

	// checkedGen is the generation of the knowledge whose log was found not to cover the
	// session; or a stamp, when no check has asked the log since the stamp was given; or
	// detached. See notifier.
	checkedGen atomic.Uint64

	era           uint64               // of what was known when the copy was looked up; see follower.setBack
	used          atomic.Bool          // since the cache last looked for room
	forget        int64                // when the cache may drop it, in nanoseconds since 1970; never changes
	subscriptions [topics]subscription // guarded by notifier
}

// seenCache holds the copies that were verified, by transport and whole text: a hash finds
// the place, the text decides. Only a verified copy gets in, so junk cannot fill it.
//
// Readers take no lock and write nothing, except entry.used once in a while. A
// reader may miss an entry that is just being moved, which costs another
// verification and nothing else, and may hold one that has just been removed,
// which notifier.unsubscribe has made harmless before.
//
// Room is made by the second-chance rule: an entry that was not used since the
// hand last came by goes. A new one has not been used, so copies that are seen only once,
// be it a million tokens of one login, push out their like and not those in use.
type seenCache struct {
	seed     maphash.Seed
	shards   []shard // as many as a power of two
	limit    int64
	size     atomic.Int64 // entries, and those for which room is being made
	notifier *notifier

	swept clock.Instant // when a shard was last swept; the goroutine of the follower writes it
	next  int           // the shard to be swept next; likewise
}

// shard is an open hash table with linear probing, at most half full.
type shard struct {
	slots atomic.Pointer[[]slot] // as many as a power of two

	mu   sync.Mutex // guards all writing
	size int
	hand int // where room is looked for next

	_ [64]byte // another shard is another line of the cache
}

type slot struct {
	hash  atomic.Uint64 // 0: empty
	entry atomic.Pointer[entry]
}

const (
	maxShards = 64
	minSlots  = 8
	patience  = 64 // entries in use that are passed over before one of them goes
)

func newSeenCache(limit int, n *notifier) *seenCache {
	shards := maxShards
	for shards > 1 && limit/shards < 16 {
		shards /= 2
	}
	cache := &seenCache{seed: maphash.MakeSeed(), shards: make([]shard, shards), limit: int64(limit), notifier: n}
	for i := range cache.shards {
		slots := make([]slot, minSlots)
		cache.shards[i].slots.Store(&slots)
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

// hash is never 0. Its upper bits name the shard, its lower ones the slot.
func (c *seenCache) hash(of credential) uint64 {
	text := of.value
	if len(text) > tail {
		text = text[len(text)-tail:]
	}
	return maphash.String(c.seed, text) + uint64(of.transport) | 1<<32
}

func (c *seenCache) shard(hash uint64) *shard { return &c.shards[hash>>58&uint64(len(c.shards)-1)] }

func (c *seenCache) get(of credential) *entry {
	h := c.hash(of)
	slots := *c.shard(h).slots.Load()
	for i := h; ; i++ {
		s := &slots[i&uint64(len(slots)-1)]
		switch s.hash.Load() {
		case 0:
			return nil
		case h:
			// Hash and entry may be of two moments: the text decides.
			if e := s.entry.Load(); e != nil && e.credential == of {
				if !e.used.Load() {
					e.used.Store(true)
				}
				return e
			}
		}
	}
}

// put takes e in, instead of another copy of the same credential if there is one.
// From here on e is notified: it is subscribed before any check can find it.
func (c *seenCache) put(e *entry) {
	c.notifier.subscribe(e)
	h := c.hash(e.credential)
	if c.size.Add(1) > c.limit {
		c.makeRoom(h)
	}
	if old := c.shard(h).put(h, e); old != nil {
		c.removed(old)
	}
}

// makeRoom removes an entry of the shard of hash, or of another one if it has none.
func (c *seenCache) makeRoom(hash uint64) {
	for i := range uint64(len(c.shards)) {
		if e := c.shard(hash + i<<58).evict(); e != nil {
			c.removed(e)
			return
		}
	}
}

func (c *seenCache) removed(e *entry) {
	c.size.Add(-1)
	c.notifier.unsubscribe(e)
}

func (c *seenCache) drop(e *entry) {
	h := c.hash(e.credential)
	if gone := c.shard(h).remove(h, func(o *entry) bool { return o == e }); gone != nil {
		c.removed(gone)
	}
}

// forget drops the copy of a credential, whichever it is.
func (c *seenCache) forget(of credential) {
	h := c.hash(of)
	if gone := c.shard(h).remove(h, func(o *entry) bool { return o.credential == of }); gone != nil {
		c.removed(gone)
	}
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
	for _, e := range c.shards[c.next%len(c.shards)].expired(now) {
		c.removed(e)
	}
	c.next++
}

func (c *seenCache) len() int { return int(c.size.Load()) }

// find returns where the first entry is that is meant, or the empty slot where it
// would be. The caller holds mu.
func find(slots []slot, hash uint64, meant func(*entry) bool) (at int, found *entry) {
	for i := hash; ; i++ {
		at := int(i & uint64(len(slots)-1))
		switch slots[at].hash.Load() {
		case 0:
			return at, nil
		case hash:
			if e := slots[at].entry.Load(); meant(e) {
				return at, e
			}
		}
	}
}

// put returns the entry that e takes the place of: another copy of its credential, or the
// last of maxAlike of its hash.
func (s *shard) put(hash uint64, e *entry) (old *entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	slots := *s.slots.Load()
	alike := 0
	at, old := find(slots, hash, func(o *entry) bool { alike++; return o.credential == e.credential || alike == maxAlike })
	if old == nil {
		if s.size++; 2*s.size > len(slots) {
			slots = s.grow(slots)
			at, _ = find(slots, hash, func(*entry) bool { return false })
		}
	}
	slots[at].entry.Store(e)
	slots[at].hash.Store(hash)
	return old
}

// grow makes room for twice as much. Readers go on in what there was.
func (s *shard) grow(slots []slot) []slot {
	larger := make([]slot, 2*len(slots))
	for i := range slots {
		if h := slots[i].hash.Load(); h != 0 {
			at, _ := find(larger, h, func(*entry) bool { return false })
			larger[at].entry.Store(slots[i].entry.Load())
			larger[at].hash.Store(h)
		}
	}
	s.slots.Store(&larger)
	s.hand = 0
	return larger
}

func (s *shard) remove(hash uint64, meant func(*entry) bool) *entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	slots := *s.slots.Load()
	at, e := find(slots, hash, meant)
	if e != nil {
		s.empty(slots, at)
	}
	return e
}

// evict removes an entry that was not used since the hand came by, or the last one
// that it had patience for. It returns nil if there is none.
func (s *shard) evict() *entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	slots := *s.slots.Load()
	for passed := 0; s.size > 0; s.hand++ {
		s.hand &= len(slots) - 1
		e := slots[s.hand].entry.Load()
		if e == nil {
			continue
		}
		if passed++; passed < patience && e.used.Load() {
			e.used.Store(false)
			continue
		}
		s.empty(slots, s.hand)
		return e
	}
	return nil
}

func (s *shard) expired(now int64) (gone []*entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	slots := *s.slots.Load()
	for at := 0; at < len(slots); {
		e := slots[at].entry.Load()
		if e == nil || e.forget > now {
			at++
			continue
		}
		gone = append(gone, e)
		s.empty(slots, at) // another one may have moved here
	}
	return gone
}

// empty empties a slot, and moves those behind it that the gap would hide from a reader. The
// caller holds mu.
func (s *shard) empty(slots []slot, at int) {
	mask := len(slots) - 1
	for next := (at + 1) & mask; ; next = (next + 1) & mask {
		h := slots[next].hash.Load()
		if h == 0 {
			break
		}
		if home := int(h) & mask; (next-home)&mask < (next-at)&mask {
			continue // it is looked for from a place behind the gap
		}
		slots[at].entry.Store(slots[next].entry.Load())
		slots[at].hash.Store(h)
		at = next
	}
	slots[at].hash.Store(0)
	slots[at].entry.Store(nil)
	s.size--
}
