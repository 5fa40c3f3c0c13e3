package storetest_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/memory"
	"github.com/counterfoil/counterfoil/store/sqlite"
	"github.com/counterfoil/counterfoil/store/storetest"
)

func TestFaultyKeepsTheContract(t *testing.T) {
	storetest.Run(t, func(*testing.T) store.Store { return storetest.Faulty(memory.New()) })
}

// A store that wraps another passes on its Describe and its Remember.
func TestFaultyHidesNothing(t *testing.T) {
	inside := memory.New()
	s := storetest.Faulty(inside)
	if got := s.Describe(); got != inside.Describe() {
		t.Errorf("Describe = %+v, want %+v", got, inside.Describe())
	}
	_, head, err := s.Log(t.Context(), counterfoil.Cursor{}, 1)
	if err != nil {
		t.Fatal(err)
	}
	head.Seq++
	if err := s.Remember(t.Context(), head); !errors.Is(err, store.ErrLost) {
		t.Errorf("Remember = %v, want ErrLost", err)
	}
	if _, _, err := inside.Log(t.Context(), head, 1); !errors.Is(err, store.ErrLost) {
		t.Errorf("Log of the store inside = %v, want ErrLost", err)
	}
}

func record(id string) store.Record {
	return store.Record{Key: store.Key{Kind: "thing", ID: id}, Owner: "o", Value: []byte("{}")}
}

func put(s store.Store, ids ...string) error {
	var b store.Batch
	for _, id := range ids {
		b.Put = append(b.Put, record(id))
	}
	_, err := s.Commit(context.Background(), b)
	return err
}

func TestFaultByCount(t *testing.T) {
	s := storetest.Faulty(memory.New())
	s.Inject(storetest.Fault{Op: storetest.OpCommit, After: 1, Times: 2})
	for n, want := range []error{nil, storetest.ErrInjected, storetest.ErrInjected, nil} {
		if err := put(s, string(rune('a'+n))); !errors.Is(err, want) {
			t.Errorf("Commit %d = %v, want %v", n, err, want)
		}
	}
	if _, err := store.One(t.Context(), s, record("b").Key); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Get after a failed commit = %v, want ErrNotFound", err)
	}
	if n := s.Calls(storetest.OpCommit); n != 4 {
		t.Errorf("Calls = %d, want 4", n)
	}
}

func TestFaultLost(t *testing.T) {
	s, gone := storetest.Faulty(memory.New()), errors.New("gone")
	s.Inject(storetest.Fault{Op: storetest.OpCommit, Kind: "thing", Times: 1, Lost: true, Err: gone})
	if _, err := s.Commit(t.Context(), store.Batch{Put: []store.Record{{Key: store.Key{Kind: "other", ID: "x"}}}}); err != nil {
		t.Errorf("Commit of another kind = %v", err)
	}
	if err := put(s, "a"); !errors.Is(err, gone) {
		t.Errorf("Commit = %v, want the fault", err)
	}
	if _, err := store.One(t.Context(), s, record("a").Key); err != nil {
		t.Errorf("Get of a record whose commit was done = %v", err)
	}
}

func TestFaultInTheMiddleOfList(t *testing.T) {
	s := storetest.Faulty(memory.New())
	if err := put(s, "a", "b", "c"); err != nil {
		t.Fatal(err)
	}
	s.Inject(storetest.Fault{Op: storetest.OpList, Items: 2})
	var got []string
	var last error
	for r, err := range s.List(t.Context(), "thing", "o", "") {
		if last = err; err == nil {
			got = append(got, r.ID)
		}
	}
	if len(got) != 2 || !errors.Is(last, storetest.ErrInjected) {
		t.Errorf("List = %v then %v, want two records and the fault", got, last)
	}
}

func TestFaultEveryMethod(t *testing.T) {
	s := storetest.Faulty(memory.New())
	outage := func() (errs []error) {
		_, get := store.One(t.Context(), s, record("a").Key)
		_, _, log := s.Log(t.Context(), counterfoil.Cursor{}, 1)
		_, sweep := s.Sweep(t.Context(), time.Now())
		return []error{get, log, sweep, put(s, "a"), s.Remember(t.Context(), counterfoil.Cursor{}), s.Wait(t.Context(), counterfoil.Cursor{})}
	}
	s.Inject(storetest.Fault{})
	for n, err := range outage() {
		if !errors.Is(err, storetest.ErrInjected) {
			t.Errorf("call %d = %v, want the fault", n, err)
		}
	}
	s.Heal()
	for n, err := range outage() {
		if errors.Is(err, storetest.ErrInjected) {
			t.Errorf("call %d after Heal = %v", n, err)
		}
	}
}

func TestFaultSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, began := storetest.Faulty(memory.New()), time.Now()
		s.Inject(storetest.Fault{Op: storetest.OpCommit, Slow: true, Delay: time.Minute})
		if err := put(s, "a"); err != nil || time.Since(began) != time.Minute {
			t.Errorf("Commit = %v after %v", err, time.Since(began))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := s.Commit(ctx, store.Batch{Put: []store.Record{record("b")}}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Commit under a deadline = %v", err)
		}
	})
}

// A process that is killed while it gives records their texts has done a part, and the next one
// finds all without.
func TestReindexGoesOn(t *testing.T) {
	file, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "store.db"))
	if err != nil {
		t.Fatal(err)
	}
	s := storetest.Faulty(file)
	t.Cleanup(func() { s.Close() })
	var b store.Batch
	for n := range 1200 {
		b.Put = append(b.Put, record(fmt.Sprint(n)))
	}
	if _, err := s.Commit(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	texts := func(r store.Record) []string { return slices.Repeat([]string{"t" + r.ID}, 100) }
	s.Inject(storetest.Fault{Op: storetest.OpCommit, Kind: "thing", After: 1, Times: 1})
	for n, want := range []int{500, 1200} {
		err := store.Reindex(t.Context(), s, "thing", 1, texts, func(int) {})
		got, _, counted := s.Count(t.Context(), "thing", "t", 5000)
		if (err != nil) != (n == 0) || got != want || counted != nil {
			t.Errorf("Reindex %d = %v, and %d records have texts, %v, want %d", n, err, got, counted, want)
		}
	}
}
