package counterfoil

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// start reads keys and log, then runs what keeps them fresh until Close.
func (v *Verifier) start(ctx context.Context) error {
	v.follower.begin()
	missing := v.readAll(ctx)
	if missing != nil && !(v.opts.StartStale && passes(missing)) {
		return missing
	}
	if missing != nil {
		v.waits.Store(&missing)
		v.log.WarnContext(ctx, "waiting for the issuer: no credential is accepted until it answers", "issuer", v.opts.Issuer, "error", missing.Error())
	}
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	v.cancel = cancel
	v.done.Go(func() {
		if missing != nil && !v.await(run) {
			v.keys.close()
			v.watches.close()
			return
		}
		v.done.Go(func() { v.follower.run(run) })
		v.done.Go(func() { v.watch(run) })
		v.done.Go(func() {
			v.keys.run(run, func(err error) { v.log.WarnContext(run, "keys of the issuer", "error", err.Error()) })
		})
	})
	return nil
}

// readAll reads the keys, and the log to its head. It goes on where an attempt before it ended.
func (v *Verifier) readAll(ctx context.Context) error {
	if err := v.keys.fetch(ctx); err != nil {
		return fmt.Errorf("counterfoil: %w", err)
	}
	for v.Ready() != nil {
		if err := errors.Join(v.follower.read(ctx, 0), ctx.Err()); err != nil {
			return fmt.Errorf("counterfoil: read the revocation log: %w", err)
		}
	}
	return nil
}

// passes reports whether err can end without a person: the issuer cannot be reached, or not in time.
func passes(err error) bool {
	_, stays := errors.AsType[lasting](err)
	return !stays && (errors.Is(err, ErrUnavailable) || errors.Is(err, context.DeadlineExceeded))
}

// attemptTimeout is how long one attempt to read keys and log may take.
const attemptTimeout = 10 * time.Second

// await tries again and again to read keys and log, and reports whether they were read before ctx ended.
// If it waits for something that a person must change, it logs that once.
func (v *Verifier) await(ctx context.Context) bool {
	said, backoff := "", time.Duration(0)
	for {
		var wait time.Duration
		backoff, wait = v.follower.longer(backoff)
		pause(ctx, nil, wait)
		if ctx.Err() != nil {
			return false
		}
		attempt, cancel := context.WithTimeout(ctx, attemptTimeout)
		err := v.readAll(attempt)
		cancel()
		if err == nil {
			break
		}
		v.waits.Store(&err)
		if text := err.Error(); !passes(err) && text != said && ctx.Err() == nil {
			said = text
			v.log.ErrorContext(ctx, "the issuer has answered, and cannot be followed", "issuer", v.opts.Issuer, "error", text)
		}
	}
	v.waits.Store(nil)
	v.log.InfoContext(ctx, "the issuer has answered: credentials are checked", "issuer", v.opts.Issuer)
	return true
}
