package audit_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/memory"
	"github.com/counterfoil/counterfoil/store/storetest"
)

func listed(t *testing.T, trail *audit.Trail) (subjects []string) {
	t.Helper()
	page, _, err := trail.List(t.Context(), audit.Query{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range page {
		subjects = append(subjects, e.Subject)
	}
	return subjects
}

// An entry of a commit beside is listed at once, moves as a whole, and is there once,
// whichever program moves it and whatever fails.
func TestMove(t *testing.T) {
	beside, own := storetest.Faulty(memory.New()), storetest.Faulty(memory.New())
	trail := newTrail(t, audit.Options{Store: own, Beside: beside, Hook: func(audit.Entry) {}})
	var want []string
	for n := range 120 {
		in, subject := store.Store(beside), fmt.Sprintf("subject%d", n)
		if n%3 == 0 {
			in = own
		}
		if _, err := trail.Commit(t.Context(), in, store.Batch{}, audit.Act{}.Entry(audit.Login, subject)); err != nil {
			t.Fatal(err)
		}
		want = append([]string{subject}, want...)
	}
	if got := listed(t, trail); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("before they move: %v, want newest first", got)
	}
	for spared := range 3 { // the second step of a move fails: it is done again
		beside.Inject(storetest.Fault{Op: storetest.OpCommit, After: spared})
		if err := trail.Move(t.Context()); err == nil && spared < 2 {
			t.Error("Move without the store = nil")
		}
		beside.Heal()
		if got := listed(t, trail); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("after a move that broke off: %v", got)
		}
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if err := trail.Move(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := listed(t, trail); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("after all moved: %v", got)
	}
	for range beside.List(t.Context(), "audit", "*", "") {
		t.Fatal("an entry stayed behind")
	}
}

// A commit without an entry, as each refresh is, does not make Run read the store.
func TestRunSleepsWithoutEntries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		beside := storetest.Faulty(memory.New())
		trail := newTrail(t, audit.Options{Store: memory.New(), Beside: beside, Hook: func(audit.Entry) {}})
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { trail.Run(ctx) })
		time.Sleep(time.Second) // the first move
		var moves atomic.Int64
		beside.Inject(storetest.Fault{Op: storetest.OpList, Slow: true, Before: func() { moves.Add(1) }})
		commit := func(id string, entries ...audit.Entry) {
			t.Helper()
			put := store.Record{Key: store.Key{Kind: "grant", ID: id}}
			if _, err := trail.Commit(ctx, beside, store.Batch{Put: []store.Record{put}}, entries...); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		if commit("one"); moves.Load() != 0 {
			t.Errorf("%d moves after a commit without an entry, want none", moves.Load())
		}
		if commit("two", audit.Act{}.Entry(audit.Login, "alice")); moves.Load() != 1 {
			t.Errorf("%d moves after a commit with an entry, want one", moves.Load())
		}
		cancel()
		running.Wait()
	})
}

// Run moves what is kept while it runs, what came during an outage, and what is there
// when it ends.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		beside, own := memory.New(), storetest.Faulty(memory.New())
		trail := newTrail(t, audit.Options{Store: own, Beside: beside, Hook: func(audit.Entry) {}})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); trail.Run(ctx) }()
		login := func() {
			t.Helper()
			if _, err := trail.Commit(context.Background(), beside, store.Batch{}, audit.Act{}.Entry(audit.Login, "alice")); err != nil {
				t.Fatal(err)
			}
		}
		moved := func() (n int) {
			for range own.List(context.Background(), "audit", "*", "") {
				n++
			}
			return n
		}
		eventually := func(want int) {
			t.Helper()
			for range 100 {
				time.Sleep(time.Second)
				if moved() == want {
					return
				}
			}
			t.Fatalf("%d entries moved, want %d", moved(), want)
		}
		login()
		eventually(1)
		own.Inject(storetest.Fault{})
		login()
		synctest.Wait()
		own.Heal()
		eventually(2)
		login()
		synctest.Wait() // Run has moved it, and waits before it moves again
		login()
		cancel()
		<-done
		if moved() != 4 {
			t.Errorf("after the end %d entries have moved, want 4", moved())
		}
	})
}
