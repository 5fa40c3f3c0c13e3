package coalesce

import (
	"context"
	"sync"
	"time"
)

// Gather lets callers that ask for the same thing within a moment share a read, although a read is
// short: what comes from a thousand callers in each second costs few reads. As with [Reads], the read
// that answers a caller began after the caller asked, and no answer is kept. The first callers of each
// moment read for themselves, so few callers never wait. The zero value is ready for use.
type Gather[K comparable, T any] struct {
	mu   sync.Mutex // guards the rest; held for map access
	next map[K]*answer[T]
	from time.Time // when the moment began
	own  int       // reads in it that callers made for themselves
}

const (
	moment = 5 * time.Millisecond
	alone  = 8 // in a moment
)

// Do returns what read returns: called at once with ctx, or a moment later, once for all callers of the
// same key, with a context of its own. It returns early if ctx ends.
func (g *Gather[K, T]) Do(ctx context.Context, key K, read func(context.Context) (T, error)) (T, error) {
	g.mu.Lock()
	shared := g.next[key]
	if shared == nil {
		if now := time.Now(); now.Sub(g.from) >= moment {
			g.from, g.own = now, 0
		}
		if g.own++; g.own <= alone {
			g.mu.Unlock()
			return read(ctx)
		}
		if g.next == nil {
			g.next = make(map[K]*answer[T])
		}
		shared = &answer[T]{done: make(chan struct{})}
		g.next[key] = shared
		time.AfterFunc(moment, func() { g.answer(key, shared, read) })
	}
	g.mu.Unlock()
	return shared.wait(ctx)
}

func (g *Gather[K, T]) answer(key K, shared *answer[T], read func(context.Context) (T, error)) {
	g.mu.Lock()
	delete(g.next, key) // who asks from here on asks for another read
	g.mu.Unlock()
	shared.fill(read)
}
