package revlog

import (
	"context"
	"sync"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/internal/coalesce"
	"github.com/counterfoil/counterfoil/source"
)

// polls is where long polls wait. It shares the reads of the log among the verifiers that
// follow it: a thousand that wait for the same news cost one read of the head, not a
// thousand (4.4), and a page that many get is read and encoded once (4.5). A read counts
// for a question only if it began after the question was here.
type polls struct {
	page func(ctx context.Context, after counterfoil.Cursor) (source.Page, error)
	wait func(ctx context.Context, after counterfoil.Cursor) error // as store.Wait

	begun time.Time

	mu      sync.Mutex // guards all below, and the groups of streams; held for map access only
	reads   map[counterfoil.Cursor]*pageReads
	waiters map[counterfoil.Cursor]*waiters
	flushes int // see flush
}

// tick is what the ends of waits are rounded down to, so that one read answers all that
// end at about the same time. Short waits are left as they are.
const tick = 50 * time.Millisecond

func newPolls(page func(context.Context, counterfoil.Cursor) (source.Page, error), wait func(context.Context, counterfoil.Cursor) error) *polls {
	return &polls{
		page: page, wait: wait, begun: time.Now(),
		reads: make(map[counterfoil.Cursor]*pageReads), waiters: make(map[counterfoil.Cursor]*waiters),
	}
}

// pageReads are the reads of the page after one cursor.
type pageReads struct {
	coalesce.Reads[*sharedPage]
	callers int // that have not got their answer
}

// read returns the page after a cursor at once, read by one call at a time.
func (l *polls) read(ctx context.Context, after counterfoil.Cursor) (*sharedPage, error) {
	l.mu.Lock()
	r := l.reads[after]
	if r == nil {
		r = &pageReads{}
		l.reads[after] = r
	}
	r.callers++
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if r.callers--; r.callers == 0 {
			delete(l.reads, after)
		}
	}()
	return r.Do(ctx, func(ctx context.Context) (*sharedPage, error) {
		p, err := l.page(ctx, after)
		if err != nil {
			return nil, err
		}
		return newSharedPage(p), nil
	})
}

// readForMany reads for verifiers any of which may hang up before.
func (l *polls) readForMany(after counterfoil.Cursor) (*sharedPage, error) {
	ctx, cancel := context.WithTimeout(context.Background(), coalesce.Within)
	defer cancel()
	return l.read(ctx, after)
}

// waiters are the questions that wait for what comes after one cursor.
type waiters struct {
	after   counterfoil.Cursor
	stop    context.CancelFunc        // ends watch
	due     map[time.Duration]*answer // by when their wait ends
	reading bool                      // some of them have been taken out of due, for a read
}

// answer is what the waiters with the same due get.
type answer struct {
	done chan struct{} // closed when page and err are final
	page *sharedPage
	err  error

	of      *waiters
	due     time.Duration
	timer   *time.Timer // calls polls.end when the wait is over
	many    int         // how many wait, streams included
	merged  []*answer   // get the same: they were taken for a read that brought no news
	streams []*stream   // wait here too: see stream
}

// give gives the page to who waits for done. The streams get it from somebody else.
func (a *answer) give(page *sharedPage, err error) {
	a.page, a.err = page, err
	close(a.done)
	for _, b := range a.merged {
		b.give(page, err)
	}
}

// get waits for the answer, until ctx ends or stopped closes: nil, without an error.
func (a *answer) get(ctx context.Context, stopped <-chan struct{}) (*sharedPage, error) {
	select {
	case <-a.done:
		return a.page, a.err
	case <-stopped:
		return nil, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// due is when a wait of d is over: up to a tick earlier if d is long.
func (l *polls) due(d time.Duration) time.Duration {
	due := time.Since(l.begun) + d
	if d >= 4*tick {
		due = due.Truncate(tick)
	}
	return due
}

func (l *polls) over(due time.Duration) bool { return time.Since(l.begun) >= due }

// waitedFor reports whether somebody waits for what comes after a cursor.
func (l *polls) waitedFor(after counterfoil.Cursor) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.waiters[after] != nil
}

// await returns the page after a cursor when there is news, or at due; or nil as soon as
// stopped closes.
func (l *polls) await(ctx context.Context, after counterfoil.Cursor, due time.Duration, stopped <-chan struct{}) (*sharedPage, error) {
	l.mu.Lock()
	a := l.answerAt(after, due)
	a.many++
	l.mu.Unlock()
	p, err := a.get(ctx, stopped)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.leave(a)
	return p, err
}

// answerAt returns what the waiters for what comes after a cursor get, whose wait ends at due. The
// caller holds mu, and has one of them count.
func (l *polls) answerAt(after counterfoil.Cursor, due time.Duration) *answer {
	w := l.waiters[after]
	if w == nil {
		watching, stop := context.WithCancel(context.Background())
		w = &waiters{after: after, stop: stop, due: make(map[time.Duration]*answer)}
		l.waiters[after] = w
		go l.watch(watching, w)
	}
	a := w.due[due]
	if a == nil {
		a = &answer{done: make(chan struct{}), of: w, due: due}
		a.timer = time.AfterFunc(due-time.Since(l.begun), func() { l.end(w, due) })
		w.due[due] = a
	}
	return a
}

// leave ends a wait when its last waiter leaves. The caller holds mu.
func (l *polls) leave(a *answer) {
	if a.many--; a.many == 0 && a.of.due[a.due] == a {
		a.timer.Stop()
		l.remove(a.of, a.due)
	}
}

// remove takes an answer from w, and ends w with the last. The caller holds mu.
func (l *polls) remove(w *waiters, due time.Duration) {
	delete(w.due, due)
	l.endIfEmpty(w)
}

func (l *polls) endIfEmpty(w *waiters) {
	if len(w.due) == 0 && !w.reading {
		delete(l.waiters, w.after)
		w.stop()
	}
}

// watch waits for news and answers all of w with one read, until w ends. Questions that
// come during the read are left for the next one.
func (l *polls) watch(ctx context.Context, w *waiters) {
	for hints := 0; ; hints++ {
		begun := time.Now()
		err := l.wait(ctx, w.after)
		if time.Since(begun) > tick {
			hints = 0
		}
		l.mu.Lock()
		if ctx.Err() != nil { // w has ended
			l.mu.Unlock()
			return
		}
		taken := w.due
		w.due, w.reading = make(map[time.Duration]*answer), true
		l.mu.Unlock()
		var page *sharedPage
		if err == nil {
			page, err = l.readForMany(w.after)
		}
		l.answerAll(w, taken, page, err)
		if hints > 3 { // the store woke us for nothing again and again
			time.Sleep(tick / 10)
		}
	}
}

// answerAll gives a page to the waiters that were taken before it was read. Without news
// they go on waiting: a store wakes for nothing too, and a verifier that is answered early
// is away when there is news.
func (l *polls) answerAll(w *waiters, taken map[time.Duration]*answer, page *sharedPage, err error) {
	switch {
	case err == nil && page.Head == w.after:
		l.waitOn(w, taken, page)
	case err == nil && page.Complete() && !page.Head.Before(w.after):
		l.giveAll(taken, page, nil)
		l.send(w, taken, page)
	default:
		l.giveAll(taken, page, err)
		l.mu.Lock()
		defer l.mu.Unlock()
		for _, a := range taken {
			a.endStreams(page, err)
		}
		l.endReading(w)
	}
}

func (l *polls) giveAll(taken map[time.Duration]*answer, page *sharedPage, err error) {
	for _, a := range taken {
		a.timer.Stop()
		a.give(page, err)
	}
}

// waitOn has waiters go on waiting, except those whose wait is over.
func (l *polls) waitOn(w *waiters, taken map[time.Duration]*answer, page *sharedPage) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Since(l.begun)
	for due, a := range taken {
		if l.flushes > 0 {
			a.flush()
		}
		switch {
		case due <= now:
			a.timer.Stop()
			a.give(page, nil)
			a.endStreams(page, nil)
		case a.many == 0:
			a.timer.Stop()
		case w.due[due] == nil:
			w.due[due] = a
		default: // others came meanwhile whose wait ends at the same moment
			a.timer.Stop()
			later := w.due[due]
			a.moveStreams(later)
			later.merged = append(later.merged, a)
			later.many++
		}
	}
	l.endReading(w)
}

// endReading is for a read that has been answered. The caller holds mu.
func (l *polls) endReading(w *waiters) {
	w.reading = false
	l.endIfEmpty(w)
}

// end answers the waiters whose wait is over.
func (l *polls) end(w *waiters, due time.Duration) {
	l.mu.Lock()
	a := w.due[due]
	if a == nil { // they are being answered
		l.mu.Unlock()
		return
	}
	l.remove(w, due)
	told := a.told()
	l.mu.Unlock()
	var page *sharedPage
	var err error
	if !told {
		page, err = l.readForMany(w.after)
	}
	a.give(page, err)
	l.mu.Lock()
	defer l.mu.Unlock()
	a.endStreams(page, err)
}
