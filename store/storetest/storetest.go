// Package storetest holds the contract of package store as tests. Every engine
// passes it unchanged.
package storetest

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/store"
)

func rec(id, owner string, rev uint64) store.Record {
	return store.Record{Key: store.Key{Kind: "thing", ID: id}, Owner: owner, Rev: rev, Value: []byte(`{}`)}
}

func put(s store.Store, r ...store.Record) error {
	_, err := s.Commit(context.Background(), store.Batch{Put: r})
	return err
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Run holds the stores that open returns, each one empty, against the contract.
func Run(t *testing.T, open func(t *testing.T) store.Store) {
	for name, test := range map[string]func(*testing.T, store.Store){
		"revisions": revisions, "all or nothing": allOrNothing, "put survives delete owned": putSurvives,
		"list": list, "limits": limits, "log": log, "sweep": sweep, "wait": wait,
		"one winner": oneWinner, "touch never resurrects": noResurrection, "commit order": commitOrder,
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			test(t, s)
			must(t, s.Close())
			if _, err := s.Get(context.Background(), rec("x", "", 0).Key); err == nil || errors.Is(err, store.ErrNotFound) {
				t.Errorf("Get after Close = %v, want an outage", err)
			}
		})
	}
}

func revisions(t *testing.T, s store.Store) {
	must(t, put(s, rec("a", "o", 0)))
	for rev, want := range map[uint64]error{0: store.ErrConflict, 2: store.ErrConflict} {
		if err := put(s, rec("a", "o", rev)); !errors.Is(err, want) {
			t.Errorf("Put(rev %d) = %v, want %v", rev, err, want)
		}
	}
	must(t, put(s, rec("a", "o", 1)))
	if r, err := s.Get(t.Context(), rec("a", "", 0).Key); err != nil || r.Rev != 2 || r.Owner != "o" {
		t.Errorf("Get = %+v, %v, want revision 2", r, err)
	}
	if _, err := s.Get(t.Context(), rec("b", "", 0).Key); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Get(absent) = %v, want ErrNotFound", err)
	}
}

func allOrNothing(t *testing.T, s store.Store) {
	must(t, put(s, rec("a", "", 0)))
	_, before, err := s.Log(t.Context(), counterfoil.Cursor{}, 10)
	must(t, err)
	_, err = s.Commit(t.Context(), store.Batch{
		Require: []store.Require{{Key: rec("absent", "", 0).Key, Rev: 1}},
		Put:     []store.Record{rec("b", "", 0)}, Delete: []store.Key{rec("a", "", 0).Key},
		Revoke: []counterfoil.Revocation{{Scope: counterfoil.ScopeAll}},
	})
	if !errors.Is(err, store.ErrConflict) {
		t.Errorf("Commit = %v, want ErrConflict", err)
	}
	_, errA := s.Get(t.Context(), rec("a", "", 0).Key)
	_, errB := s.Get(t.Context(), rec("b", "", 0).Key)
	entries, head, err := s.Log(t.Context(), counterfoil.Cursor{}, 10)
	if errA != nil || !errors.Is(errB, store.ErrNotFound) || err != nil || len(entries) != 0 || head != before {
		t.Error("a refused commit did something")
	}
}

func putSurvives(t *testing.T, s store.Store) {
	must(t, put(s, rec("a", "o", 0), rec("b", "o", 0), rec("c", "other", 0)))
	_, err := s.Commit(t.Context(), store.Batch{DeleteOwned: []store.Owned{{Kind: "thing", Owner: "o"}}, Put: []store.Record{rec("a", "o", 1)}})
	must(t, err)
	if got := ids(t, s, "*"); got != "a c" {
		t.Errorf("left are %q, want a and c", got)
	}
}

func ids(t *testing.T, s store.Store, owner string) string {
	t.Helper()
	var out []string
	for r, err := range s.List(t.Context(), "thing", owner) {
		must(t, err)
		out = append(out, r.ID)
	}
	return strings.Join(out, " ")
}

func list(t *testing.T, s store.Store) {
	must(t, put(s, rec("b", "o", 0), rec("a", "o", 0), rec("c", "other", 0)))
	if own, all := ids(t, s, "o"), ids(t, s, "*"); own != "a b" || all != "a b c" {
		t.Errorf("List = %q and %q", own, all)
	}
}

func limits(t *testing.T, s store.Store) {
	big := rec("big", "", 0)
	big.Value = make([]byte, 64<<10+1)
	for name, r := range map[string]store.Record{
		"no id": rec("", "", 0), "long id": rec(strings.Repeat("x", 201), "", 0), "control": rec("a\n", "", 0), "value": big,
	} {
		if err := put(s, r, rec("beside", "", 0)); err == nil || errors.Is(err, store.ErrConflict) {
			t.Errorf("%s: Put = %v, want a refusal", name, err)
		}
	}
	if got := ids(t, s, "*"); got != "" {
		t.Errorf("a refused commit left %q", got)
	}
}

func revoke(t *testing.T, s store.Store, id string, expires time.Time) counterfoil.Cursor {
	t.Helper()
	head, err := s.Commit(context.Background(), store.Batch{Revoke: []counterfoil.Revocation{{Scope: counterfoil.ScopeSession, ID: id, Expires: expires}}})
	if err != nil {
		t.Error(err)
	}
	return head
}

func log(t *testing.T, s store.Store) {
	later := time.Now().Add(time.Hour)
	first, second := revoke(t, s, "1", later), revoke(t, s, "2", later)
	if !first.Before(second) {
		t.Errorf("heads %v and %v are not in order", first, second)
	}
	for _, c := range []struct {
		after counterfoil.Cursor
		limit int
		want  int
	}{{counterfoil.Cursor{}, 10, 2}, {counterfoil.Cursor{Epoch: first.Epoch + 1, Seq: second.Seq}, 10, 2}, {first, 10, 1}, {second, 10, 0}, {counterfoil.Cursor{}, 1, 1}} {
		entries, head, err := s.Log(t.Context(), c.after, c.limit)
		if err != nil || len(entries) != c.want || head != second {
			t.Errorf("Log(%v, %d) = %d entries, %v, %v, want %d", c.after, c.limit, len(entries), head, err, c.want)
		}
	}
	head, err := s.Commit(t.Context(), store.Batch{NewEpoch: true})
	must(t, err)
	if entries, now, err := s.Log(t.Context(), second, 10); err != nil || len(entries) != 0 || now != head || head.Epoch == first.Epoch {
		t.Errorf("after NewEpoch: %d entries, %v, %v", len(entries), now, err)
	}
}

func sweep(t *testing.T, s store.Store) {
	now := time.Now().Truncate(time.Second)
	old, kept, always := rec("old", "", 0), rec("kept", "", 0), rec("always", "", 0)
	old.Expires, kept.Expires = now.Add(-time.Minute), now.Add(time.Minute)
	must(t, put(s, old, kept, always))
	revoke(t, s, "old", now.Add(-time.Minute))
	head := revoke(t, s, "kept", now.Add(time.Minute))
	n, err := s.Sweep(t.Context(), now)
	must(t, err)
	entries, after, err := s.Log(t.Context(), counterfoil.Cursor{}, 10)
	must(t, err)
	if got := ids(t, s, "*"); n != 1 || got != "always kept" || len(entries) != 1 || entries[0].ID != "kept" || after != head {
		t.Errorf("Sweep = %d, left %q and %v at %v", n, got, entries, after)
	}
}

func wait(t *testing.T, s store.Store) {
	head := revoke(t, s, "1", time.Now())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Wait(ctx, head); !errors.Is(err, context.Canceled) {
		t.Errorf("Wait(cancelled) = %v", err)
	}
	woken := make(chan error)
	go func() { woken <- s.Wait(context.Background(), head) }()
	revoke(t, s, "2", time.Now())
	must(t, <-woken)
}

// REF-04: a compare-and-swap has one winner.
func oneWinner(t *testing.T, s store.Store) {
	must(t, put(s, rec("a", "", 0)))
	var wg sync.WaitGroup
	won := make(chan struct{}, 64)
	for range 64 {
		wg.Go(func() {
			if err := put(s, rec("a", "", 1)); err == nil {
				won <- struct{}{}
			} else if !errors.Is(err, store.ErrConflict) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if len(won) != 1 {
		t.Errorf("%d winners", len(won))
	}
}

// SES-22: a late write of a record that was deleted does not bring it back.
func noResurrection(t *testing.T, s store.Store) {
	for range 200 {
		must(t, put(s, rec("a", "", 0)))
		var wg sync.WaitGroup
		wg.Go(func() { _ = put(s, rec("a", "", 1)) })
		wg.Go(func() {
			if _, err := s.Commit(context.Background(), store.Batch{Delete: []store.Key{rec("a", "", 0).Key}}); err != nil {
				t.Error(err)
			}
		})
		wg.Wait()
		if _, err := s.Get(t.Context(), rec("a", "", 0).Key); !errors.Is(err, store.ErrNotFound) {
			t.Fatalf("Get after the delete = %v, want ErrNotFound", err)
		}
	}
}

// REV-02: a reader that saw an entry never later finds an earlier one.
func commitOrder(t *testing.T, s store.Store) {
	const writers, each = 16, 20
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for range each {
				revoke(t, s, "x", time.Now().Add(time.Hour))
			}
		})
	}
	seen, at := 0, counterfoil.Cursor{}
	for seen < writers*each && !t.Failed() {
		entries, _, err := s.Log(t.Context(), at, 7)
		must(t, err)
		for _, e := range entries {
			at = e.At
		}
		seen += len(entries)
	}
	wg.Wait()
	if all, _, err := s.Log(t.Context(), counterfoil.Cursor{}, 1000); err != nil || len(all) != seen {
		t.Errorf("tail saw %d entries, the log has %d, %v", seen, len(all), err)
	}
}
