package outbox_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/counterfoil/counterfoil/outbox"
	"github.com/counterfoil/counterfoil/store/memory"
	"github.com/counterfoil/counterfoil/store/storetest"
)

// Several nodes deliver each item once. If one dies in the middle of a delivery, another delivers again,
// after the lease and not before.
func TestNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, r := memory.New(), newReceiver()
		failing := storetest.Faulty(s)
		one, two := open(t, failing), open(t, s)
		died := make(chan struct{})
		one.Handle("mail", func(ctx context.Context, it outbox.Item) error {
			if string(it.Payload) != "hangs" {
				return r.deliver(ctx, it)
			}
			failing.Inject(storetest.Fault{}) // it writes nothing any more
			_ = r.deliver(ctx, it)
			close(died)
			<-ctx.Done()
			return ctx.Err()
		})
		put(t, s, one, draft("hangs"))
		start(t, one)
		<-died
		begun := time.Now()
		two.Handle("mail", r.deliver)
		start(t, two)
		for n := range 100 {
			put(t, s, two, draft(fmt.Sprint(n)))
		}
		r.wait(t, 101)
		synctest.Wait()
		r.mu.Lock()
		early := r.got["hangs"]
		r.mu.Unlock()
		if early != 1 {
			t.Fatalf("%d deliveries while the lease lasts", early)
		}
		r.wait(t, 1)
		if took := time.Since(begun); took < outbox.Lease || took > outbox.Lease+5*time.Second {
			t.Errorf("another node took over after %s", took)
		}
		pass(time.Hour)
		if r.got["hangs"] != 2 || len(r.got) != 101 || len(r.at) != 102 {
			t.Errorf("%d tries: %v", len(r.at), r.got)
		}
	})
}

func TestNodesShare(t *testing.T) {
	for name, s := range stores(t) {
		t.Run(name, func(t *testing.T) {
			r := newReceiver()
			nodes := []*outbox.Outbox{open(t, s), open(t, s), open(t, s)}
			for n := range 300 {
				put(t, s, nodes[n%3], draft(fmt.Sprint(n)))
			}
			var stops []func()
			for _, o := range nodes {
				o.Handle("mail", r.deliver)
				stops = append(stops, start(t, o))
			}
			r.wait(t, 300)
			for _, stop := range stops {
				stop()
			}
			if len(r.at) != 300 || len(r.got) != 300 {
				t.Errorf("%d deliveries of %d items", len(r.at), len(r.got))
			}
		})
	}
}

// A delivery that takes long keeps its lease, and ends after two minutes.
func TestSlowDelivery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memory.New()
		one, two := open(t, s), open(t, s)
		var mu sync.Mutex
		var began []time.Time
		var ended time.Duration
		slow := func(ctx context.Context, _ outbox.Item) error {
			mu.Lock()
			at := time.Now()
			began = append(began, at)
			mu.Unlock()
			<-ctx.Done()
			mu.Lock()
			ended = time.Since(at)
			mu.Unlock()
			return ctx.Err()
		}
		one.Handle("mail", slow)
		two.Handle("mail", slow)
		put(t, s, one, draft("a"))
		start(t, one)
		start(t, two)
		pass(119 * time.Second)
		mu.Lock()
		n := len(began)
		mu.Unlock()
		if n != 1 {
			t.Errorf("%d deliveries at a time", n)
		}
		pass(10 * time.Second)
		mu.Lock()
		defer mu.Unlock()
		if ended != 2*time.Minute || len(began) != 2 {
			t.Errorf("it ended after %s, and %d were begun", ended, len(began))
		}
	})
}

// An outage of the store after a delivery does not repeat it.
func TestOutageAfterDelivery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, r := storetest.Faulty(memory.New()), newReceiver()
		o := open(t, s)
		o.Handle("mail", func(ctx context.Context, it outbox.Item) error {
			s.Inject(storetest.Fault{Op: storetest.OpCommit, Times: 5})
			return r.deliver(ctx, it)
		})
		put(t, s, o, draft("a"))
		start(t, o)
		pass(time.Hour)
		if r.got["a"] != 1 || len(entries(t, o, outbox.Waiting)) != 0 {
			t.Errorf("%v", r.got)
		}
	})
}

// A program that stops lets a delivery that is under way end, for five seconds.
func TestStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct {
			takes, want time.Duration
			left        int
		}{{3 * time.Second, 3 * time.Second, 0}, {time.Hour, 5 * time.Second, 1}} {
			s := memory.New()
			o := open(t, s)
			o.Handle("mail", func(ctx context.Context, _ outbox.Item) error {
				select {
				case <-time.After(c.takes):
					return nil
				case <-ctx.Done():
					return ctx.Err()
				}
			})
			put(t, s, o, draft("a"))
			stop := start(t, o)
			synctest.Wait()
			begun := time.Now()
			stop()
			if took := time.Since(begun); took != c.want || len(entries(t, o, outbox.Waiting)) != c.left {
				t.Errorf("stopped after %s, %d wait", took, len(entries(t, o, outbox.Waiting)))
			}
		}
	})
}

// A node whose outbox is empty asks the store four times a minute. What it commits itself is sent at once, what
// another node has left within that time.
func TestIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, r := &listed{Store: memory.New()}, newReceiver()
		o := open(t, s)
		o.Handle("mail", r.deliver)
		start(t, o)
		pass(time.Second)
		before := s.lists.Load()
		pass(10 * time.Minute)
		if n := s.lists.Load() - before; n > 41 {
			t.Errorf("%d looks in 10 minutes", n)
		}
		put(t, s, o, draft("own"))
		synctest.Wait()
		if r.got["own"] != 1 {
			t.Error("an own commit waits")
		}
		put(t, s, open(t, s), draft("of another node"))
		pass(15 * time.Second)
		if r.got["of another node"] != 1 {
			t.Error("a commit of another node waits for more than 15 s")
		}
	})
}
