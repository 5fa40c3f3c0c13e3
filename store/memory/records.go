package memory

import (
	"bytes"
	"encoding/binary"
	"hash/maphash"

	"github.com/counterfoil/counterfoil/internal/pack"
	"github.com/counterfoil/counterfoil/store"
)

// records is the set of all records: a slab of entries, and two tables of refs to them. The
// entries of one kind and owner are a list, linked from entry to entry. So an owner costs
// one place in the table of owners and nothing else.
type records struct {
	n       int
	slab    slab
	byKey   table // every record
	byOwner table // the first record of each list

	seed  maphash.Seed // random: an attacker cannot choose ids whose hashes collide
	kinds map[store.Kind]uint64
}

func newRecords() *records {
	s := &records{seed: maphash.MakeSeed(), kinds: make(map[store.Kind]uint64)}
	s.byKey.hash = func(r ref) uint64 { return maphash.Bytes(s.seed, s.slab.at(r).key()) }
	s.byOwner.hash = func(r ref) uint64 { return s.hashOwner(s.slab.at(r)) }
	return s
}

// hashOwner returns the hash of the kind and the owner of e.
func (s *records) hashOwner(e entry) uint64 {
	kind, _ := e.kind()
	owner, _ := e.owner()
	return s.hashOwned(kind, owner)
}

func (s *records) hashOwned(kind uint64, owner []byte) uint64 {
	var buf [300]byte
	return maphash.Bytes(s.seed, append(binary.AppendUvarint(buf[:0], kind), owner...))
}

// find returns the ref of the record of k, or none.
func (s *records) find(k store.Key) ref {
	kind, ok := s.kinds[k.Kind]
	if !ok || len(k.ID) > pack.MaxID {
		return none
	}
	var buf [300]byte
	key := appendKey(buf[:0], kind, k.ID)
	return s.byKey.find(maphash.Bytes(s.seed, key), func(r ref) bool { return bytes.Equal(s.slab.at(r).key(), key) })
}

// get returns the entry of k, which shares its bytes with the slab, or nil.
func (s *records) get(k store.Key) entry {
	if r := s.find(k); r != none {
		return s.slab.at(r)
	}
	return nil
}

// rev returns the revision of k: 0 if it is absent.
func (s *records) rev(k store.Key) uint64 {
	if e := s.get(k); e != nil {
		return e.rev()
	}
	return 0
}

// put writes r. It replaces the record with the same key.
func (s *records) put(r store.Record, value []byte) {
	kind, ok := s.kinds[r.Kind]
	if !ok {
		kind = uint64(len(s.kinds))
		s.kinds[r.Kind] = kind
	}
	var buf [1024]byte
	e := appendEntry(buf[:0], kind, r, value)
	old := s.find(r.Key)
	if old == none {
		at := s.slab.add(len(e))
		copy(s.slab.at(at), e)
		s.byKey.add(maphash.Bytes(s.seed, e.key()), at)
		s.link(at)
		s.n++
		return
	}
	if was := s.slab.at(old); old.class() == classOf(len(e)) && s.sameOwner(was, e) {
		copy(was[atExpires:], e[atExpires:]) // the links stay
		return
	}
	s.unlink(old)
	at := s.slab.add(len(e))
	copy(s.slab.at(at), e)
	s.byKey.replace(maphash.Bytes(s.seed, e.key()), old, at)
	s.link(at)
	s.free(old)
}

func (s *records) delete(k store.Key) {
	if r := s.find(k); r != none {
		g := s.byKey.segment(s.byKey.hash(r))
		s.deleteAt(r)
		s.byKey.shrink(g)
	}
}

// deleteAt leaves the table of keys as large as it is: see table.remove.
func (s *records) deleteAt(r ref) {
	s.unlink(r)
	s.byKey.remove(s.byKey.hash(r), r)
	s.free(r)
	s.n--
}

// free removes the entry at r from the slab. Neither table nor any list may refer to it.
// The slab moves another entry to r; free corrects every ref to that entry.
func (s *records) free(r ref) {
	moved := s.slab.remove(r)
	if moved == r {
		return
	}
	e := s.slab.at(r)
	s.byKey.replace(s.byKey.hash(r), moved, r)
	if e.prev() != none {
		s.slab.at(e.prev()).setNext(r)
	} else {
		s.byOwner.replace(s.byOwner.hash(r), moved, r)
	}
	if e.next() != none {
		s.slab.at(e.next()).setPrev(r)
	}
}

func (s *records) sameOwner(a, b entry) bool {
	kindA, _ := a.kind()
	kindB, _ := b.kind()
	ownerA, _ := a.owner()
	ownerB, _ := b.owner()
	return kindA == kindB && bytes.Equal(ownerA, ownerB)
}

// link puts an entry after the first entry of its list, so that the table of owners does not
// change.
func (s *records) link(r ref) {
	e, h := s.slab.at(r), s.byOwner.hash(r)
	first := s.byOwner.find(h, func(x ref) bool { return s.sameOwner(s.slab.at(x), e) })
	e.setPrev(first)
	if first == none {
		e.setNext(none)
		s.byOwner.add(h, r)
		return
	}
	f := s.slab.at(first)
	e.setNext(f.next())
	if f.next() != none {
		s.slab.at(f.next()).setPrev(r)
	}
	f.setNext(r)
}

// unlink takes an entry out of its list.
func (s *records) unlink(r ref) {
	e := s.slab.at(r)
	prev, next := e.prev(), e.next()
	if next != none {
		s.slab.at(next).setPrev(prev)
	}
	switch h := s.byOwner.hash(r); {
	case prev != none:
		s.slab.at(prev).setNext(next)
	case next != none:
		s.byOwner.replace(h, r, next)
	default:
		s.byOwner.remove(h, r)
		s.byOwner.shrink(s.byOwner.segment(h))
	}
}

// first returns the first entry of the list of o, or none.
func (s *records) first(o store.Owned) ref {
	kind, ok := s.kinds[o.Kind]
	if !ok || len(o.Owner) > pack.MaxID {
		return none
	}
	var buf [256]byte
	owner := pack.AppendID(buf[:0], o.Owner)
	return s.byOwner.find(s.hashOwned(kind, owner), func(r ref) bool {
		other, _ := s.slab.at(r).kind()
		own, _ := s.slab.at(r).owner()
		return other == kind && bytes.Equal(own, owner)
	})
}

func (s *records) deleteOwned(o store.Owned) {
	for r := s.first(o); r != none; r = s.first(o) {
		g := s.byKey.segment(s.byKey.hash(r))
		s.deleteAt(r)
		s.byKey.shrink(g)
	}
}

// ofOwner returns the ids of the records of kind and owner.
func (s *records) ofOwner(kind store.Kind, owner string) (ids []string) {
	for r := s.first(store.Owned{Kind: kind, Owner: owner}); r != none; {
		e := s.slab.at(r)
		ids, r = append(ids, e.id()), e.next()
	}
	return ids
}

// appendIDs appends the ids of the records of kind in the n-th segment.
func (s *records) appendIDs(ids []string, kind store.Kind, n int) []string {
	want, ok := s.kinds[kind]
	if !ok {
		return ids
	}
	g := &s.byKey.segments[n]
	for at, tag := range g.tags {
		if tag > removed {
			if e := s.slab.at(g.refs[at]); e.isKind(want) {
				ids = append(ids, e.id())
			}
		}
	}
	return ids
}

func (e entry) isKind(want uint64) bool {
	kind, _ := e.kind()
	return kind == want
}

// sweep deletes from the n-th segment the records that expire before the given time.
func (s *records) sweep(n int, before int64) (dropped int) {
	g := &s.byKey.segments[n]
	for at := range g.tags { // deleteAt does not move refs within the table
		if g.tags[at] <= removed {
			continue
		}
		if expires := s.slab.at(g.refs[at]).expires(); expires > 0 && expires < before {
			s.deleteAt(g.refs[at])
			dropped++
		}
	}
	s.byKey.shrink(g)
	return dropped
}
