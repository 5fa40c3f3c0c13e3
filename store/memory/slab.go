package memory

import "slices"

// slab holds entries. Entries of about one size are a class. The entries of a class stand
// side by side in pages, without a hole. To remove an entry, the slab moves the last entry
// of the class into its place. So every page except the last one is always full, and an
// empty page is given back.
type slab struct {
	classes [len(sizes)]class
}

// ref names an entry: its class in the upper bits, its place in the lower bits. It is
// valid until an entry of the class is removed.
type ref uint32

const (
	placeBits = 25
	maxPlace  = 1<<placeBits - 1 // 33 million records
	none      = ^ref(0)          // no entry: its class is above the last one
)

func (r ref) class() int { return int(r >> placeBits) }
func (r ref) place() int { return int(r & maxPlace) }

type class struct {
	n     int // entries; their places are 0 to n-1
	pages [][]byte
}

const pageSize = 256 << 10

// sizes has the size of the entries of each class. Up to 300 bytes, where most entries are,
// the sizes are 4 bytes apart. Above, each is an eighth larger than the one before. The last
// is larger than any record that Batch.Check accepts.
var sizes = func() (s [120]int) {
	size := 24
	for n := range s {
		s[n] = size
		if size += 4; size > 300 {
			size += size / 8 &^ 3
		}
	}
	return s
}()

// perPage returns how many entries of a class fit into a page.
func perPage(class int) int { return max(1, pageSize/sizes[class]) }

func (s *slab) at(r ref) entry {
	class, per := r.class(), perPage(r.class())
	size := sizes[class]
	from := r.place() % per * size
	return s.classes[class].pages[r.place()/per][from : from+size : from+size]
}

// classOf returns the class of entries of n bytes.
func classOf(n int) int {
	class, _ := slices.BinarySearch(sizes[:], n)
	return class
}

// add reserves a place for an entry of n bytes.
func (s *slab) add(n int) ref {
	class := classOf(n)
	c, per := &s.classes[class], perPage(class)
	page, within := c.n/per, c.n%per
	if page == len(c.pages) {
		c.pages = append(c.pages, nil)
	}
	// The first page of a class grows as it fills, so that a small store stays small.
	if have := len(c.pages[page]) / sizes[class]; within == have {
		grown := make([]byte, per*sizes[class])
		if page == 0 {
			grown = make([]byte, min(per, 4+2*have)*sizes[class])
		}
		copy(grown, c.pages[page])
		c.pages[page] = grown
	}
	c.n++
	return ref(class<<placeBits | (c.n - 1))
}

// remove moves the last entry of the class of r to the place of r. It returns the ref that
// the moved entry had, which is r if r was the last.
func (s *slab) remove(r ref) (moved ref) {
	c, per := &s.classes[r.class()], perPage(r.class())
	moved = ref(r.class()<<placeBits | (c.n - 1))
	if moved != r {
		copy(s.at(r), s.at(moved))
	}
	c.n--
	// One empty page is kept. Otherwise alternating commits would allocate and drop it.
	if full := (c.n + per - 1) / per; c.n == 0 || len(c.pages) > full+1 {
		clear(c.pages[full:])
		c.pages = c.pages[:full]
	}
	return moved
}
