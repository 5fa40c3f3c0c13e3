package gateway

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/counterfoil/counterfoil"
)

// audience is a service that is told who asks, and what it was told. That is found by the
// verifier's copy of a session, by its address: the verifier never returns a copy again that
// was revoked, that expired, or whose roles have changed. So no identity outlives its session
// here, and nobody must be told.
type audience struct {
	name string
	kind Identity
	most int64 // are kept

	turning sync.Mutex
	kept    atomic.Pointer[generations]
}

// generations are two, so that what is not wanted any more goes without being looked for: when
// the young one is full or old, it takes the place of the old one.
type generations struct {
	young, old *sync.Map // *counterfoil.Session to *identity
	began      time.Time
	size       atomic.Int64 // of young
}

const longestGeneration = longestAssertion / 2

func newAudience(name string, kind Identity) *audience {
	a := &audience{name: name, kind: kind}
	a.kept.Store(&generations{young: new(sync.Map), old: new(sync.Map)})
	return a
}

func (a *audience) get(s *counterfoil.Session) *identity {
	kept := a.kept.Load()
	found, ok := kept.young.Load(s)
	if !ok {
		if found, ok = kept.old.Load(s); !ok {
			return nil
		}
	}
	return found.(*identity)
}

func (a *audience) put(s *counterfoil.Session, made *identity, now time.Time) {
	kept := a.kept.Load()
	if kept.size.Load() >= a.most/2 || now.Sub(kept.began).Abs() >= longestGeneration {
		kept = a.turn(kept, now)
	}
	if _, replaced := kept.young.Swap(s, made); !replaced {
		kept.size.Add(1)
	}
}

// turn begins a new generation, unless another goroutine has.
func (a *audience) turn(full *generations, now time.Time) *generations {
	a.turning.Lock()
	defer a.turning.Unlock()
	if kept := a.kept.Load(); kept != full {
		return kept
	}
	next := &generations{young: new(sync.Map), old: full.young, began: now}
	a.kept.Store(next)
	return next
}
