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
	missing := v.readAll(ctx, 0)
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

// readAll reads the keys, and the log to its head. It goes on where an attempt before it ended. Each question
// may take so long; zero: as long as the source lets it.
func (v *Verifier) readAll(ctx context.Context, each time.Duration) error {
	question := func(ask func(context.Context) error) error {
		if each == 0 {
			return ask(ctx)
		}
		ctx, cancel := context.WithTimeout(ctx, each)
		defer cancel()
		return ask(ctx)
	}
	if err := question(v.keys.fetch); err != nil {
		return fmt.Errorf("counterfoil: %w", err)
	}
	page := func(ctx context.Context) error { return errors.Join(v.follower.read(ctx, 0), ctx.Err()) }
	for v.Ready() != nil {
		if err := question(page); err != nil {
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

// await tries again and again to read keys and log, and reports whether they were read before ctx ended.
// If it waits for something that a person must change, it logs that once.
func (v *Verifier) await(ctx context.Context) bool {
	said, backoff, wait := "", time.Duration(0), time.Duration(0)
	for begun := v.clock.Read(); ; {
		backoff, wait = v.follower.longer(backoff)
		pause(ctx, nil, wait-v.clock.Since(&begun)) // a question that was lost has taken its time already
		if ctx.Err() != nil {
			return false
		}
		begun = v.clock.Read()
		err := v.readAll(ctx, 2*v.follower.heartbeat()) // as in follower.ask
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
