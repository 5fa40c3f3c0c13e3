package counterfoil

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// How long a question about one credential may take, and how many are under way at once.
// Beyond that the answer is [ErrUnavailable], so that a flood of made-up ids is not multiplied
// towards the issuer. The verifier cannot tell a made-up id from a good one, so a part of the
// room is for credentials that were good before: a flood keeps out no client that was in.
const (
	lookupTimeout     = 2 * time.Second
	introspectTimeout = 500 * time.Millisecond
	maxLookups        = 64
	maxStrangers      = 48
)

// lookups asks the source about credentials: once, however many checks wait for the same
// answer. An answer goes to the checks that waited for it, and is not kept.
type lookups struct {
	source  Source
	timeout time.Duration
	count   atomic.Uint64

	// begin is called before each question. What it returns gets the answer before any check
	// does, and before the same is asked again. So a copy that it keeps is never older than an
	// answer that a check had (P3).
	begin func() settle

	mu      sync.Mutex // guards all below; held for map access only
	flights map[credential]*flight
	closed  bool
	done    sync.WaitGroup
}

type settle func(credential, *Session, error)

type flight struct {
	cancel  context.CancelFunc
	over    chan struct{} // closed when session and err are set
	session *Session
	err     error
}

func newLookups(source Source, timeout time.Duration, begin func() settle) *lookups {
	return &lookups{source: source, timeout: timeout, begin: begin, flights: make(map[credential]*flight)}
}

// do returns the issuer's answer: a session of the caller's own, an error that
// is [ErrInvalidToken], or [ErrUnavailable]. wasGood is for a credential that was good before.
func (l *lookups) do(ctx context.Context, c credential, wasGood bool) (*Session, error) {
	f, err := l.join(ctx, c, wasGood)
	if err != nil {
		return nil, err
	}
	select {
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, ctx.Err())
	case <-f.over:
	}
	if f.err != nil {
		return nil, f.err
	}
	s := *f.session
	return &s, nil
}

func (l *lookups) join(ctx context.Context, c credential, wasGood bool) (*flight, error) {
	room := maxLookups
	if !wasGood {
		room = maxStrangers
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if f := l.flights[c]; f != nil {
		return f, nil
	}
	if l.closed || len(l.flights) >= room {
		return nil, fmt.Errorf("%w: too many look-ups under way", ErrUnavailable)
	}
	// It outlives this check: other checks may wait for the same answer.
	asking, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.timeout)
	f := &flight{cancel: cancel, over: make(chan struct{})}
	l.flights[c] = f
	settle := l.begin()
	l.done.Go(func() {
		defer cancel()
		f.session, f.err = l.ask(asking, c.value)
		settle(c, f.session, f.err)
		l.mu.Lock()
		delete(l.flights, c)
		l.mu.Unlock()
		close(f.over)
	})
	return f, nil
}

func (l *lookups) ask(ctx context.Context, credential string) (*Session, error) {
	l.count.Add(1)
	s, err := l.source.Lookup(ctx, credential)
	switch {
	case err == nil && s == nil:
		return nil, fmt.Errorf("%w: look-up without an answer", ErrUnavailable)
	case err == nil || errors.Is(err, ErrInvalidToken) || errors.Is(err, ErrUnavailable):
		return s, err
	}
	return nil, fmt.Errorf("%w: look up: %w", ErrUnavailable, err)
}

// close cancels the questions that are under way and waits for them.
func (l *lookups) close() {
	l.mu.Lock()
	l.closed = true
	for _, f := range l.flights {
		f.cancel()
	}
	l.mu.Unlock()
	l.done.Wait()
}
