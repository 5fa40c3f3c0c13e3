package coalesce_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/counterfoil/counterfoil/internal/coalesce"
)

// A thousand callers that come during one read share the next one, which began after each
// of them asked.
func TestCallersShareTheNextRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var reads coalesce.Reads[int64]
		var state, count atomic.Int64
		read := func(context.Context) (int64, error) {
			count.Add(1)
			seen := state.Load()
			time.Sleep(time.Second)
			return seen, nil
		}
		var all sync.WaitGroup
		ask := func(want int64) {
			all.Go(func() {
				if got, err := reads.Do(t.Context(), read); got != want || err != nil {
					t.Errorf("Do = %d, %v, want %d", got, err, want)
				}
			})
		}
		ask(0)
		synctest.Wait() // its read is under way
		state.Store(1)
		for range 1000 {
			ask(1)
		}
		all.Wait()
		if n := count.Load(); n != 2 {
			t.Errorf("%d reads, want 2", n)
		}
		ask(1)
		all.Wait()
		if n := count.Load(); n != 3 {
			t.Errorf("%d reads after all were answered, want 3: an answer is not kept", n)
		}
	})
}

// Callers that come during a shared read share the next one: two are never under way.
func TestOneReadAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var reads coalesce.Reads[int64]
		var underWay, count atomic.Int64
		read := func(context.Context) (int64, error) {
			if n := underWay.Add(1); n != 1 {
				t.Errorf("%d reads are under way", n)
			}
			defer underWay.Add(-1)
			time.Sleep(time.Second)
			return count.Add(1), nil
		}
		var all sync.WaitGroup
		for turn := range int64(4) {
			for range 10 {
				all.Go(func() {
					// The very first caller has the first read to itself.
					if got, err := reads.Do(t.Context(), read); got != turn+2 && (turn != 0 || got != 1) || err != nil {
						t.Errorf("Do in turn %d = %d, %v", turn, got, err)
					}
				})
			}
			time.Sleep(time.Second + time.Millisecond) // the next read is under way
		}
		all.Wait()
		if n := count.Load(); n != 5 {
			t.Errorf("%d reads, want 5", n)
		}
	})
}

// A caller that gives up leaves the others their answer, and an error is everybody's.
func TestOneCallerGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var reads coalesce.Reads[int]
		outage := errors.New("outage")
		read := func(ctx context.Context) (int, error) {
			select {
			case <-ctx.Done():
				return 0, ctx.Err()
			case <-time.After(time.Second):
				return 0, outage
			}
		}
		ctx, giveUp := context.WithCancel(t.Context())
		var all sync.WaitGroup
		for n, want := range map[context.Context]error{ctx: context.Canceled, t.Context(): outage} {
			for range 2 {
				all.Go(func() {
					if _, err := reads.Do(n, read); !errors.Is(err, want) {
						t.Errorf("Do = %v, want %v", err, want)
					}
				})
			}
		}
		synctest.Wait()
		giveUp()
		all.Wait()
	})
}
