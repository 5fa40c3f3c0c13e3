package memory

// table finds entries by a hash. It consists of segments. A segment grows and shrinks on
// its own, and is so small that no caller waits long for it. The hash of an entry names its
// segment, so an entry never changes its segment. A caller that visits the segments one by
// one therefore meets every entry that exists from the first visit to the last.
//
// A segment is a hash table with open addressing and linear probing. It keeps for each
// place a tag, which is one byte of the hash, and the ref. Equal tags are a hint. The
// comparison of the caller decides.
type table struct {
	hash     func(ref) uint64 // the hash of an entry that is in the table
	segments [segments]segment
}

const segments = 1024

type segment struct {
	tags []uint8 // empty, removed, or the tag of a hash
	refs []ref
	live int // places with an entry
	used int // live, and the places whose entry was removed
}

const (
	empty   = 0
	removed = 1
)

func tag(h uint64) uint8 { return 2 + uint8(h>>32)%254 }

func (t *table) segment(h uint64) *segment { return &t.segments[h>>54] }

// find returns the ref under hash h for which same returns true, or none.
func (t *table) find(h uint64, same func(ref) bool) ref {
	g := t.segment(h)
	if at := g.find(h, same); at >= 0 {
		return g.refs[at]
	}
	return none
}

func (g *segment) find(h uint64, same func(ref) bool) int {
	if g.live == 0 {
		return -1
	}
	want := tag(h)
	for at := g.home(h); g.tags[at] != empty; at = g.after(at) {
		if g.tags[at] == want && same(g.refs[at]) {
			return at
		}
	}
	return -1
}

func (g *segment) home(h uint64) int { return int(uint64(uint32(h)) * uint64(len(g.tags)) >> 32) }

func (g *segment) after(at int) int {
	if at++; at < len(g.tags) {
		return at
	}
	return 0
}

// add enters r under hash h.
func (t *table) add(h uint64, r ref) {
	g := t.segment(h)
	if g.used >= len(g.tags)*7/8 {
		t.resize(g)
	}
	g.add(h, r)
}

func (g *segment) add(h uint64, r ref) {
	at := g.home(h)
	for g.tags[at] != empty {
		at = g.after(at)
	}
	g.tags[at], g.refs[at] = tag(h), r
	g.live++
	g.used++
}

// replace puts r in the place of old. The table must contain old.
func (t *table) replace(h uint64, old, r ref) {
	g := t.segment(h)
	g.refs[g.find(h, func(x ref) bool { return x == old })] = r
}

// remove removes r. The table must contain r. The segment keeps its size until shrink.
func (t *table) remove(h uint64, r ref) {
	g := t.segment(h)
	g.tags[g.find(h, func(x ref) bool { return x == r })] = removed
	g.live--
}

// shrink makes a segment smaller if less than a quarter of its places has an entry.
func (t *table) shrink(g *segment) {
	if g.live == 0 {
		*g = segment{}
	} else if g.live < len(g.tags)/4 {
		t.resize(g)
	}
}

// resize makes a segment two thirds full. The places of removed entries become free.
func (t *table) resize(g *segment) {
	old, n := *g, g.live*3/2+4
	*g = segment{tags: make([]uint8, n), refs: make([]ref, n)}
	for at, tag := range old.tags {
		if tag > removed {
			g.add(t.hash(old.refs[at]), old.refs[at])
		}
	}
}
