package memory

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/source"
)

// log is the revocation log. No method changes an entry of it. A sweep drops entries, and
// makes a new slice for the rest. So a caller may use a slice of entries without the lock.
type log struct {
	entries []source.Revocation // in order of At.Seq
	head    counterfoil.Cursor
	lost    bool          // Remember was given a head of this epoch that is later than this head
	moved   chan struct{} // closed when head moves, or the store closes
}

func newLog() log {
	return log{head: counterfoil.Cursor{Epoch: rand.Uint64()}, moved: make(chan struct{})}
}

func (l *log) append(newEpoch bool, revoke []source.Revocation) {
	if newEpoch {
		l.head, l.entries, l.lost = counterfoil.Cursor{Epoch: rand.Uint64()}, nil, false
	}
	for _, e := range revoke {
		l.head.Seq += 1 + rand.Uint64N(1024) // rv is in tokens: it must not tell how many revocations there are
		e.At = l.head
		l.entries = append(l.entries, e)
	}
	if newEpoch || len(revoke) > 0 {
		close(l.moved)
		l.moved = make(chan struct{})
	}
}

// page returns a copy of up to limit entries after the cursor.
func (l *log) page(after counterfoil.Cursor, limit int) []source.Revocation {
	from := 0
	if after.Epoch == l.head.Epoch {
		from, _ = slices.BinarySearchFunc(l.entries, after.Seq+1, func(e source.Revocation, seq uint64) int {
			return cmp.Compare(e.At.Seq, seq)
		})
	}
	page := l.entries[from:]
	return slices.Clone(page[:min(limit, len(page))])
}

// unexpired returns a new slice of the entries that do not expire before the given time.
func unexpired(entries []source.Revocation, before time.Time) []source.Revocation {
	var kept []source.Revocation
	for _, e := range entries {
		if e.Expires.IsZero() || !e.Expires.Before(before) {
			kept = append(kept, e)
		}
	}
	return kept
}
