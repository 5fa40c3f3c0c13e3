package pack

import (
	"encoding/binary"
	"net/netip"
	"time"
)

// Value is the inverse of [AppendValue]. The result is a new slice.
func Value(b []byte, r Record) ([]byte, error) {
	if len(b) > 0 && b[0] == opPlain {
		return append(make([]byte, 0, len(b)-1), b[1:]...), nil
	}
	// A session is some nine times as long as its packed form.
	u := unpacker{Record: r, in: b, out: make([]byte, 0, 64+9*len(b)), last: time.Unix(r.Expires, 0).UTC()}
	for len(u.in) > 0 {
		c := u.in[0]
		u.in = u.in[1:]
		switch {
		case printable(c):
			u.out = append(u.out, c)
		case c >= 0x80 && int(c-0x80) < len(words):
			u.out = append(u.out, words[c-0x80]...)
		case !u.op(c):
			return nil, ErrCorrupt
		}
	}
	return u.out, nil
}

type unpacker struct {
	Record
	in, out []byte
	last    time.Time
	addr    netip.Addr
}

// op unpacks one op. It reports false if c is not an op, or its arguments are incomplete.
func (u *unpacker) op(c byte) bool {
	switch c {
	case opID:
		u.out = append(u.out, u.ID...)
		return true
	case opOwner:
		u.out = append(u.out, u.Owner...)
		return true
	case opRaw:
		text := u.take(u.length())
		u.out = append(u.out, text...)
		return text != nil
	case op5:
		return u.chars(five, u.length())
	case op6:
		return u.chars(six, u.length())
	case opTime, opFull:
		return u.time(c == opFull)
	case opIP4:
		return u.address(u.take(4))
	case opIP6:
		return u.address(u.take(16))
	case opAgain:
		u.out = u.addr.AppendTo(u.out)
		return u.addr.IsValid()
	}
	if n := int(c) - opShape; n >= 0 && n < len(shapes) {
		u.out = append(u.out, shapes[n].prefix...)
		return u.chars(shapes[n].chars, shapes[n].n)
	}
	return false
}

// take returns the next n bytes, or nil if there are fewer.
func (u *unpacker) take(n int) []byte {
	if n > len(u.in) || n < 0 {
		return nil
	}
	b := u.in[:n:n]
	u.in = u.in[n:]
	return b
}

// length returns the next byte, which is a length, or -1 if there is none.
func (u *unpacker) length() int {
	b := u.take(1)
	if b == nil {
		return -1
	}
	return int(b[0])
}

func (u *unpacker) chars(a *alphabet, n int) bool {
	b := u.take(a.size(n))
	if b != nil {
		u.out = a.appendChars(u.out, b, n)
	}
	return b != nil
}

func (u *unpacker) address(b []byte) bool {
	var ok bool
	if u.addr, ok = netip.AddrFromSlice(b); ok {
		u.out = u.addr.AppendTo(u.out)
	}
	return ok
}

func (u *unpacker) time(full bool) bool {
	seconds, ok := u.varint()
	nanos, minutes := int64(u.last.Nanosecond()), zone(u.last)
	if full && ok {
		b := u.take(4)
		if b == nil {
			return false
		}
		nanos = int64(binary.BigEndian.Uint32(b))
		minutes, ok = u.varint()
	}
	if !ok || nanos >= 1e9 || minutes < -24*60 || minutes > 24*60 {
		return false
	}
	u.last = inZone(time.Unix(u.last.Unix()+seconds, nanos), minutes)
	u.out = u.last.AppendFormat(u.out, time.RFC3339Nano)
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
