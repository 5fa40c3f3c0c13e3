package memory

import "slices"

// slab holds entries. Those of about one size are a class: they stand side by side in
// pages, without a hole. Removing one moves the last of its class into its place; so the
// pages are always full but the last one, whatever was removed, and a page that has
// become empty is given back.
type slab struct {
	classes [len(sizes)]class
}

// ref names an entry: its class in the upper bits, its place in the lower ones. It is
// good until an entry of the class is removed.
type ref uint32

const (
	placeBits = 25
	maxPlace  = 1<<placeBits - 1 // 33 million records
	none      = ^ref(0)          // there are fewer classes
)

func (r ref) class() int { return int(r >> placeBits) }
func (r ref) place() int { return int(r & maxPlace) }

type class struct {
	n     int // entries; their places are 0 to n-1
	pages [][]byte
}

const pageSize = 256 << 10

// sizes are those of the classes: steps of 4 bytes where most entries are, of an eighth
// above. The last is more than any record that Batch.Check lets pass.
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

// perPage is how many entries of a class stand in a page.
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

// add makes place for an entry of n bytes.
func (s *slab) add(n int) ref {
	class := classOf(n)
	c, per := &s.classes[class], perPage(class)
	page, within := c.n/per, c.n%per
	if page == len(c.pages) {
		c.pages = append(c.pages, nil)
	}
	// The first page of a class grows as it fills: a small store stays small.
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

// remove gives the place of r to the last entry of its class, and returns the ref that
// that one had: r itself if it was the last.
func (s *slab) remove(r ref) (moved ref) {
	c, per := &s.classes[r.class()], perPage(r.class())
	moved = ref(r.class()<<placeBits | (c.n - 1))
	if moved != r {
		copy(s.at(r), s.at(moved))
	}
	c.n--
	// One empty page stays, lest a page be made and dropped at every other commit.
	if full := (c.n + per - 1) / per; c.n == 0 || len(c.pages) > full+1 {
		clear(c.pages[full:])
		c.pages = c.pages[:full]
	}
	return moved
}
