package gateway

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/counterfoil/counterfoil"
)

// Audience is what is kept for one service.
type Audience struct{ *audience }

func NewAudience(most int64) Audience {
	a := Audience{newAudience("x", IdentityHeaders)}
	a.most = most
	return a
}

func (a Audience) Put(s *counterfoil.Session, now time.Time) {
	a.put(&identity{of: s}, now)
}

func (a Audience) Has(s *counterfoil.Session) bool { return a.get(s) != nil }

func (a Audience) Len() (n int) {
	kept := a.kept.Load()
	for _, m := range []*sync.Map{kept.young, kept.old} {
		m.Range(func(any, any) bool { n++; return true })
	}
	return n
}

// Same reports whether what is told of a is told of b too.
func Same(a, b *counterfoil.Session) bool { return same(a, b) }

// Follow follows s as a request to the first route of an origin does. check is asked when its copy ends.
func (g *Gateway) Follow(origin string, s *counterfoil.Session, check func() (*counterfoil.Session, error), end func(cause error)) (release func()) {
	return g.follow((*g.routes.Load())[origin][0], s, check, end).release
}

// NewIdleConn is for the test of its deadlines.
var NewIdleConn = newIdleConn

// Tokens are those of one client.
type Tokens = tokens

// NewTokens returns the place of tokens.
func NewTokens(exchange Exchange) *Tokens {
	return newTokens("orders", &Options{Exchange: exchange, Now: time.Now, Logger: slog.New(slog.DiscardHandler)})
}

// Of returns a token, as a request gets it.
func (t *tokens) Of(ctx context.Context, s *counterfoil.Session) (string, error) {
	return t.of(ctx, s, "cookie of "+s.ID)
}

// Doubt is called when a service has refused a token.
func (t *tokens) Doubt(s *counterfoil.Session, value string) { t.doubt(s, value) }

// Kept is how many tokens are kept, at most MostTokens.
func (t *tokens) Kept() int { return len(t.by) }

// MostTokens is how many are kept of one client.
const MostTokens = mostTokens

func (k *AssertionKeys) Sign(s *counterfoil.Session, audience string, now time.Time, life time.Duration) (string, error) {
	return k.sign(s, audience, now, life)
}
