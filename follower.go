package counterfoil

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/counterfoil/counterfoil/internal/revocation"
)

// pollWait is how long a question may wait for news at the issuer. An answer is
// as old as its question, so this must be well below Bound.
const pollWait = time.Second

// pokeEvery bounds how often requests can make the follower ask.
const pokeEvery = 25 * time.Millisecond

// sweepEvery is how often expired entries are dropped.
const sweepEvery = 10 * time.Second

// heartbeat is the longest time between two questions to an issuer that answers,
// and that a failing one is left alone. P4 is two of them and one read of the log:
// so long after the network is whole, at most.
func (v *Verifier) heartbeat() time.Duration { return v.opts.Bound / 4 }

// run follows the log until ctx ends.
func (v *Verifier) run(ctx context.Context) {
	backoff := time.Duration(0)
	wait := min(pollWait, v.heartbeat())
	next := wait
	dropped := v.clock.Read()
	swept, shard := dropped, 0
	for ctx.Err() == nil {
		before, begun, waited := v.known.Load().applied, v.clock.Read(), next
		err, poked := v.ask(ctx, next)
		next = wait
		switch {
		case poked:
			next = 0
		case err == nil:
			if backoff > 0 {
				v.log.InfoContext(ctx, "following the revocation log again")
			}
			backoff = 0
			// A source that does not wait must not be asked in a tight loop.
			early := waited/2 - v.clock.Since(&begun)
			if early > 0 && v.known.Load().applied == before && v.pause(ctx, v.poke, early) {
				next = 0
			}
		case ctx.Err() != nil:
		default:
			if backoff == 0 {
				v.log.WarnContext(ctx, "the revocation log cannot be followed", "error", err.Error())
			}
			// Jittered, so that a thousand verifiers do not come back at once (4.5), and
			// deaf to requests, which would only add to what ails the issuer. A question
			// that was lost has taken its time already.
			backoff = min(max(2*backoff, 50*time.Millisecond), 5*time.Second, v.heartbeat())
			v.pause(ctx, nil, backoff/2+rand.N(backoff/2)-v.clock.Since(&begun))
		}
		at := v.clock.Read()
		if at.Since(&dropped) >= sweepEvery {
			dropped = at
			v.dropExpired()
		}
		if at.Since(&swept) >= sweepEvery/maxShards { // a part at a time: news must not wait
			swept = at
			v.seen.sweep(shard, at.Effective)
			shard++
		}
	}
}

// ask asks what is new and applies the answer. A poke ends the wait, and is reported; a
// question that does not wait is never ended by one, so pokes cannot keep the
// follower from its answers. One that is not answered within two heartbeats is
// lost: its answer would hardly be fresh, and the network may be whole by now.
func (v *Verifier) ask(ctx context.Context, wait time.Duration) (err error, poked bool) {
	ctx, cancel := context.WithTimeout(ctx, 2*v.heartbeat())
	defer cancel()
	if wait == 0 {
		return v.follow(ctx, 0), false
	}
	ended := make(chan bool, 1)
	go func() {
		select {
		case <-v.poke:
			cancel()
			ended <- true
		case <-ctx.Done():
			ended <- false
		}
	}()
	err = v.follow(ctx, wait)
	cancel()
	return err, <-ended
}

// pause waits for d, and reports whether a poke ended it.
func (v *Verifier) pause(ctx context.Context, poke <-chan struct{}, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-poke:
		return true
	case <-ctx.Done():
	case <-timer.C:
	}
	return false
}

// sync makes the follower ask at once, for news that may be there. What requests
// can cause is bounded.
func (v *Verifier) sync() {
	at := v.clock.Read()
	now, last := int64(at.Run), v.poked.Load()
	if now-last < int64(pokeEvery) || !v.poked.CompareAndSwap(last, now) {
		return
	}
	select {
	case v.poke <- struct{}{}:
	default:
	}
}

// pager is a Source that can answer one question with several pages, each as soon as it
// is there: so news costs the issuer no question of everybody who hears it.
type pager interface {
	Pages(ctx context.Context, f revocation.Follow, apply func(revocation.Page) error) error
}

// follow asks what is new, and applies the page or the pages of the answer.
func (v *Verifier) follow(ctx context.Context, wait time.Duration) error {
	n := v.asks.Add(1)
	// The anchor is taken before the question leaves. When the answer arrives
	// proves nothing: it may have lain in a buffer for a minute (4.4). So a later page
	// of the same answer makes nothing fresher.
	asked := v.clock.Read()
	apply := func(p revocation.Page) error {
		v.count.pages.Add(1)
		return v.apply(ctx, p, n, &asked)
	}
	f := revocation.Follow{
		After: v.cursor, Proof: v.proof, Wait: wait, Verifier: v.id, Bound: v.opts.Bound, ServeStale: v.opts.ServeStale > 0,
	}
	if many, ok := v.source.(pager); ok && wait > 0 {
		return many.Pages(ctx, f, apply)
	}
	page, err := v.source.Log(ctx, f)
	if err != nil {
		return err
	}
	return apply(page)
}

// dropExpired forgets what nothing alive is covered by. An expiry is asked for
// after the log was (see check), so what has just been forgotten here cannot be
// accepted there.
func (v *Verifier) dropExpired() {
	v.known.Load().revoked.Drop(v.clock.Now().Add(-v.opts.Leeway))
}

// awaitFor is how long a request waits for news at most (REV-11).
const awaitFor = 50 * time.Millisecond

// await asks for news, and waits until what is known is enough.
func (v *Verifier) await(ctx context.Context, enough func(*knowledge) bool) (err error) {
	for range awaitFor / pokeEvery {
		v.sync()
		step, cancel := context.WithTimeout(ctx, pokeEvery)
		err = v.waitUntil(step, enough)
		cancel()
		if err == nil || ctx.Err() != nil {
			break
		}
	}
	return err
}

// settle decides about a copy of another epoch than ours. Only an answer to a
// question from now on can tell a log that ended from one that has just begun.
func (v *Verifier) settle(ctx context.Context, e *entry) error {
	epoch := e.session.Born.Epoch
	if v.ended(epoch) {
		return errOtherEpoch
	}
	n := v.asks.Load()
	err := v.await(ctx, func(k *knowledge) bool { return k.epoch == epoch || (k.complete && k.ask > n) })
	if err != nil {
		return fmt.Errorf("%w: credential of another epoch: %w", ErrStale, err)
	}
	err = v.check(e)
	if errors.Is(err, errOtherEpoch) {
		v.endedMu.Lock()
		defer v.endedMu.Unlock()
		if v.endings == nil || len(v.endings) >= 64 {
			v.endings = make(map[uint64]uint64)
		}
		v.endings[epoch] = v.known.Load().epoch
	}
	return err
}

// ended reports whether epoch is known to have been over when ours was there.
func (v *Verifier) ended(epoch uint64) bool {
	v.endedMu.Lock()
	defer v.endedMu.Unlock()
	by, ok := v.endings[epoch]
	return ok && by == v.known.Load().epoch
}
