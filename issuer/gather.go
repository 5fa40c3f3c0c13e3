package issuer

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/source"
)

// feed shares the reads of the log among those who follow it: a thousand who wait for
// the same news cost one read of the head, not a thousand (4.4), and a page that many
// get is read and encoded once (4.5). A read counts for a question only if it began
// after the question was here.
type feed struct {
	page func(ctx context.Context, after counterfoil.Cursor) (source.Page, error)
	wait func(ctx context.Context, after counterfoil.Cursor) error // as store.Wait

	begun time.Time

	mu     sync.Mutex // guards all below; held for map access only
	reads  map[counterfoil.Cursor]*reading
	crowds map[counterfoil.Cursor]*crowd
}

// shared is a page that is the answer to many: nobody changes it.
type shared struct {
	source.Page
	text func() ([]byte, error) // encodes once: a record of a JSON text sequence (RFC 7464)
}

func (p *shared) json() ([]byte, error) {
	text, err := p.text()
	if err != nil {
		return nil, err
	}
	return text[1 : len(text)-1], nil
}

// encode writes RS, the page, and LF.
func encode(p source.Page) ([]byte, error) {
	data, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	return append(append([]byte{0x1e}, data...), '\n'), nil
}

// answer is what many wait for.
type answer struct {
	done chan struct{} // closed when page and err are final
	page *shared
	err  error

	end  *time.Timer // of a wait
	many int         // who wait
	also []*answer   // get the same
}

func newAnswer() *answer { return &answer{done: make(chan struct{})} }

func (a *answer) give(page *shared, err error) {
	a.page, a.err = page, err
	close(a.done)
	for _, b := range a.also {
		b.give(page, err)
	}
}

// get waits for the answer, until ctx ends or hurry closes: nil, without an error.
func (a *answer) get(ctx context.Context, hurry <-chan struct{}) (*shared, error) {
	select {
	case <-a.done:
		return a.page, a.err
	case <-hurry:
		return nil, nil
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

func newFeed(page func(context.Context, counterfoil.Cursor) (source.Page, error), wait func(context.Context, counterfoil.Cursor) error) *feed {
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
	return &shared{p, sync.OnceValues(func() ([]byte, error) { return encode(p) })}, nil
}

// forMany is the context of a read for many, any of whom may hang up before.
func forMany() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), readWithin)
}

func (f *feed) readForMany(after counterfoil.Cursor) (*shared, error) {
	ctx, cancel := forMany()
	defer cancel()
	return f.read(ctx, after)
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
	return a.get(ctx, nil)
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
		ctx, cancel := forMany()
		defer cancel()
		a.give(f.readPage(ctx, after))
		f.readNext(after, r)
	}()
}

// crowd are those who wait for what comes after one cursor.
type crowd struct {
	after   counterfoil.Cursor
	stop    context.CancelFunc // ends its wait
	due     map[time.Duration]*answer
	reading bool // some of the crowd have been taken out of due, for a read
}

// due is when a wait of d is over: up to a tick earlier if d is long.
func (f *feed) due(d time.Duration) time.Duration {
	due := time.Since(f.begun) + d
	if d >= 4*tick {
		due = due.Truncate(tick)
	}
	return due
}

func (f *feed) over(due time.Duration) bool { return time.Since(f.begun) >= due }

// await returns the page after a cursor when there is news, or at due; or nil as soon as
// hurry closes.
func (f *feed) await(ctx context.Context, after counterfoil.Cursor, due time.Duration, hurry <-chan struct{}) (*shared, error) {
	f.mu.Lock()
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
		a.end = time.AfterFunc(due-time.Since(f.begun), func() { f.end(c, due) })
		c.due[due] = a
	}
	a.many++
	f.mu.Unlock()
	p, err := a.get(ctx, hurry)
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
	f.endIfEmpty(c)
}

func (f *feed) endIfEmpty(c *crowd) {
	if len(c.due) == 0 && !c.reading {
		delete(f.crowds, c.after)
		c.stop()
	}
}

// watch waits for news and answers the crowd with one read, until there is no crowd.
// Whoever comes during the read is left for the next one.
func (f *feed) watch(ctx context.Context, c *crowd) {
	for hints := 0; ; hints++ {
		begun := time.Now()
		err := f.wait(ctx, c.after)
		if time.Since(begun) > tick {
			hints = 0
		}
		f.mu.Lock()
		if ctx.Err() != nil { // the crowd is gone
			f.mu.Unlock()
			return
		}
		taken := c.due
		c.due, c.reading = make(map[time.Duration]*answer), true
		f.mu.Unlock()
		var page *shared
		if err == nil {
			page, err = f.readForMany(c.after)
		}
		f.tell(c, taken, page, err)
		if hints > 3 { // and nothing that they hinted at
			time.Sleep(tick / 10)
		}
	}
}

// tell gives a page to those of a crowd who were there before it was read. Without news
// they go on waiting: a store wakes them for nothing too, and whoever is answered
// early is away when there is something.
func (f *feed) tell(c *crowd, taken map[time.Duration]*answer, page *shared, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Since(f.begun)
	for due, a := range taken {
		later := c.due[due]
		switch {
		case err != nil || page.Head != c.after || due <= now:
			a.end.Stop()
			a.give(page, err)
		case a.many == 0:
			a.end.Stop()
		case later == nil:
			c.due[due] = a
		default: // others came meanwhile who wait until the same moment
			a.end.Stop()
			later.also = append(later.also, a)
			later.many++
		}
	}
	c.reading = false
	f.endIfEmpty(c)
}

// end answers those of a crowd whose wait is over.
func (f *feed) end(c *crowd, due time.Duration) {
	f.mu.Lock()
	a := c.due[due]
	if a == nil { // they are being answered
		f.mu.Unlock()
		return
	}
	f.remove(c, due)
	f.mu.Unlock()
	a.give(f.readForMany(c.after))
}
