package audit

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/counterfoil/counterfoil/store"
)

// Run does what the trail does in the background, until ctx ends: it keeps refusals, moves
// entries from Options.Beside, and seals what is kept.
func (t *Trail) Run(ctx context.Context) {
	var running sync.WaitGroup
	running.Go(func() { t.keepTold(ctx) })
	running.Go(func() { t.moves(ctx) })
	running.Go(func() { t.seals(ctx) })
	running.Wait()
}

// Strangers can cause refusals without a credential, so they must not fill the store with
// them, and a refusal must not wait for the store. What was refused is kept by Run soon after
// it happened, up to refusedPerMinute of one action on one node. Of more, one entry per minute
// tells how many. Refusals of the last moment are lost when the process is killed: nothing
// was done in them.

const (
	refusedPerMinute = 20
	toldRoom         = 512 // refusals that wait to be kept
	keepToldEvery    = time.Second
)

// sampler decides which refusals are kept. It belongs to one goroutine.
type sampler struct {
	minute  time.Time
	kept    map[Action]int
	dropped map[Action]int
}

// take reports whether e is kept.
func (s *sampler) take(e Entry) bool {
	if s.kept[e.Action]++; s.kept[e.Action] <= refusedPerMinute {
		return true
	}
	s.dropped[e.Action]++
	return false
}

// turn returns an entry for each action of which some were not kept, and begins another minute.
func (s *sampler) turn(now time.Time) (missing []Entry) {
	for action, n := range s.dropped {
		missing = append(missing, Entry{
			Time: now, Action: action, Outcome: Refused, By: ByUnknown,
			Detail: fmt.Sprintf("not_kept=%d since=%s", n, s.minute.UTC().Format(time.RFC3339)),
		})
	}
	s.minute, s.kept, s.dropped = now, map[Action]int{}, map[Action]int{}
	return missing
}

// keepTold keeps refusals until ctx ends, and then those that wait.
func (t *Trail) keepTold(ctx context.Context) {
	var s sampler
	s.turn(t.opts.Now())
	ticker := time.NewTicker(keepToldEvery)
	defer ticker.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-ticker.C:
		}
		t.keepWaiting(context.WithoutCancel(ctx), &s)
	}
	t.keepEntries(context.WithoutCancel(ctx), s.turn(t.opts.Now()))
}

// keepWaiting keeps what was told since the last time.
func (t *Trail) keepWaiting(ctx context.Context, s *sampler) {
	var kept []Entry
	if now := t.opts.Now(); now.Sub(s.minute) >= time.Minute || now.Before(s.minute) {
		kept = s.turn(now)
	}
	for range toldRoom {
		select {
		case e := <-t.told:
			if s.take(e) {
				kept = append(kept, e)
			}
		default:
			t.keepEntries(ctx, kept)
			return
		}
	}
	t.keepEntries(ctx, kept)
}

// keepEntries keeps entries that were told already. An outage loses them: the log has them.
func (t *Trail) keepEntries(ctx context.Context, entries []Entry) {
	if t.opts.Keep < 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	for len(entries) > 0 {
		var b store.Batch
		n := min(len(entries), movePage)
		for i := range entries[:n] {
			rec, err := t.record(&entries[i])
			if err != nil {
				continue
			}
			b.Put = append(b.Put, rec)
		}
		if _, err := t.opts.Store.Commit(ctx, b); err != nil {
			return
		}
		entries = entries[n:]
	}
}
