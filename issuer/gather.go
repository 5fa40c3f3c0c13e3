package issuer

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/counterfoil/counterfoil"
)

// feed shares the reads of the log among those who follow it: a thousand who wait for
// the same news cost one read of the head, not a thousand (4.4), and a page that many
// get is read and encoded once (4.5). A read counts for a question only if it began
// after the question was here.
type feed struct {
	page func(ctx context.Context, after counterfoil.Cursor) (counterfoil.Page, error)
	wait func(ctx context.Context, after counterfoil.Cursor) error // as store.Wait

	begun time.Time

	mu     sync.Mutex // guards all below; held for map access only
	reads  map[counterfoil.Cursor]*reading
	crowds map[counterfoil.Cursor]*crowd
}

// shared is a page that is the answer to many: nobody changes it.
type shared struct {
	counterfoil.Page
	json func() ([]byte, error) // encodes once
}

// answer is what many wait for.
type answer struct {
	done chan struct{} // closed when page and err are final
	page *shared
	err  error

	end  *time.Timer // of a wait
	many int         // who wait
}

func newAnswer() *answer { return &answer{done: make(chan struct{})} }

func (a *answer) give(page *shared, err error) {
	a.page, a.err = page, err
	close(a.done)
}

func (a *answer) get(ctx context.Context) (*shared, error) {
	select {
	case <-a.done:
		return a.page, a.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

const (
	// readWithin bounds a read on behalf of many.
	readWithin = 15 * time.Second
	// tick is what the ends of waits are rounded down to, so that one read answers all
	// that end at about the same time. Short waits are left as they are.
	tick = 50 * time.Millisecond
)

func newFeed(page func(context.Context, counterfoil.Cursor) (counterfoil.Page, error), wait func(context.Context, counterfoil.Cursor) error) *feed {
	return &feed{
		page: page, wait: wait, begun: time.Now(),
		reads: make(map[counterfoil.Cursor]*reading), crowds: make(map[counterfoil.Cursor]*crowd),
	}
}

func (f *feed) readPage(ctx context.Context, after counterfoil.Cursor) (*shared, error) {
	p, err := f.page(ctx, after)
	if err != nil {
		return nil, err
	}
	return &shared{p, sync.OnceValues(func() ([]byte, error) { return json.Marshal(p) })}, nil
}

// giveRead answers many, any of whom may hang up before.
func (f *feed) giveRead(after counterfoil.Cursor, read func(context.Context, counterfoil.Cursor) (*shared, error), to ...*answer) {
	ctx, cancel := context.WithTimeout(context.Background(), readWithin)
	defer cancel()
	page, err := read(ctx, after)
	for _, a := range to {
		a.give(page, err)
	}
}

// reading is a read that is under way, and those who came too late for it.
type reading struct{ next *answer }

// read returns the page after a cursor at once: by a read of its own, or the next one
// if one is under way, which may have begun before this call.
func (f *feed) read(ctx context.Context, after counterfoil.Cursor) (*shared, error) {
	f.mu.Lock()
	r := f.reads[after]
	if r == nil {
		r = &reading{}
		f.reads[after] = r
		f.mu.Unlock()
		defer f.readNext(after, r)
		return f.readPage(ctx, after)
	}
	if r.next == nil {
		r.next = newAnswer()
	}
	a := r.next
	f.mu.Unlock()
	return a.get(ctx)
}

// readNext reads for those who came during the last read, if there are any.
func (f *feed) readNext(after counterfoil.Cursor, r *reading) {
	f.mu.Lock()
	defer f.mu.Unlock()
	a := r.next
	if r.next = nil; a == nil {
		delete(f.reads, after)
		return
	}
	go func() {
		f.giveRead(after, f.readPage, a)
		f.readNext(after, r)
	}()
}

// crowd are those who wait for what comes after one cursor.
type crowd struct {
	after counterfoil.Cursor
	stop  context.CancelFunc        // ends its wait
	due   map[time.Duration]*answer // by when the wait of each is over
}

// await returns the page after a cursor when there is news, or d has passed: up to a
// tick earlier if d is long.
func (f *feed) await(ctx context.Context, after counterfoil.Cursor, d time.Duration) (*shared, error) {
	f.mu.Lock()
	now := time.Since(f.begun)
	due := now + d
	if d >= 4*tick {
		due = due.Truncate(tick)
	}
	c := f.crowds[after]
	if c == nil {
		waiting, stop := context.WithCancel(context.Background())
		c = &crowd{after: after, stop: stop, due: make(map[time.Duration]*answer)}
		f.crowds[after] = c
		go f.watch(waiting, c)
	}
	a := c.due[due]
	if a == nil {
		a = newAnswer()
		a.end = time.AfterFunc(due-now, func() { f.end(c, due) })
		c.due[due] = a
	}
	a.many++
	f.mu.Unlock()
	p, err := a.get(ctx)
	f.leave(c, due, a)
	return p, err
}

// leave ends a wait that nobody waits for any more.
func (f *feed) leave(c *crowd, due time.Duration, a *answer) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if a.many--; a.many == 0 && c.due[due] == a {
		a.end.Stop()
		f.remove(c, due)
	}
}

// remove takes an answer from a crowd, which ends with the last. The caller holds mu.
func (f *feed) remove(c *crowd, due time.Duration) {
	delete(c.due, due)
	if len(c.due) == 0 {
		delete(f.crowds, c.after)
		c.stop()
	}
}

// watch waits for news, then answers the whole crowd with one read. It ends the crowd
// first: whoever comes during the read is of another.
func (f *feed) watch(ctx context.Context, c *crowd) {
	err := f.wait(ctx, c.after)
	f.mu.Lock()
	c.stop()
	var all []*answer
	for due, a := range c.due {
		a.end.Stop()
		all = append(all, a)
		delete(c.due, due)
	}
	if f.crowds[c.after] == c {
		delete(f.crowds, c.after)
	}
	f.mu.Unlock()
	if len(all) == 0 {
		return
	}
	f.giveRead(c.after, func(ctx context.Context, after counterfoil.Cursor) (*shared, error) {
		if err != nil {
			return nil, err
		}
		return f.read(ctx, after)
	}, all...)
}

// end answers those of a crowd whose wait is over.
func (f *feed) end(c *crowd, due time.Duration) {
	f.mu.Lock()
	a := c.due[due]
	if a == nil { // there was news
		f.mu.Unlock()
		return
	}
	f.remove(c, due)
	f.mu.Unlock()
	f.giveRead(c.after, f.read, a)
}
