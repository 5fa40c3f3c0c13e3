package memory

import (
	"encoding/binary"
	"time"

	"github.com/counterfoil/counterfoil/internal/pack"
	"github.com/counterfoil/counterfoil/store"
)

// entry is one record in bytes:
//
//	next, prev  4 bytes each: refs of the other records of the same kind and owner
//	expires     5 bytes: Unix seconds, 0 for never
//	kind        uvarint: the number of the kind
//	id, owner   packed; each encodes its own length
//	rev         uvarint
//	length      uvarint: the number of bytes of packed value that follow
//
// The rest of the entry's place in the slab is unused. Kind and id together are the key.
type entry []byte

const (
	atPrev    = 4
	atExpires = 8
	atKey     = 13
)

func (e entry) next() ref     { return ref(binary.LittleEndian.Uint32(e)) }
func (e entry) setNext(r ref) { binary.LittleEndian.PutUint32(e, uint32(r)) }
func (e entry) prev() ref     { return ref(binary.LittleEndian.Uint32(e[atPrev:])) }
func (e entry) setPrev(r ref) { binary.LittleEndian.PutUint32(e[atPrev:], uint32(r)) }

func (e entry) expires() int64 {
	return int64(binary.BigEndian.Uint32(e[atExpires:]))<<8 | int64(e[atExpires+4])
}

// kind returns the number of the kind, and the offset of the id.
func (e entry) kind() (uint64, int) {
	kind, n := binary.Uvarint(e[atKey:])
	return kind, atKey + n
}

func (e entry) key() []byte {
	_, at := e.kind()
	return e[atKey : at+pack.IDSize(e[at:])]
}

// owner returns the packed owner, and the bytes after it.
func (e entry) owner() (owner, rest []byte) {
	at := atKey + len(e.key())
	end := at + pack.IDSize(e[at:])
	return e[at:end], e[end:]
}

func (e entry) rev() uint64 {
	_, rest := e.owner()
	rev, _ := binary.Uvarint(rest)
	return rev
}

func (e entry) id() string {
	_, at := e.kind()
	id, _ := pack.ID(e[at:])
	return id
}

// record unpacks e, which is the entry of k.
func (e entry) record(k store.Key) (store.Record, error) {
	owner, rest := e.owner()
	rev, n := binary.Uvarint(rest)
	length, m := binary.Uvarint(rest[n:])
	r := store.Record{Key: k, Rev: rev, Expires: fromUnix(e.expires())}
	r.Owner, _ = pack.ID(owner)
	var err error
	r.Value, err = pack.Value(rest[n+m:][:length], pack.Record{ID: k.ID, Owner: r.Owner, Expires: e.expires()})
	return r, err
}

// appendEntry writes the entry of r at the next revision, with the packed value. Its links
// are zero.
func appendEntry(e []byte, kind uint64, r store.Record, value []byte) entry {
	expires := toUnix(r.Expires)
	e = append(e, 0, 0, 0, 0, 0, 0, 0, 0)
	e = binary.BigEndian.AppendUint32(e, uint32(expires>>8))
	e = append(e, byte(expires))
	e = appendKey(e, kind, r.ID)
	e = pack.AppendID(e, r.Owner)
	e = binary.AppendUvarint(e, r.Rev+1)
	e = binary.AppendUvarint(e, uint64(len(value)))
	return append(e, value...)
}

func appendKey(dst []byte, kind uint64, id string) []byte {
	return pack.AppendID(binary.AppendUvarint(dst, kind), id)
}

// maxUnix is in the year 36812. A record that expires later is kept as one that never
// expires.
const maxUnix = 1<<40 - 1

// toUnix rounds t up to the second, so that no record is swept early. A time before 1970
// becomes the first second of 1970.
func toUnix(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	if s := max(1, t.Add(time.Second-1).Unix()); s <= maxUnix {
		return s
	}
	return 0
}

func fromUnix(s int64) time.Time {
	if s == 0 {
		return time.Time{}
	}
	return time.Unix(s, 0)
}
