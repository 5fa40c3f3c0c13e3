package revocation

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
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
	epoch, seq, ok := strings.Cut(s, ".")
	if !ok || len(epoch) != 16 || len(seq) == 0 || len(seq) > 16 || (seq[0] == '0' && len(seq) > 1) {
		return Cursor{}, ErrCursor
	}
	e, err := strconv.ParseUint(epoch, 16, 64)
	if err != nil || strings.ToLower(epoch) != epoch {
		return Cursor{}, ErrCursor
	}
	n, err := strconv.ParseUint(seq, 10, 53)
	if err != nil {
		return Cursor{}, ErrCursor
	}
	return Cursor{e, n}, nil
}

// Before reports whether c comes earlier than d in the same epoch. Cursors of
// different epochs have no order.
func (c Cursor) Before(d Cursor) bool { return c.Epoch == d.Epoch && c.Seq < d.Seq }
