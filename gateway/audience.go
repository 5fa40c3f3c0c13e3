package gateway

import (
	"hash/maphash"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/counterfoil/counterfoil"
)

// audience is a service that is told who asks, and what it was told. That is found by the
// session, and is for a session that is the same in every respect. The verifier never accepts a copy
// again that was revoked, that expired, or whose roles have changed. So no identity outlives its session
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
	young, old *sync.Map // placeOf a session to its *identity
	began      time.Time
	size       atomic.Int64 // of young
}

const longestGeneration = longestAssertion / 2

func newAudience(name string, kind Identity) *audience {
	a := &audience{name: name, kind: kind}
	a.kept.Store(&generations{young: new(sync.Map), old: new(sync.Map)})
	return a
}

var placeSeed = maphash.MakeSeed()

// placeOf is where what is told of s is kept. Another session may have the same place.
func placeOf(s *counterfoil.Session) uint64 {
	return maphash.String(placeSeed, s.ID) + 3*maphash.String(placeSeed, s.TokenID) + uint64(s.Expires.Unix())
}

// same reports whether a and b are the same in every respect. The verifier makes another Session of one
// copy whenever it likes.
func same(a, b *counterfoil.Session) bool {
	return a == b || a.ID == b.ID && a.TokenID == b.TokenID && a.Subject == b.Subject && a.Client == b.Client && a.Issuer == b.Issuer &&
		a.ACR == b.ACR && a.Actor == b.Actor && a.ActorSession == b.ActorSession && a.ActorClient == b.ActorClient &&
		a.ClaimsVersion == b.ClaimsVersion && a.Carrier == b.Carrier && a.Origin == b.Origin && a.KeyID == b.KeyID && a.Born == b.Born && a.Stale == b.Stale &&
		a.AuthTime.Equal(b.AuthTime) && a.IssuedAt.Equal(b.IssuedAt) && a.Expires.Equal(b.Expires) &&
		slices.Equal(a.Roles, b.Roles) && slices.Equal(a.Scopes, b.Scopes) && slices.Equal(a.Methods, b.Methods) && slices.Equal(a.Audience, b.Audience) &&
		maps.Equal(a.Attributes, b.Attributes)
}

func (a *audience) get(s *counterfoil.Session) *identity {
	kept, place := a.kept.Load(), any(placeOf(s))
	for _, generation := range [...]*sync.Map{kept.young, kept.old} {
		if found, ok := generation.Load(place); ok && same(found.(*identity).of, s) {
			return found.(*identity)
		}
	}
	return nil
}

func (a *audience) put(made *identity, now time.Time) {
	kept := a.kept.Load()
	if kept.size.Load() >= a.most/2 || now.Sub(kept.began).Abs() >= longestGeneration {
		kept = a.turn(kept, now)
	}
	if _, replaced := kept.young.Swap(placeOf(made.of), made); !replaced {
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
