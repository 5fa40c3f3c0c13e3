package password

import (
	"context"
	"net/netip"

	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/login/throttle"
)

// slotFor is slotOf for what is counted in the rates alone.
func (p *Passwords) slotFor(ctx context.Context, from netip.Addr) (h hasher, release func(), err error) {
	if _, err := p.opts.Throttle.Take(ctx, throttle.Guess{Address: from, Local: !from.IsValid()}); err != nil {
		return nil, nil, err
	}
	return p.slotOf(ctx, from)
}

// slotOf is slot for what is no attempt to sign in. Without an address it comes by no network,
// but from the program around us or an administrator of this machine.
func (p *Passwords) slotOf(ctx context.Context, from netip.Addr) (h hasher, release func(), err error) {
	if from.IsValid() {
		return p.slot(ctx, false)
	}
	return p.localSlot(ctx)
}

// slot waits for the right to compute one hash: memory stays slots × 64 MiB, and
// beyond a short queue the answer is login.ErrBusy (LOGIN-04). Known devices have places
// of their own in the queue: strangers cannot take all of them (LOGIN-09).
func (p *Passwords) slot(ctx context.Context, known bool) (h hasher, release func(), err error) {
	queue := p.queue
	select {
	case queue <- struct{}{}:
	default:
		if queue = p.kept; !known {
			return nil, nil, login.ErrBusy
		}
		select {
		case queue <- struct{}{}:
		default:
			return nil, nil, login.ErrBusy
		}
	}
	return p.queued(ctx, queue)
}

// queued waits for a slot with a place in queue, which release gives back.
func (p *Passwords) queued(ctx context.Context, queue chan struct{}) (h hasher, release func(), err error) {
	h, free, err := p.slots.take(ctx)
	if err != nil {
		<-queue
		return nil, nil, err
	}
	return h, func() { free(); <-queue }, nil
}

// localSlot is slot for a caller on this machine, who waits until there is a place in the
// queue. While strangers keep the queue full, the next place that is free is the caller's, for
// an attempt of a stranger does not wait for a place. Logins keep their turn: callers on this
// machine have places for half of the slots at a time, and one place if there is one slot.
func (p *Passwords) localSlot(ctx context.Context) (h hasher, release func(), err error) {
	leave, err := p.local.enter(ctx)
	if err != nil {
		return nil, nil, err
	}
	select {
	case p.queue <- struct{}{}:
	case <-ctx.Done():
		leave()
		return nil, nil, ctx.Err()
	}
	h, free, err := p.queued(ctx, p.queue)
	if err != nil {
		leave()
		return nil, nil, err
	}
	return h, func() { free(); leave() }, nil
}

// maxLocal is how many callers on this machine wait or run. The last of them waits for some
// seconds, and half a minute while strangers keep the queue full: less than the minute that a
// command waits for its answer.
const maxLocal = 64

// line lets a few in at a time, in the order in which they came.
type line struct {
	all chan struct{} // one per caller that waits or is in
	in  chan struct{}
}

func newLine(in int) line { return line{make(chan struct{}, maxLocal), make(chan struct{}, in)} }

// enter waits for its turn. It fails with login.ErrBusy if the line is too long.
func (l line) enter(ctx context.Context) (leave func(), err error) {
	select {
	case l.all <- struct{}{}:
	default:
		return nil, login.ErrBusy
	}
	select {
	case l.in <- struct{}{}:
		return func() { <-l.in; <-l.all }, nil
	case <-ctx.Done():
		<-l.all
		return nil, ctx.Err()
	}
}

// waiting is how many wait to be let in.
func (l line) waiting() int { return max(len(l.all)-len(l.in), 0) }
