package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/store"
)

// Group commit. Commits that arrive at the same time share one transaction, and so one
// flush to the disk. The flush is most of the cost of a commit. There is no goroutine for
// this: one of the waiting callers becomes the leader, and commits the batches of all callers
// that wait by then.
//
// Why this keeps the contract:
//
//   - The leader applies the batches of a group one after another, in one transaction, under
//     SQLite's write lock. So every commit is serial against every other, in the order of the
//     group. The head that a caller gets is the head of the log right after its batch: it
//     includes the entries of earlier batches, and no entry of a later batch.
//   - A batch is all or nothing without a savepoint. The leader checks all conditions of a
//     batch before its first write. After that only the engine can fail, and then the leader
//     rolls the whole group back.
//   - The leader answers no caller before COMMIT has returned. With synchronous=FULL the group
//     is then on disk. If COMMIT fails, the outcome is unknown for every batch of the group.
//     This includes a batch that met a conflict: the batch that it conflicts with may not have
//     been written.
//   - A caller whose context ends while it waits removes its batch from the queue. That batch
//     is not written. Once the leader has taken the batch, the caller waits for the outcome.
//     A group takes no context of a caller, because it belongs to many callers.

// maxGroup bounds how long a transaction makes the next caller wait.
const maxGroup = 500

// call is one Commit that waits for its answer.
type call struct {
	batch  store.Batch
	ctxErr func() error // the error of the caller's context
	head   counterfoil.Cursor
	err    error
	done   chan struct{} // closed when head and err are final
}

// queue holds the calls that no leader has taken.
type queue struct {
	leader chan struct{} // has one element while there is a leader

	mu    sync.Mutex // guards calls
	calls []*call    // in order of arrival
}

func (q *queue) add(c *call) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.calls = append(q.calls, c)
}

func (q *queue) take() []*call {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := min(len(q.calls), maxGroup)
	group := q.calls[:n:n]
	q.calls = q.calls[n:]
	return group
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

// Commit implements [store.Store].
func (s *Store) Commit(ctx context.Context, b store.Batch) (counterfoil.Cursor, error) {
	if err := b.Check(); err != nil {
		return counterfoil.Cursor{}, err
	}
	c := &call{batch: b, ctxErr: ctx.Err, done: make(chan struct{})}
	s.queue.add(c)
	for cancelled := ctx.Done(); ; {
		select {
		case <-c.done:
			if c.err != nil {
				return counterfoil.Cursor{}, fmt.Errorf("sqlite: commit: %w", c.err)
			}
			return c.head, nil
		case s.queue.leader <- struct{}{}:
			s.lead() // closes c.done too, unless a full group came before c
		case <-cancelled:
			if s.queue.remove(c) {
				return counterfoil.Cursor{}, fmt.Errorf("sqlite: commit: %w", ctx.Err())
			}
			cancelled = nil // a leader has taken c, and will close c.done
		}
	}
}

// lead commits one group. The caller holds the lead; lead gives it back.
func (s *Store) lead() {
	// The callers of the last group may be about to commit again. Gosched lets them run first:
	// then one full group is committed, instead of two halves.
	runtime.Gosched()
	group := s.queue.take()
	err := errors.New("commit panicked") // replaced below, unless commit panics
	defer func() {
		<-s.queue.leader
		for _, c := range group {
			if err != nil {
				c.err = err
			}
			close(c.done)
		}
	}()
	if len(group) == 0 {
		err = nil
		return
	}
	err = s.commit(context.Background(), group)
}

// commit applies the batches of a group in one transaction. It sets head and err of each
// call. If it returns an error, that error is the outcome of every call.
func (s *Store) commit(ctx context.Context, group []*call) error {
	sqlTx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer sqlTx.Rollback() // does nothing after Commit
	t := s.statements.in(ctx, sqlTx)
	head, err := t.readHead(ctx)
	if err != nil {
		return err
	}
	before, lost := head, s.lost.Load()
	for _, c := range group {
		if c.err = c.ctxErr(); c.err != nil {
			continue
		}
		if lost && !c.batch.NewEpoch {
			c.err = store.ErrLost
			continue
		}
		if err := t.check(ctx, c.batch); errors.Is(err, store.ErrConflict) {
			c.err = err
			continue
		} else if err != nil {
			return err
		}
		if head, err = t.apply(ctx, c.batch, head); err != nil {
			return err
		}
		c.head, lost = head, false
	}
	unmark := s.copied.Load() && head.Epoch != before.Epoch
	if unmark {
		if _, err := sqlTx.ExecContext(ctx, setMarkSQL, ""); err != nil {
			return err
		}
	}
	if head != before {
		if _, err := t.setHead.ExecContext(ctx, int64(head.Epoch), head.Seq); err != nil {
			return err
		}
	}
	if err := sqlTx.Commit(); err != nil {
		return err
	}
	if unmark {
		s.copied.Store(false)
	}
	if s.lost.Swap(lost) != lost || head != before {
		s.wake()
	}
	return nil
}

// check checks all conditions of b.
func (t statements) check(ctx context.Context, b store.Batch) error {
	for _, r := range b.Require {
		if err := t.checkRev(ctx, r.Key, r.Rev); err != nil {
			return err
		}
	}
	for _, r := range b.Put {
		if err := t.checkRev(ctx, r.Key, r.Rev); err != nil {
			return err
		}
	}
	return nil
}

func (t statements) checkRev(ctx context.Context, k store.Key, want uint64) error {
	var rev uint64
	err := t.rev.QueryRowContext(ctx, k.Kind, k.ID).Scan(&rev)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	if rev != want {
		return store.ErrConflict
	}
	return nil
}

// apply writes b and returns the head after it. The caller has checked the conditions of b.
func (t statements) apply(ctx context.Context, b store.Batch, head counterfoil.Cursor) (counterfoil.Cursor, error) {
	for _, o := range b.DeleteOwned {
		if _, err := t.deleteOwned.ExecContext(ctx, o.Kind, o.Owner); err != nil {
			return head, err
		}
	}
	for _, k := range b.Delete {
		if _, err := t.delete.ExecContext(ctx, k.Kind, k.ID); err != nil {
			return head, err
		}
	}
	for _, r := range b.Put {
		if err := t.write(ctx, r); err != nil {
			return head, err
		}
	}
	if b.NewEpoch {
		head = counterfoil.Cursor{Epoch: rand.Uint64()}
		if _, err := t.clearLog.ExecContext(ctx); err != nil {
			return head, err
		}
	}
	for _, e := range b.Revoke {
		head.Seq += 1 + rand.Uint64N(1024) // rv is in tokens: it must not tell how many revocations there are
		if _, err := t.append.ExecContext(ctx, head.Seq, e.Scope, e.ID, toUnix(e.Expires), e.Reason); err != nil {
			return head, err
		}
	}
	return head, nil
}

func (t statements) write(ctx context.Context, r store.Record) error {
	value, texts := append([]byte{}, r.Value...), textsOf(r) // never NULL
	if r.Rev > 0 {
		result, err := t.update.ExecContext(ctx, r.Kind, r.ID, r.Owner, toUnix(r.Expires), r.Rev+1, value, texts)
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n == 1 {
			return err
		}
	}
	_, err := t.put.ExecContext(ctx, r.Kind, r.ID, r.Owner, r.Rev+1, toUnix(r.Expires), value, texts)
	return err
}
