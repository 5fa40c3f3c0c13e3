package counterfoil

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
)

// entry is a copy that was found genuine. What stands above good never changes,
// and all that a check reads fits one line of a processor's cache.
type entry struct {
	credential credential
	deadline   int64 // when it must be looked at anew, in nanoseconds since 1970
	session    *Session
	signed     bool // proven by a key, not by a look-up

	// good is the generation of knowledge under which the log was found not to cover
	// the session; or the stamp of news that nobody has asked the log about yet;
	// or alone. See news.
	good atomic.Uint64

	used   atomic.Bool // since the table last looked for room
	forget int64       // when the table may do so, in nanoseconds since 1970; never changes
	links  [kinds]link // guarded by news
}

// table remembers verified copies by transport and whole text: a hash finds the
// place, the text decides. Only what was verified gets in, so junk cannot fill it.
//
// Readers take no lock and write nothing, but for entry.used once in a while. A
// reader may miss an entry that is just being moved, which costs another
// verification and nothing else, and may hold one that has just been removed,
// which news.unlink has made harmless before.
//
// Room is made by the second-chance rule: an entry that was not used since the
// hand last came by goes. A new one has not been used, so what is seen only once,
// be it a million tokens of one login, pushes out its like and not what is in use.
type table struct {
	seed   maphash.Seed
	shards []shard // as many as a power of two
	limit  int64
	size   atomic.Int64 // entries, and those for which room is being made
	news   *news
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

func newTable(limit int, n *news) *table {
	shards := maxShards
	for shards > 1 && limit/shards < 16 {
		shards /= 2
	}
	t := &table{seed: maphash.MakeSeed(), shards: make([]shard, shards), limit: int64(limit), news: n}
	for i := range t.shards {
		slots := make([]slot, minSlots)
		t.shards[i].slots.Store(&slots)
	}
	return t
}

// tail is how much of a text is hashed: a signature, an authentication tag or a
// random id is in it. Nobody can choose it for what the table takes in, but for JWEs to
// a key of ours: who makes one knows its content key, and can make any number of one
// token that end alike. So maxAlike bounds those of one hash.
const (
	tail     = 64
	maxAlike = 4
)

// hash is never 0. Its upper bits name the shard, its lower ones the slot.
func (t *table) hash(c credential) uint64 {
	text := c.value
	if len(text) > tail {
		text = text[len(text)-tail:]
	}
	return maphash.String(t.seed, text) + uint64(c.transport) | 1<<32
}

func (t *table) shard(hash uint64) *shard { return &t.shards[hash>>58&uint64(len(t.shards)-1)] }

func (t *table) get(c credential) *entry {
	h := t.hash(c)
	slots := *t.shard(h).slots.Load()
	for i := h; ; i++ {
		s := &slots[i&uint64(len(slots)-1)]
		switch s.hash.Load() {
		case 0:
			return nil
		case h:
			// Hash and entry may be of two moments: the text decides.
			if e := s.entry.Load(); e != nil && e.credential == c {
				if !e.used.Load() {
					e.used.Store(true)
				}
				return e
			}
		}
	}
}

// put takes e in, instead of another copy of the same credential if there is one.
// From here on e hears of news: it is linked before anybody can find it.
func (t *table) put(e *entry) {
	t.news.link(e)
	h := t.hash(e.credential)
	if t.size.Add(1) > t.limit {
		t.makeRoom(h)
	}
	if old := t.shard(h).put(h, e); old != nil {
		t.removed(old)
	}
}

// makeRoom removes an entry of the shard of hash, or of another one if it has none.
func (t *table) makeRoom(hash uint64) {
	for i := range uint64(len(t.shards)) {
		if e := t.shard(hash + i<<58).evict(); e != nil {
			t.removed(e)
			return
		}
	}
}

func (t *table) removed(e *entry) {
	t.size.Add(-1)
	t.news.unlink(e)
}

func (t *table) drop(e *entry) {
	h := t.hash(e.credential)
	if gone := t.shard(h).remove(h, func(o *entry) bool { return o == e }); gone != nil {
		t.removed(gone)
	}
}

// forget drops the copy of c, whichever it is.
func (t *table) forget(c credential) {
	h := t.hash(c)
	if gone := t.shard(h).remove(h, func(o *entry) bool { return o.credential == c }); gone != nil {
		t.removed(gone)
	}
}

// sweep drops what is to be forgotten from one shard; n counts up from call to call.
func (t *table) sweep(n int, now int64) {
	for _, e := range t.shards[n%len(t.shards)].expired(now) {
		t.removed(e)
	}
}

func (t *table) len() int { return int(t.size.Load()) }

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

// empty empties a slot, and moves those behind it that its end would hide from who
// looks for them. The caller holds mu.
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
