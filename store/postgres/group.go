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

// Group commit. Each exclusive commit would hold the lock of the log for the time of a
// flush, and the others would queue. So the exclusive commits of one node that arrive at the
// same time share a transaction: one pipeline of commit_2 calls, one round trip, one flush.
//
// Why this keeps the contract:
//
//   - The server runs the calls one after another under the lock. Each call sees the writes of
//     the calls before it, and returns the head right after itself.
//   - A call finds a conflict before it writes anything, so the other calls of the group go on.
//   - Any later failure rolls the whole group back, and is the outcome of every call.
//   - The leader answers no call before the transaction is durable.

// maxGroup bounds how long one transaction makes every other commit wait.
const maxGroup = 100

// call is one commit that waits for its group.
type call struct {
	args     []any
	newEpoch bool // the commit begins an epoch
	head     counterfoil.Cursor
	err      error
	done     chan struct{} // closed when head and err are final
}

// queue holds the calls that no leader has taken.
type queue struct {
	leaders sync.WaitGroup // close waits for it

	mu      sync.Mutex // guards the rest; held for a few assignments
	calls   []*call    // in order of arrival
	leading bool       // a goroutine runs lead, until calls is empty
	closed  bool
}

// grouped commits args together with the other calls that wait.
func (s *Store) grouped(ctx context.Context, args []any, newEpoch bool) (counterfoil.Cursor, error) {
	if err := ctx.Err(); err != nil {
		return counterfoil.Cursor{}, err
	}
	c := &call{args: args, newEpoch: newEpoch, done: make(chan struct{})}
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
	// A leader has taken the call. Its outcome is known soon, or never.
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

// close refuses further calls and waits until the queued calls have their answers.
func (q *queue) close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.leaders.Wait()
}

// lead commits groups until the queue is empty.
func (s *Store) lead() {
	for group := s.queue.take(); len(group) > 0; group = s.queue.take() {
		ctx, cancel := context.WithTimeout(context.Background(), callWithin)
		err := s.acknowledged(ctx, func() error {
			return retry(func() error { return s.commitGroup(ctx, group) })
		})
		cancel()
		for _, c := range group {
			if err != nil {
				c.err = err
			}
			close(c.done)
		}
	}
}

// commitGroup makes the calls of a group in one transaction: the server runs the statements
// of one pipeline as one. If it returns an error, that error is the outcome of every call.
func (s *Store) commitGroup(ctx context.Context, group []*call) error {
	var batch pgx.Batch
	for _, c := range group {
		batch.Queue(commitSQL, c.args...)
		if c.newEpoch {
			batch.Queue(clearEndedSQL, c.args[newEpochArg])
		}
	}
	results := s.pool.SendBatch(ctx, &batch)
	var last counterfoil.Cursor
	for _, c := range group {
		c.head, c.err = scanCommit(results.QueryRow())
		if c.err != nil && !errors.Is(c.err, store.ErrConflict) {
			return errors.Join(c.err, results.Close())
		}
		if c.newEpoch {
			if _, err := results.Exec(); err != nil {
				return errors.Join(err, results.Close())
			}
		}
		if c.err == nil {
			last = c.head
		}
	}
	if err := results.Close(); err != nil { // Close waits for the commit
		return err
	}
	if last != (counterfoil.Cursor{}) {
		s.noteHead(last)
	}
	return nil
}
