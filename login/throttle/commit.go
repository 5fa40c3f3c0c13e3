package throttle

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/store"
)

// job is one change of counters. What comes at once to one node is changed in one
// commit.
type job struct {
	ids   []string                        // the records that apply reads or writes
	apply func(now time.Time, of tallies) // may be called again, after a conflict
	left  func()                          // called when it is done, if nobody waits for it any more; nil: nothing is
	done  chan struct{}                   // closed when err is final
	err   error
}

// Bounds of one commit, and of those that wait for the next.
const (
	maxJobs    = 64              // in one commit
	maxWaiting = 8 * maxJobs     // beyond that an attempt is not counted, and not checked
	maxTries   = 12              // of one commit: at each, one of the nodes succeeds
	within     = 5 * time.Second // what a commit may take
)

// queue is do for an attempt: it fails with login.ErrBusy if too many wait.
func (t *Throttle) queue(ctx context.Context, j *job) error {
	t.mu.Lock()
	full := len(t.waiting) >= maxWaiting
	t.mu.Unlock()
	if full {
		return login.ErrBusy
	}
	return t.do(ctx, j)
}

// do adds j to those that wait and returns when it is done. One of those that wait
// has all of them done, while it holds the turn. If ctx ends first, that is an outage: j is
// not done, or taken back by left.
func (t *Throttle) do(ctx context.Context, j *job) error {
	t.mu.Lock()
	t.waiting = append(t.waiting, j)
	t.mu.Unlock()
	for {
		select {
		case <-j.done:
			return j.err
		case <-ctx.Done():
			if !t.leave(j) && j.left != nil {
				go func() { // it ends with the commit under way, and one more
					if <-j.done; j.err == nil {
						j.left()
					}
				}()
			}
			return store.Outage(ctx.Err())
		case t.turn <- struct{}{}:
			go func() { // it ends with its commit, which takes no longer than within
				t.work(ctx)
				<-t.turn
			}()
		}
	}
}

// leave takes j from those that wait, if it is still one of them.
func (t *Throttle) leave(j *job) (was bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := slices.Index(t.waiting, j)
	if n < 0 {
		return false
	}
	t.waiting = slices.Concat(t.waiting[:n], t.waiting[n+1:]) // a copy: see work
	return true
}

// work does the jobs that wait. The caller has the turn.
func (t *Throttle) work(ctx context.Context) {
	t.mu.Lock()
	n := min(len(t.waiting), maxJobs)
	jobs := t.waiting[:n:n]
	t.waiting = t.waiting[n:]
	t.mu.Unlock()
	if n == 0 {
		return
	}
	// It is the others' work too: it does not end with this caller.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), within)
	defer cancel()
	err := t.commit(ctx, jobs)
	for _, j := range jobs {
		j.err = err
		close(j.done)
	}
}

// commit does jobs, one after another, on what the store has, and writes what came of
// it by compare-and-swap. An error other than login.ErrBusy leaves the outcome unknown:
// what is counted too often is no free guess.
func (t *Throttle) commit(ctx context.Context, jobs []*job) error {
	for try := range maxTries {
		of, err := t.read(ctx, jobs)
		if err != nil {
			return err
		}
		now := t.opts.Now().UTC().Round(0) // as it is read back
		for _, j := range jobs {
			j.apply(now, of)
		}
		b, err := of.batch()
		if err != nil || len(b.Put)+len(b.Delete) == 0 {
			return err
		}
		_, err = t.opts.Store.Commit(ctx, b)
		if err == nil {
			return nil
		}
		if !errors.Is(err, store.ErrConflict) {
			return store.Outage(err)
		}
		if err := pause(ctx, try); err != nil {
			return err
		}
	}
	return login.ErrBusy
}

// pause lets another node finish, so that two do not run into each other for ever.
func pause(ctx context.Context, try int) error {
	timer := time.NewTimer(rand.N(time.Duration(try+1) * time.Millisecond))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return store.Outage(ctx.Err())
	}
}

// tallies are the counters of some jobs, by the ids of their records.
type tallies map[string]*counter

type counter struct {
	rev     uint64
	was, is tally
}

func (t *Throttle) read(ctx context.Context, jobs []*job) (tallies, error) {
	of := tallies{}
	var keys []store.Key
	for _, j := range jobs {
		for _, id := range j.ids {
			if of[id] == nil {
				of[id] = &counter{}
				keys = append(keys, key(id))
			}
		}
	}
	records, err := t.opts.Store.Get(ctx, keys...)
	if err != nil {
		return nil, store.Outage(err)
	}
	for _, r := range records {
		c := of[r.ID]
		if c.was, err = parse(r); err != nil {
			return nil, err
		}
		c.rev, c.is = r.Rev, c.was
	}
	return of, nil
}

func (of tallies) get(id string) tally    { return of[id].is }
func (of tallies) set(id string, f tally) { of[id].is = f }

// batch writes what changed, if nothing of it changed in the store meanwhile.
func (of tallies) batch() (b store.Batch, err error) {
	for _, id := range slices.Sorted(maps.Keys(of)) { // in one order: nodes that wait for each other's locks would wait for ever
		c := of[id]
		switch {
		case c.is == c.was:
		case c.is.Failures == 0 && c.is.Debt == 0:
			b.Require = append(b.Require, store.Require{Key: key(id), Rev: c.rev})
			b.Delete = append(b.Delete, key(id))
		default:
			r, err := c.is.record(id, c.rev)
			if err != nil {
				return b, err
			}
			b.Put = append(b.Put, r)
		}
	}
	return b, nil
}
