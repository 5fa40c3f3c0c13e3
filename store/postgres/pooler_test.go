package postgres_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/counterfoil/counterfoil/internal/testsvc"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/postgres"
)

// Behind a pooler that keeps a server connection for each of ours, everything works.
func TestPoolerBySession(t *testing.T) {
	t.Parallel()
	server := testsvc.SharedPostgres(t)
	name, _ := server.Database(t, "")
	dsn := server.StartPgBouncer(t, "session", name)
	a, b := open(t, dsn), open(t, dsn) // it also makes the schema
	var wg sync.WaitGroup
	for n := range 20 {
		wg.Go(func() {
			id := string(rune('a' + n))
			if _, err := a.Commit(context.Background(), store.Batch{Put: []store.Record{thing(id)}}); err != nil {
				t.Error(err)
			}
			if _, err := b.Get(context.Background(), thing(id).Key); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	at := head(t, a)
	woken := make(chan error)
	go func() { woken <- a.Wait(context.Background(), at) }()
	commit(t, b, store.Batch{Revoke: []source.Revocation{entry("x")}})
	if err := <-woken; err != nil {
		t.Errorf("Wait = %v", err)
	}
}

// REV-01: a pooler that hands connections out by transaction takes the settings of a
// connection away, synchronous_commit among them, and with LISTEN every wake. It is
// refused at the start, not found out later.
func TestPoolerByTransactionIsRefused(t *testing.T) {
	t.Parallel()
	server := testsvc.SharedPostgres(t)
	name, direct := server.Database(t, "")
	open(t, direct) // the schema is there
	s, err := postgres.Open(t.Context(), postgres.Options{URL: server.StartPgBouncer(t, "transaction", name)})
	if err == nil {
		t.Fatalf("Open through a pooler by transaction = %v, want a refusal", s.Close())
	}
	if !errors.Is(err, postgres.ErrPooler) {
		t.Errorf("Open = %v, want %v", err, postgres.ErrPooler)
	}
}
