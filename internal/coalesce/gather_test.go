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

// Many callers share few reads, each of which began after its callers asked, and is of their own key.
func TestManyCallersGather(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g coalesce.Gather[string, time.Time]
		var reads atomic.Int64
		refused := errors.New("refused")
		var all sync.WaitGroup
		for range 100 {
			for range 50 {
				for _, key := range []string{"good", "ended"} {
					asked := time.Now()
					all.Go(func() {
						at, err := g.Do(t.Context(), key, func(context.Context) (time.Time, error) {
							reads.Add(1)
							if key == "ended" {
								return time.Time{}, refused
							}
							return time.Now(), nil
						})
						switch {
						case key == "ended" && err != refused, key == "good" && err != nil:
							t.Errorf("%s: %v", key, err)
						case key == "good" && (at.Before(asked) || time.Since(asked) > 10*time.Millisecond):
							t.Errorf("asked at %v, read at %v, answered at %v", asked, at, time.Now())
						}
					})
				}
			}
			time.Sleep(time.Millisecond)
		}
		all.Wait()
		if n := reads.Load(); n > 20*(8+2)+10 {
			t.Errorf("%d reads for 10,000 callers within 100 ms", n)
		}
	})
}

// Few callers never wait, and nobody gets what was read before it asked.
func TestFewCallersReadAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g coalesce.Gather[string, int]
		state, begun := 0, time.Now()
		for n := range 8 {
			state = n
			if got, err := g.Do(t.Context(), "key", func(context.Context) (int, error) { return state, nil }); got != n || err != nil {
				t.Errorf("Do = %d, %v, want %d", got, err, n)
			}
		}
		if took := time.Since(begun); took > 0 {
			t.Errorf("they took %v", took)
		}
		ctx, giveUp := context.WithCancel(t.Context())
		giveUp()
		if _, err := g.Do(ctx, "key", func(context.Context) (int, error) { return state, nil }); !errors.Is(err, context.Canceled) {
			t.Errorf("a caller that gives up = %v", err)
		}
	})
}
