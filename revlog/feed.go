package revlog

import (
	"cmp"
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
	f.stopping.Do(func() {
		close(f.stopped)
		f.leases.flush() // for good
	})
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
	return q.first(ctx)
}

// Pages answers follow with one page after the other, for as long as follow.Wait: each as
// soon as it is there, so that news costs the verifier no question. Pages passes each to
// send as a record of a JSON text sequence (RFC 7464), which is not to be changed, and
// says whether it is surely the last one. An error after the first page is an early end:
// what was sent is true, and the next question meets the error.
func (f *Feed) Pages(ctx context.Context, follow source.Follow, send func(record []byte, last bool) error) error {
	q, err := f.question(follow)
	if err != nil {
		return err
	}
	p, err := q.first(ctx)
	if err != nil {
		return err
	}
	flush := f.leases.flushed() // WaitAll waits for this verifier: it must ask, to show what has arrived
	for p != nil && err == nil {
		last := !p.Complete() || f.polls.over(q.due)
		var record []byte
		if record, err = p.text(); err == nil {
			err = send(record, last)
		}
		if err != nil || last {
			return err
		}
		q.After, q.Proof = p.Upto, p.Proof
		if p, err = q.answer(ctx, flush); err == nil && p != nil && p.Upto == q.After {
			return nil // the wait is over, and a page has been sent
		}
	}
	return nil
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

// first is the first page of the answer. It alone is a lease. The pages that follow in the
// same answer do not let the verifier go on for longer, and each may be lost on its way:
// what they say counts when the verifier asks for what comes after them.
func (q *question) first(ctx context.Context) (*sharedPage, error) {
	p, err := q.answer(ctx, nil)
	if err != nil || !p.Complete() {
		q.feed.leases.withdraw(q.Follow, q.asked)
		return p, err
	}
	q.feed.leases.grant(q.Follow, q.asked, p.Upto)
	return p, nil
}

// answer is the next page, after the wait that is asked for; or nil as soon as flush
// closes. Without flush it is never nil.
func (q *question) answer(ctx context.Context, flush <-chan struct{}) (*sharedPage, error) {
	f := q.feed
	for waited := false; ; waited = true {
		var p *sharedPage
		var err error
		if q.Wait > 0 && !waited {
			p, err = f.polls.await(ctx, q.After, q.due, cmp.Or(flush, f.stopped))
			if p == nil && err == nil && flush == nil { // the feed stops
				p, err = f.polls.read(ctx, q.After)
			}
		} else {
			p, err = f.polls.read(ctx, q.After)
		}
		if err != nil {
			return nil, store.Outage(err)
		}
		if p == nil || !p.Head.Before(q.After) {
			return p, nil
		}
		if err := f.log.checkAhead(ctx, q.After, q.Proof); err != nil {
			return nil, err
		}
	}
}
