package revlog

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	"github.com/counterfoil/counterfoil"
)

// stream is a question that gets page after page in its answer. The goroutine that reads a page has it
// sent on all streams, one after the other. The goroutine of the question sleeps until its answer ends: to
// wake a thousand of them for each page costs more than to send it.
type stream struct {
	send func(p *sharedPage, first bool) error

	turn  chan struct{}              // who sends takes the one that is in it, and puts it back
	state atomic.Int32               // idle, sending or over
	at    counterfoil.Cursor         // up to which it was sent pages; of who has the turn
	got   atomic.Pointer[sharedPage] // the last one that somebody began to send; nil: none
	late  atomic.Bool                // the others have gone on without it: it ends when it is idle
	ended chan struct{}              // closed by who ends it, unless the question itself leaves
	page  *sharedPage                // what it was ended with; final when ended is closed
	err   error
	bug   any // of a panic in send, for the goroutine of the question

	in    *answer // where it waits; nil: nowhere. Guarded by polls.mu, as is place
	place int     // in in.streams
}

// States of a stream. From over it goes nowhere: nothing is sent then.
const (
	idle int32 = iota
	sending
	over
)

func newStream(after counterfoil.Cursor, send func(p *sharedPage, first bool) error) *stream {
	s := &stream{send: send, at: after, turn: make(chan struct{}, 1), ended: make(chan struct{})}
	s.turn <- struct{}{}
	return s
}

// deliver sends the page that follows after. A stream that is still being sent the page before, or has not
// got it, ends. What a verifier gets has no gap.
func (s *stream) deliver(after counterfoil.Cursor, p *sharedPage) {
	select {
	case <-s.turn:
	default:
		s.end(nil, nil)
		return
	}
	defer func() { s.turn <- struct{}{} }()
	if s.at != after {
		s.end(nil, nil)
		return
	}
	if !s.state.CompareAndSwap(idle, sending) {
		return
	}
	if err := s.try(p); err != nil {
		s.err = err
		s.state.Store(over)
		close(s.ended)
		return
	}
	s.at = p.Upto
	s.state.Store(idle)
	if s.late.Load() {
		s.end(nil, nil)
	}
}

// try is send. A panic in it ends s alone, and goes on in the goroutine of the question, where a server recovers it.
func (s *stream) try(p *sharedPage) (err error) {
	defer func() {
		if v := recover(); v != nil {
			s.bug, err = v, fmt.Errorf("send a page of the log: panic: %v", v)
		}
	}()
	return s.send(p, s.got.Swap(p) == nil)
}

// end ends s with a page or an error, and wakes its question. If s is being sent a page, it ends after that,
// without another one.
func (s *stream) end(p *sharedPage, err error) {
	s.late.Store(true)
	if s.state.CompareAndSwap(idle, over) {
		s.page, s.err = p, err
		close(s.ended)
	}
}

// leave ends s for its question. It returns when nothing is being sent.
func (s *stream) leave() {
	turn := <-s.turn
	s.state.Store(over)
	s.turn <- turn
}

// follow has news after a cursor sent on s until due. It returns what ended s, which may be a page that was not
// sent on it. It returns nil, without an error, if stopped has closed.
func (l *polls) follow(ctx context.Context, after counterfoil.Cursor, due time.Duration, stopped <-chan struct{}, s *stream) (p *sharedPage, err error) {
	l.mu.Lock()
	l.answerAt(after, due).join(s)
	l.mu.Unlock()
	select {
	case <-s.ended:
		p, err = s.page, s.err
	case <-stopped:
	case <-ctx.Done():
		err = ctx.Err()
	}
	s.leave()
	l.mu.Lock()
	defer l.mu.Unlock()
	if a := s.in; a != nil {
		a.part(s)
		l.leave(a)
	}
	if s.bug != nil {
		panic(s.bug)
	}
	return p, err
}

// send sends a page to the streams that were taken before it was read. They wait for the next one then.
func (l *polls) send(w *waiters, taken map[time.Duration]*answer, page *sharedPage) {
	var all []*stream
	l.mu.Lock()
	for _, a := range taken {
		all = append(all, a.streams...)
	}
	l.mu.Unlock()
	fanOut(len(all), func(n int) { all[n].deliver(w.after, page) })
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Since(l.begun)
	for due, a := range taken {
		if due <= now || l.flushes > 0 {
			a.endStreams(nil, nil)
		} else if len(a.streams) > 0 {
			for _, s := range a.streams {
				if s.got.Load() != page { // nobody has begun to send it: what comes next would leave a gap
					s.end(nil, nil)
				}
			}
			b := l.answerAt(page.Upto, due)
			b.many++ // so that it is left, if all have ended
			a.moveStreams(b)
			l.leave(b)
		}
	}
	l.endReading(w)
}

// If each goroutine begins no more than slow calls within stall, more of them work.
const (
	stall = 2 * time.Millisecond
	slow  = 4
)

// fanOut calls do with each number below n, and returns when all calls have begun, and have returned or take
// longer than stall: a client that reads nothing, or slowly, holds up one goroutine, and not the others.
func fanOut(n int, do func(int)) {
	if n == 0 {
		return
	}
	var next atomic.Int64
	done := make(chan struct{}, n)
	work := func() {
		for at := next.Add(1) - 1; at < int64(n); at = next.Add(1) - 1 {
			do(int(at))
		}
		done <- struct{}{}
	}
	started, working := 0, 0
	start := func(more int) {
		for range min(more, n-started) { // no more than one for each
			started++
			working++
			go work()
		}
	}
	start(min(runtime.GOMAXPROCS(0), 1+n/16))
	ticker := time.NewTicker(stall)
	defer ticker.Stop()
	for before := int64(0); working > 0; {
		select {
		case <-done:
			working--
		case <-ticker.C:
			begun := next.Load()
			if begun >= int64(n) {
				return // the rest is late
			}
			if begun-before <= slow*int64(working) {
				start(working)
			}
			before = begun
		}
	}
}

// join has s wait for a. The caller holds polls.mu, as of the methods below.
func (a *answer) join(s *stream) {
	s.in, s.place = a, len(a.streams)
	a.streams = append(a.streams, s)
	a.many++
}

// part takes s out of a. The caller calls polls.leave.
func (a *answer) part(s *stream) {
	last := len(a.streams) - 1
	a.streams[s.place] = a.streams[last]
	a.streams[s.place].place = s.place
	a.streams[last], s.in = nil, nil
	a.streams = a.streams[:last]
}

// moveStreams has the streams of a wait for b. One that is still being sent a page ends.
func (a *answer) moveStreams(b *answer) {
	for _, s := range a.streams {
		if s.in = nil; s.state.Load() == idle {
			b.join(s)
		} else {
			s.end(nil, nil)
		}
	}
	a.many -= len(a.streams)
	a.streams = nil
}

// endStreams ends the streams of a. Their questions send the page, if they have sent none.
func (a *answer) endStreams(p *sharedPage, err error) {
	for _, s := range a.streams {
		s.in = nil
		s.end(p, err)
	}
	a.many -= len(a.streams)
	a.streams = nil
}

// told reports whether all that wait for a have got a page.
func (a *answer) told() bool {
	return a.many == len(a.streams) && !slices.ContainsFunc(a.streams, func(s *stream) bool { return s.got.Load() == nil })
}

// flush ends the streams that have got a page.
func (a *answer) flush() {
	for _, s := range a.streams {
		if s.got.Load() != nil {
			s.end(nil, nil)
		}
	}
}

// flush ends the streams that have got a page, because WaitAll begins: only the next question of a verifier
// shows that the page has arrived. Others end after their first page, until the caller calls end.
func (l *polls) flush() (end func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.flushes++
	for _, w := range l.waiters {
		for _, a := range w.due {
			a.flush()
		}
	}
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.flushes--
	}
}
