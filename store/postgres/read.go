package postgres

import (
	"context"
	"errors"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/counterfoil/counterfoil/store"
)

// Reads that come while as many are on their way as lanes wait a moment and go
// together, as one statement: a round trip is most of what a read costs. Alone, a
// read goes at once. Either way the statement begins after the call did, so it sees
// whatever was committed before (REV-03).

const (
	lanes    = 4
	maxReads = 100 // in one statement
)

const (
	getSQL     = `SELECT owner, rev, expires, value FROM counterfoil.records WHERE kind = $1 AND id = $2`
	getManySQL = `SELECT k.n, r.owner, r.rev, r.expires, r.value
  FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS k(kind, id, n),
  LATERAL (SELECT * FROM counterfoil.records r WHERE r.kind = k.kind AND r.id = k.id OFFSET 0) r`
)

// read is one call that waits.
type read struct {
	keys    []store.Key
	records []store.Record // one for each key; absent: Rev 0
	err     error
	done    chan struct{} // closed when records and err are final
}

// reads are the calls on their way.
type reads struct {
	running sync.WaitGroup // lanes in use; Close waits for them

	mu      sync.Mutex // guards the rest; held for a few assignments
	busy    int        // lanes in use
	waiting []*read
	closed  bool
}

// enter takes a lane, or queues r when there is none.
func (q *reads) enter(r *read) (alone bool, err error) {
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

// close refuses further reads and waits for those that are there.
func (q *reads) close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.running.Wait()
}

// leave gives the lane back, or takes those who wait with it.
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

// Get implements store.Store: one statement, so one round trip.
func (s *Store) Get(ctx context.Context, keys ...store.Key) ([]store.Record, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	r := &read{keys: keys, records: make([]store.Record, len(keys)), done: make(chan struct{})}
	if err := s.answer(ctx, r); err != nil {
		return nil, failed(ctx, "get", err)
	}
	return r.records, nil
}

// answer reads r, with others if there are many.
func (s *Store) answer(ctx context.Context, r *read) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	alone, err := s.reads.enter(r)
	if err != nil {
		return err
	}
	if alone {
		err := s.getAll(ctx, r)
		if group := s.reads.leave(); len(group) > 0 {
			go s.serve(group) // this caller has its answer
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

// serve reads for groups, on the lane it was given, until nobody waits.
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

// getAll reads what all of group ask for. What cannot be part of a key was never
// stored, and is not worth an error of the engine.
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
	case 1: // the planner's shortest way
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
