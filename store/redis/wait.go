package redis

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/rueidis"
)

// ErrNotReplicated means that the primary did the commit, but fewer replicas than the URL
// asks for have confirmed it in time. All readers see the commit. A failover may undo it.
var ErrNotReplicated = errors.New("done at the primary, and too few replicas have it: a failover may undo it")

// committing returns the client for scripts that commit.
func (s *Store) committing() *waiting {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &waiting{Client: s.client, replicas: s.replicas, disk: s.server.waitaof}
}

// waiting is a client that waits after each command until the given number of replicas have
// it: on disk if the server has WAITAOF, otherwise in memory. WAIT covers everything that the
// server did before it answered the previous command of the same connection.
type waiting struct {
	rueidis.Client
	replicas   int
	disk       bool
	replicated error // ErrNotReplicated if too few replicas have the last command
}

// Do sends the command and the wait over one dedicated connection. On the shared connection
// the wait would block the other callers. In a Cluster the client may send a command again to
// another node; it would not send the wait there too.
func (w *waiting) Do(ctx context.Context, command rueidis.Completed) (answer rueidis.RedisResult) {
	if w.replicas == 0 {
		return w.Client.Do(ctx, command)
	}
	_ = w.Dedicated(func(c rueidis.DedicatedClient) error {
		answers := c.DoMulti(ctx, command, w.wait(ctx))
		answer = answers[0]
		w.replicated = w.enough(answers[1])
		return nil
	})
	return answer
}

// wait returns the command that waits. Its timeout is half of the time that ctx has left, so
// that the server answers before ctx ends.
func (w *waiting) wait(ctx context.Context) rueidis.Completed {
	within := time.Second
	if deadline, ok := ctx.Deadline(); ok {
		within = time.Until(deadline) / 2
	}
	ms := max(1, within.Milliseconds()) // 0 would wait for ever
	if w.disk {
		return w.B().Waitaof().Numlocal(0).Numreplicas(int64(w.replicas)).Timeout(ms).Build()
	}
	return w.B().Wait().Numreplicas(int64(w.replicas)).Timeout(ms).Build()
}

// enough returns ErrNotReplicated unless the answer counts enough replicas.
func (w *waiting) enough(answer rueidis.RedisResult) error {
	var have int64
	var err error
	if w.disk {
		var both []int64 // the disk of the primary, and those of the replicas
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
