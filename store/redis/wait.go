package redis

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/rueidis"
)

// ErrNotReplicated means that a commit was done at the primary, and that fewer replicas
// than the URL asks for said in time that they have it: a failover may undo it, and until
// then everybody sees it.
var ErrNotReplicated = errors.New("done at the primary, and too few replicas have it: a failover may undo it")

// committing is the client that scripts which commit are run with.
func (s *Store) committing() *waiting {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &waiting{Client: s.client, replicas: s.replicas, disk: s.server.waitaof}
}

// waiting is a client whose commands are done when that many replicas have them: on
// disk, if the server knows WAITAOF, else in memory. What WAIT waits for is all that
// the server had done when the command before it on the same connection was answered.
type waiting struct {
	rueidis.Client
	replicas int
	disk     bool
	missed   error // ErrNotReplicated if too few have the last command
}

// Do puts both on one connection of its own. On the shared one the wait would hold
// everybody up, and to a command that a Cluster sends on to another node the client
// would not send the wait after it.
func (w *waiting) Do(ctx context.Context, command rueidis.Completed) (answer rueidis.RedisResult) {
	if w.replicas == 0 {
		return w.Client.Do(ctx, command)
	}
	_ = w.Dedicated(func(c rueidis.DedicatedClient) error {
		answers := c.DoMulti(ctx, command, w.wait(ctx))
		answer = answers[0]
		w.missed = w.enough(answers[1])
		return nil
	})
	return answer
}

// wait has half the time that is left, so that there is an answer before that is over.
func (w *waiting) wait(ctx context.Context) rueidis.Completed {
	within := time.Second
	if deadline, ok := ctx.Deadline(); ok {
		within = time.Until(deadline) / 2
	}
	ms := max(1, within.Milliseconds()) // 0 is for ever
	if w.disk {
		return w.B().Waitaof().Numlocal(0).Numreplicas(int64(w.replicas)).Timeout(ms).Build()
	}
	return w.B().Wait().Numreplicas(int64(w.replicas)).Timeout(ms).Build()
}

func (w *waiting) enough(answer rueidis.RedisResult) error {
	var have int64
	var err error
	if w.disk {
		var both []int64 // our own disk, and the replicas
		if both, err = answer.AsIntSlice(); err == nil && len(both) == 2 {
			have = both[1]
		}
	} else {
		have, err = answer.AsInt64()
	}
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", ErrNotReplicated, err)
	case have < int64(w.replicas) && w.disk:
		return fmt.Errorf("%w: %d of %d have it on disk", ErrNotReplicated, have, w.replicas)
	case have < int64(w.replicas):
		return fmt.Errorf("%w: %d of %d have it", ErrNotReplicated, have, w.replicas)
	}
	return nil
}
