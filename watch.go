package counterfoil

import (
	"context"
	"sync"
	"time"
)

// watches are the live connections that must end with their sessions (REV-18).
type watches struct {
	mu     sync.Mutex // guards all below; held for map access only
	live   map[*watched]struct{}
	closed bool
}

type watched struct {
	found  found
	cancel context.CancelCauseFunc
}

// add reports whether connections are still followed: if not, the caller ends w.
func (ws *watches) add(w *watched) (followed bool) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if ws.live == nil {
		ws.live = make(map[*watched]struct{})
	}
	ws.live[w] = struct{}{}
	return !ws.closed
}

// remove reports whether w was there.
func (ws *watches) remove(w *watched) bool {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	_, live := ws.live[w]
	delete(ws.live, w)
	return live
}

func (ws *watches) each(do func(*watched)) {
	ws.mu.Lock()
	live := make([]*watched, 0, len(ws.live))
	for w := range ws.live {
		live = append(live, w)
	}
	ws.mu.Unlock()
	for _, w := range live {
		do(w)
	}
}

func (ws *watches) close() {
	ws.mu.Lock()
	ws.closed = true
	ws.mu.Unlock()
	ws.each(func(w *watched) { w.cancel(ErrStale) })
}

func (ws *watches) len() int {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	return len(ws.live)
}

// Watch returns a context that is cancelled as soon as s is revoked, its copy has expired, or
// the verifier's knowledge is stale, also where the policy of the route goes on;
// context.Cause says which. It is for connections that outlive a request's check
// (REV-18). Call stop when the connection ends.
func (v *Verifier) Watch(ctx context.Context, s *Session) (_ context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	f := s.Carrier.Format
	copied, listed := v.seen.watched(&newCopy{
		session: s, deadline: v.reader.deadline(s, f == JWT),
		signed: f == JWT || f == JWE && len(v.reader.openers) > 0, // or looked up, which s does not tell: the stricter rule of both
		era:    v.follower.known.Load().era,
	})
	w := &watched{copied, cancel}
	if !v.watches.add(w) || !listed {
		cancel(ErrStale)
	}
	v.endIfOver(w) // after it is listed: an entry of the log that comes from here on finds it
	left := func() time.Duration {
		_, latest := v.issuerTime()
		return max(time.Unix(0, w.found.deadline()).Sub(latest), 0) + time.Millisecond
	}
	var expiry *time.Timer
	expiry = time.AfterFunc(time.Hour, func() {
		if v.endIfOver(w); ctx.Err() == nil { // the issuer's time goes slower, or was set back
			expiry.Reset(left())
		}
	})
	expiry.Reset(left())
	return ctx, func() {
		expiry.Stop()
		if v.watches.remove(w) && listed { // stop was not called before
			v.seen.unwatched(&w.found)
		}
		cancel(context.Canceled)
	}
}

func (v *Verifier) endIfOver(w *watched) {
	if err := v.check(&w.found); err != nil {
		w.cancel(err)
	}
}

// watch ends the connections that must end whenever there is other knowledge, or the
// knowledge becomes too old. When ctx ends it ends all of them, since nothing follows the log
// any more.
func (v *Verifier) watch(ctx context.Context) {
	version, stale := uint64(0), false
	for {
		k := v.follower.known.Load()
		at := v.clock.Read()
		left := -v.overdue(k, true, &at)
		if over := left < 0; over != stale {
			stale = over
			v.log.WarnContext(ctx, "staleness of what the verifier knows", "stale", stale, "staleness", v.Staleness().String())
		}
		if k.version != version || left < 0 {
			version = k.version
			v.watches.each(v.endIfOver)
		}
		if left < 0 {
			left = pollWait
			if v.overdue(k, false, &at) <= 0 {
				v.keys.tooOld()
			}
		}
		timer := time.NewTimer(left + time.Millisecond)
		select {
		case <-k.replaced:
			timer.Stop()
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			v.watches.close()
			return
		}
	}
}
