package counterfoil

import (
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
)

// hotCopies are the busiest of the remembered copies, with their text and their session. To find
// one here costs no tag and makes no session. It is another way to an entry, and says nothing by
// itself: the entry has what the log says, and whether it is still there.
//
// A copy comes in when chance has it, so the busier it is, the sooner; and not while all of
// its set were used since one was last wanted there.
type hotCopies struct {
	room, bytes int64 // copies that there may be, and the bytes that they may take
	table       atomic.Pointer[hotTable]
	growing     sync.Mutex
}

// hotTable is replaced by a larger one when a quarter of its places are taken, so that few sets are
// full.
type hotTable struct {
	sets         []hotSet // as many as a power of two
	count, bytes atomic.Int64
}

const (
	hotWays   = 4
	minHot    = 16 // sets
	maxHot    = 16_384
	maxHotMem = 12 << 20
	hotCost   = 512 // bytes that a copy takes, without its text and what its session has of its own
	attrCost  = 64  // bytes that an attribute takes in its map, without its text

	// One of so many checks of a copy that is not here brings it in: while there is room, and when
	// another one must go.
	hotChance     = 16
	hotChanceFull = 128
)

// hotSet has room for a few of one hash. It fills one line of a processor's cache.
type hotSet [hotWays]struct {
	hash atomic.Uint64
	copy atomic.Pointer[hotCopy]
}

// hotCopy is one line, too.
type hotCopy struct {
	credential credential
	entry      *entry
	slab       *slab
	session    *Session
	at         uint32 // where entry is in slab
	cost       uint32
	used       atomic.Bool
}

// found sets f, which was empty.
func (c *hotCopy) found(f *found) {
	f.entry, f.slab, f.at, f.session = c.entry, c.slab, c.at, c.session
}

// start makes room for a part of so many copies, which may take half of so many bytes.
func (h *hotCopies) start(copies int, bytes int64) {
	h.room, h.bytes = int64(min(copies, maxHot)), min(bytes/2, maxHotMem)
	h.table.Store(&hotTable{sets: make([]hotSet, minHot)})
}

func (t *hotTable) set(hash uint64) *hotSet { return &t.sets[hash>>32&uint64(len(t.sets)-1)] }

func (h *hotCopies) get(hash uint64, of credential) *hotCopy {
	set := h.table.Load().set(hash)
	for i := range set {
		if set[i].hash.Load() != hash {
			continue
		}
		// Hash and copy may be of two moments: the text decides.
		c := set[i].copy.Load()
		if c == nil || c.credential.transport != of.transport || c.credential.value != of.value || c.entry.is(isGone) {
			continue
		}
		if !c.used.Load() {
			c.used.Store(true)
		}
		return c
	}
	return nil
}

func (h *hotCopies) wants() bool {
	chance := rand.Uint32()
	return chance%hotChance == 0 && (chance%hotChanceFull == 0 || h.fits(h.table.Load(), hotCost, nil))
}

// fits reports whether t has room for a copy of that cost in the place of old, which may be nil.
// One that is no larger than old always fits.
func (h *hotCopies) fits(t *hotTable, cost uint32, old *hotCopy) bool {
	if old != nil && cost <= old.cost {
		return true
	}
	count, bytes := t.count.Load()+1, t.bytes.Load()+int64(cost)
	if old != nil {
		count, bytes = count-1, bytes-int64(old.cost)
	}
	return count <= h.room && bytes <= h.bytes
}

func (h *hotCopies) put(hash uint64, of credential, f found) {
	of.value = strings.Clone(of.value) // without what stood around it in a header
	c := &hotCopy{
		credential: of, entry: f.entry, slab: f.slab, session: f.session, at: f.at,
		cost: uint32(hotCost + len(of.value) + f.slab.size(f.at) + attrCost*len(f.session.Attributes)),
	}
	t := h.table.Load()
	if h.fits(t, c.cost, nil) && t.count.Load() >= int64(len(t.sets)) {
		t = h.grow(t)
	}
	set := t.set(hash)
	at := -1
	for i := range set {
		old := set[i].copy.Load()
		if !h.fits(t, c.cost, old) {
			continue
		}
		if old == nil || old.entry.is(isGone) || old.credential == of {
			at = i
			break
		}
		if !old.used.Load() {
			at = i
		}
	}
	if at < 0 {
		for i := range set {
			if old := set[i].copy.Load(); old != nil {
				old.used.Store(false)
			}
		}
		return
	}
	t.count.Add(1)
	t.bytes.Add(int64(c.cost))
	t.replaced(set[at].copy.Swap(c))
	set[at].hash.Store(hash)
}

func (t *hotTable) replaced(old *hotCopy) {
	if old != nil {
		t.count.Add(-1)
		t.bytes.Add(-int64(old.cost))
	}
}

// grow returns a table of twice as many sets as t. What comes into t meanwhile is lost, and comes
// in again.
func (h *hotCopies) grow(t *hotTable) *hotTable {
	if !h.growing.TryLock() {
		return t
	}
	defer h.growing.Unlock()
	if h.table.Load() != t {
		return t
	}
	larger := &hotTable{sets: make([]hotSet, 2*len(t.sets))}
	for i := range t.sets {
		for n := range t.sets[i] {
			hash, c := t.sets[i][n].hash.Load(), t.sets[i][n].copy.Load()
			if c == nil || c.entry.is(isGone) {
				continue
			}
			set := larger.set(hash) // one of two, so it has room
			set[n].hash.Store(hash)
			set[n].copy.Store(c)
			larger.count.Add(1)
			larger.bytes.Add(int64(c.cost))
		}
	}
	h.table.Store(larger)
	return larger
}

// sweep forgets those of a part of the sets that are not remembered any more.
func (h *hotCopies) sweep(part, parts int) {
	t := h.table.Load()
	for i := part; i < len(t.sets); i += parts {
		for n := range t.sets[i] {
			if c := t.sets[i][n].copy.Load(); c != nil && c.entry.is(isGone) && t.sets[i][n].copy.CompareAndSwap(c, nil) {
				t.replaced(c)
			}
		}
	}
}
