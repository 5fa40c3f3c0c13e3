package revlog_test

import (
	"context"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/internal/nodetime"
	"github.com/counterfoil/counterfoil/revlog"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store"
)

// side is the log of one process, and its feed.
type side struct {
	*revlog.Log
	feed  *revlog.Feed
	ended int // how often everything was to be ended
}

const maxBound = 10 * time.Second

func open(t *testing.T, s store.Store) *side {
	t.Helper()
	trail, err := audit.New(audit.Options{Store: s, Hook: func(audit.Entry) {}})
	if err != nil {
		t.Fatal(err)
	}
	l := &side{}
	l.Log, err = revlog.New(revlog.Options{
		Store: s, Audit: trail, ProofKey: []byte("shared by all processes"), Time: nodetime.Believe(s, time.Now),
		EndAll: func(context.Context) (store.Batch, string, error) {
			l.ended++
			return store.Batch{}, "", nil
		},
		KeyRevoked: func(context.Context) error { return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	l.feed = revlog.NewFeed(l.Log, maxBound)
	return l
}

// revoke appends an entry.
func (l *side) revoke(t *testing.T) counterfoil.Cursor {
	t.Helper()
	at, err := l.Commit(t.Context(), store.Batch{Revoke: []source.Revocation{
		revlog.Entry(source.ScopeToken, "tok_1", ""),
	}})
	if err != nil {
		t.Fatal(err)
	}
	return at
}
