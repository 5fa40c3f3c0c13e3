package outbox

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/counterfoil/counterfoil/internal/check"
	"github.com/counterfoil/counterfoil/internal/retry"
	"github.com/counterfoil/counterfoil/store"
)

// Item is what a [Deliver] delivers.
type Item struct {
	ID      string // the same for each try, on any node
	Kind    string
	Lane    string
	About   string
	Subject string
	Payload []byte
	Created time.Time
	Expires time.Time // zero: see Draft
	Tries   int       // this one included
}

// Deliver delivers one item. It returns nil when the receiver has it for certain, and otherwise a
// [Failure] or another error. ctx ends when the time for one delivery is over, when another node
// may have taken the item, or when the program stops. At most four run at once for each lane.
type Deliver func(ctx context.Context, it Item) error

// Failure says what a failed delivery means, and what of it may be kept and shown. An error that
// is none is tried again, and only the log has its text. While a destination is unreachable, its lane
// is asked with one item at a time, after a second, two seconds, four, up to a minute.
type Failure = retry.Failure

// failureOf returns err as a Failure with a reason that can be kept and printed.
func failureOf(err error) Failure {
	f := Failure{Err: err}
	if known, ok := errors.AsType[*Failure](err); ok {
		f = *known
	}
	f.Reason = cmp.Or(check.Clip(f.Reason, maxText), "internal error")
	return f
}

// deliver takes h, delivers it, and writes how that went. It returns true if h is tried again.
func (o *Outbox) deliver(ctx context.Context, l *lane, h held) (again bool) {
	do := o.handler(h.Kind)
	if do == nil {
		return false
	}
	h, ends, err := o.claim(ctx, h, h.Tries+1)
	if err != nil {
		if !errors.Is(err, store.ErrConflict) && ctx.Err() == nil {
			o.opts.Logger.Error("outbox: take an item", "kind", h.Kind, "error", err.Error())
		}
		return false // another node has it, or it is found again
	}
	payload, err := o.open(&h.row)
	if err != nil {
		return o.settle(ctx, l, h, ends, &Failure{Reason: "sealed with another key", Permanent: true, Err: err})
	}
	h, ends, err = o.run(ctx, do, h, ends, payload)
	return o.settle(ctx, l, h, ends, err)
}

// claim moves h to when a lease ends that begins now.
func (o *Outbox) claim(ctx context.Context, h held, tries int) (held, time.Time, error) {
	next := h.row
	ends := o.opts.Now().Add(Lease)
	next.Due, next.Node, next.Tries = ends.UTC(), o.node, tries
	b, at, err := h.move(next)
	if err == nil {
		_, err = o.opts.Store.Commit(ctx, b)
	}
	if err != nil {
		return h, ends, err
	}
	return held{next, at}, ends, nil
}

// panicked is a panic as an error. A value that is none of the runtime may have anything in it (OPS-01).
func panicked(v any) error {
	if e, ok := v.(runtime.Error); ok {
		return fmt.Errorf("panic: %w", e)
	}
	return fmt.Errorf("panic: %T", v)
}

var errLost = errors.New("the lease ended")

// run calls do, and renews the lease meanwhile. When ctx ends, do has a moment left.
func (o *Outbox) run(ctx context.Context, do Deliver, h held, ends time.Time, payload []byte) (held, time.Time, error) {
	alone := context.WithoutCancel(ctx)
	during, cancel := context.WithCancelCause(alone)
	defer cancel(nil)
	limited, done := context.WithTimeout(during, deliverFor)
	defer done()
	result := make(chan error, 1)
	it := Item{h.ID, h.Kind, h.Lane, h.About, h.Subject, payload, h.Created, h.Expires, h.Tries}
	go func() {
		var err error
		defer func() {
			if v := recover(); v != nil {
				err = panicked(v)
			}
			result <- err
		}()
		err = do(limited, it)
	}()
	renew := time.NewTicker(Lease / 3)
	defer renew.Stop()
	stopping := ctx.Done()
	var last <-chan time.Time
	for {
		select {
		case err := <-result:
			return h, ends, err
		case <-stopping:
			stopping, last = nil, time.After(stopFor)
		case <-last:
			last = nil
			cancel(context.Canceled)
		case <-renew.C:
			renewing, done := context.WithTimeout(alone, Lease/3)
			next, until, err := o.claim(renewing, h, h.Tries)
			done()
			switch {
			case err == nil:
				h, ends = next, until
			case errors.Is(err, store.ErrConflict) || !o.opts.Now().Before(ends):
				cancel(errLost) // another node may deliver it now
			}
		}
	}
}

// settle writes how the delivery of h went. It tries until the lease ends: what is not written by
// then is delivered again.
func (o *Outbox) settle(ctx context.Context, l *lane, h held, ends time.Time, err error) (again bool) {
	alone, cancel := context.WithTimeout(context.WithoutCancel(ctx), max(ends.Sub(o.opts.Now()), time.Second))
	defer cancel()
	outcome, b := Sent, store.Batch{Require: []store.Require{h.at}, Delete: []store.Key{h.at.Key}}
	if err != nil {
		f := failureOf(err)
		o.failed(l, f)
		next := o.afterFailure(&h.row, f)
		if outcome = Retried; !next.Died.IsZero() {
			outcome = Died
		}
		if b, _, err = h.move(next); err != nil {
			o.opts.Logger.Error("outbox: write an item", "kind", h.Kind, "error", err.Error())
			return false
		}
		o.logFailure(&next, f)
	} else {
		o.reached(l)
	}
	o.tell(h.Kind, outcome)
	o.write(alone, h, b)
	return outcome == Retried
}

// tell says how a delivery went, and counts dead letters for trim.
func (o *Outbox) tell(kind string, outcome Outcome) {
	if outcome == Died {
		o.mu.Lock()
		o.died++
		o.mu.Unlock()
	}
	o.opts.Hook(Told{kind, outcome})
}

// write commits b, which replaces or deletes h.
func (o *Outbox) write(ctx context.Context, h held, b store.Batch) {
	for pause := 50 * time.Millisecond; ; pause *= 2 {
		_, err := o.opts.Store.Commit(ctx, b)
		if err == nil || errors.Is(err, store.ErrConflict) { // a conflict: it was written before an error, or another node has it
			return
		}
		select {
		case <-ctx.Done():
			o.opts.Logger.Error("outbox: an item is delivered again, because the store did not take how it went", "kind", h.Kind, "item", h.ID, "error", err.Error())
			return
		case <-time.After(pause):
		}
	}
}

// afterFailure is w after a failure.
func (o *Outbox) afterFailure(w *row, f Failure) row {
	next, now := *w, o.opts.Now().UTC()
	next.Node, next.Reason = "", f.Reason
	wait := retry.Pause(w.Tries)
	if f.Unreachable {
		wait = retry.Rest(w.Tries)
	}
	next.Due = now.Add(max(wait, f.After))
	if next.Until.Before(next.Due) {
		next.Due = next.Until // the last try
	}
	if f.Permanent || !now.Before(next.Until) || !next.Expires.IsZero() && !next.Due.Before(next.Expires) {
		next = dead(next, now)
	}
	return next
}

// dead is w as a dead letter. What has expired, or will without a try, is of no use to anybody.
func dead(w row, now time.Time) row {
	w.Died, w.Node = now, ""
	if !w.Expires.IsZero() && !w.Due.Before(w.Expires) {
		w.Sealed = nil
	}
	return w
}

func (o *Outbox) logFailure(w *row, f Failure) {
	text := ""
	if f.Err != nil {
		text = f.Err.Error()
	}
	if w.Died.IsZero() {
		o.opts.Logger.Info("outbox: a delivery failed and is tried again", "kind", w.Kind, "lane", w.Lane, "about", w.About, "item", w.ID, "tries", w.Tries, "reason", f.Reason, "next", w.Due.Format(time.RFC3339), "error", check.Clip(text, maxText))
		return
	}
	o.opts.Logger.Warn("outbox: a delivery failed for good", "kind", w.Kind, "lane", w.Lane, "about", w.About, "item", w.ID, "tries", w.Tries, "reason", f.Reason, "error", check.Clip(text, maxText))
}
