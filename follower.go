package counterfoil

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/counterfoil/counterfoil/internal/token"
)

// pollWait is how long a question may wait for news at the issuer. An answer is
// as old as its question, so this must be well below Bound.
const pollWait = time.Second

// keysEvery is how often the keys are fetched anew; keysCooldown bounds what
// unknown key ids can cause (KEY-08).
const (
	keysEvery    = 5 * time.Minute
	keysCooldown = 10 * time.Second
)

// run follows the log until ctx ends.
func (v *Verifier) run(ctx context.Context) {
	defer close(v.done)
	backoff := time.Duration(0)
	for ctx.Err() == nil {
		asked, cancel := context.WithTimeout(ctx, v.opts.Bound)
		go func() { // a poke ends the wait: the next question asks for what is new
			select {
			case <-v.poke:
				cancel()
			case <-asked.Done():
			}
		}()
		err := v.follow(asked, min(pollWait, v.opts.Bound/4))
		poked := errors.Is(asked.Err(), context.Canceled) && ctx.Err() == nil
		cancel()
		if err == nil || poked {
			backoff = 0
		} else {
			// Jittered, so that a thousand verifiers do not come back at once (4.5).
			backoff = min(max(2*backoff, 50*time.Millisecond), 5*time.Second)
			select {
			case <-ctx.Done():
			case <-time.After(backoff/2 + rand.N(backoff)):
			}
		}
		v.endWatches()
		if v.keysDue() {
			_ = v.fetchKeys(ctx) // the old ones stay
		}
	}
}

// sync makes the follower ask at once.
func (v *Verifier) sync() {
	select {
	case v.poke <- struct{}{}:
	default:
	}
}

// follow asks for one page and applies it.
func (v *Verifier) follow(ctx context.Context, wait time.Duration) error {
	v.mu.RLock()
	after := v.applied
	v.mu.RUnlock()
	// The anchor is taken before the question leaves. When the answer arrives
	// proves nothing: it may have lain in a buffer for a minute (4.4).
	anchor := v.opts.Now()
	page, err := v.source.Log(ctx, Follow{After: after, Wait: wait, Verifier: v.id, Bound: v.opts.Bound})
	if err != nil {
		return err
	}
	return v.apply(page, after, anchor)
}

var errGap = errors.New("the page does not follow what is applied")

func (v *Verifier) apply(page Page, after Cursor, anchor time.Time) error {
	epoch := page.Head.Epoch
	fromZero := page.After == Cursor{Epoch: epoch}
	switch {
	case page.Upto.Epoch != epoch || page.After.Epoch != epoch || page.Head.Before(page.Upto) || page.Upto.Before(page.After):
		return fmt.Errorf("%w: page is not of one epoch and in order", errGap)
	case page.After == after:
	case fromZero:
		// From the beginning: another epoch, or the same once more (a union).
	default:
		v.mu.Lock()
		v.applied = Cursor{} // REV-08: something is missing, so read everything again
		v.mu.Unlock()
		return errGap
	}
	if epoch != after.Epoch {
		v.begin(epoch)
	}
	v.revoked.Apply(page.Entries)
	if slices.ContainsFunc(page.Entries, func(r Revocation) bool { return r.Scope == ScopeKey }) {
		v.keysChanged()
	}
	v.mu.Lock()
	if v.applied != page.Upto {
		v.applied = page.Upto
		close(v.moved)
		v.moved = make(chan struct{})
	}
	if page.Complete() && anchor.After(v.anchor) {
		v.anchor = anchor
	}
	if ahead := page.Time.Sub(v.opts.Now()); !page.Time.IsZero() && ahead > v.ahead {
		v.ahead = ahead
	}
	for k, s := range v.seen {
		if len(page.Entries) == 0 {
			break
		}
		if _, ok := v.revoked.Covers(s); ok {
			delete(v.seen, k)
		}
	}
	v.mu.Unlock()
	v.revoked.Drop(v.now().Add(-v.opts.Leeway))
	if len(page.Entries) > 0 {
		v.endWatches()
	}
	return nil
}

// begin starts over with another log. Nothing born under the old one is accepted
// any longer, so forgetting its entries brings nothing back.
func (v *Verifier) begin(epoch uint64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.applied = Cursor{Epoch: epoch}
	v.anchor = time.Time{} // what was complete was another log
	clear(v.seen)
	v.revoked.Reset()
}

func (v *Verifier) fetchKeys(ctx context.Context) error {
	v.keyMu.Lock()
	defer v.keyMu.Unlock()
	return v.fetchKeysLocked(ctx)
}

func (v *Verifier) fetchKeysLocked(ctx context.Context) error {
	v.fetched = v.opts.Now()
	jwks, err := v.source.Keys(ctx)
	if err != nil {
		return fmt.Errorf("counterfoil: fetch keys: %w", err)
	}
	keys, _, err := token.ParseJWKS(jwks)
	if err != nil {
		return fmt.Errorf("counterfoil: fetch keys: %w", err)
	}
	byID := make(map[string]token.Key, len(keys))
	for _, k := range keys {
		byID[k.ID] = k
	}
	v.keys.Store(&byID)
	return nil
}

// refetchKeys looks for a key that is not known yet, at most once in a while,
// whoever asks and however often (KEY-08).
func (v *Verifier) refetchKeys(ctx context.Context) error {
	v.keyMu.Lock()
	defer v.keyMu.Unlock()
	now := v.opts.Now()
	if now.Sub(v.missed) < keysCooldown {
		return nil
	}
	v.missed = now
	return v.fetchKeysLocked(ctx)
}

// keysChanged makes the keys due: another one signs now. Only the issuer's log
// says so, so it is no way around the cooldown.
func (v *Verifier) keysChanged() {
	v.keyMu.Lock()
	defer v.keyMu.Unlock()
	v.fetched, v.missed = time.Time{}, time.Time{}
}

func (v *Verifier) keysDue() bool {
	v.keyMu.Lock()
	defer v.keyMu.Unlock()
	return v.opts.Now().Sub(v.fetched) >= keysEvery
}

// watch is a live connection that must end with its session.
type watch struct {
	session *Session
	cancel  context.CancelCauseFunc
}

// Watch returns a context that is cancelled as soon as s is revoked, its copy
// has expired, or the verifier's knowledge is stale; context.Cause says which. It
// is for connections that outlive a request's check (REV-18). Call stop when the
// connection ends.
func (v *Verifier) Watch(ctx context.Context, s *Session) (_ context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	w := &watch{s, cancel}
	v.mu.Lock()
	v.watches[w] = struct{}{}
	v.mu.Unlock()
	if err := v.check(s); err != nil { // revoked between its check and here
		cancel(err)
	}
	return ctx, func() {
		v.mu.Lock()
		delete(v.watches, w)
		v.mu.Unlock()
		cancel(context.Canceled)
	}
}

func (v *Verifier) endWatches() {
	v.mu.RLock()
	watches := make([]*watch, 0, len(v.watches))
	for w := range v.watches {
		watches = append(watches, w)
	}
	v.mu.RUnlock()
	for _, w := range watches {
		if err := v.check(w.session); err != nil {
			w.cancel(err)
		}
	}
}
