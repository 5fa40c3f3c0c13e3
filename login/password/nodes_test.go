package password_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/internal/testsvc"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/login/password"
	"github.com/counterfoil/counterfoil/login/throttle"
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/postgres"
	"github.com/counterfoil/counterfoil/store/redis"
	"github.com/counterfoil/counterfoil/store/sqlite"
)

// engines open one database, as each node and each start of a node does. SQLite has
// one process, and so one node.
var engines = map[string]func(t *testing.T) (open func() store.Store, shared bool){
	"sqlite": func(t *testing.T) (func() store.Store, bool) {
		path := filepath.Join(t.TempDir(), "c.db")
		return func() store.Store { return opened(t)(sqlite.Open(t.Context(), path)) }, false
	},
	"postgres": func(t *testing.T) (func() store.Store, bool) {
		_, dsn := testsvc.SharedPostgres(t).Database(t, "")
		return func() store.Store { return opened(t)(postgres.Open(t.Context(), postgres.Options{URL: dsn})) }, true
	},
	"redis": func(t *testing.T) (func() store.Store, bool) {
		url := "redis://" + testsvc.StartRedis(t).Addr()
		return func() store.Store { return opened(t)(redis.Open(t.Context(), redis.Options{URL: url})) }, true
	},
}

func opened(t *testing.T) func(store.Store, error) store.Store {
	return func(s store.Store, err error) store.Store {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
}

// node is what one process has.
type node struct {
	prover
	users *directory.Directory
	store store.Store
}

func start(t *testing.T, s store.Store, now func() time.Time) node {
	t.Helper()
	trail, err := audit.New(audit.Options{Store: s, Hook: func(audit.Entry) {}})
	if err != nil {
		t.Fatal(err)
	}
	users, err := directory.New(directory.Options{Store: s, Audit: trail})
	if err != nil {
		t.Fatal(err)
	}
	guesses, err := throttle.New(throttle.Options{Store: s, Key: make([]byte, 32), Now: now}) // one key on all nodes
	if err != nil {
		t.Fatal(err)
	}
	return node{newProver(t, s, users, guesses, password.Options{Now: now}), users, s}
}

// LOGIN-09: wrong passwords that are spread over two nodes throttle an account exactly
// as when all come to one, and also when a node starts anew in between.
func TestGuessesOnTwoNodes(t *testing.T) {
	for name, engine := range engines {
		t.Run(name, func(t *testing.T) {
			open, shared := engine(t)
			now := time.Now()
			clock := func() time.Time { return now }
			a := start(t, open(), clock)
			b := a
			if shared {
				b = start(t, open(), clock)
			}
			for _, identifier := range []string{"alone", "spread", "restarted"} {
				if _, err := register(t.Context(), a.prover, a.users, nowhere, identifier, "", good); err != nil {
					t.Fatal(err)
				}
			}
			// answers to ten wrong passwords, three seconds apart, and then to the right one.
			answers := func(identifier string, at func(n int) node) (got []string) {
				for n := range 10 {
					_, err := at(n).Prove(t.Context(), attempt(identifier, "not the one they have"))
					got = append(got, inWords(t, err))
					now = now.Add(3 * time.Second)
				}
				_, err := at(10).Prove(t.Context(), attempt(identifier, good))
				return append(got, inWords(t, err))
			}
			want := answers("alone", func(int) node { return a })
			if !slices.Contains(want, "wrong") || want[10] == "right" || want[10] == "wrong" {
				t.Fatalf("ten wrong passwords and the right one: %q", want)
			}
			now = now.Add(time.Minute) // the address has room again
			if got := answers("spread", func(n int) node { return []node{a, b}[n%2] }); !slices.Equal(got, want) {
				t.Errorf("on two nodes: %q\non one:       %q", got, want)
			}
			now = now.Add(time.Minute)
			restarted := func(int) node {
				if err := errors.Join(a.Close(), a.store.Close()); err != nil {
					t.Fatal(err)
				}
				a = start(t, open(), clock)
				return a
			}
			if got := answers("restarted", restarted); !slices.Equal(got, want) {
				t.Errorf("with restarts: %q\non one node:   %q", got, want)
			}
			now = now.Add(time.Hour)
			if _, err := a.Prove(t.Context(), attempt("spread", good)); err != nil {
				t.Errorf("after the wait = %v", err)
			}
			if shared {
				_ = b.store.Close()
			}
			_ = a.store.Close()
		})
	}
}

func inWords(t *testing.T, err error) string {
	t.Helper()
	var throttled login.Throttled
	switch {
	case err == nil:
		return "right"
	case errors.Is(err, login.ErrRefused):
		return "wrong"
	case errors.As(err, &throttled):
		return fmt.Sprint("wait ", throttled.RetryAfter)
	}
	t.Fatal(err)
	return ""
}

// LOGIN-09: of many guesses at once on two nodes no more are checked than one after
// another would be.
func TestGuessesAtOnceOnTwoNodes(t *testing.T) {
	for name, engine := range engines {
		t.Run(name, func(t *testing.T) {
			open, shared := engine(t)
			now := time.Now()
			a := start(t, open(), func() time.Time { return now })
			b := a
			if shared {
				b = start(t, open(), func() time.Time { return now })
				defer b.store.Close()
			}
			defer a.store.Close()
			if _, err := register(t.Context(), a.prover, a.users, nowhere, "carol", "", good); err != nil {
				t.Fatal(err)
			}
			before := a.Hashed() + b.Hashed()
			var wg sync.WaitGroup
			for range 20 {
				wg.Go(func() { _, _ = a.Prove(context.Background(), attempt("carol", "a wrong password")) })
				wg.Go(func() { _, _ = b.Prove(context.Background(), attempt("carol", "a wrong password")) })
			}
			wg.Wait()
			n := a.Hashed() + b.Hashed() - before
			if !shared {
				n /= 2
			}
			if n == 0 || n > 5 {
				t.Errorf("%d of 40 guesses were checked, want at most 5", n)
			}
		})
	}
}
