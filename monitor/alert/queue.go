package alert

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/counterfoil/counterfoil/internal/retry"
	"github.com/counterfoil/counterfoil/monitor"
)

const (
	maxWaiting = 1000 // events of one channel; then the oldest is given up
	oneTry     = time.Minute
)

// Queue keeps events in memory until they are sent. A channel that does not work holds up no other.
// Its methods are safe for concurrent use.
type Queue struct {
	sender *Sender
	log    *slog.Logger

	mu       sync.Mutex // guards all below; held for a moment only
	channels []monitor.Channel
	lanes    map[string]*lane
	closed   bool
	stop     context.CancelFunc
	ctx      context.Context // of all lanes: ends with Close
	running  sync.WaitGroup
}

// lane is what waits for one channel or, of a mail, for one address of it.
type lane struct {
	channel monitor.Channel
	items   []*item // in the order of their events
	wake    chan struct{}
	failed  int       // tries in a row after which the channel did not work
	resting time.Time // until then nothing is tried, because the channel does not work
	gone    bool      // the channel is there no longer
}

type item struct {
	event monitor.Event
	since time.Time
	due   time.Time
	tries int
	now   bool // is being sent
}

// New returns a queue for sender. Close ends it.
func New(sender *Sender, channels []monitor.Channel, logger *slog.Logger) *Queue {
	if logger == nil {
		logger = slog.Default()
	}
	q := &Queue{sender: sender, log: logger, channels: channels, lanes: map[string]*lane{}}
	q.ctx, q.stop = context.WithCancel(context.Background())
	return q
}

// Set replaces the channels. What waits for a channel that is there no longer is given up.
func (q *Queue) Set(channels []monitor.Channel) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.channels = channels
	for key, l := range q.lanes {
		l.gone = true
		for _, c := range split(channels) {
			if laneOf(c) == key {
				l.channel, l.gone = c, false
			}
		}
		if l.gone {
			l.items = nil
			delete(q.lanes, key)
		}
		l.poke()
	}
}

// Send takes e for all channels that want it. It does not wait for anything.
func (q *Queue) Send(e monitor.Event) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, c := range split(q.channels) {
		if c.Wants(e) {
			q.add(c, e)
		}
	}
}

// split makes a channel of each address of a mail, so that a mail which one of them does not get is
// sent again to that one alone.
func split(channels []monitor.Channel) (all []monitor.Channel) {
	for _, c := range channels {
		if c.Kind != monitor.Mail {
			all = append(all, c)
			continue
		}
		for _, to := range c.To {
			one := c
			one.To = []string{to}
			all = append(all, one)
		}
	}
	return all
}

func laneOf(c monitor.Channel) string {
	if c.Kind == monitor.Mail {
		return c.Name + " " + c.To[0]
	}
	return c.Name
}

// add puts e into the lane of c. The caller holds mu.
func (q *Queue) add(c monitor.Channel, e monitor.Event) {
	if q.closed {
		return
	}
	key := laneOf(c)
	l := q.lanes[key]
	if l == nil {
		l = &lane{channel: c, wake: make(chan struct{}, 1)}
		q.lanes[key] = l
		q.running.Go(func() { q.run(l) })
	}
	if slices.ContainsFunc(l.items, func(i *item) bool { return i.event.ID == e.ID }) {
		return
	}
	if len(l.items) >= maxWaiting {
		q.log.Error("an alert was given up", "channel", c.Name, "event", l.items[0].event.ID, "why", "too many wait")
		l.items = l.items[1:]
	}
	now := time.Now()
	l.items = append(l.items, &item{event: e, since: now, due: now})
	l.poke()
}

func (l *lane) poke() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// Withdraw takes the event with that ID out of the queue, and returns the names of the channels for
// which it still waited. To others it was sent, or is being sent.
func (q *Queue) Withdraw(id string) (waiting []string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, l := range q.lanes {
		l.items = slices.DeleteFunc(l.items, func(i *item) bool {
			if i.event.ID != id || i.now {
				return false
			}
			if !slices.Contains(waiting, l.channel.Name) {
				waiting = append(waiting, l.channel.Name)
			}
			return true
		})
	}
	return waiting
}

// Waiting is how many events wait, over all channels.
func (q *Queue) Waiting() (n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, l := range q.lanes {
		n += len(l.items)
	}
	return n
}

// Close ends the queue. What waits is given up.
func (q *Queue) Close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.stop()
	q.running.Wait()
	if n := q.Waiting(); n > 0 {
		q.log.Error("alerts were given up", "waiting", n, "why", "the program ends, and keeps them in memory")
	}
}

// run sends what is in a lane, one event at a time, until the queue or the channel ends.
func (q *Queue) run(l *lane) {
	for q.ctx.Err() == nil {
		next, wait, gone := q.next(l)
		if gone {
			return
		}
		if next == nil {
			timer := time.NewTimer(wait)
			select {
			case <-timer.C:
			case <-l.wake:
			case <-q.ctx.Done():
			}
			timer.Stop()
			continue
		}
		ctx, cancel := context.WithTimeout(q.ctx, oneTry)
		q.mu.Lock()
		channel := l.channel
		q.mu.Unlock()
		err := q.sender.Send(ctx, channel, next.event)
		cancel()
		if q.ctx.Err() != nil && err != nil {
			return // Close counts it among those that wait
		}
		q.settle(l, next, err)
	}
}

// next returns the first item that is due, or how long to wait, or that the channel is gone.
func (q *Queue) next(l *lane) (i *item, wait time.Duration, gone bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if l.gone {
		return nil, 0, true
	}
	now := time.Now()
	if rest := l.resting.Sub(now); rest > 0 {
		return nil, rest, false
	}
	wait = time.Hour
	for _, i := range l.items {
		if until := i.due.Sub(now); until > 0 {
			wait = min(wait, until)
			continue
		}
		i.now, i.tries = true, i.tries+1
		return i, 0, false
	}
	return nil, wait, false
}

// settle notes how a try has ended.
func (q *Queue) settle(l *lane, i *item, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Now()
	i.now = false
	failure, is := errors.AsType[*Failure](err)
	switch {
	case err == nil:
	case is && failure.Permanent, now.Sub(i.since) >= retry.For:
		q.log.Error("an alert was given up", "channel", l.channel.Name, "event", i.event.ID, "tries", i.tries, "why", err.Error())
		err = nil
	default:
		q.log.Warn("an alert is tried again", "channel", l.channel.Name, "event", i.event.ID, "tries", i.tries, "why", err.Error())
		i.due = now.Add(retry.Pause(i.tries))
		if is {
			i.due = later(i.due, now.Add(failure.After))
		}
	}
	if is && failure.Unreachable {
		l.failed++
		l.resting = later(now.Add(retry.Rest(l.failed)), now.Add(failure.After))
	} else {
		l.failed, l.resting = 0, time.Time{}
	}
	if err == nil {
		l.items = slices.DeleteFunc(l.items, func(other *item) bool { return other == i })
	}
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
