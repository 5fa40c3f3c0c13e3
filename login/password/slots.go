package password

import (
	"context"
	"slices"
	"sync"
)

// slots are the hashers. Of those that are free the first is taken: while there is little to do,
// one process does it, the one with a share of a busy machine, and the others end.
type slots struct {
	free chan struct{} // as many as hashers are free

	mu   sync.Mutex
	all  []hasher
	busy []bool
}

func newSlots(all []hasher) *slots {
	s := &slots{free: make(chan struct{}, len(all)), all: all, busy: make([]bool, len(all))}
	for range all {
		s.free <- struct{}{}
	}
	return s
}

// take waits for a hasher, in turn.
func (s *slots) take(ctx context.Context) (h hasher, release func(), err error) {
	select {
	case <-s.free:
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	n := slices.Index(s.busy, false)
	s.busy[n] = true
	return s.all[n], func() {
		s.mu.Lock()
		s.busy[n] = false
		s.mu.Unlock()
		s.free <- struct{}{}
	}, nil
}

func (s *slots) count() int   { return cap(s.free) }
func (s *slots) running() int { return cap(s.free) - len(s.free) }
