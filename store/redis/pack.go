package redis

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/counterfoil/counterfoil/internal/pack"
	"github.com/counterfoil/counterfoil/store"
)

// A stored record is: format (1 byte), expiry (5 bytes, Unix seconds, 0 for never),
// length of the packed owner (1 byte), packed owner, revision (uvarint), packed value.
// The scripts read every part except the value.
const (
	format     = 1
	headerSize = 7
)

var errCorrupt = errors.New("redis: a stored record is damaged")

// packRecord returns r at its next revision.
func packRecord(r store.Record) []byte {
	owner, expires := packID(r.Owner), toUnix(r.Expires)
	b := make([]byte, headerSize, headerSize+len(owner)+binary.MaxVarintLen64+len(r.Value)/3)
	b[0] = format
	putUint40(b[1:], expires)
	b[6] = byte(len(owner))
	b = append(b, owner...)
	b = binary.AppendUvarint(b, r.Rev+1)
	return pack.AppendValue(b, r.Value, pack.Record{ID: r.ID, Owner: r.Owner, Expires: expires})
}

func unpackRecord(k store.Key, b []byte) (store.Record, error) {
	r := store.Record{Key: k}
	if len(b) < headerSize || len(b) < headerSize+int(b[6]) {
		return store.Record{}, errCorrupt
	}
	if b[0] != format {
		return store.Record{}, fmt.Errorf("redis: a record has format %d, which this version cannot read", b[0])
	}
	owner, err := unpackID(b[headerSize : headerSize+int(b[6])])
	if err != nil {
		return store.Record{}, err
	}
	rest := b[headerSize+int(b[6]):]
	rev, n := binary.Uvarint(rest)
	if n <= 0 {
		return store.Record{}, errCorrupt
	}
	expires := uint40(b[1:])
	r.Owner, r.Rev, r.Expires = owner, rev, fromUnix(expires)
	if r.Value, err = pack.Value(rest[n:], pack.Record{ID: r.ID, Owner: owner, Expires: expires}); err != nil {
		return store.Record{}, errors.Join(errCorrupt, err)
	}
	return r, nil
}

// packID returns the packed id. It is empty for the empty id: the scripts compare it with the empty text.
func packID(id string) string {
	if id == "" {
		return ""
	}
	return string(pack.AppendID(nil, id))
}

// hashKey names the hash that holds the record with the packed id. It computes the same name
// as hashkey of records.lua.
func (s *Store) hashKey(kind store.Kind, id string) string {
	return s.prefix + "r:" + string(kind) + ":" + strconv.Itoa(bucket(id))
}

// bucket returns the number of the hash that holds the record with the packed id.
func bucket(id string) int {
	switch n := len(id); n {
	case 0:
		return 0
	case 1:
		return int(id[0])
	default:
		return (int(id[n-2])*31 + int(id[n-1])) % 256
	}
}

func unpackID(b []byte) (string, error) {
	if len(b) == 0 {
		return "", nil
	}
	id, n := pack.ID(b)
	if n != len(b) {
		return "", errCorrupt
	}
	return id, nil
}

func putUint40(b []byte, n int64) {
	b[0] = byte(n >> 32)
	binary.BigEndian.PutUint32(b[1:], uint32(n))
}

func uint40(b []byte) int64 { return int64(b[0])<<32 | int64(binary.BigEndian.Uint32(b[1:])) }

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
