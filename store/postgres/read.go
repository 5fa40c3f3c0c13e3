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

const getManySQL = `SELECT k.n, r.owner, r.rev, r.expires, r.value
  FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS k(kind, id, n),
  LATERAL (SELECT * FROM counterfoil.records r WHERE r.kind = k.kind AND r.id = k.id OFFSET 0) r`

// read is one Get that waits.
type read struct {
	key    store.Key
	record store.Record
	err    error
	done   chan struct{} // closed when record and err are final
}

// reads are the Gets on their way.
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

// get reads k, with others if there are many.
func (s *Store) get(ctx context.Context, k store.Key) (store.Record, error) {
	if err := ctx.Err(); err != nil {
		return store.Record{}, err
	}
	r := &read{key: k, done: make(chan struct{})}
	alone, err := s.reads.enter(r)
	if err != nil {
		return store.Record{}, err
	}
	if alone {
		record, err := s.getOne(ctx, k)
		if group := s.reads.leave(); len(group) > 0 {
			go s.serve(group) // this caller has its answer
		}
		return record, err
	}
	select {
	case <-r.done:
		return r.record, r.err
	case <-ctx.Done():
		return store.Record{}, ctx.Err()
	}
}

func (s *Store) getOne(ctx context.Context, k store.Key) (store.Record, error) {
	r, expires := store.Record{Key: k}, int64(0)
	err := s.pool.QueryRow(ctx, getSQL, string(k.Kind), k.ID).Scan(&r.Owner, &r.Rev, &expires, &r.Value)
	if errors.Is(err, pgx.ErrNoRows) {
		return store.Record{}, store.ErrNotFound
	}
	r.Expires = fromUnix(expires)
	return r, err
}

// serve reads for groups, on the lane it was given, until nobody waits.
func (s *Store) serve(group []*read) {
	for ; len(group) > 0; group = s.reads.leave() {
		ctx, cancel := context.WithTimeout(context.Background(), callWithin)
		err := s.getMany(ctx, group)
		cancel()
		for _, r := range group {
			if err != nil {
				r.err = err
			}
			close(r.done)
		}
	}
}

func (s *Store) getMany(ctx context.Context, group []*read) error {
	kinds, ids := make([]string, len(group)), make([]string, len(group))
	for n, r := range group {
		kinds[n], ids[n] = string(r.key.Kind), r.key.ID
		r.err = store.ErrNotFound
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
		r := group[n-1]
		got.Key, got.Expires = r.key, fromUnix(expires)
		r.record, r.err = got, nil
	}
	return rows.Err()
}
