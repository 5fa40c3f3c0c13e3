package gateway

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/counterfoil/counterfoil"
)

// assertion is one that was made.
type assertion struct {
	header      []string
	made, renew int64 // nanoseconds since 1970: it is good in between. It has half of its life left at renew.
}

// fits reports whether a is to be sent at now. A clock that was set back makes none fit.
func (a *assertion) fits(now time.Time) bool {
	at := now.UnixNano()
	return at >= a.made && at < a.renew
}

// audience is a service to which assertions are made, and those that were made. They are found by
// the verifier's copy of a session, by its address: the verifier never returns a copy again that
// was revoked, that expired, or whose roles have changed. So no assertion outlives its session
// here, and nobody must be told.
type audience struct {
	name string
	most int64 // are kept

	turning sync.Mutex
	kept    atomic.Pointer[generations]
}

// generations are two, so that what is not wanted any more goes without being looked for: when
// the young one is full or old, it takes the place of the old one.
type generations struct {
	young, old *sync.Map // *counterfoil.Session to *assertion
	began      time.Time
	size       atomic.Int64 // of young
}

const longestGeneration = longestAssertion / 2

func newAudience(name string) *audience {
	a := &audience{name: name}
	a.kept.Store(&generations{young: new(sync.Map), old: new(sync.Map)})
	return a
}

func (a *audience) get(s *counterfoil.Session) *assertion {
	kept := a.kept.Load()
	found, ok := kept.young.Load(s)
	if !ok {
		if found, ok = kept.old.Load(s); !ok {
			return nil
		}
	}
	return found.(*assertion)
}

func (a *audience) put(s *counterfoil.Session, made *assertion, now time.Time) {
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
