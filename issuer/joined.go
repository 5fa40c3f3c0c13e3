package issuer

import (
	"context"
	"sync"
)

// joined lets callers who come while a read is on its way have the next one
// together. What each gets began after it asked, so it is as true as a read of its
// own; and however many ask, one read is on its way.
type joined[T any] struct {
	mu   sync.Mutex // guards the rest; held for a few assignments
	busy bool
	next *turn[T] // of those who wait; nil: nobody does
}

type turn[T any] struct {
	done  chan struct{} // closed when value and err are final
	value T
	err   error
}

func (s *joined[T]) do(ctx context.Context, read func(context.Context) (T, error)) (T, error) {
	s.mu.Lock()
	if !s.busy {
		s.busy = true
		s.mu.Unlock()
		defer s.leave(read)
		return read(ctx)
	}
	if s.next == nil {
		s.next = &turn[T]{done: make(chan struct{})}
	}
	mine := s.next
	s.mu.Unlock()
	select {
	case <-mine.done:
		return mine.value, mine.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}

// leave reads for those who wait, if there are any. It keeps no caller: who has its
// answer goes.
func (s *joined[T]) leave(read func(context.Context) (T, error)) {
	s.mu.Lock()
	mine := s.next
	s.next = nil
	s.busy = mine != nil
	s.mu.Unlock()
	if mine == nil {
		return
	}
	go func() {
		defer s.leave(read)
		ctx, cancel := context.WithTimeout(context.Background(), readWithin)
		defer cancel()
		defer close(mine.done)
		mine.value, mine.err = read(ctx)
	}()
}
