package counterfoil

import (
	"encoding/binary"
	"math/bits"
	"sync"
	"sync/atomic"

	"github.com/counterfoil/counterfoil/internal/revocation"
)

// entry is a copy that was found genuine, as far as a check reads it: one line of a
// processor's cache. The lines behind it have its session: see pack. It has no pointers, so a collection of garbage does
// not look at entries, however many there are.
//
// The memory of an entry is never used for another one. So a check that found an entry
// decides about this copy, whatever becomes of the entry meanwhile: see notifier.
//
// Two words are read and written by atomic operations. The links are guarded by notifier. The others never change, and a
// reader finds the entry only after they were written: see slab.
type entry [lineWords]uint64

const lineWords = 8

// The words of an entry.
const (
	wordGen = iota

	// wordDeadline is when it must be looked at anew, in nanoseconds since 1970; never changes.
	wordDeadline

	wordTag // two, of the credential; never change
	_

	wordLinks // one for each topic; guarded by notifier
	_
	_

	wordState // flags, format, number of the shared session, and bytes of the packed one
)

// checkedGen is the generation of the knowledge whose log was found not to cover the
// session; or a stamp, when no check has asked the log since the stamp was given; or
// asleep, or detached. See notifier.
func (e *entry) checkedGen() uint64 { return atomic.LoadUint64(&e[wordGen]) }

func (e *entry) setCheckedGen(gen uint64) { atomic.StoreUint64(&e[wordGen], gen) }

// swapCheckedGen sets checkedGen to gen if it is still old, and reports whether it was.
func (e *entry) swapCheckedGen(old, gen uint64) bool {
	return atomic.CompareAndSwapUint64(&e[wordGen], old, gen)
}

func (e *entry) deadline() int64 { return int64(e[wordDeadline]) }

func (e *entry) tag() tag { return tag{e[wordTag], e[wordTag+1]} }

func (e *entry) link(t topic) link {
	w := e[wordLinks+int(t)]
	return link{entryID(w), entryID(w >> 32)}
}

func (e *entry) setLink(t topic, l link) { e[wordLinks+int(t)] = uint64(l.next) | uint64(l.prev)<<32 }

func (e *entry) state() uint64 { return atomic.LoadUint64(&e[wordState]) }

func (e *entry) mark(flag uint64) { atomic.OrUint64(&e[wordState], flag) }

func (e *entry) unmark(flag uint64) { atomic.AndUint64(&e[wordState], ^flag) }

// The bits of wordState. The flags say what is or was so.
const (
	isUsed    = 1 << iota // since the cache last looked for room
	isGone                // not to be found any more, for ever
	isSigned              // proven by a key, not by a look-up; never changes
	isLimited             // the session has an Origin; never changes
	isListed              // in the lists of notifier

	formatShift = 8  // of Format; never changes
	sharedShift = 16 // of the number of the session in slab.shared; never changes
	sizeShift   = 32 // of the bytes of the packed session; never changes
)

func stateOf(s *Session, signed bool) uint64 {
	state := uint64(s.Carrier.Format) << formatShift
	if signed {
		state |= isSigned
	}
	if s.Origin != "" {
		state |= isLimited
	}
	return state
}

func (e *entry) is(flag uint64) bool { return e.state()&flag != 0 }

func (e *entry) format() Format { return Format(e.state() >> formatShift) }

// forget is when the cache may drop e, in nanoseconds since 1970.
func (e *entry) forget() int64 {
	if e.format() == Opaque {
		return e.deadline() + int64(afterlife)
	}
	return e.deadline()
}

func (e *entry) use() {
	if !e.is(isUsed) {
		e.mark(isUsed)
	}
}

// entryID names an entry for as long as it can be found: the number of its slab, and its line
// there. Zero: none. A number is given again when its slab is empty.
type entryID uint32

const (
	slabBits = 10
	slabSize = 1 << slabBits // lines in which an entry can begin
)

func (id entryID) at() uint32 { return uint32(id) & (slabSize - 1) }

// slab has entries that were made one after the other, and their sessions. It is filled once.
// Entries are taken out only by forgetting the whole slab, which the collector of garbage then
// frees when the last check that found one of them is over.
//
// A reader looks at lines below count only: it reads count, and lines are written before count says so. The shard that
// the slab is of guards all writing.
type slab struct {
	lines  []entry
	shared atomic.Pointer[[]*Session] // what sessions have in common
	count  atomic.Uint32

	shard   *shard // whose it is; nil: of a connection
	number  uint32
	made    int  // bytes that its entries cost, and what stayed empty
	live    int  // of those, bytes of entries that can still be found; 0: there is none
	sealed  bool // no more entries come in
	waiting bool // to be emptied: see shard.sparse
}

// linesOf returns how many lines an entry takes with so many bytes.
func linesOf(packed int) int { return 1 + (packed+8*lineWords-1)/(8*lineWords) }

func newSlab(lines int) *slab { return &slab{lines: make([]entry, lines)} }

func (b *slab) id(at uint32) entryID { return entryID(b.number<<slabBits | at) }

// hasRoom reports whether an entry of so many lines fits. A slab is also full when its entries cost twice
// its lines, because they share no session: what a slab keeps of those that are gone stays small.
func (b *slab) hasRoom(lines int) bool {
	n := int(b.count.Load())
	return n < slabSize && n+lines <= len(b.lines) && b.made < max(minShardBytes/2, 2*8*lineWords*len(b.lines))
}

// maxShared is how many different sessions a slab can share: more than it has entries.
const maxShared = 1 << (sizeShift - sharedShift)

// cost is what n costs in a slab, without its shared session.
func (n *newEntry) cost() int { return copyCost + 8*lineWords*linesOf(len(n.packed)) }

// add writes the next entry, which no reader finds before publish. The entry that brings a shared
// session into the slab is charged for it: the slab keeps it, whichever entry goes first.
func (b *slab) add(n *newEntry) (at uint32) {
	at = b.count.Load()
	cost := n.cost()
	list := b.shared.Load()
	if list == nil {
		list = new([]*Session)
	}
	number := len(*list) - 1 // the last ones are the likeliest
	for number >= 0 && (*list)[number] != n.shared {
		number--
	}
	if number < 0 {
		longer := append(*list, n.shared)
		b.shared.Store(&longer)
		number = len(*list)
		cost += sharedCost(n.shared)
	}
	binary.LittleEndian.PutUint32(n.packed[packedCost:], uint32(cost))
	e := &b.lines[at]
	e[wordGen] = asleep
	e[wordDeadline] = uint64(n.deadline)
	e[wordTag], e[wordTag+1] = n.tag[0], n.tag[1]
	e[wordState] = n.state | uint64(number)<<sharedShift | uint64(len(n.packed))<<sizeShift
	var last [8]byte
	for i, left := 0, n.packed; len(left) > 0; i++ {
		if len(left) < len(last) {
			copy(last[:], left)
			left = last[:]
		}
		b.lines[int(at)+1+i/lineWords][i%lineWords] = binary.LittleEndian.Uint64(left)
		left = left[8:]
	}
	return at
}

func (b *slab) publish(at uint32) {
	b.made += b.cost(at)
	b.live += b.cost(at)
	b.count.Store(at + uint32(linesOf(b.size(at))))
}

// fetch has the processor read a line, if there is one.
func (b *slab) fetch(line uint32) { atomic.LoadUint64(&b.lines[min(line, b.count.Load()-1)][0]) }

func (b *slab) size(at uint32) int { return int(b.lines[at].state() >> sizeShift) }

// packed appends the packed session of an entry to room.
func (b *slab) packed(at uint32, room []byte) []byte {
	size, begin := b.size(at), len(room)
	for line := int(at) + 1; size > len(room)-begin; line++ {
		l := &b.lines[line]
		for i := range l {
			room = binary.LittleEndian.AppendUint64(room, l[i])
		}
	}
	return room[:begin+size]
}

func (b *slab) sharedOf(at uint32) *Session {
	return (*b.shared.Load())[b.lines[at].state()>>sharedShift&(maxShared-1)]
}

// own returns what an entry has of its own.
func (b *slab) own(at uint32) string {
	var room [512]byte
	return string(b.packed(at, room[:0]))
}

// names returns what an entry of the log can name of a copy.
func (b *slab) names(at uint32) revocation.Names {
	p := unpack(b.own(at))
	return p.names(b.sharedOf(at))
}

// The first words behind an entry have these: see pack.

func (b *slab) hash(at uint32) uint32 { return uint32(b.lines[at+1][0]) }
func (b *slab) era(at uint32) uint32  { return uint32(b.lines[at+1][0] >> 32) }
func (b *slab) cost(at uint32) int    { return int(uint32(b.lines[at+1][packedCost/8])) }

// arena has the slabs by number. Readers take no lock.
type arena struct {
	slabs atomic.Pointer[[]atomic.Pointer[slab]]

	mu   sync.Mutex // guards all writing
	free []uint32   // numbers
	next uint32     // number that was never given
}

const maxSlabs = 1 << (32 - slabBits)

// find returns the slab and the place of an entry, or nil if it is not there. An id that was
// read without a lock may be of a slab that is gone, or name an entry of another slab by now: the
// tag of a credential decides.
func (a *arena) find(id entryID) (*slab, uint32) {
	at := id.at()
	b := (*a.slabs.Load())[id>>slabBits].Load()
	if b == nil || at >= b.count.Load() {
		return nil, 0
	}
	return b, at
}

// entry is for the lists of notifier, which name entries that are there.
func (a *arena) entry(id entryID) (*entry, *slab) {
	b := (*a.slabs.Load())[id>>slabBits].Load()
	return &b.lines[id.at()], b
}

// take gives b a number. It reports whether there was one.
func (a *arena) take(b *slab) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if n := len(a.free); n > 0 {
		b.number, a.free = a.free[n-1], a.free[:n-1]
	} else if a.next == maxSlabs {
		return false
	} else {
		b.number = max(a.next, 1)
		a.next = b.number + 1
	}
	slabs := a.slabs.Load()
	if slabs == nil || int(b.number) >= len(*slabs) {
		larger := make([]atomic.Pointer[slab], max(8, 1<<bits.Len32(b.number)))
		if slabs != nil {
			for i := range *slabs {
				larger[i].Store((*slabs)[i].Load())
			}
		}
		slabs = &larger
		a.slabs.Store(slabs)
	}
	(*slabs)[b.number].Store(b)
	return true
}

// drop forgets b, whose entries cannot be found any more and are in no list.
func (a *arena) drop(b *slab) {
	a.mu.Lock()
	defer a.mu.Unlock()
	(*a.slabs.Load())[b.number].Store(nil)
	a.free = append(a.free, b.number)
}

// found is a copy that a check decides about.
type found struct {
	*entry
	slab    *slab    // where entry is; nil: entry is not remembered
	at      uint32   // its place there
	cold    bool     // it was found by its tag
	era     uint32   // of what was known when the copy was looked up, without a slab; see follower.setBack
	session *Session // nil: it is to be made of what the slab has
}

// Session returns the session, which may be shared.
func (f *found) Session() *Session {
	if f.session != nil {
		return f.session
	}
	s := new(Session)
	f.into(s)
	return s
}

// into makes the session in s.
func (f *found) into(s *Session) { unpackInto(s, f.slab.own(f.at), f.slab.sharedOf(f.at)) }

// names returns what an entry of the log can name of f, and its era.
func (f *found) names() (names revocation.Names, era uint32) {
	switch {
	case f.session == nil:
		return f.slab.names(f.at), f.slab.era(f.at)
	case f.slab == nil:
		return f.session.Names(), f.era
	}
	return f.session.Names(), f.slab.era(f.at)
}

// lazy sets l to make the session of f.
func (f *found) lazy(l *lazySession) {
	if l.shared = f.session; f.session == nil {
		l.packed, l.shared = f.slab.own(f.at), f.slab.sharedOf(f.at) // a long request must not keep a slab
	}
}

func (f *found) origin() string {
	switch {
	case f.entry != nil && !f.is(isLimited):
		return ""
	case f.session != nil:
		return f.session.Origin
	}
	return f.slab.sharedOf(f.at).Origin
}

// lazySession makes a session when it is first asked for. Many may ask at once, and get the same.
type lazySession struct {
	made   atomic.Pointer[Session]
	shared *Session // the session itself, if packed is empty
	packed string
}

func (l *lazySession) get() *Session {
	if l.packed == "" {
		return l.shared
	}
	if s := l.made.Load(); s != nil {
		return s
	}
	l.made.CompareAndSwap(nil, unpacked(l.packed, l.shared))
	return l.made.Load()
}
