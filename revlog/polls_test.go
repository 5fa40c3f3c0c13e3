package revlog_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/memory"
)

// counted counts the reads of the log; each takes a while.
type counted struct {
	store.Store
	logs, waits atomic.Int64
	hints       atomic.Int64 // how many waits end for nothing
}

const readTakes = time.Millisecond

func (c *counted) Log(ctx context.Context, after counterfoil.Cursor, limit int) ([]source.Revocation, counterfoil.Cursor, error) {
	c.logs.Add(1)
	entries, head, err := c.Store.Log(ctx, after, limit)
	time.Sleep(readTakes) // what happened meanwhile is not in it
	return entries, head, err
}

func (c *counted) Wait(ctx context.Context, after counterfoil.Cursor) error {
	c.waits.Add(1)
	if c.hints.Add(-1) >= 0 {
		return nil
	}
	return c.Store.Wait(ctx, after)
}

func openCounted(t *testing.T) (*side, *counted) {
	t.Helper()
	s := &counted{Store: memory.New()}
	return open(t, s), s
}

// followAll follows the log as many verifiers do, each in steps of wait, until stop.
func followAll(t *testing.T, l *side, many int, wait time.Duration) (heads func() []counterfoil.Cursor, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	at := make([]atomic.Pointer[counterfoil.Cursor], many)
	for n := range many {
		all.Go(func() {
			time.Sleep(wait * time.Duration(n) / time.Duration(many)) // not in step
			f := source.Follow{Verifier: fmt.Sprintf("verifier-%d", n), Bound: maxBound}
			for ctx.Err() == nil {
				page, err := l.feed.Page(ctx, f)
				if err == nil {
					f.After, f.Proof, f.Wait = page.Upto, page.Proof, wait
					at[n].Store(&page.Upto)
				} else if ctx.Err() == nil {
					t.Error(err)
				}
			}
		})
	}
	return func() (heads []counterfoil.Cursor) {
		for n := range at {
			heads = append(heads, *at[n].Load())
		}
		return heads
	}, func() { cancel(); all.Wait() }
}

// A thousand verifiers that wait cost one read of the head for each wake-up, and one
// for each tick in which a wait ends (4.4).
func TestManyWaitersCostOneRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const many, wait = 1000, time.Second
		l, s := openCounted(t)
		heads, stop := followAll(t, l, many, wait)
		defer stop()
		time.Sleep(3 * wait)
		before := s.logs.Load()
		time.Sleep(10 * wait)
		if idle := s.logs.Load() - before; idle > 10*21 {
			t.Errorf("%d reads of the log in 10 s in which nothing happened: want one for each 50 ms", idle)
		}
		for range 5 {
			time.Sleep(7 * time.Millisecond) // they ask anew
			synctest.Wait()
			before, waits := s.logs.Load(), s.waits.Load()
			at := l.revoke(t)
			time.Sleep(3 * readTakes)
			synctest.Wait()
			if n := s.logs.Load() - before; n > 2 { // one more if a wait ended just now
				t.Errorf("a wake-up of %d verifiers costs %d reads of the log, want 1", many, n)
			}
			if n := s.waits.Load() - waits; n > 2 {
				t.Errorf("after a wake-up %d waits begin, want 1", n)
			}
			for n, head := range heads() {
				if head != at {
					t.Fatalf("verifier %d is at %v, want %v", n, head, at)
				}
			}
		}
	})
}

// A read that began before a question is no answer to it (REV-03), however many ask.
func TestReadBeginsAfterTheQuestion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, s := openCounted(t)
		for _, wait := range []time.Duration{0, time.Second} {
			before := s.logs.Load()
			var all sync.WaitGroup
			ask := func(want counterfoil.Cursor) {
				all.Go(func() {
					page, err := l.feed.Page(t.Context(), source.Follow{Wait: wait})
					if err != nil || page.Head.Before(want) {
						t.Errorf("head %v, %v: the revocation at %v was before the question", page.Head, err, want)
					}
				})
			}
			ask(counterfoil.Cursor{})
			time.Sleep(readTakes / 2) // its read is under way, and has seen what it will
			at := l.revoke(t)
			for range 1000 {
				ask(at)
			}
			all.Wait()
			if n := s.logs.Load() - before; n > 3 {
				t.Errorf("wait %v: %d reads for two moments", wait, n)
			}
		}
	})
}

// A verifier that hangs up leaves the others their answer.
func TestOneWaiterHangsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _ := openCounted(t)
		head, err := l.feed.Page(t.Context(), source.Follow{})
		if err != nil {
			t.Fatal(err)
		}
		f := source.Follow{After: head.Upto, Wait: time.Second}
		first, hangUp := context.WithCancel(t.Context())
		var all sync.WaitGroup
		all.Go(func() {
			if _, err := l.feed.Page(first, f); err == nil {
				t.Error("an answer to nobody")
			}
		})
		all.Go(func() {
			begun := time.Now()
			page, err := l.feed.Page(t.Context(), f)
			if took := time.Since(begun); err != nil || len(page.Entries) != 0 || took < time.Second-50*time.Millisecond || took > time.Second+2*readTakes {
				t.Errorf("answer %v, %v after %v", page, err, took)
			}
		})
		synctest.Wait()
		hangUp()
		all.Wait()
	})
}

// A store that wakes for nothing leaves the verifiers waiting: one that is answered
// early leaves the issuer alone for a while, and would miss the next revocation.
func TestHintsForNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, s := openCounted(t)
		head, err := l.feed.Page(t.Context(), source.Follow{})
		if err != nil {
			t.Fatal(err)
		}
		f := source.Follow{After: head.Upto, Wait: time.Second}
		s.hints.Store(5)
		begun := time.Now()
		var all sync.WaitGroup
		ask := func() {
			all.Go(func() {
				page, err := l.feed.Page(t.Context(), f)
				if err != nil || len(page.Entries) != 1 || time.Since(begun) < 500*time.Millisecond {
					t.Errorf("answer %v, %v after %v", page, err, time.Since(begun))
				}
			})
		}
		for range 20 { // some of them during the reads
			ask()
			time.Sleep(readTakes / 3)
		}
		time.Sleep(500 * time.Millisecond)
		if n := s.logs.Load(); n > 10 {
			t.Errorf("%d reads for 5 hints", n)
		}
		l.revoke(t)
		all.Wait()
	})
}
