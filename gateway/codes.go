package gateway

import (
	"context"
	"fmt"
	"time"

	"github.com/counterfoil/counterfoil/internal/forwarded"
	"github.com/counterfoil/counterfoil/internal/limit"
)

// codes limits the requests with the gateway's API key that visitors bring about by codes: anybody can make
// up a code.
type codes struct {
	room  chan struct{}  // redeemsAtOnce
	voids *limit.Limiter // by the address of the visitor
}

const (
	redeemsAtOnce = 32

	// Of one subscriber so many codes are used up that came to the wrong browser, and then one in voidEvery.
	// Others are left to their minute.
	voidBurst, voidEvery, voidsCounted = 16, 4 * time.Second, 10_000
)

func newCodes() codes {
	return codes{make(chan struct{}, redeemsAtOnce), limit.New(voidBurst, voidEvery, voidsCounted)}
}

// redeem takes the code of the visit to the auth server. The time to wait for room counts. replaces is
// the session cookie that is overwritten; empty: none.
func (v *visit) redeem(verifier, replaces string) (Cookie, error) {
	ctx, cancel := context.WithTimeout(v.r.Context(), remoteTimeout)
	defer cancel()
	select {
	case v.g.codes.room <- struct{}{}:
	case <-ctx.Done():
		return Cookie{}, fmt.Errorf("%d codes are being redeemed, and none is done: %w", redeemsAtOnce, ctx.Err())
	}
	defer func() { <-v.g.codes.room }()
	return v.g.opts.Handover.Redeem(ctx, Redemption{Code: v.query.Get("code"), Verifier: verifier, Origin: v.origin, Client: v.g.opts.Client, Replaces: replaces})
}

// void uses the code up that came here, if it can: the URL is in the log of the proxy, and in the
// history of the browser. Nobody who waits for a sign-in has to wait for it.
func (v *visit) void() {
	if v.query.Get("code") == "" || len(v.g.codes.room) == redeemsAtOnce {
		return
	}
	from := limit.Subscriber(forwarded.Peer(v.r.RemoteAddr))
	if ok, _ := v.g.codes.voids.Allow(from.String(), v.g.opts.Now()); ok {
		_, _ = v.redeem("none", "")
	}
}
