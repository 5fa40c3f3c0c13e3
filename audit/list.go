package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/store"
)

// Query of List. What is empty or zero leaves nothing out.
type Query struct {
	Subject  string    // whose account
	By       string    // who did it, as Entry.By has it
	Actions  []Action  // entries with one of them
	Outcomes []Outcome // entries with one of them
	From     time.Time // not older
	To       time.Time // older than this
	After    string    // id after which the list begins; empty: from the newest
	Limit    int       // zero: 100, at most 1000
}

// asks reports whether q asks for e. That e is in the time of q is known.
func (q *Query) asks(e *Entry) bool {
	return (q.By == "" || q.By == e.By) &&
		(len(q.Actions) == 0 || slices.Contains(q.Actions, e.Action)) &&
		(len(q.Outcomes) == 0 || slices.Contains(q.Outcomes, e.Outcome))
}

// marks returns, for each condition of q, what the JSON of an entry that meets it has in it. An entry without it
// need not be parsed, which is most of the cost of a look. It is nil if q asks for entries that cannot be read, since those may have anything.
func (q *Query) marks() (all [][][]byte) {
	if unread := damaged(store.Record{}); q.asks(&unread) {
		return nil
	}
	if q.By != "" {
		all = append(all, member("by", q.By))
	}
	if len(q.Actions) > 0 {
		all = append(all, member("action", q.Actions...))
	}
	if len(q.Outcomes) > 0 {
		all = append(all, member("outcome", q.Outcomes...))
	}
	return all
}

// member returns a member of an object with each of values, as [json.Marshal] writes it.
func member[T ~string](name string, values ...T) (each [][]byte) {
	for _, v := range values {
		text, err := json.Marshal(v)
		if err != nil {
			panic(err) // every string can be written
		}
		each = append(each, slices.Concat([]byte(`"`+name+`":`), text))
	}
	return each
}

func hasMarks(value []byte, marks [][][]byte) bool {
	for _, either := range marks {
		if !slices.ContainsFunc(either, func(mark []byte) bool { return bytes.Contains(value, mark) }) {
			return false
		}
	}
	return true
}

// damaged is what is known of an entry that cannot be read.
func damaged(rec store.Record) Entry {
	return Entry{ID: rec.ID, Time: timeOf(rec.ID), Action: Damaged, Outcome: Unknown, Subject: rec.Owner, By: ByUnknown}
}

// maxLooks is how many entries are read for a page. Those that a query does not ask for are not on
// it, so a page may be short, or empty, and not be the last one.
const maxLooks = 5000

// List returns a page of what was kept, newest first. If next is not empty, the list goes on after
// that id. Entries that have expired are left out. One that cannot be read has the action Damaged,
// and what is known of it beside. The work of a page is bounded, wherever it begins.
func (t *Trail) List(ctx context.Context, q Query) (page []Entry, next string, err error) {
	if q.Limit <= 0 {
		q.Limit = 100
	}
	owner, now := q.Subject, t.opts.Now()
	if owner == "" {
		owner = "*"
	}
	if !q.To.IsZero() { // ids are in order of time
		q.After = max(q.After, idAt(q.To.Add(-1)))
	}
	looks, last, marks := 0, "", q.marks()
	for rec, err := range t.records(ctx, owner, q.After) {
		if err != nil {
			return nil, "", fmt.Errorf("%w: audit trail: %w", counterfoil.ErrUnavailable, err)
		}
		if at := timeOf(rec.ID); !q.From.IsZero() && !at.IsZero() && at.Before(q.From) {
			return page, "", nil
		}
		if len(page) == min(q.Limit, 1000) || looks == maxLooks {
			return page, last, nil
		}
		looks, last = looks+1, rec.ID
		if !rec.Expires.After(now) || !hasMarks(rec.Value, marks) {
			continue
		}
		e, err := parse(rec.Value)
		if err != nil || e.ID != rec.ID {
			e = damaged(rec)
		}
		if q.asks(&e) {
			page = append(page, e)
		}
	}
	return page, "", nil
}

// idAt is before the id of every entry that was made at that time or earlier.
func idAt(at time.Time) string {
	switch {
	case at.Before(time.Unix(0, 0)):
		at = time.Unix(0, 0)
	case at.After(time.Unix(0, math.MaxInt64)):
		at = time.Unix(0, math.MaxInt64)
	}
	return fmt.Sprintf("%016x", math.MaxInt64-at.UnixNano())
}

// Outcomes returns all outcomes.
func Outcomes() []Outcome { return []Outcome{OK, Refused, Unknown} }
