package store

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"math"
	"slices"
	"strings"
	"time"
)

// By is one condition of a [Query]: a record that matches has a text that begins with Prefix. No
// text after Last can match; an empty Last is no bound.
type By struct{ Prefix, Last string }

// Query asks for records by their texts, in a store that is Indexed or not. T is what the package
// that owns the kind makes of a record.
type Query[T any] struct {
	Kind  Kind
	Owner string // if it is set, only records of this owner are read, by ID
	By    []By   // all must hold; in an indexed store there must be one
	After Position

	// Parse returns what r is, and its texts. It returns texts of a record that it cannot read, too.
	Parse func(r Record) (T, []string)
}

// Look is a record that a query looked at.
type Look[T any] struct {
	At      Position
	Record  Record
	Item    T
	Matches bool // all of By hold, and the record was not yielded before
}

// Find yields the records that q looks at, those that match and others. The caller bounds how
// many it takes: the position of the last one is where the next page goes on. An indexed store
// looks by the condition that the fewest records meet.
func Find[T any](ctx context.Context, s Store, q Query[T]) iter.Seq2[Look[T], error] {
	return func(yield func(Look[T], error) bool) {
		looks, by, err := q.looks(ctx, s)
		if err != nil {
			yield(Look[T]{}, err)
			return
		}
		for m, err := range looks {
			if err != nil {
				yield(Look[T]{}, err)
				return
			}
			if by.Last != "" && m.Text > by.Last {
				return
			}
			item, texts := q.Parse(m.Record)
			look := Look[T]{m.At(), m.Record, item, m.Rev > 0 && q.hold(texts)}
			if by.Prefix != "" && slices.ContainsFunc(texts, func(t string) bool { return strings.HasPrefix(t, by.Prefix) && t < m.Text }) {
				look.Matches = false // it was yielded under that text
			}
			if !yield(look, nil) {
				return
			}
		}
	}
}

// hold reports whether all conditions hold for a record with these texts.
func (q Query[T]) hold(texts []string) bool {
	for _, by := range q.By {
		if !slices.ContainsFunc(texts, func(t string) bool {
			return strings.HasPrefix(t, by.Prefix) && (by.Last == "" || t <= by.Last)
		}) {
			return false
		}
	}
	return true
}

// looks returns the records to look at, and the condition that they are found by: none if they
// are found otherwise.
func (q Query[T]) looks(ctx context.Context, s Store) (iter.Seq2[Match, error], By, error) {
	if q.Owner != "" {
		return func(yield func(Match, error) bool) {
			for r, err := range s.List(ctx, q.Kind, q.Owner, q.After.ID) {
				if !yield(Match{Record: r}, err) {
					return
				}
			}
		}, By{}, nil
	}
	if !s.Describe().Indexed {
		return s.Search(ctx, q.Kind, "", q.After), By{}, nil
	}
	by, err := q.fewest(ctx, s)
	return s.Search(ctx, q.Kind, by.Prefix, q.After), by, err
}

// compareUpTo bounds what it costs to compare conditions.
const compareUpTo = 2000

// fewest returns the condition that the fewest records meet. A page that goes on stays with the
// condition of the page before, which its position tells.
func (q Query[T]) fewest(ctx context.Context, s Store) (best By, err error) {
	if len(q.By) == 1 {
		return q.By[0], nil
	}
	least := -1
	for _, by := range q.By {
		if q.After.Text != "" {
			if strings.HasPrefix(q.After.Text, by.Prefix) {
				return by, nil
			}
			continue
		}
		n, _, err := s.Count(ctx, q.Kind, by.Prefix, compareUpTo)
		if err != nil {
			return best, err
		}
		if least < 0 || n < least || n == least && cmp.Less(best.Last, by.Last) {
			best, least = by, n
		}
	}
	return best, nil
}

// Tally counts the records that match q. In an indexed store with one condition, which has no
// Last, this is one Count of limit texts. Otherwise it looks at looks records; more says that it
// did not look at all.
func (q Query[T]) Tally(ctx context.Context, s Store, limit, looks int, also func(T) bool) (n int, more bool, err error) {
	if q.Owner == "" && len(q.By) == 1 && q.By[0].Last == "" && also == nil && s.Describe().Indexed {
		return s.Count(ctx, q.Kind, q.By[0].Prefix, limit)
	}
	q.After = Position{}
	looked := 0
	for look, err := range Find(ctx, s, q) {
		if err != nil {
			return 0, false, err
		}
		if looked == looks || n == limit {
			return n, true, nil
		}
		if looked++; look.Matches && (also == nil || also(look.Item)) {
			n++
		}
	}
	return n, false, nil
}

// Looks is how many records a page of q looks at, so that a person who waits for the page has it in a tenth of a
// second. An index, and the list of an owner, give records in ranges. Without one each is read by its
// key, and that takes several times as long. Then it is what the first two reads of such a store have, 64
// and 128, without the one that says that there are more.
func (q Query[T]) Looks(s Store) int {
	if q.Owner != "" || s.Describe().Indexed {
		return 1000
	}
	return 64 + 128 - 1
}

// String returns the position as one line of text. [ParsePosition] reads it.
func (at Position) String() string { return at.Text + "\n" + at.ID }

// ParsePosition reads the text of [Position.String]. The empty text is before the first.
func ParsePosition(s string) Position {
	text, id, _ := strings.Cut(s, "\n")
	return Position{text, id}
}

// maxMiddle leaves room in a text for what stands around the value.
const maxMiddle = maxID - 32

// Text returns an index text: begin, the value, end. What is not printable ASCII in the value is
// written as %xx, byte by byte, so a beginning of the value gives a beginning of the text. A long
// value is cut: the caller compares what it finds.
func Text(begin, value, end string) string {
	var b strings.Builder
	for _, c := range []byte(value) {
		if b.Len() > maxMiddle-3 {
			break
		}
		if c < ' ' || c > '~' || c == '%' {
			fmt.Fprintf(&b, "%%%02x", c)
		} else {
			b.WriteByte(c)
		}
	}
	return begin + b.String() + end
}

// Backwards returns the second of t, counted backwards, for the end of an index text: so the
// newest is first.
func Backwards(t time.Time) string {
	return fmt.Sprintf("%08x", math.MaxUint32-uint32(min(max(t.Unix(), 0), math.MaxUint32)))
}
