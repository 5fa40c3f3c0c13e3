package counterfoil

import (
	"math/bits"
	"slices"
	"sync"
	"sync/atomic"
)

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
	minSlots = 8
	patience = 64 // entries in use that are passed over before one of them goes

	// copyCost is what a copy takes beyond its lines: three slots, and its part of the lists of
	// notifier and slab.
	copyCost = 3*8 + 16
)

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
