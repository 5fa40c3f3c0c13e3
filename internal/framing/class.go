package framing

import "encoding/binary"

// The classes of bytes (RFC 9110 section 5.6.2, RFC 9112 section 3). Bytes above ASCII are let
// through: they end nothing.
const (
	token   uint8 = 1 << iota // of methods and names
	visible                   // of targets
	text                      // of values
)

var classes = func() (all [256]uint8) {
	for n := range all {
		c := byte(n)
		if c > ' ' && c != 0x7f {
			all[c] |= visible | text
		}
		if c >= '0' && c <= '9' || lower(c) >= 'a' && lower(c) <= 'z' {
			all[c] |= token
		}
	}
	for _, c := range []byte("!#$%&'*+-.^_`|~") {
		all[c] |= token
	}
	all[' '] |= text
	all['\t'] |= text
	return all
}()

// begins are the fields whose names begin with a byte, as bits.
var begins = func() (all [256]uint8) {
	for n := range all {
		for bit, f := range fields {
			if lower(byte(n)) == f[0] {
				all[n] |= 1 << bit
			}
		}
	}
	return all
}()

// digits are the values of hexadecimal digits; -1 is none.
var digits = func() (all [256]int8) {
	for n := range all {
		switch c := byte(n); {
		case c >= '0' && c <= '9':
			all[n] = int8(c - '0')
		case lower(c) >= 'a' && lower(c) <= 'f':
			all[n] = int8(lower(c) - 'a' + 10)
		default:
			all[n] = -1
		}
	}
	return all
}()

// lower returns a letter in lower case, and a byte that is none as it is.
func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// plain returns a number of bytes with which p begins that are not below least, which is ASCII, and
// not DEL. It looks at eight at a time, and may stop early.
func plain(p []byte, least byte) (n int) {
	const each = 0x0101010101010101
	below := each * uint64(least)
	for ; len(p) >= 8; p = p[8:] {
		x := binary.LittleEndian.Uint64(p)
		del := x ^ each*0x7f
		if ((x-below)&^x|(del-each)&^del)&(each*0x80) != 0 {
			return n
		}
		n += 8
	}
	return n
}
