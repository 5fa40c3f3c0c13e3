package revlog

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil"
)

// Status is what an operator asks about the log (REV-20).
type Status struct {
	Head      counterfoil.Cursor
	Entries   int        // that still cover something alive
	Followers []Follower // by id; also those that were here lately
}

// Follower is a verifier that follows the log with this feed.
type Follower struct {
	ID         string
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

// list returns the verifiers that follow, by id.
func (l *leases) list() []Follower {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make([]Follower, 0, len(l.by))
	for who, v := range l.by {
		all = append(all, Follower{ID: who.id, Acked: v.acked, Until: v.until(), ServeStale: v.serveStale})
	}
	slices.SortFunc(all, func(a, b Follower) int { return strings.Compare(a.ID, b.ID) })
	return all
}
