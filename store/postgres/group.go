package postgres

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/store"
)

// Commits that must be alone would queue for the lock of the log, each for the time
// of a flush. Those of one node that come at the same time share a transaction
// instead: one pipeline of commit_1 calls, one round trip, one flush.
//
// Why this keeps the contract: the calls run one after another under the lock, each
// seeing what those before it wrote, and each is told the head right after itself. A
// conflict is found before the call writes anything, so the others go on. What fails
// after that rolls the whole group back, and is the answer to all of it. Nobody is
// answered before the transaction is durable.

// maxGroup bounds how long one transaction keeps every other commit waiting.
const maxGroup = 100

// call is one commit that waits for its group.
type call struct {
	args  []any
	fresh bool // it begins an epoch
	head  counterfoil.Cursor
	err   error
	done  chan struct{} // closed when head and err are final
}

// queue holds the calls that no group has taken yet.
type queue struct {
	leaders sync.WaitGroup // Close waits for them

	mu      sync.Mutex // guards the rest; held for a few assignments
	calls   []*call    // in order of arrival
	leading bool       // a goroutine takes groups, until calls is empty
	closed  bool
}

// grouped commits args with whoever else waits.
func (s *Store) grouped(ctx context.Context, args []any, fresh bool) (counterfoil.Cursor, error) {
	if err := ctx.Err(); err != nil {
		return counterfoil.Cursor{}, err
	}
	c := &call{args: args, fresh: fresh, done: make(chan struct{})}
	if err := s.enqueue(c); err != nil {
		return counterfoil.Cursor{}, err
	}
	select {
	case <-c.done:
		return c.head, c.err
	case <-ctx.Done():
	}
	if s.queue.remove(c) {
		return counterfoil.Cursor{}, ctx.Err()
	}
	// Its group has begun: what came of it is known in a moment, or not at all.
	select {
	case <-c.done:
		return c.head, c.err
	case <-time.After(giveUpAfter):
		return counterfoil.Cursor{}, ctx.Err()
	}
}

func (s *Store) enqueue(c *call) error {
	q := &s.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return errClosed
	}
	q.calls = append(q.calls, c)
	if !q.leading {
		q.leading = true
		q.leaders.Go(s.lead)
	}
	return nil
}

// remove reports whether c was still waiting.
func (q *queue) remove(c *call) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for n, other := range q.calls {
		if other == c {
			q.calls = append(q.calls[:n:n], q.calls[n+1:]...)
			return true
		}
	}
	return false
}

func (q *queue) take() []*call {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := min(len(q.calls), maxGroup)
	group := q.calls[:n:n]
	q.calls = q.calls[n:]
	q.leading = n > 0
	return group
}

// close refuses further calls and waits for those that are there.
func (q *queue) close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.leaders.Wait()
}

// lead commits groups until nobody waits.
func (s *Store) lead() {
	for group := s.queue.take(); len(group) > 0; group = s.queue.take() {
		ctx, cancel := context.WithTimeout(context.Background(), callWithin)
		err := retry(func() error { return s.commitGroup(ctx, group) })
		cancel()
		for _, c := range group {
			if err != nil {
				c.err = err
			}
			close(c.done)
		}
	}
}

// commitGroup does the calls of a group in one transaction, which the server makes of
// what is sent in one pipeline. Its error is that of all.
func (s *Store) commitGroup(ctx context.Context, group []*call) error {
	var batch pgx.Batch
	for _, c := range group {
		batch.Queue(commitSQL, c.args...)
		if c.fresh {
			batch.Queue(settledSQL, c.args[newEpochArg])
		}
	}
	results := s.pool.SendBatch(ctx, &batch)
	var last counterfoil.Cursor
	for _, c := range group {
		c.head, c.err = scanCommit(results.QueryRow())
		if c.err != nil && !errors.Is(c.err, store.ErrConflict) {
			return errors.Join(c.err, results.Close())
		}
		if c.fresh {
			if _, err := results.Exec(); err != nil {
				return errors.Join(err, results.Close())
			}
		}
		if c.err == nil {
			last = c.head
		}
	}
	if err := results.Close(); err != nil { // here it is committed
		return err
	}
	if last != (counterfoil.Cursor{}) {
		s.note(last)
	}
	return nil
}
