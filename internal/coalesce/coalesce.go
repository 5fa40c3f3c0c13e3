// Package coalesce lets callers share a read. Begin with [Reads], or with [Gather] for
// reads that are shorter than what comes between two callers. It keeps no answer:
// what a caller gets was read after the caller asked.
package coalesce

import (
	"context"
	"sync"
	"time"
)

// Within bounds a read on behalf of several callers, any of which may give up before.
const Within = 15 * time.Second

// Reads lets callers that come while a read is under way share the next one. The read
// that answers a caller began after the caller asked, so it is as true as a read of the
// caller's own; and however many callers ask, one read is under way. The zero value is
// ready for use.
type Reads[T any] struct {
	mu   sync.Mutex // guards the rest; held for a few assignments
	busy bool       // a read is under way
	next *answer[T] // of the callers that wait for the next read; nil: none waits
}

// answer is that of a shared read.
type answer[T any] struct {
	done  chan struct{} // closed when value and err are final
	value T
	err   error
}

// wait returns the answer. It returns early if ctx ends.
func (a *answer[T]) wait(ctx context.Context) (T, error) {
	select {
	case <-a.done:
		return a.value, a.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}

// fill reads for all that wait.
func (a *answer[T]) fill(read func(context.Context) (T, error)) {
	ctx, cancel := context.WithTimeout(context.Background(), Within)
	defer cancel()
	defer close(a.done)
	a.value, a.err = read(ctx)
}

// Do returns what read returns: called at once with ctx, or once for all callers that
// wait, with a context of their own. It returns early if ctx ends.
func (r *Reads[T]) Do(ctx context.Context, read func(context.Context) (T, error)) (T, error) {
	r.mu.Lock()
	if !r.busy {
		r.busy = true
		r.mu.Unlock()
		defer r.readNext(read)
		return read(ctx)
	}
	if r.next == nil {
		r.next = &answer[T]{done: make(chan struct{})}
	}
	shared := r.next
	r.mu.Unlock()
	return shared.wait(ctx)
}

// readNext reads for the callers that came during the last read, if there are any. It
// does so in a goroutine: the caller that read last has its answer and leaves.
func (r *Reads[T]) readNext(read func(context.Context) (T, error)) {
	r.mu.Lock()
	shared := r.next
	r.next = nil
	r.busy = shared != nil
	r.mu.Unlock()
	if shared == nil {
		return
	}
	go func() {
		defer r.readNext(read)
		shared.fill(read)
	}()
}
