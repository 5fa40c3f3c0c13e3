package prove

import (
	"context"
	"iter"
	"sync"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store"
)

// outside runs calls in goroutines that belong to no bubble. A store of a simulated deployment
// is opened and called there: it may wait for a network or a lock, which the simulated time
// must not count. While a call runs, that time stands still.
type outside struct {
	idle    chan *outsideWorker
	workers sync.WaitGroup
}

type outsideWorker struct {
	call chan func()
	done chan struct{}
}

// outsideWorkers is how many calls of a deployment run at a time.
const outsideWorkers = 8

// newOutside is called outside of the bubble.
func newOutside() *outside {
	o := &outside{idle: make(chan *outsideWorker, outsideWorkers)}
	for range outsideWorkers {
		w := &outsideWorker{make(chan func()), make(chan struct{})}
		o.workers.Go(func() {
			for call := range w.call {
				call()
				w.done <- struct{}{}
			}
		})
		o.idle <- w
	}
	return o
}

// close ends the goroutines.
func (o *outside) close() {
	for range outsideWorkers {
		close((<-o.idle).call)
	}
	o.workers.Wait()
}

// do is called in the bubble. It returns when call has returned.
func (o *outside) do(call func()) {
	w := <-o.idle
	w.call <- call
	<-w.done
	o.idle <- w
}

// open returns the store of a place for use in the bubble.
func (o *outside) open(open openFunc, place string) (*outsideStore, error) {
	s := &outsideStore{o: o, changed: make(chan struct{})}
	var err error
	o.do(func() { s.inner, err = open(context.Background(), place) })
	return s, err
}

// outsideStore is a store that runs outside of the bubble of its callers. All that use it are
// in one bubble.
type outsideStore struct {
	o     *outside
	inner store.Store

	mu      sync.Mutex    // guards changed
	changed chan struct{} // closed and replaced after each commit
}

// Describe implements [store.Store].
func (s *outsideStore) Describe() (d store.Description) {
	s.o.do(func() { d = s.inner.Describe() })
	return d
}

// Get implements [store.Store].
func (s *outsideStore) Get(_ context.Context, keys ...store.Key) (records []store.Record, err error) {
	s.o.do(func() { records, err = s.inner.Get(context.Background(), keys...) })
	return records, err
}

// List implements [store.Store].
func (s *outsideStore) List(_ context.Context, kind store.Kind, owner, after string) iter.Seq2[store.Record, error] {
	return collected(s.o, func() iter.Seq2[store.Record, error] { return s.inner.List(context.Background(), kind, owner, after) })
}

// Search implements [store.Store].
func (s *outsideStore) Search(_ context.Context, kind store.Kind, prefix string, after store.Position) iter.Seq2[store.Match, error] {
	return collected(s.o, func() iter.Seq2[store.Match, error] { return s.inner.Search(context.Background(), kind, prefix, after) })
}

// collected reads all records outside of the bubble, and then yields them.
func collected[T any](o *outside, read func() iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var all []T
		var err error
		o.do(func() {
			for r, failed := range read() {
				if err = failed; err == nil {
					all = append(all, r)
				}
			}
		})
		for _, r := range all {
			if !yield(r, nil) {
				return
			}
		}
		if err != nil {
			yield(*new(T), err)
		}
	}
}

// Count implements [store.Store].
func (s *outsideStore) Count(_ context.Context, kind store.Kind, prefix string, limit int) (n int, more bool, err error) {
	s.o.do(func() { n, more, err = s.inner.Count(context.Background(), kind, prefix, limit) })
	return n, more, err
}

// Commit implements [store.Store].
func (s *outsideStore) Commit(_ context.Context, b store.Batch) (head counterfoil.Cursor, err error) {
	s.o.do(func() { head, err = s.inner.Commit(context.Background(), b) })
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.changed)
	s.changed = make(chan struct{})
	return head, err
}

// Log implements [store.Store].
func (s *outsideStore) Log(_ context.Context, after counterfoil.Cursor, limit int) (entries []source.Revocation, head counterfoil.Cursor, err error) {
	s.o.do(func() { entries, head, err = s.inner.Log(context.Background(), after, limit) })
	return entries, head, err
}

// Wait implements [store.Store]. It hears of the commits of this process only.
func (s *outsideStore) Wait(ctx context.Context, after counterfoil.Cursor) error {
	for {
		s.mu.Lock()
		changed := s.changed
		s.mu.Unlock()
		_, head, err := s.Log(ctx, after, 1)
		if err != nil || head != after {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
	}
}

// Remember implements [store.Store].
func (s *outsideStore) Remember(_ context.Context, seen counterfoil.Cursor) (err error) {
	s.o.do(func() { err = s.inner.Remember(context.Background(), seen) })
	return err
}

// Time implements [store.Store]: the clock of a store outside is not of the simulated time.
func (s *outsideStore) Time(context.Context) (time.Time, error) { return time.Time{}, nil }

// Sweep implements [store.Store].
func (s *outsideStore) Sweep(_ context.Context, before time.Time) (n int, err error) {
	s.o.do(func() { n, err = s.inner.Sweep(context.Background(), before) })
	return n, err
}

// Close implements [store.Store].
func (s *outsideStore) Close() (err error) {
	s.o.do(func() { err = s.inner.Close() })
	return err
}
