package redis

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil/store"
)

// A stored record is: format (1 byte), expiry (5 bytes, Unix seconds, 0 for never),
// length of the packed owner (1 byte), packed owner, revision (uvarint), value. The
// scripts read all but the value.
const (
	formatPacked = 1
	formatPlain  = 2 // the value as it is: packing would make it longer

	headerSize = 7
)

var errCorrupt = errors.New("redis: a stored record is damaged")

// packRecord writes r as it will be: one revision on.
func packRecord(r store.Record) []byte {
	owner := packID(r.Owner)
	b := make([]byte, headerSize, headerSize+len(owner)+binary.MaxVarintLen64+len(r.Value)/3)
	b[0] = formatPacked
	putUint40(b[1:], toUnix(r.Expires))
	b[6] = byte(len(owner))
	b = append(b, owner...)
	b = binary.AppendUvarint(b, r.Rev+1)
	n := len(b)
	b = appendPacked(b, string(r.Value), r.ID, r.Owner)
	if len(b)-n > len(r.Value) {
		b[0] = formatPlain
		b = append(b[:n], r.Value...)
	}
	return b
}

func unpackRecord(k store.Key, b []byte) (store.Record, error) {
	r := store.Record{Key: k}
	if len(b) < headerSize || len(b) < headerSize+int(b[6]) {
		return store.Record{}, errCorrupt
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
	r.Owner, r.Rev, r.Expires = owner, rev, fromUnix(uint40(b[1:]))
	switch b[0] {
	case formatPacked:
		r.Value, err = unpack(rest[n:], r.ID, r.Owner)
	case formatPlain:
		r.Value = append([]byte{}, rest[n:]...)
	default:
		err = fmt.Errorf("redis: a record is in format %d, which this version does not know", b[0])
	}
	if err != nil {
		return store.Record{}, err
	}
	return r, nil
}

func putUint40(b []byte, n int64) {
	b[0] = byte(n >> 32)
	binary.BigEndian.PutUint32(b[1:], uint32(n))
}

func uint40(b []byte) int64 { return int64(b[0])<<32 | int64(binary.BigEndian.Uint32(b[1:])) }

// maxUnix is in the year 36812; what expires later never does.
const maxUnix = 1<<40 - 1

// Expiries are kept to the second, rounded up: nothing is swept early. What
// expired before 1970 expires then.
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

const (
	alphabet4 = "0123456789.:-/, "
	alphabet5 = "abcdefghijklmnopqrstuvwxyz234567"
	alphabet6 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
)

// Packed ids are keys, so this form is for ever: five bits a character behind a
// prefix like "ses_", or six, or as it is. No two ids have one form, whatever bytes
// they are of.
const (
	idEscaped = 0
	id5       = 1
	id6       = 2
)

func packID(id string) string {
	if len(id) >= 20 && id[3] == '_' && run(id[4:], in5) == len(id)-4 {
		return string(appendBits([]byte{id5, byte(len(id) - 4)}, id[4:], 5, &value5)) + id[:4]
	}
	if len(id) >= 16 && len(id) < 256 && run(id, in6) == len(id) {
		return string(appendBits([]byte{id6, byte(len(id))}, id, 6, &value6))
	}
	if id != "" && id[0] < ' ' {
		return string(rune(idEscaped)) + id
	}
	return id
}

func unpackID(b []byte) (string, error) {
	if len(b) == 0 || b[0] >= ' ' {
		return string(b), nil
	}
	if b[0] == idEscaped {
		return string(b[1:]), nil
	}
	if len(b) < 2 {
		return "", errCorrupt
	}
	n := int(b[1])
	switch {
	case b[0] == id5 && len(b) == 2+size(n, 5)+4:
		prefix := b[len(b)-4:]
		return string(appendChars(append([]byte{}, prefix...), b[2:], n, 5, alphabet5)), nil
	case b[0] == id6 && len(b) == 2+size(n, 6):
		return string(appendChars(nil, b[2:], n, 6, alphabet6)), nil
	}
	return "", errCorrupt
}

// A packed value is a row of: a printable character as it is; a byte from 0x80, which
// is a word of the list; or one of these, with what follows it.
const (
	opRaw   = 0x00 // length, bytes
	opID    = 0x01 // the record's id
	opOwner = 0x02 // the record's owner
	op4     = 0x04 // length, characters of 4 bits
	op5     = 0x05
	op6     = 0x06
	opTime  = 0x07 // varint seconds since 2020, 4 bytes of nanoseconds, varint minutes east: RFC 3339
	opFirst = 0x08 // varint seconds since the first opTime of the value, all else as there
	opLast  = 0x09 // likewise since the last one
)

const since2020 = 1577836800

// Runs shorter than these are not worth an op.
const (
	min4 = 5
	min5 = 8
	min6 = 12
)

func appendPacked(dst []byte, s, id, owner string) []byte {
	var first, last time.Time
	for i := 0; i < len(s); {
		rest := s[i:]
		switch {
		case len(id) > 1 && strings.HasPrefix(rest, id):
			dst, i = append(dst, opID), i+len(id)
			continue
		case len(owner) > 1 && strings.HasPrefix(rest, owner):
			dst, i = append(dst, opOwner), i+len(owner)
			continue
		}
		if code, n := word(rest); n > 0 {
			dst, i = append(dst, code), i+n
			continue
		}
		if t, n := parseTime(rest); n > 0 {
			i += n
			switch {
			case alike(t, first):
				dst = binary.AppendVarint(append(dst, opFirst), t.Unix()-first.Unix())
			case alike(t, last):
				dst = binary.AppendVarint(append(dst, opLast), t.Unix()-last.Unix())
			default:
				dst, last = appendTime(dst, t), t
				if first.IsZero() {
					first = t
				}
			}
			continue
		}
		if op, width, values, n := longestRun(rest); n > 0 {
			dst = appendBits(append(dst, op, byte(n)), rest[:n], width, values)
			i += n
			continue
		}
		if printable(rest[0]) {
			dst, i = append(dst, rest[0]), i+1
			continue
		}
		n := 1
		for n < len(rest) && n < 255 && !printable(rest[n]) {
			n++
		}
		dst = append(append(dst, opRaw, byte(n)), rest[:n]...)
		i += n
	}
	return dst
}

func printable(c byte) bool { return ' ' <= c && c <= '~' }

func longestRun(s string) (op byte, width int, values *[256]byte, n int) {
	if n := untilWord(s, run(s, in4)); n >= min4 {
		return op4, 4, &value4, n
	}
	if n := untilWord(s, run(s, in5)); n >= min5 {
		return op5, 5, &value5, n
	}
	if n := untilWord(s, run(s, in6)); n >= min6 {
		return op6, 6, &value6, n
	}
	return 0, 0, nil, 0
}

// untilWord ends a run of n characters before a word that is shorter still.
func untilWord(s string, n int) int {
	for i := 1; i < n; i++ {
		if _, m := word(s[i:]); m >= 6 {
			return i
		}
	}
	return n
}

// parseTime returns the time that s begins with, if its text can be made from it again.
func parseTime(s string) (time.Time, int) {
	if len(s) < 20 || s[4] != '-' || s[7] != '-' || s[10] != 'T' {
		return time.Time{}, 0
	}
	n := strings.IndexByte(s[:min(len(s), len(time.RFC3339Nano)+1)], '"')
	if n < 0 {
		return time.Time{}, 0
	}
	t, err := time.Parse(time.RFC3339Nano, s[:n])
	if err != nil {
		return time.Time{}, 0
	}
	_, offset := t.Zone()
	t = inZone(t, offset/60)
	var text [len(time.RFC3339Nano)]byte
	if string(t.AppendFormat(text[:0], time.RFC3339Nano)) != s[:n] {
		return time.Time{}, 0
	}
	return t, n
}

func inZone(t time.Time, minutes int) time.Time {
	if minutes == 0 {
		return t.UTC()
	}
	return t.In(time.FixedZone("", 60*minutes))
}

func zone(t time.Time) int64 {
	_, offset := t.Zone()
	return int64(offset / 60)
}

// alike reports whether t is whole seconds away from a time there was before.
func alike(t, before time.Time) bool {
	return !before.IsZero() && t.Nanosecond() == before.Nanosecond() && zone(t) == zone(before)
}

func appendTime(dst []byte, t time.Time) []byte {
	dst = binary.AppendVarint(append(dst, opTime), t.Unix()-since2020)
	dst = binary.BigEndian.AppendUint32(dst, uint32(t.Nanosecond()))
	return binary.AppendVarint(dst, zone(t))
}

// unpack is the inverse of appendPacked.
func unpack(b []byte, id, owner string) ([]byte, error) {
	u := unpacker{in: b, out: make([]byte, 0, 4*len(b))}
	for len(u.in) > 0 {
		c := u.in[0]
		u.in = u.in[1:]
		switch {
		case printable(c):
			u.out = append(u.out, c)
		case c >= 0x80 && int(c-0x80) < len(words):
			u.out = append(u.out, words[c-0x80]...)
		case c == opID:
			u.out = append(u.out, id...)
		case c == opOwner:
			u.out = append(u.out, owner...)
		case !u.op(c):
			return nil, errCorrupt
		}
	}
	return u.out, nil
}

type unpacker struct {
	in, out     []byte
	first, last time.Time
}

func (u *unpacker) op(c byte) bool {
	switch c {
	case opRaw:
		return u.text(func(n int) int { return n }, func(b []byte, _ int) { u.out = append(u.out, b...) })
	case op4:
		return u.bits(4, alphabet4)
	case op5:
		return u.bits(5, alphabet5)
	case op6:
		return u.bits(6, alphabet6)
	case opTime:
		return u.time()
	case opFirst:
		return u.since(u.first)
	case opLast:
		return u.since(u.last)
	}
	return false
}

func (u *unpacker) time() bool {
	seconds, ok := u.varint()
	if !ok || len(u.in) < 4 {
		return false
	}
	nanos := binary.BigEndian.Uint32(u.in)
	u.in = u.in[4:]
	minutes, ok := u.varint()
	if !ok {
		return false
	}
	u.last = inZone(time.Unix(seconds+since2020, int64(nanos)), int(minutes))
	if u.first.IsZero() {
		u.first = u.last
	}
	u.out = u.last.AppendFormat(u.out, time.RFC3339Nano)
	return true
}

func (u *unpacker) since(t time.Time) bool {
	seconds, ok := u.varint()
	t = inZone(time.Unix(t.Unix()+seconds, int64(t.Nanosecond())), int(zone(t)))
	u.out = t.AppendFormat(u.out, time.RFC3339Nano)
	return ok
}

func (u *unpacker) bits(width int, alphabet string) bool {
	return u.text(func(n int) int { return size(n, width) }, func(b []byte, n int) { u.out = appendChars(u.out, b, n, width, alphabet) })
}

// text takes a length, and the bytes that so many characters need.
func (u *unpacker) text(size func(n int) int, use func(b []byte, n int)) bool {
	if len(u.in) == 0 || len(u.in) < 1+size(int(u.in[0])) {
		return false
	}
	n := int(u.in[0])
	use(u.in[1:1+size(n)], n)
	u.in = u.in[1+size(n):]
	return true
}

func (u *unpacker) varint() (int64, bool) {
	v, n := binary.Varint(u.in)
	if n <= 0 {
		return 0, false
	}
	u.in = u.in[n:]
	return v, true
}
