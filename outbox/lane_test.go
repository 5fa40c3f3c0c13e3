package outbox_test

import (
	"context"
	"fmt"
	"iter"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/counterfoil/counterfoil/outbox"
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/memory"
)

// A lane that hangs holds up no other, and has four deliveries under way.
func TestLanesAreApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, r := memory.New(), newReceiver()
		o := open(t, s)
		var mu sync.Mutex
		busy, most := 0, 0
		o.Handle("hook", func(ctx context.Context, it outbox.Item) error {
			if it.Lane != "slow" {
				return r.deliver(ctx, it)
			}
			mu.Lock()
			busy++
			most = max(most, busy)
			mu.Unlock()
			<-ctx.Done()
			mu.Lock()
			busy--
			mu.Unlock()
			return ctx.Err()
		})
		for n := range 50 {
			put(t, s, o, outbox.Draft{Kind: "hook", Lane: "slow", Payload: fmt.Append(nil, "s", n)})
		}
		start(t, o)
		synctest.Wait()
		for n := range 50 {
			put(t, s, o, outbox.Draft{Kind: "hook", Lane: "quick", Payload: fmt.Append(nil, "q", n)})
		}
		begun := time.Now()
		r.wait(t, 50)
		if took := time.Since(begun); took > time.Millisecond {
			t.Errorf("the other lane took %s", took)
		}
		pass(10 * time.Minute)
		mu.Lock()
		defer mu.Unlock()
		if most != 4 {
			t.Errorf("%d deliveries at a time", most)
		}
	})
}

// listed counts what is read.
type listed struct {
	store.Store
	lists atomic.Int64 // questions

	mu   sync.Mutex
	read int
}

func (l *listed) List(ctx context.Context, kind store.Kind, owner, after string) iter.Seq2[store.Record, error] {
	return func(yield func(store.Record, error) bool) {
		l.lists.Add(1)
		for rec, err := range l.Store.List(ctx, kind, owner, after) {
			l.mu.Lock()
			l.read++
			l.mu.Unlock()
			if !yield(rec, err) {
				return
			}
		}
	}
}

// While nobody can reach the destination, one item at a time is tried, at most one a minute, and what
// waits is not read. When it is back, all is delivered.
func TestUnreachable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const waiting = 2000
		s, r := &listed{Store: memory.New()}, newReceiver()
		o := open(t, s)
		r.fail(func(outbox.Item) error {
			return &outbox.Failure{Reason: "connect: nobody listens there", Unreachable: true}
		})
		o.Handle("mail", r.deliver)
		for n := range waiting / 100 {
			var some []outbox.Draft
			for k := range 100 {
				some = append(some, draft(fmt.Sprint(n, " ", k)))
			}
			put(t, s, o, some...)
		}
		start(t, o)
		pass(time.Hour)
		r.mu.Lock()
		tries := len(r.at)
		r.fails = nil
		r.mu.Unlock()
		if tries > 100 || tries < 60 {
			t.Errorf("%d tries in an hour", tries)
		}
		s.mu.Lock()
		read := s.read
		s.mu.Unlock()
		if read > 8_000 { // 1,200 looks, each at a few
			t.Errorf("%d records were read", read)
		}
		begun := time.Now()
		r.wait(t, waiting)
		if took := time.Since(begun); took > 2*time.Minute {
			t.Errorf("all was delivered %s after the destination was back", took)
		}
		if len(r.got) != waiting {
			t.Errorf("%d", len(r.got))
		}
	})
}

// What waits for an unreachable destination for a day dies without a try for each.
func TestUnreachableForADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, r := memory.New(), newReceiver()
		o := open(t, s)
		r.fail(func(outbox.Item) error {
			return &outbox.Failure{Reason: "connect: nobody listens there", Unreachable: true}
		})
		o.Handle("mail", r.deliver)
		for n := range 100 {
			put(t, s, o, draft(fmt.Sprint(n)))
		}
		pass(23 * time.Hour)
		start(t, o)
		pass(2 * time.Hour)
		dead := entries(t, o, outbox.Dead)
		if len(dead) != 100 || len(r.at) > 150 {
			t.Errorf("%d are dead after %d tries", len(dead), len(r.at))
		}
		for _, e := range dead {
			if e.Reason != "connect: nobody listens there" {
				t.Fatalf("%+v", e)
			}
		}
	})
}

// An item of a lane that this node does not know is not tried here: it waits for a node that knows it, and dies
// when its time is over, but not before such a node has had its last try.
func TestUnknownLane(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, r := memory.New(), newReceiver()
		ignorant, knowing := open(t, s), open(t, s)
		none := func(string) bool { return false }
		ignorant.HandleLanes("alert", none, func(context.Context, outbox.Item) error {
			t.Error("it was tried where nobody knows the lane")
			return nil
		})
		put(t, s, ignorant, outbox.Draft{Kind: "alert", Lane: "chat", Payload: []byte("a")})
		start(t, ignorant)
		pass(time.Hour)
		if w := entries(t, ignorant, outbox.Waiting); len(w) != 1 || w[0].Tries != 0 {
			t.Fatalf("%+v", w)
		}
		knowing.HandleLanes("alert", func(lane string) bool { return lane == "chat" }, r.deliver)
		stop := start(t, knowing)
		pass(time.Minute)
		if r.got["a"] != 1 {
			t.Fatal("it was not delivered by the node that knows the lane")
		}
		r.fail(func(outbox.Item) error { return &outbox.Failure{Reason: "answered 500"} })
		put(t, s, ignorant, outbox.Draft{Kind: "alert", Lane: "chat", Payload: []byte("b")})
		pass(23*time.Hour + 50*time.Minute)
		r.fail(nil)
		pass(20 * time.Minute)
		if r.got["b"] != 1 {
			t.Errorf("the last try did not take place: %+v", entries(t, ignorant, outbox.Dead))
		}
		stop()
		put(t, s, ignorant, outbox.Draft{Kind: "alert", Lane: "gone"})
		pass(24*time.Hour + 3*time.Minute)
		if dead := entries(t, ignorant, outbox.Dead); len(dead) != 1 || dead[0].Lane != "gone" || dead[0].Reason != "no node that looked delivers to this lane" {
			t.Errorf("%+v", dead)
		}
	})
}
