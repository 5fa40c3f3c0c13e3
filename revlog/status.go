package revlog

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/source"
)

// Status is what an operator asks about the log (REV-20).
type Status struct {
	Head      counterfoil.Cursor
	Entries   int        // that still cover something alive
	Followers []Follower // in the order in which they came; also those that were here lately
}

// Follower is a verifier that follows the log with this feed. Its times are those of
// [nodetime.Clock.Steady].
type Follower struct {
	Number     uint64 // in the order in which they came
	ID         string
	Key        string // id of its API key; empty: it is in this process
	Program    source.Program
	Bound      time.Duration
	Asked      time.Time          // its last question
	Fresh      time.Time          // its last question that was answered with all there was: what it knows is no older, if the answer arrived; zero: none
	Acked      counterfoil.Cursor // it has applied all up to here
	Until      time.Time          // it accepts nothing after, unless it gets another page
	ServeStale bool               // it may accept longer, by its own policy
}

// Status reads the head of the log from the store and adds what this feed knows.
func (f *Feed) Status(ctx context.Context) (Status, error) {
	head, err := f.log.Head(ctx)
	if err != nil {
		return Status{}, err
	}
	return Status{Head: head, Entries: f.log.revoked.Len(), Followers: f.leases.list()}, nil
}

func (f *holder) until() (last time.Time) {
	for _, le := range f.leases {
		if le.until.After(last) {
			last = le.until
		}
	}
	return last
}

// list returns the verifiers that follow, in the order in which they came.
func (l *leases) list() []Follower {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make([]Follower, 0, len(l.by))
	for who, v := range l.by {
		all = append(all, Follower{
			Number: v.number, ID: who.id, Key: who.key, Program: v.program, Bound: v.bound, Asked: v.asked, Fresh: v.fresh,
			Acked: v.acked, Until: v.until(), ServeStale: v.serveStale,
		})
	}
	slices.SortFunc(all, func(a, b Follower) int { return cmp.Compare(a.Number, b.Number) })
	return all
}
