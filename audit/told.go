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
// tells how many. They are counted before they wait, so a flood of one action takes no room
// from another. Refusals of the last moment are lost when the process is killed: nothing was
// done in them.

const (
	refusedPerMinute = 20
	toldRoom         = 512 // refusals that wait to be kept
	keepToldEvery    = time.Second
)

// sampler decides which refusals are kept.
type sampler struct {
	mu      sync.Mutex // guards all below
	minute  time.Time  // when this minute began
	told    map[Action]int
	dropped map[Action]int
}

// tell puts e into told if it is to be kept, and counts it if it is not.
func (s *sampler) tell(e Entry, told chan<- Entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.told[e.Action]++; s.told[e.Action] <= refusedPerMinute {
		select {
		case told <- e:
			return
		default: // no room
		}
	}
	s.dropped[e.Action]++
}

// turn begins another minute if this one is over or sure is set, and returns an entry for each
// action of which some were not kept in it.
func (s *sampler) turn(now time.Time, sure bool) (missing []Entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if over := now.Sub(s.minute) >= time.Minute || now.Before(s.minute); !over && !sure {
		return nil
	}
	for action, n := range s.dropped {
		missing = append(missing, Entry{
			Time: now, Action: action, Outcome: Refused, By: ByUnknown,
			Detail: fmt.Sprintf("not_kept=%d since=%s", n, s.minute.UTC().Format(time.RFC3339)),
		})
	}
	s.minute, s.told, s.dropped = now, map[Action]int{}, map[Action]int{}
	return missing
}

// keepTold keeps refusals until ctx ends, and then those that wait.
func (t *Trail) keepTold(ctx context.Context) {
	ticker := time.NewTicker(keepToldEvery)
	defer ticker.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-ticker.C:
		}
		t.keepWaiting(context.WithoutCancel(ctx), ctx.Err() != nil)
	}
}

// keepWaiting keeps what was told since the last time. last says that it is called no more.
func (t *Trail) keepWaiting(ctx context.Context, last bool) {
	kept := t.sampler.turn(t.opts.Now(), last)
	for range toldRoom {
		select {
		case e := <-t.told:
			kept = append(kept, e)
			continue
		default:
		}
		break
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
