package revlog_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/revlog"
	"github.com/counterfoil/counterfoil/source"
)

// client reads the answers of one verifier, as a connection does.
type client struct {
	l    *side
	id   string
	at   counterfoil.Cursor // up to which it has pages without a gap
	took func(page source.Page) error
	done error
}

// ask asks once. Whatever Pages sends follows on what was sent before, and comes before Pages returns.
func (c *client) ask(ctx context.Context, t *testing.T, proof *string, wait time.Duration) error {
	var sending, returned atomic.Bool
	defer returned.Store(true)
	var sent atomic.Bool
	begin := func() error {
		if sent.Load() || returned.Load() {
			t.Errorf("%s: a head after a page, or after the answer", c.id)
		}
		return nil
	}
	return c.l.feed.Pages(ctx, source.Follow{After: c.at, Proof: *proof, Wait: wait, Verifier: c.id, Bound: maxBound}, begin, func(text []byte, _ bool) error {
		sent.Store(true)
		if sending.Swap(true) || returned.Load() {
			t.Errorf("%s: two pages at once, or one after the answer", c.id)
		}
		defer sending.Store(false)
		var p source.Page
		if err := json.Unmarshal(text[1:len(text)-1], &p); err != nil {
			t.Error(err)
		}
		if p.After != c.at && p.After != (counterfoil.Cursor{Epoch: p.Head.Epoch}) {
			t.Errorf("%s: a page after %v, and it is at %v", c.id, p.After, c.at)
		}
		if err := c.took(p); err != nil {
			return err
		}
		c.at, *proof = p.Upto, p.Proof
		return nil
	})
}

// begin is for a client that does not look at the head of its answer.
func begin() error { return nil }

// An answer begins before there is news if others wait for the same news. A head that cannot be sent is the
// end of the question, and of its lease.
func TestHeadBeforeThePage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _ := openLater(t)
		head, err := l.Head(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		var began [3]bool
		gone := errors.New("the client is gone")
		for n, want := range []error{nil, nil, gone} {
			all.Go(func() {
				f := source.Follow{After: head, Wait: time.Second, Verifier: fmt.Sprintf("verifier-%d", n), Bound: maxBound}
				pages := 0
				err := l.feed.Pages(t.Context(), f, func() error { began[n] = true; return want }, func([]byte, bool) error { pages++; return nil })
				if err != want || (pages == 0) != (want != nil) {
					t.Errorf("question %d: %d pages, %v; want %v", n, pages, err, want)
				}
			})
			synctest.Wait()
			if began[n] != (n > 0) {
				t.Errorf("question %d began before the page: %v", n, began[n])
			}
		}
		if n, _ := l.feed.Following(); n != 2 {
			t.Errorf("%d verifiers follow, want the 2 whose answers can be sent", n)
		}
		all.Wait()
	})
}

// A client that takes nothing holds up nobody else, gets no page out of order, and is given up by the others.
func TestStuckClientHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const many, stuck = 200, 40
		l, _ := openLater(t)
		head, err := l.Head(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var pages [many]atomic.Int64
		var all sync.WaitGroup
		release := make(chan struct{})
		for n := range many {
			c := &client{l: l, id: fmt.Sprintf("verifier-%d", n), at: head}
			c.took = func(source.Page) error {
				if n < stuck && pages[n].Load() == 0 {
					<-release
				}
				pages[n].Add(1)
				return nil
			}
			all.Go(func() {
				if err := c.ask(t.Context(), t, new(string), 20*time.Second); err != nil {
					t.Error(err)
				}
			})
		}
		for round := range int64(3) {
			time.Sleep(time.Second)
			l.revoke(t)
			time.Sleep(50 * time.Millisecond)
			synctest.Wait()
			for n := range many {
				want := round + 1
				if n < stuck {
					want = 0
				}
				if got := pages[n].Load(); got != want {
					t.Fatalf("after revocation %d client %d has %d pages, want %d", round+1, n, got, want)
				}
			}
		}
		close(release)
		synctest.Wait()
		l.revoke(t)
		synctest.Wait()
		for n := range stuck { // their answers have ended
			if got := pages[n].Load(); got != 1 {
				t.Errorf("client %d has %d pages, want the one that it did not take", n, got)
			}
		}
		all.Wait()
	})
}

// A question whose client hangs up returns when nothing is being sent to it any more, and only then.
func TestNothingIsSentAfterTheAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _ := openLater(t)
		head, err := l.Head(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		ctx, hangUp := context.WithCancel(t.Context())
		release, returned := make(chan struct{}), make(chan error, 1)
		go func() {
			returned <- l.feed.Pages(ctx, source.Follow{After: head, Wait: 20 * time.Second}, begin, func([]byte, bool) error { <-release; return nil })
		}()
		synctest.Wait()
		l.revoke(t)
		synctest.Wait()
		hangUp()
		synctest.Wait()
		select {
		case err := <-returned:
			t.Fatalf("Pages = %v while a page is being sent", err)
		default:
		}
		close(release)
		if err := <-returned; !errors.Is(err, counterfoil.ErrUnavailable) {
			t.Errorf("Pages = %v", err)
		}
	})
}

// What goes wrong while a page is sent ends one answer. A panic goes on in the goroutine of its question.
func TestSendingFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _ := openLater(t)
		head, err := l.Head(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 2)
		for _, send := range []func([]byte, bool) error{
			func([]byte, bool) error { return errors.New("the connection is gone") },
			func([]byte, bool) error { panic("a writer has a bug") },
		} {
			go func() {
				defer func() {
					if v := recover(); v != nil {
						ended <- fmt.Errorf("panic: %v", v)
					}
				}()
				ended <- l.feed.Pages(t.Context(), source.Follow{After: head, Wait: 20 * time.Second}, begin, send)
			}()
		}
		got := 0
		go func() {
			_ = l.feed.Pages(t.Context(), source.Follow{After: head, Wait: time.Second}, begin, func([]byte, bool) error { got++; return nil })
		}()
		synctest.Wait()
		l.revoke(t)
		said := []string{fmt.Sprint(<-ended), fmt.Sprint(<-ended)}
		slices.Sort(said)
		if want := []string{"panic: a writer has a bug", "temporarily unavailable: the connection is gone"}; !slices.Equal(said, want) {
			t.Errorf("Pages = %q, want %q", said, want)
		}
		if synctest.Wait(); got != 1 {
			t.Errorf("the third got %d pages, want 1", got)
		}
	})
}

// WaitAll that begins while the first page is being sent to many is over as soon as they have asked again.
func TestWaitAllDuringAPage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const takes = 300 * time.Microsecond
		l, _ := openLater(t)
		ctx, stop := context.WithCancel(t.Context())
		var all sync.WaitGroup
		defer all.Wait()
		defer stop()
		for n := range 100 {
			c := &client{l: l, id: fmt.Sprintf("verifier-%d", n), took: func(source.Page) error { time.Sleep(takes); return nil }}
			all.Go(func() {
				proof, wait := "", time.Duration(0)
				for ctx.Err() == nil {
					if err := c.ask(ctx, t, &proof, wait); err != nil && ctx.Err() == nil {
						t.Error(err)
					}
					wait = 5 * time.Second
				}
			})
		}
		for range 3 {
			time.Sleep(time.Second)
			l.revoke(t)
			time.Sleep(takes / 2) // they are being told
			at, begun := l.revoke(t), time.Now()
			if ok, err := l.feed.WaitAll(t.Context(), at); !ok || err != nil || time.Since(begun) > 500*time.Millisecond {
				t.Errorf("WaitAll = %v, %v after %v", ok, err, time.Since(begun))
			}
		}
	})
}

// Whatever comes together, no verifier gets a page twice or with a gap, each hears of all, and nothing
// is kept of who has left.
func TestStreamsUnderLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _ := openLater(t)
		ctx, stop := context.WithCancel(t.Context())
		var all sync.WaitGroup
		clients := make([]*client, 60)
		for n := range clients {
			c := &client{l: l, id: fmt.Sprintf("verifier-%d", n)}
			c.took = func(source.Page) error {
				switch rand.IntN(10) {
				case 0:
					time.Sleep(rand.N(20 * time.Millisecond))
				case 1:
					return errors.New("the connection is gone")
				}
				return nil
			}
			clients[n] = c
			all.Go(func() {
				proof := ""
				for ctx.Err() == nil {
					asking, hangUp := context.WithTimeout(ctx, rand.N(3*time.Second))
					_ = c.ask(asking, t, &proof, rand.N(2*time.Second))
					hangUp()
				}
				for c.took = func(source.Page) error { return nil }; c.done == nil; c.done = errors.New("done") {
					if err := c.ask(t.Context(), t, &proof, 0); err != nil {
						t.Error(err)
					}
				}
			})
		}
		for n := range 300 {
			at := l.revoke(t)
			time.Sleep(rand.N(30 * time.Millisecond))
			if n%50 == 0 {
				if _, err := l.feed.WaitAll(t.Context(), at); err != nil {
					t.Error(err)
				}
			}
		}
		stop()
		all.Wait()
		head, err := l.Head(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range clients {
			if c.at != head {
				t.Errorf("%s is at %v, want %v", c.id, c.at, head)
			}
		}
		synctest.Wait()
		if n := l.feed.Waiting(); n != 0 {
			t.Errorf("%d cursors are waited at, and nobody is there", n)
		}
	})
}

// Clients that read slowly do not hold up the others for as long as all of them take.
func TestSlowClientsHoldUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun, last := time.Now(), time.Duration(0)
		var mu sync.Mutex
		revlog.FanOut(1000, func(n int) {
			if n < 900 {
				time.Sleep(1500 * time.Microsecond)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			last = max(last, time.Since(begun))
		})
		synctest.Wait()
		if last > 30*time.Millisecond {
			t.Errorf("the last of those that read at once had its page after %v", last)
		}
	})
}
