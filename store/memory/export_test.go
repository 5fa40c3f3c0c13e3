package memory

import (
	"fmt"
	"hash/maphash"
)

// Verify checks the invariants of the records. They hold between any two commits.
func (s *Store) Verify() error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	r := s.records
	entries, listed := 0, 0
	for class := range r.slab.classes {
		c, per := &r.slab.classes[class], perPage(class)
		if full := (c.n + per - 1) / per; len(c.pages) > full+1 || c.n == 0 && len(c.pages) > 0 {
			return fmt.Errorf("class %d has %d entries in %d pages", class, c.n, len(c.pages))
		}
		for place := range c.n {
			at := ref(class<<placeBits | place)
			e := r.slab.at(at)
			if found := r.byKey.find(maphash.Bytes(r.seed, e.key()), func(x ref) bool { return x == at }); found != at {
				return fmt.Errorf("entry %x %q is not in the table of keys", at, e.id())
			}
			if e.prev() == none {
				for next, before := at, none; next != none; next, before = r.slab.at(next).next(), next {
					if n := r.slab.at(next); n.prev() != before || !r.sameOwner(n, e) {
						return fmt.Errorf("entry %x %q is in a wrong place of its list", next, n.id())
					}
					listed++
				}
				if found := r.byOwner.find(r.hashOwner(e), func(x ref) bool { return x == at }); found != at {
					return fmt.Errorf("entry %x %q is not in the table of owners", at, e.id())
				}
			}
			entries++
		}
	}
	if entries != r.n || listed != r.n {
		return fmt.Errorf("%d records, %d entries, %d in lists", r.n, entries, listed)
	}
	return r.byKey.verify(r.n)
}

func (t *table) verify(n int) error {
	live := 0
	for i := range t.segments {
		g := &t.segments[i]
		have := 0
		for _, tag := range g.tags {
			if tag > removed {
				have++
			}
		}
		if have != g.live || g.used > len(g.tags) || len(g.tags) > 8 && g.live < len(g.tags)/4 {
			return fmt.Errorf("segment %d: %d of %d places, %d used, says %d", i, have, len(g.tags), g.used, g.live)
		}
		live += have
	}
	if live != n {
		return fmt.Errorf("%d places taken by %d records", live, n)
	}
	return nil
}

// Held returns how many bytes the pages and the tables take.
func (s *Store) Held() (n int) {
	for _, c := range s.records.slab.classes {
		for _, p := range c.pages {
			n += len(p)
		}
	}
	for _, t := range []*table{&s.records.byKey, &s.records.byOwner} {
		for _, g := range t.segments {
			n += 5 * len(g.tags)
		}
	}
	return n
}
