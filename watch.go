package counterfoil

import (
	"context"
	"sync"
	"time"
)

// watches are the live connections that must end with their sessions (REV-18).
type watches struct {
	mu     sync.Mutex // guards all; held for map access only
	live   map[*watched]struct{}
	closed bool
}

type watched struct {
	entry  *entry
	cancel context.CancelCauseFunc
}

// Watch returns a context that is cancelled as soon as s is revoked, its copy has
// expired, or the verifier's knowledge is stale, whatever the policy of the route;
// context.Cause says which. It is for connections that outlive a request's check
// (REV-18). Call stop when the connection ends.
func (v *Verifier) Watch(ctx context.Context, s *Session) (_ context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	f := s.Carrier.Format
	w := &watched{&entry{
		session: s, deadline: v.reader.deadline(s, f == JWT),
		signed: f == JWT || f == JWE && len(v.reader.openers) > 0, // or looked up, which s does not tell: the stricter rule of both
	}, cancel}
	v.seen.notifier.subscribe(w.entry)
	v.watches.mu.Lock()
	if v.watches.live == nil {
		v.watches.live = make(map[*watched]struct{})
	}
	v.watches.live[w] = struct{}{}
	closed := v.watches.closed
	v.watches.mu.Unlock()
	err := v.check(w.entry) // after it is listed: what comes from here on finds it
	if closed {
		err = ErrStale
	}
	if err != nil {
		cancel(err)
	}
	left := time.Duration(w.entry.deadline - v.clock.Now().UnixNano())
	expiry := time.AfterFunc(max(left, 0)+time.Millisecond, func() { v.end(w) })
	return ctx, func() {
		expiry.Stop()
		v.watches.mu.Lock()
		_, live := v.watches.live[w]
		delete(v.watches.live, w)
		v.watches.mu.Unlock()
		if live { // stop was not called before
			v.seen.notifier.unsubscribe(w.entry)
		}
		cancel(context.Canceled)
	}
}

func (v *Verifier) end(w *watched) {
	if err := v.check(w.entry); err != nil {
		w.cancel(err)
	}
}

// watch ends what must end whenever there is other knowledge, or what there is
// becomes too old, until ctx ends: then everything ends, since nobody follows.
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
			v.endWatches(v.end)
		}
		if left < 0 {
			left = pollWait // the keys may be what is too old, and come back
		}
		timer := time.NewTimer(left + time.Millisecond)
		select {
		case <-k.replaced:
			timer.Stop()
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			v.watches.mu.Lock()
			v.watches.closed = true
			v.watches.mu.Unlock()
			v.endWatches(func(w *watched) { w.cancel(ErrStale) })
			return
		}
	}
}

func (v *Verifier) endWatches(end func(*watched)) {
	v.watches.mu.Lock()
	live := make([]*watched, 0, len(v.watches.live))
	for w := range v.watches.live {
		live = append(live, w)
	}
	v.watches.mu.Unlock()
	for _, w := range live {
		end(w)
	}
}
