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

// The store works behind a pooler in session mode.
func TestPoolerInSessionMode(t *testing.T) {
	t.Parallel()
	server := testsvc.SharedPostgres(t)
	name, _ := server.Database(t, "")
	dsn := server.StartPgBouncer(t, "session", name)
	a, b := open(t, dsn), open(t, dsn) // Open also creates the schema
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

// REV-01: behind a pooler in transaction mode a connection loses its settings, among them
// synchronous_commit, and its LISTEN. Open refuses such a pooler.
func TestPoolerInTransactionModeIsRefused(t *testing.T) {
	t.Parallel()
	server := testsvc.SharedPostgres(t)
	name, direct := server.Database(t, "")
	open(t, direct) // creates the schema
	s, err := postgres.Open(t.Context(), postgres.Options{URL: server.StartPgBouncer(t, "transaction", name)})
	if err == nil {
		t.Fatalf("Open through a pooler in transaction mode = %v, want a refusal", s.Close())
	}
	if !errors.Is(err, postgres.ErrPooler) {
		t.Errorf("Open = %v, want %v", err, postgres.ErrPooler)
	}
}
