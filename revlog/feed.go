package revlog

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/counterfoil/counterfoil/internal/check"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store"
)

// maxWait caps a long poll, also of a verifier that asks for a longer one.
const maxWait = 30 * time.Second

// Feed serves a log to verifiers that follow it. Its methods are safe for concurrent use.
type Feed struct {
	log      *Log
	maxBound time.Duration
	started  time.Time
	leases   leases
	polls    *polls

	stopping sync.Once
	stopped  chan struct{} // closed by Stop
}

// NewFeed returns a feed of l for verifiers whose staleness bound is at most maxBound. It
// starts nothing in the background while no verifier waits.
func NewFeed(l *Log, maxBound time.Duration) *Feed {
	return &Feed{log: l, maxBound: maxBound, started: l.opts.Time.Steady(), polls: newPolls(l.page, l.opts.Store.Wait), stopped: make(chan struct{})}
}

// Stop has every question answered without a wait from now on, and WaitAll return at once. It is for a
// server that takes no new connections any more: a verifier cannot ask it again.
func (f *Feed) Stop() {
	f.stopping.Do(func() { close(f.stopped) })
}

// Stopped is closed by Stop.
func (f *Feed) Stopped() <-chan struct{} { return f.stopped }

// Page returns the next page of the log, see counterfoil.Source. The feed reads the head
// of the page from the store after the wait (REV-03): a page from memory would prove
// nothing. Other callers may get the same page: its entries are not to be changed.
func (f *Feed) Page(ctx context.Context, follow source.Follow) (source.Page, error) {
	p, err := f.page(ctx, follow)
	if err != nil {
		return source.Page{}, err
	}
	return p.Page, nil
}

// JSON is Page as GET /v1/log answers it, encoded once for all that get the page. It is
// not to be changed.
func (f *Feed) JSON(ctx context.Context, follow source.Follow) ([]byte, error) {
	p, err := f.page(ctx, follow)
	if err != nil {
		return nil, err
	}
	return p.json()
}

func (f *Feed) page(ctx context.Context, follow source.Follow) (*sharedPage, error) {
	q, err := f.question(follow)
	if err != nil {
		return nil, err
	}
	if q.Wait <= 0 {
		return q.settle(ctx, nil, nil)
	}
	p, err := f.polls.await(ctx, q.After, q.due, f.stopped)
	return q.settle(ctx, p, err)
}

// Pages answers follow with one page after the other, for as long as follow.Wait: each as
// soon as it is there, so that news costs the verifier no question. Pages passes each to
// send as a record of a JSON text sequence (RFC 7464), which is not to be changed, and
// says whether it is surely the last one. If others wait for the same news already, Pages calls
// begin before it waits, for the head of the answer: then there is less to do for each of them
// when there is news. An error after begin or after the first page is an early end: what was sent
// is true, and the next question meets the error.
//
// Another goroutine may call send, one call at a time, and none after Pages has returned: see
// stream.
func (f *Feed) Pages(ctx context.Context, follow source.Follow, begin func() error, send func(record []byte, last bool) error) error {
	q, err := f.question(follow)
	if err != nil {
		return err
	}
	var p *sharedPage
	if q.Wait > 0 {
		if f.polls.waitedFor(q.After) {
			if err := begin(); err != nil {
				f.leases.withdraw(q.Follow, q.asked)
				return err
			}
		}
		s := newStream(q.After, func(p *sharedPage, first bool) error {
			record, err := p.text()
			if err != nil {
				return err
			}
			if first {
				f.leases.grant(q.Follow, q.asked, p.Upto)
			}
			return send(record, f.polls.over(q.due))
		})
		p, err = f.polls.follow(ctx, q.After, q.due, f.stopped, s)
		if s.got.Load() != nil {
			return store.Outage(err)
		}
	}
	if p, err = q.settle(ctx, p, err); err != nil {
		return err
	}
	record, err := p.text()
	if err != nil {
		return err
	}
	return send(record, true)
}

// question is a Follow that is being answered.
type question struct {
	source.Follow
	feed  *Feed
	asked time.Time
	due   time.Duration // when its wait is over, by polls
}

func (f *Feed) question(follow source.Follow) (*question, error) {
	if follow.Verifier != "" && (follow.Bound <= 0 || follow.Bound > f.maxBound || len(follow.Verifier) < 8 || check.Text("verifier", follow.Verifier, 64) != nil) {
		return nil, fmt.Errorf("%w: a verifier needs an id of 8 to 64 characters and a bound of at most %v", ErrBadRequest, f.maxBound)
	}
	q := &question{Follow: follow, feed: f, asked: f.log.opts.Time.Steady(), due: f.polls.due(min(follow.Wait, maxWait))}
	if !f.leases.ask(follow, q.asked) {
		return nil, &source.Problem{
			Status: http.StatusTooManyRequests, Type: "too-many-verifiers", Title: "Too many verifiers follow with this API key",
			Detail: fmt.Sprintf("At most %d may; make another key.", maxVerifiers), RetryAfter: f.maxBound,
		}
	}
	return q, nil
}

// settle is the first page of the answer: p, or what is there now if p is nil. It alone is a
// lease. The pages that follow in the same answer do not let the verifier go on for longer, and
// each may be lost on its way: what they say counts when the verifier asks for what comes after
// them.
func (q *question) settle(ctx context.Context, p *sharedPage, err error) (*sharedPage, error) {
	f := q.feed
	err = store.Outage(err)
	for err == nil && (p == nil || p.Head.Before(q.After)) {
		if p != nil {
			err = f.log.checkAhead(ctx, q.After, q.Proof)
		}
		if err == nil {
			p, err = f.polls.read(ctx, q.After)
			err = store.Outage(err)
		}
	}
	if err != nil {
		f.leases.withdraw(q.Follow, q.asked)
		return nil, err
	}
	if p.Complete() {
		f.leases.grant(q.Follow, q.asked, p.Upto)
	} else {
		f.leases.withdraw(q.Follow, q.asked)
	}
	return p, nil
}
