package outbox_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/internal/retry"
	"github.com/counterfoil/counterfoil/internal/testsvc"
	"github.com/counterfoil/counterfoil/outbox"
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/memory"
	"github.com/counterfoil/counterfoil/store/postgres"
	"github.com/counterfoil/counterfoil/store/sqlite"
	"github.com/counterfoil/counterfoil/store/storetest"
)

func TestMain(m *testing.M) { testsvc.Main(m) }

func key(label string) []byte {
	sum := sha256.Sum256([]byte("test " + label))
	return sum[:]
}

func open(t testing.TB, s store.Store) *outbox.Outbox {
	t.Helper()
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	trail, err := audit.New(audit.Options{Store: s, Hook: func(audit.Entry) {}, Anchor: func(audit.Seal) {}})
	if err != nil {
		t.Fatal(err)
	}
	o, err := outbox.New(outbox.Options{Store: s, Key: key, Audit: trail, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// start runs o until the test calls the function that it returns.
func start(t testing.TB, o *outbox.Outbox) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { o.Run(ctx) })
	stop = sync.OnceFunc(func() { cancel(); running.Wait() })
	t.Cleanup(stop)
	return stop
}

func put(t testing.TB, s store.Store, o *outbox.Outbox, drafts ...outbox.Draft) {
	t.Helper()
	var b store.Batch
	for _, d := range drafts {
		rec, err := o.Record(d)
		if err != nil {
			t.Fatal(err)
		}
		b.Put = append(b.Put, rec)
	}
	if _, err := s.Commit(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	o.Wake()
}

func draft(payload string) outbox.Draft {
	return outbox.Draft{Kind: "mail", About: "test", Subject: "u1", Payload: []byte(payload)}
}

// receiver is a destination.
type receiver struct {
	mu    sync.Mutex
	got   map[string]int // payloads
	at    []time.Time    // of each try
	ids   map[string]bool
	fails func(it outbox.Item) error // nil: nothing fails
	came  chan struct{}
}

func newReceiver() *receiver {
	return &receiver{got: map[string]int{}, ids: map[string]bool{}, came: make(chan struct{}, 100_000)}
}

func (r *receiver) deliver(_ context.Context, it outbox.Item) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.at = append(r.at, time.Now())
	r.ids[it.ID] = true
	if r.fails != nil {
		if err := r.fails(it); err != nil {
			return err
		}
	}
	r.got[string(it.Payload)]++
	r.came <- struct{}{}
	return nil
}

func (r *receiver) wait(t *testing.T, n int) {
	t.Helper()
	for range n {
		select {
		case <-r.came:
		case <-t.Context().Done():
			t.Fatal("not everything was delivered")
		}
	}
}

// pass lets time pass in a bubble, and all that happens meanwhile end.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func entries(t *testing.T, o *outbox.Outbox, state outbox.State) []outbox.Entry {
	t.Helper()
	all, more, err := o.List(t.Context(), state, "", 1000)
	if err != nil || more {
		t.Fatal(more, err)
	}
	return all
}

// stores are those that a server can have as its store.
func stores(t *testing.T) map[string]store.Store {
	file, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "test.db"))
	if err != nil {
		t.Fatal(err)
	}
	_, dsn := testsvc.SharedPostgres(t).Database(t, "")
	pg, err := postgres.Open(t.Context(), postgres.Options{URL: dsn})
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]store.Store{"memory": memory.New(), "sqlite": file, "postgres": pg}
	t.Cleanup(func() {
		for _, s := range all {
			_ = s.Close()
		}
	})
	return all
}

// What was committed is delivered, once, and then nothing of it is left. What was not committed is not
// delivered. The order of lanes and their names does not matter.
func TestDelivers(t *testing.T) {
	for name, s := range stores(t) {
		t.Run(name, func(t *testing.T) {
			o, r := open(t, s), newReceiver()
			o.Handle("mail", r.deliver)
			o.Handle("mail-x", r.deliver)
			rec, err := o.Record(draft("never"))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.Commit(t.Context(), store.Batch{Put: []store.Record{rec}, Require: []store.Require{{Key: store.Key{Kind: "user", ID: "x"}, Rev: 7}}}); !errors.Is(err, store.ErrConflict) {
				t.Fatal(err)
			}
			want := map[string]int{}
			for n := range 40 {
				for _, d := range []outbox.Draft{{Kind: "mail"}, {Kind: "mail", Lane: "a"}, {Kind: "mail", Lane: "a-b"}, {Kind: "mail", Lane: "a.b"}, {Kind: "mail-x"}} {
					d.Payload = fmt.Appendf(nil, "%s %s %d", d.Kind, d.Lane, n)
					want[string(d.Payload)] = 1
					put(t, s, o, d)
				}
			}
			stop := start(t, o)
			r.wait(t, 200)
			stop()
			for what, n := range want {
				if r.got[what] != n {
					t.Errorf("%q came %d times", what, r.got[what])
				}
			}
			if len(r.got) != 200 || len(r.ids) != 200 {
				t.Errorf("%d things and %d ids were delivered", len(r.got), len(r.ids))
			}
			for rec, err := range s.List(t.Context(), "outbox", "*", "") {
				t.Errorf("left: %s %s, %v", rec.ID, rec.Value, err)
			}
		})
	}
}

// A delivery that fails is tried after a second, two, four and so on up to an hour, for a day. Then it
// is a dead letter, and an administrator can have it delivered, under the same id.
func TestBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, r := memory.New(), newReceiver()
		o := open(t, s)
		r.fails = func(outbox.Item) error { return &outbox.Failure{Reason: "451 later"} }
		o.Handle("mail", r.deliver)
		begun := time.Now()
		put(t, s, o, draft("code"))
		stop := start(t, o)
		pass(25 * time.Hour)
		wait := time.Second
		for n := 1; n < len(r.at)-1; n++ {
			if took := r.at[n].Sub(r.at[n-1]); took < wait*3/4 || took > wait+time.Millisecond {
				t.Errorf("try %d came %s after the one before: want %s to %s", n+1, took, wait*3/4, wait)
			}
			wait = min(2*wait, time.Hour)
		}
		if last := r.at[len(r.at)-1].Sub(begun); last < 24*time.Hour || last > 24*time.Hour+time.Second || len(r.at) < 30 {
			t.Errorf("%d tries, the last after %s", len(r.at), last)
		}
		dead := entries(t, o, outbox.Dead)
		if len(dead) != 1 || dead[0].Reason != "451 later" || dead[0].Tries != len(r.at) || dead[0].About != "test" || dead[0].Useless || len(entries(t, o, outbox.Waiting)) != 0 {
			t.Fatalf("dead: %+v", dead)
		}
		if c, err := o.Counts(t.Context()); err != nil || c.Dead != 1 || c.Waiting != 0 || !c.Oldest.IsZero() {
			t.Errorf("%+v, %v", c, err)
		}
		r.fails = nil
		if err := o.Redeliver(t.Context(), dead[0].ID, audit.Act{By: "subject:root"}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if r.got["code"] != 1 || len(r.ids) != 1 || len(entries(t, o, outbox.Dead)) != 0 {
			t.Errorf("got %v under %v", r.got, r.ids)
		}
		if err := o.Redeliver(t.Context(), dead[0].ID, audit.Act{}); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("a letter that is gone: %v", err)
		}
		stop()
	})
}

// A dead letter is kept for 30 days.
func TestDeadIsSwept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, r := memory.New(), newReceiver()
		o := open(t, s)
		r.fails = func(outbox.Item) error { return &outbox.Failure{Reason: "550 no", Permanent: true} }
		o.Handle("mail", r.deliver)
		put(t, s, o, draft("a"), draft("b"))
		stop := start(t, o)
		synctest.Wait()
		dead := entries(t, o, outbox.Dead)
		if len(r.at) != 2 || len(dead) != 2 {
			t.Fatalf("%d tries, %+v", len(r.at), dead)
		}
		if err := o.Drop(t.Context(), dead[0].ID, audit.Act{By: "subject:root"}); err != nil || len(entries(t, o, outbox.Dead)) != 1 {
			t.Error(err)
		}
		if err := o.Drop(t.Context(), dead[0].ID, audit.Act{By: "subject:root"}); !errors.Is(err, store.ErrNotFound) {
			t.Error(err)
		}
		stop()
		for _, c := range []struct {
			after time.Duration
			left  int
		}{{30*24*time.Hour - time.Minute, 1}, {2 * time.Minute, 0}} {
			pass(c.after)
			if _, err := s.Sweep(t.Context(), time.Now()); err != nil || len(entries(t, o, outbox.Dead)) != c.left {
				t.Errorf("after %s: %v", c.after, err)
			}
		}
		found := 0
		for rec, err := range s.List(t.Context(), "audit", "*", "") {
			if err == nil && bytes.Contains(rec.Value, []byte(`"outbox.drop"`)) && bytes.Contains(rec.Value, []byte(`"subject:root"`)) && bytes.Contains(rec.Value, []byte(dead[0].ID)) {
				found++
			}
		}
		if found != 1 {
			t.Errorf("%d audit entries say that a letter was dropped", found)
		}
	})
}

// What is of no use any more is not delivered, not kept, and cannot be delivered again.
func TestExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, r := memory.New(), newReceiver()
		o := open(t, s)
		r.fails = func(outbox.Item) error { return &outbox.Failure{Reason: "451 later"} }
		o.Handle("mail", r.deliver)
		d := draft("a code that is good for ten minutes")
		d.Expires = time.Now().Add(10 * time.Minute)
		put(t, s, o, d)
		stop := start(t, o)
		pass(9 * time.Minute)
		stop()
		r.fails = nil
		pass(2 * time.Minute)
		start(t, o)
		pass(time.Hour)
		if len(r.got) != 0 {
			t.Error("a code was delivered after its time")
		}
		dead := entries(t, o, outbox.Dead)
		if len(dead) != 1 || !dead[0].Useless {
			t.Fatalf("%+v", dead)
		}
		if err := o.Redeliver(t.Context(), dead[0].ID, audit.Act{}); !errors.Is(err, outbox.ErrExpired) {
			t.Error(err)
		}
		for rec := range s.List(t.Context(), "outbox", "*", "") {
			if bytes.Contains(rec.Value, []byte(`"sealed"`)) {
				t.Errorf("kept: %s", rec.Value)
			}
		}
	})
}

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
		r.fails = func(outbox.Item) error {
			return &outbox.Failure{Reason: "connect: nobody listens there", Unreachable: true}
		}
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
		r.fails = func(outbox.Item) error {
			return &outbox.Failure{Reason: "connect: nobody listens there", Unreachable: true}
		}
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

// At rest an item shows what it is about, and not what is delivered. A payload that was put into
// another record, and one of another ring, is not delivered.
func TestSealed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, r := memory.New(), newReceiver()
		o := open(t, s)
		rec, err := o.Record(draft("https://example.com/reset#secret"))
		if err != nil || bytes.Contains(rec.Value, []byte("secret")) || strings.Contains(rec.ID, "secret") || slices.ContainsFunc(rec.Index, func(text string) bool { return strings.Contains(text, "secret") }) {
			t.Fatalf("%+v, %v", rec, err)
		}
		other, err := o.Record(draft("x"))
		if err != nil {
			t.Fatal(err)
		}
		sealed := func(value []byte) []byte {
			_, rest, _ := bytes.Cut(value, []byte(`"sealed":"`))
			text, _, _ := bytes.Cut(rest, []byte(`"`))
			return text
		}
		other.Value = bytes.Replace(other.Value, sealed(other.Value), sealed(rec.Value), 1)
		if _, err := s.Commit(t.Context(), store.Batch{Put: []store.Record{other}}); err != nil {
			t.Fatal(err)
		}
		o.Handle("mail", r.deliver)
		start(t, o)
		synctest.Wait()
		dead := entries(t, o, outbox.Dead)
		if len(r.at) != 0 || len(dead) != 1 || dead[0].Reason != "sealed with another key" {
			t.Errorf("%d were delivered, %+v", len(r.at), dead)
		}
	})
}

// Items of a kind that nobody handles wait, and die after a day.
func TestNobodyHandles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, r := memory.New(), newReceiver()
		o := open(t, s)
		put(t, s, o, draft("a"))
		stop := start(t, o)
		pass(time.Hour)
		o.Handle("mail", r.deliver)
		synctest.Wait()
		if r.got["a"] != 1 {
			t.Error("it was not delivered when somebody could")
		}
		put(t, s, o, outbox.Draft{Kind: "other"})
		stop()
		pass(23 * time.Hour)
		start(t, o)
		pass(59 * time.Minute)
		if w := entries(t, o, outbox.Waiting); len(w) != 1 {
			t.Errorf("%+v", w)
		}
		pass(2 * time.Minute)
		if dead := entries(t, o, outbox.Dead); len(dead) != 1 || dead[0].Kind != "other" || dead[0].Reason != "nobody delivers this kind" {
			t.Errorf("%+v", dead)
		}
	})
}

// OPS-01: a handler that panics fails like any other, and its text is neither kept nor logged.
func TestPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memory.New()
		var log bytes.Buffer
		trail, err := audit.New(audit.Options{Store: s, Hook: func(audit.Entry) {}, Anchor: func(audit.Seal) {}})
		if err != nil {
			t.Fatal(err)
		}
		o, err := outbox.New(outbox.Options{Store: s, Key: key, Audit: trail, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		o.Handle("mail", func(context.Context, outbox.Item) error { panic("the code is 12345678") })
		put(t, s, o, draft("a"))
		start(t, o)
		synctest.Wait()
		if w := entries(t, o, outbox.Waiting); len(w) != 1 || w[0].Reason != "internal error" || w[0].Tries != 1 {
			t.Errorf("%+v", w)
		}
		if text := log.String(); !strings.Contains(text, "panic") || strings.Contains(text, "12345678") {
			t.Error(text)
		}
	})
}

func TestDraft(t *testing.T) {
	o := open(t, memory.New())
	for _, d := range []outbox.Draft{
		{}, {Kind: "Mail"}, {Kind: "a.b"}, {Kind: "mail", Lane: "a!b"}, {Kind: "mail", Lane: strings.Repeat("a", 65)}, {Kind: "mail", About: "a\nb"},
		{Kind: "mail", Payload: make([]byte, outbox.MaxPayload+1)},
	} {
		if _, err := o.Record(d); err == nil {
			t.Errorf("%+v is taken", d)
		}
	}
	s := memory.New()
	large := outbox.Draft{Kind: strings.Repeat("k", 32), Lane: strings.Repeat("l", 64), About: strings.Repeat("ä", 100), Subject: strings.Repeat("s", 200), Payload: make([]byte, outbox.MaxPayload)}
	put(t, s, o, large) // the store takes the largest
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
		r.fails = func(outbox.Item) error { return &outbox.Failure{Reason: "answered 500"} }
		put(t, s, ignorant, outbox.Draft{Kind: "alert", Lane: "chat", Payload: []byte("b")})
		pass(23*time.Hour + 50*time.Minute)
		r.fails = nil
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

// A backup that is restored sends nothing that is older than the time in which it would have been sent, and a day.
func TestRestored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, r := memory.New(), newReceiver()
		o := open(t, s)
		o.Handle("mail", r.deliver)
		put(t, s, o, draft("old"))
		pass(retry.For + 23*time.Hour)
		put(t, s, o, draft("new"))
		pass(2 * time.Hour)
		start(t, o)
		pass(time.Minute)
		dead := entries(t, o, outbox.Dead)
		if len(dead) != 1 || dead[0].Reason != "it was not delivered in time" || r.got["old"] != 0 || r.got["new"] != 1 {
			t.Errorf("%+v, delivered %v", dead, r.got)
		}
		if err := o.Redeliver(t.Context(), dead[0].ID, audit.Act{By: "test"}); err != nil {
			t.Fatal(err)
		}
		pass(time.Minute)
		if r.got["old"] != 1 {
			t.Error("somebody asked for it, and it was not sent")
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
