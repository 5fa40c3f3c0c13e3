package storetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store"
)

// lanes is how many goroutines share the rounds. Each has its own records.
const lanes = 50

// race runs as many rounds as the flag says, in lanes.
func race(t *testing.T, round func(lane string, n int)) {
	t.Helper()
	var wg sync.WaitGroup
	for lane := range lanes {
		wg.Go(func() {
			for n := 0; n < max(1, *rounds/lanes) && !t.Failed(); n++ {
				round(fmt.Sprintf("lane%02d", lane), n)
			}
		})
	}
	wg.Wait()
}

// both runs two functions at the same time.
func both(a, b func()) {
	var wg sync.WaitGroup
	if rand.N(2) == 0 {
		a, b = b, a
	}
	wg.Go(a)
	b()
	wg.Wait()
}

// REF-04: a thousand callers replace the same revision, and one succeeds.
func oneWinner(t *testing.T, s store.Store) {
	must(t, put(s, rec("a", "", 0)))
	for rev := range uint64(3) {
		var wg sync.WaitGroup
		var won atomic.Int64
		for range 1000 {
			wg.Go(func() {
				if err := put(s, rec("a", "", rev+1)); err == nil {
					won.Add(1)
				} else if !errors.Is(err, store.ErrConflict) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 {
			t.Errorf("%d winners of revision %d", won.Load(), rev+1)
		}
	}
}

// SES-22: a late write of a deleted record does not bring it back.
func noResurrection(t *testing.T, s store.Store) {
	race(t, func(id string, _ int) {
		if err := put(s, rec(id, id, 0)); err != nil {
			t.Error(err)
		}
		both(func() {
			if err := put(s, rec(id, id, 1)); err != nil && !errors.Is(err, store.ErrConflict) {
				t.Error(err)
			}
		}, func() {
			if _, err := s.Commit(context.Background(), store.Batch{Delete: []store.Key{key(id)}}); err != nil {
				t.Error(err)
			}
		})
		if _, err := store.One(context.Background(), s, key(id)); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("Get after the delete = %v, want ErrNotFound", err)
		}
	})
}

// SES-14: the revocation of a subject deletes all records of the subject. This includes a
// record that another caller writes at the same time under the old revision of the subject.
func ownerRace(t *testing.T, s store.Store) {
	race(t, func(subject string, n int) {
		subjectRec, id := rec(subject, "", uint64(n)), fmt.Sprintf("%s.%d", subject, n)
		both(func() {
			_, err := s.Commit(context.Background(), store.Batch{
				Require: []store.Require{{Key: key(subject), Rev: uint64(n)}}, Put: []store.Record{rec(id, subject, 0)},
			})
			if err != nil && !errors.Is(err, store.ErrConflict) {
				t.Error(err)
			}
		}, func() {
			_, err := s.Commit(context.Background(), store.Batch{
				Put: []store.Record{subjectRec}, DeleteOwned: []store.Owned{{Kind: "thing", Owner: subject}},
				Revoke: []source.Revocation{entry(id, time.Time{})},
			})
			if err != nil {
				t.Error(err)
			}
		})
		if _, err := store.One(context.Background(), s, key(id)); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("Get after deleting all records of the owner = %v, want ErrNotFound", err)
		}
	})
}

// REV-02: sixteen callers write, and one reads the tail of the log. The reader never finds an
// entry before one that it has already read.
func commitOrder(t *testing.T, s store.Store) {
	const writers, each = 16, 20
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			before := counterfoil.Cursor{}
			for n := range each {
				head, err := s.Commit(context.Background(), store.Batch{
					Put:    []store.Record{rec(fmt.Sprintf("%d.%d", w, n), "", 0)},
					Revoke: []source.Revocation{entry("x", time.Now().Add(time.Hour)), entry("y", time.Now().Add(time.Hour))},
				})
				if err != nil || head.Epoch == before.Epoch && !before.Before(head) {
					t.Errorf("Commit = %v, %v after %v", head, err, before)
				}
				before = head
			}
		})
	}
	read, at := 0, counterfoil.Cursor{}
	for read < writers*each*2 && !t.Failed() {
		entries, head, err := s.Log(t.Context(), at, 7)
		must(t, err)
		for _, e := range entries {
			if at.Epoch == e.At.Epoch && !at.Before(e.At) || head.Before(e.At) {
				t.Errorf("entry %v after %v under head %v", e.At, at, head)
			}
			at = e.At
		}
		read += len(entries)
	}
	wg.Wait()
	if all, _, err := s.Log(t.Context(), counterfoil.Cursor{}, 10_000); err != nil || len(all) != read {
		t.Errorf("the reader got %d entries, the log has %d, %v", read, len(all), err)
	}
}

// A commit that revokes is serial:
//
//  1. A revoker replaces the record "gate" and appends an entry, again and again.
//  2. Each writer reads the gate, and commits under a Require of the revision that it read. It
//     keeps that revision and the head that Commit returned.
//  3. The head of every writer must be at or after the entry of its revision of the gate, and
//     before the next entry.
func serialRevocations(t *testing.T, s store.Store) {
	const writers, revocations = 8, 100
	type birth struct{ rev, seq uint64 }
	var mu sync.Mutex
	var births []birth
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				gate, err := store.One(context.Background(), s, key("gate"))
				if err != nil && !errors.Is(err, store.ErrNotFound) {
					t.Error(err)
					return
				}
				head, err := s.Commit(context.Background(), store.Batch{
					Require: []store.Require{{Key: key("gate"), Rev: gate.Rev}}, Put: []store.Record{rec(fmt.Sprintf("%d.%d", w, n), "", 0)},
				})
				if errors.Is(err, store.ErrConflict) {
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				births = append(births, birth{gate.Rev, head.Seq})
				mu.Unlock()
			}
		})
	}
	at := []uint64{0} // the seq of the n-th revocation
	for n := range uint64(revocations) {
		head, err := s.Commit(t.Context(), store.Batch{Put: []store.Record{rec("gate", "", n)}, Revoke: []source.Revocation{entry("x", time.Time{})}})
		if err != nil {
			t.Error(err)
			break
		}
		at = append(at, head.Seq)
	}
	close(stop)
	wg.Wait()
	for _, b := range births {
		if b.seq < at[b.rev] || int(b.rev)+1 < len(at) && b.seq >= at[b.rev+1] {
			t.Errorf("a commit under revocation %d (at %d) returned the head %d", b.rev, at[b.rev], b.seq)
		}
	}
}

// The caller cancels a commit. The store then has the whole commit or nothing of it.
func cancelledCommits(t *testing.T, s store.Store) {
	race(t, func(lane string, n int) {
		if n >= 20 {
			return
		}
		id := fmt.Sprintf("%s.%d", lane, n)
		ctx, cancel := context.WithCancel(context.Background())
		var err error
		both(cancel, func() {
			_, err = s.Commit(ctx, store.Batch{Put: []store.Record{rec(id, lane, 0), rec(id+"b", lane, 0)}, Revoke: []source.Revocation{entry(id, time.Time{})}})
		})
		_, errA := store.One(context.Background(), s, key(id))
		_, errB := store.One(context.Background(), s, key(id+"b"))
		if (errA == nil) != (errB == nil) || err == nil && errA != nil {
			t.Errorf("Commit = %v, then Get = %v and %v", err, errA, errB)
		}
	})
	done := map[string]bool{}
	entries, _, err := s.Log(t.Context(), counterfoil.Cursor{}, 100_000)
	must(t, err)
	for _, e := range entries {
		done[e.ID] = true
	}
	for r, err := range s.List(t.Context(), "thing", "*", "") {
		must(t, err)
		if id := r.ID; id[len(id)-1] != 'b' && !done[id] {
			t.Errorf("the store has record %s, and not its entry in the log", id)
		}
	}
}
