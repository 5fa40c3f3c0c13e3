// Package pack writes the ids and JSON values of records in a quarter of their size, for
// stores that keep them in memory. Call [AppendValue] and [Value], [AppendID] and [ID].
// Packing any bytes and unpacking them gives the same bytes. The package does not parse
// sessions: it has a list of texts that are frequent in them.
//
// A packed value is a sequence of three kinds of items. A printable character stands for
// itself. A byte from 0x80 on stands for a word of the list. An op stands for the text that
// its arguments describe.
package pack

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"strings"
	"time"
)

// ErrCorrupt means that bytes were not written by this package.
var ErrCorrupt = errors.New("packed bytes are damaged")

// Record has the fields of a value's record. If the value contains them too, they are not
// written again.
type Record struct {
	ID, Owner string
	Expires   int64 // Unix seconds; 0: never
}

// The ops, with their arguments. Some stores outlive the process. So an op never changes its
// meaning, and neither does a word.
const (
	opRaw   = 0x00 // length, bytes
	opID    = 0x01 // the record's id
	opOwner = 0x02 // the record's owner
	opTime  = 0x03 // varint: seconds since the previous time, whose fraction and zone it has
	opFull  = 0x04 // varint: seconds since the previous time; 4 bytes: nanoseconds; varint: minutes east
	opIP4   = 0x05 // 4 bytes
	opIP6   = 0x06 // 16 bytes
	opAgain = 0x07 // the previous address
	op5     = 0x08 // length, characters of 5 bits
	op6     = 0x09 // length, characters of 6 bits
	opPlain = 0x0f // only as the first byte: the rest is the value, not packed
	opShape = 0x10 // and above: the shape of an id, its characters
)

// A run that is shorter than these takes more bytes with an op than without.
const (
	min5 = 8
	min6 = 12
)

// AppendValue appends the packed value, which is at most one byte longer than value.
func AppendValue(dst, value []byte, r Record) []byte {
	p := packer{out: dst, Record: r, last: time.Unix(r.Expires, 0).UTC()}
	p.value(string(value))
	if len(p.out)-len(dst) > len(value) {
		return append(append(dst, opPlain), value...)
	}
	return p.out
}

type packer struct {
	Record
	out  []byte
	last time.Time  // the previous time; the next one is written as the difference
	addr netip.Addr // the previous address
}

func (p *packer) value(s string) {
	for at := 0; at < len(s); {
		at += p.piece(s[at:], at > 0 && s[at-1] == '"')
	}
}

// piece packs the first item of s, and returns its length in s. It looks for times, addresses
// and ids only at the start of a JSON string, where quoted is true.
func (p *packer) piece(s string, quoted bool) int {
	switch {
	case len(p.ID) > 1 && strings.HasPrefix(s, p.ID):
		p.out = append(p.out, opID)
		return len(p.ID)
	case len(p.Owner) > 1 && strings.HasPrefix(s, p.Owner):
		p.out = append(p.out, opOwner)
		return len(p.Owner)
	}
	if quoted {
		if n := p.time(s); n > 0 {
			return n
		}
		if n := p.address(s); n > 0 {
			return n
		}
		if code, n := shapeOf(s, true); n > 0 {
			p.out = shapes[code].append(append(p.out, opShape+code), s)
			return n
		}
	}
	if code, n := word(s); n > 0 {
		p.out = append(p.out, code)
		return n
	}
	if op, a, n := longestRun(s); n > 0 {
		p.out = a.append(append(p.out, op, byte(n)), s[:n])
		return n
	}
	if printable(s[0]) {
		p.out = append(p.out, s[0])
		return 1
	}
	n := 1
	for n < len(s) && n < 255 && !printable(s[n]) {
		n++
	}
	p.out = append(append(p.out, opRaw, byte(n)), s[:n]...)
	return n
}

func printable(c byte) bool { return ' ' <= c && c <= '~' }

func longestRun(s string) (byte, *alphabet, int) {
	if n := untilWord(s, five.run(s)); n >= min5 {
		return op5, five, n
	}
	if n := untilWord(s, six.run(s)); n >= min6 {
		return op6, six, n
	}
	return 0, nil, 0
}

// untilWord ends a run of n characters before a word that is shorter still.
func untilWord(s string, n int) int {
	if n < min5 {
		return 0
	}
	for i := 1; i < n; i++ {
		if _, m := word(s[i:]); m >= 6 {
			return i
		}
	}
	return n
}

// quoted returns the part of s before the next quote, if it is not longer than limit.
func quoted(s string, limit int) string {
	return s[:max(0, strings.IndexByte(s[:min(len(s), limit+1)], '"'))]
}

// time packs a time (RFC 3339), if formatting the time gives the same text.
func (p *packer) time(s string) int {
	if len(s) < 20 || s[4] != '-' || s[7] != '-' || s[10] != 'T' {
		return 0
	}
	s = quoted(s, len(time.RFC3339Nano))
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return 0
	}
	t = inZone(t, zone(t))
	if string(t.AppendFormat(make([]byte, 0, len(time.RFC3339Nano)), time.RFC3339Nano)) != s {
		return 0
	}
	seconds := t.Unix() - p.last.Unix()
	if t.Nanosecond() == p.last.Nanosecond() && zone(t) == zone(p.last) {
		p.out = binary.AppendVarint(append(p.out, opTime), seconds)
	} else {
		p.out = binary.AppendVarint(append(p.out, opFull), seconds)
		p.out = binary.BigEndian.AppendUint32(p.out, uint32(t.Nanosecond()))
		p.out = binary.AppendVarint(p.out, zone(t))
	}
	p.last = t
	return len(s)
}

// zone returns the offset of the zone of t, in minutes east.
func zone(t time.Time) int64 {
	_, offset := t.Zone()
	return int64(offset / 60)
}

func inZone(t time.Time, minutes int64) time.Time {
	if minutes == 0 {
		return t.UTC()
	}
	return t.In(time.FixedZone("", 60*int(minutes)))
}

// address packs an address, if formatting the address gives the same text.
func (p *packer) address(s string) int {
	if s[0] > 'f' || s[0] > '9' && s[0] < 'a' || s[0] < '0' && s[0] != ':' {
		return 0
	}
	s = quoted(s, 39)
	if len(s) < 3 {
		return 0
	}
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" || a.String() != s {
		return 0
	}
	switch {
	case a == p.addr:
		p.out = append(p.out, opAgain)
	case a.Is4():
		b := a.As4()
		p.out = append(append(p.out, opIP4), b[:]...)
	default:
		b := a.As16()
		p.out = append(append(p.out, opIP6), b[:]...)
	}
	p.addr = a
	return len(s)
}
