package revocation

import (
	"errors"
	"fmt"
)

// Cursor is a place in the revocation log. Order comes from here, never from a
// clock: an epoch is one unbroken log, and within it Seq grows in commit order.
// The zero Cursor is before everything.
type Cursor struct{ Epoch, Seq uint64 }

// String writes the cursor as it stands in the rv claim and in URLs:
// 16 hexadecimal digits of the epoch, a dot, the decimal seq.
func (c Cursor) String() string { return fmt.Sprintf("%016x.%d", c.Epoch, c.Seq) }

// MarshalText writes String's form.
func (c Cursor) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (c *Cursor) UnmarshalText(text []byte) (err error) {
	*c, err = ParseCursor(string(text))
	return err
}

// ErrCursor means that a text is no cursor.
var ErrCursor = errors.New("cursor is not EPOCH.SEQ")

// ParseCursor reads the canonical form that String writes, and nothing else:
// one value has one spelling. Seq stays below 2^53, so that it is an exact
// number in every JSON reader.
func ParseCursor(s string) (Cursor, error) {
	const digits = 16 // of the epoch
	if len(s) < digits+2 || len(s) > digits+1+16 || s[digits] != '.' || (s[digits+1] == '0' && len(s) > digits+2) {
		return Cursor{}, ErrCursor
	}
	var c Cursor
	for i := range digits {
		switch b := s[i]; {
		case '0' <= b && b <= '9':
			c.Epoch = c.Epoch<<4 | uint64(b-'0')
		case 'a' <= b && b <= 'f':
			c.Epoch = c.Epoch<<4 | uint64(b-'a'+10)
		default:
			return Cursor{}, ErrCursor
		}
	}
	for i := digits + 1; i < len(s); i++ { // at most 16 digits: there is no overflow
		if s[i] < '0' || s[i] > '9' {
			return Cursor{}, ErrCursor
		}
		c.Seq = 10*c.Seq + uint64(s[i]-'0')
	}
	if c.Seq >= 1<<53 {
		return Cursor{}, ErrCursor
	}
	return c, nil
}

// Before reports whether c comes earlier than d in the same epoch. Cursors of
// different epochs have no order.
func (c Cursor) Before(d Cursor) bool { return c.Epoch == d.Epoch && c.Seq < d.Seq }
