package outbox

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/counterfoil/counterfoil/internal/retry"
	"github.com/counterfoil/counterfoil/store"
)

// lane is what this node knows of one destination.
type lane struct {
	found []held // due, in order, and not taken yet
	more  bool   // the store has others that are due
	busy  int    // deliveries under way

	down   int       // failures in a row that were not about an item; zero: it can be reached
	until  time.Time // while it is down: not asked before
	reason string    // why it is down
}

// width is how many deliveries may be under way.
func (l *lane) width() int {
	if l.down > 0 {
		return 1
	}
	return perLane
}

// handler delivers items of a kind.
type handler struct {
	do    Deliver
	knows func(lane string) bool // nil: all lanes
}

// Handle says how items of a kind are delivered. Items of a kind that nobody handles on this node
// wait.
func (o *Outbox) Handle(kind string, do Deliver) { o.HandleLanes(kind, nil, do) }

// HandleLanes says how items of a kind are delivered, and to which lanes this node can deliver. Items of
// other lanes wait for a node that can. knows must be quick; call [Outbox.Wake] when it knows others.
func (o *Outbox) HandleLanes(kind string, knows func(lane string) bool, do Deliver) {
	o.mu.Lock()
	o.handlers[kind] = handler{do, knows}
	o.mu.Unlock()
	o.Wake()
}

func (o *Outbox) handler(kind string) Deliver {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.handlers[kind].do
}

// Run delivers until ctx ends. Then it waits for the deliveries that are under way.
func (o *Outbox) Run(ctx context.Context) {
	var running sync.WaitGroup
	defer running.Wait()
	for {
		next, err := o.look(ctx)
		if err != nil && ctx.Err() == nil {
			o.opts.Logger.Error("outbox: look for what is due", "error", err.Error())
		}
		o.start(ctx, &running)
		wait := min(max(next.Sub(o.opts.Now()), 0), everyIdle)
		if err != nil {
			wait = every // of a store that can be read and not written, next may be now
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-o.wake:
		}
		timer.Stop()
		if ctx.Err() != nil {
			return
		}
	}
}

// start begins as many deliveries of what look has found as there may be.
func (o *Outbox) start(ctx context.Context, running *sync.WaitGroup) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for name, l := range o.lanes {
		for len(l.found) > 0 && l.busy < l.width() && o.busy < perNode && !o.opts.Now().Before(l.until) && ctx.Err() == nil {
			h := l.found[0]
			l.found = l.found[1:]
			l.busy++
			o.busy++
			running.Go(func() {
				again := o.deliver(ctx, l, h)
				o.mu.Lock()
				l.busy--
				o.busy--
				again = again || len(l.found) == 0 && l.more
				o.mu.Unlock()
				if again {
					o.Wake()
					return
				}
				o.start(ctx, running)
			})
		}
		if len(l.found) == 0 && l.busy == 0 && l.down == 0 {
			delete(o.lanes, name)
		}
	}
}

// failed notes whether f is about the lane.
func (o *Outbox) failed(l *lane, f Failure) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !f.Unreachable {
		return
	}
	l.down++
	l.reason = f.Reason
	l.until = o.opts.Now().Add(retry.Rest(l.down))
	l.found, l.more = nil, false // found again then: another node may have been luckier
}

// reached notes that a lane takes what is delivered.
func (o *Outbox) reached(l *lane) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if l.down > 0 {
		l.down, l.until, l.reason = 0, time.Time{}, ""
		o.Wake() // it may take more at a time now
	}
}

// look finds what is due in each lane that has room, and returns when it has to look again. It reads
// no more of a lane than is due and fits.
func (o *Outbox) look(ctx context.Context) (next time.Time, err error) {
	v := &view{now: o.opts.Now(), seen: map[string]bool{}}
	v.next = v.now.Add(everyIdle)
	for after, more := "", true; more && err == nil; {
		after, more, err = o.read(ctx, after, v)
		o.give(v)
	}
	if len(v.seen) > 0 {
		v.next = earlier(v.next, v.now.Add(every))
	}
	if err == nil && !v.full {
		o.forget(v)
	}
	return v.next, errors.Join(err, o.bury(ctx, v.late), o.trim(ctx))
}

// view is what one look sees.
type view struct {
	now  time.Time
	next time.Time // when the next look has to be
	seen map[string]bool
	late []held
	full bool // there are more that are late

	name  string // the lane that is being read
	room  int    // how many more of it are taken
	down  string // why it cannot be reached, or nobody here delivers it; empty: it may
	other bool   // other nodes may deliver it
	found []held
	more  bool
}

// read lists from a place on, as long as it reads what is needed. It returns where to go on.
func (o *Outbox) read(ctx context.Context, after string, v *view) (on string, more bool, err error) {
	for rec, err := range o.opts.Store.List(ctx, kind, ownerWaiting, after) {
		if err != nil {
			return "", false, err
		}
		name, due, ok := parseKey(rec.ID)
		if !ok {
			continue
		}
		if name != v.name {
			o.give(v)
			o.begin(v, name)
		}
		if due.After(v.now) {
			v.next = earlier(v.next, due)
			return afterLane(name), true, nil
		}
		h, err := parse(rec)
		if err != nil {
			o.opts.Logger.Error("outbox: a record cannot be read", "record", rec.ID, "error", err.Error())
			continue
		}
		switch {
		case v.isLate(&h.row):
			h.Reason = cmp.Or(h.Reason, v.down, "it was not delivered in time")
			if v.late = append(v.late, h); len(v.late) == buriedAtOnce {
				v.full, v.next = true, v.now
				return "", false, nil
			}
		case v.room == 0:
			v.more = true
			return afterLane(name), true, nil
		default:
			v.found = append(v.found, h)
			v.room--
		}
	}
	return "", false, nil
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// begin is for the records of a lane.
func (o *Outbox) begin(v *view, name string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	v.name, v.room, v.down, v.other, v.seen[name] = name, ahead, "", false, true
	of, lane, _ := strings.Cut(name, ".")
	l, h := o.lanes[name], o.handlers[of]
	switch {
	case h.do == nil:
		v.room, v.down = 0, "nobody delivers this kind"
	case h.knows != nil && !h.knows(lane):
		v.room, v.down, v.other = 0, "no node that looked delivers to this lane", true
	case l == nil:
	case l.down > 0:
		v.down = l.reason
		v.room = 0
		if len(l.found) == 0 && l.busy == 0 && !v.now.Before(l.until) {
			v.room = 1
		}
		if v.now.Before(l.until) {
			v.next = earlier(v.next, l.until)
		}
	case len(l.found) > 0:
		v.room = 0
	}
}

// give takes over what was read of a lane.
func (o *Outbox) give(v *view) {
	if len(v.found) > 0 || v.more {
		o.mu.Lock()
		l := o.lanes[v.name]
		if l == nil {
			l = &lane{}
			o.lanes[v.name] = l
		}
		l.found, l.more = append(l.found, v.found...), v.more
		o.mu.Unlock()
	}
	v.found, v.more = nil, false
}

// forget drops the lanes in which nothing waits.
func (o *Outbox) forget(v *view) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for name, l := range o.lanes {
		if !v.seen[name] && l.busy == 0 && len(l.found) == 0 {
			delete(o.lanes, name)
		}
	}
}

// isLate reports whether w, which is due, has died: it is of no use any more, or its time is over
// and its lane cannot be reached. In a lane that can, it has a last try, unless its time was over a day
// ago: then it is of a backup that was restored, or of an outage that was longer than anybody waits for it.
func (v *view) isLate(w *row) bool {
	end := w.Until.Add(retry.For)
	switch {
	case v.other:
		end = w.Until.Add(othersTry)
	case v.down != "":
		end = w.Until
	}
	return !w.Expires.IsZero() && !v.now.Before(w.Expires) || !v.now.Before(end)
}

// bury makes dead letters of what is late.
func (o *Outbox) bury(ctx context.Context, late []held) error {
	for _, h := range late {
		next := dead(h.row, o.opts.Now().UTC())
		b, _, err := h.move(next)
		if err == nil {
			_, err = o.opts.Store.Commit(ctx, b)
		}
		if errors.Is(err, store.ErrConflict) {
			continue // another node has it
		}
		if err != nil {
			return err
		}
		o.tell(h.Kind, Died)
		o.logFailure(&next, Failure{Reason: next.Reason})
	}
	return nil
}
