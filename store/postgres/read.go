package postgres

import (
	"context"
	"errors"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/counterfoil/counterfoil/store"
)

// A round trip is most of the cost of a read. So at most `lanes` statements run at a time.
// A read that finds a free lane runs at once. The reads that find none wait, and run together
// as one statement when a lane is free. In both cases the statement begins after the call to
// Get, so it sees every earlier commit (REV-03).

const (
	lanes    = 4   // statements at a time
	maxReads = 100 // in one statement
)

const (
	getSQL     = `SELECT owner, rev, expires, value FROM counterfoil.records WHERE kind = $1 AND id = $2`
	getManySQL = `SELECT k.n, r.owner, r.rev, r.expires, r.value
  FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS k(kind, id, n),
  LATERAL (SELECT * FROM counterfoil.records r WHERE r.kind = k.kind AND r.id = k.id OFFSET 0) r`
)

// read is one call of Get.
type read struct {
	keys    []store.Key
	records []store.Record // one for each key; absent: Rev 0
	err     error
	done    chan struct{} // closed when records and err are final
}

// reads has the state of all calls of Get.
type reads struct {
	running sync.WaitGroup // lanes in use; Close waits for them

	mu      sync.Mutex // guards the rest; held for a few assignments
	busy    int        // lanes in use
	waiting []*read
	closed  bool
}

// enter takes a lane. It queues r if no lane is free.
func (q *reads) enter(r *read) (entered bool, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return false, errClosed
	}
	if q.busy < lanes {
		q.busy++
		q.running.Add(1)
		return true, nil
	}
	q.waiting = append(q.waiting, r)
	return false, nil
}

// close refuses further reads and waits until the queued reads have their answers.
func (q *reads) close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.running.Wait()
}

// leave returns the reads that wait: the caller runs them on its lane. If none waits, it
// frees the lane.
func (q *reads) leave() []*read {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := min(len(q.waiting), maxReads)
	group := q.waiting[:n:n]
	if q.waiting = q.waiting[n:]; n == 0 {
		q.busy--
		q.running.Done()
	}
	return group
}

// Get implements [store.Store]. It is one statement, so one round trip.
func (s *Store) Get(ctx context.Context, keys ...store.Key) ([]store.Record, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	r := &read{keys: keys, records: make([]store.Record, len(keys)), done: make(chan struct{})}
	if err := s.answer(ctx, r); err != nil {
		return nil, failed(ctx, "get", err)
	}
	return r.records, nil
}

// answer fills r. It shares the statement with other reads if no lane is free.
func (s *Store) answer(ctx context.Context, r *read) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	entered, err := s.reads.enter(r)
	if err != nil {
		return err
	}
	if entered {
		err := s.getAll(ctx, r)
		if group := s.reads.leave(); len(group) > 0 {
			go s.serve(group) // not here: the caller already has its answer
		}
		return err
	}
	select {
	case <-r.done:
		return r.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// serve fills groups of reads on the lane of its caller, until no read waits.
func (s *Store) serve(group []*read) {
	for ; len(group) > 0; group = s.reads.leave() {
		ctx, cancel := context.WithTimeout(context.Background(), callWithin)
		err := s.getAll(ctx, group...)
		cancel()
		for _, r := range group {
			r.err = err
			close(r.done)
		}
	}
}

// getAll fills all reads of group. It does not ask the server for a key that cannot be
// stored: the server could refuse the text, and the record is absent anyway.
func (s *Store) getAll(ctx context.Context, group ...*read) error {
	var kinds, ids []string
	var into []*store.Record
	for _, r := range group {
		for n, k := range r.keys {
			r.records[n] = store.Record{Key: k}
			if storable(k.ID) && storable(string(k.Kind)) {
				kinds, ids, into = append(kinds, string(k.Kind)), append(ids, k.ID), append(into, &r.records[n])
			}
		}
	}
	switch len(into) {
	case 0:
		return nil
	case 1: // a simpler plan
		var expires int64
		err := s.pool.QueryRow(ctx, getSQL, kinds[0], ids[0]).Scan(&into[0].Owner, &into[0].Rev, &expires, &into[0].Value)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		into[0].Expires = fromUnix(expires)
		return err
	}
	rows, err := s.pool.Query(ctx, getManySQL, kinds, ids)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var n, expires int64
		var got store.Record
		if err := rows.Scan(&n, &got.Owner, &got.Rev, &expires, &got.Value); err != nil {
			return err
		}
		got.Key, got.Expires = into[n-1].Key, fromUnix(expires)
		*into[n-1] = got
	}
	return rows.Err()
}
