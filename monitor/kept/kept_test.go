package kept_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/monitor"
	"github.com/counterfoil/counterfoil/monitor/kept"
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/memory"
	"github.com/counterfoil/counterfoil/store/storetest"
)

// shared is a store that other processes have open, too.
type shared struct{ store.Store }

func (s shared) Describe() store.Description {
	is := s.Store.Describe()
	is.Exclusive = false
	return is
}

// node is one process with a keeper. Its store fails on its own.
type node struct {
	*kept.Keeper
	store *storetest.FaultyStore

	mu      sync.Mutex // guards the fields below
	leads   context.Context
	direct  []string // events that were told from memory
	woken   []int    // how many alerts the store had at each call of Wake
	waiting []string // what Withdraw returns
}

const kindAlert store.Kind = "alert"

func newNode(t *testing.T, db store.Store) *node {
	t.Helper()
	n := &node{store: storetest.Faulty(db)}
	trail, err := audit.New(audit.Options{Store: n.store, Hook: func(audit.Entry) {}})
	if err != nil {
		t.Fatal(err)
	}
	n.Keeper, err = kept.New(kept.Options{
		Store: n.store, Audit: trail, Logger: slog.New(slog.DiscardHandler),
		Alerts: func(e monitor.Event) ([]store.Record, error) {
			id := e.ID
			if e.Channels != nil {
				id += ":" + strings.Join(e.Channels, ",")
			}
			// Two alerts of one event have two records, as in an outbox: the id is not what makes them one.
			return []store.Record{{Key: store.Key{Kind: kindAlert, ID: fmt.Sprintf("%s/%d", id, time.Now().UnixNano())}, Value: []byte("{}")}}, nil
		},
		Wake: func() {
			n.mu.Lock()
			defer n.mu.Unlock()
			n.woken = append(n.woken, len(alerts(t, db)))
		},
		Direct: func(e monitor.Event) {
			n.mu.Lock()
			defer n.mu.Unlock()
			n.direct = append(n.direct, e.ID)
		},
		Withdraw: func(string) []string {
			n.mu.Lock()
			defer n.mu.Unlock()
			return n.waiting
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// start has the node take part until the test ends, or stop is called.
func (n *node) start(t *testing.T) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		n.Lead(ctx, func(ctx context.Context) error {
			if _, err := n.Load(ctx); err != nil {
				return err
			}
			n.mu.Lock()
			n.leads = ctx
			n.mu.Unlock()
			<-ctx.Done()
			return n.Flush(context.WithoutCancel(ctx))
		})
	})
	stop = sync.OnceFunc(func() { cancel(); running.Wait() })
	t.Cleanup(stop)
	return stop
}

// runs reports whether the monitor runs at the node.
func (n *node) runs() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.leads != nil && n.leads.Err() == nil
}

// alerts are the events that the store has alerts of.
func alerts(t *testing.T, s store.Store) (all []string) {
	t.Helper()
	for rec, err := range s.List(t.Context(), kindAlert, "*", "") {
		if err != nil {
			t.Fatal(err)
		}
		id, _, _ := strings.Cut(rec.ID, "/")
		all = append(all, id)
	}
	return all
}

func step(n uint64, kind monitor.EventKind) monitor.Step {
	now := time.Now()
	status := monitor.Down
	if kind == monitor.WentUp {
		status = monitor.Up
	}
	s := monitor.State{Check: "shop", Key: "KEY", Number: n, Status: status, Since: now, Every: time.Minute}
	s.Last = monitor.Result{Check: "shop", At: now, OK: status == monitor.Up, Reason: monitor.TimedOut}
	return monitor.Step{State: s, Results: []monitor.Result{s.Last}, Events: []monitor.Event{{
		ID: fmt.Sprintf("KEY-%d-%s", n, kind), Kind: kind, Check: "shop", Title: "Shop", At: now, Since: now, Status: status, Reason: monitor.TimedOut,
	}}}
}

// Who delivers alerts is woken after each commit that has some, and at no other time.
func TestWake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, shared{memory.New()})
		n.waiting = []string{"ops"}
		n.start(t)
		time.Sleep(time.Second)
		quiet := step(1, monitor.WentDown)
		quiet.Events = nil
		if err := n.Keep(t.Context(), quiet); err != nil {
			t.Fatal(err)
		}
		n.store.Inject(storetest.Fault{})
		down := step(1, monitor.WentDown)
		if err := n.Keep(t.Context(), down); !errors.Is(err, counterfoil.ErrUnavailable) {
			t.Fatalf("Keep = %v", err)
		}
		n.store.Heal()
		time.Sleep(5 * time.Second)
		if len(n.woken) > 0 {
			t.Errorf("woken with %d alerts in the store", n.woken)
		}
		for _, s := range []monitor.Step{down, step(2, monitor.WentUp)} {
			if err := n.Keep(t.Context(), s); err != nil {
				t.Fatal(err)
			}
		}
		if !slices.Equal(n.woken, []int{1, 2}) {
			t.Errorf("woken with %d alerts in the store, want after each of two", n.woken)
		}
	})
}

// One node leads. When it is cut off, another one leads within 30 s and goes on from its state; the
// first stops when it can see that, and changes nothing more.
func TestAnotherTakesOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := shared{memory.New()}
		a, b := newNode(t, db), newNode(t, db)
		a.start(t)
		synctest.Wait()
		b.start(t)
		time.Sleep(10 * time.Minute)
		if !a.runs() || b.runs() {
			t.Fatalf("a runs: %v, b runs: %v", a.runs(), b.runs())
		}
		if err := a.Keep(t.Context(), step(1, monitor.WentDown)); err != nil {
			t.Fatal(err)
		}
		a.store.Inject(storetest.Fault{})
		begun := time.Now()
		for !b.runs() {
			time.Sleep(time.Second)
			if time.Since(begun) > 30*time.Second {
				t.Fatal("nobody leads after 30 s")
			}
		}
		if time.Since(begun) < kept.Lease-5*time.Second {
			t.Errorf("the other node took over after %v, within the lease", time.Since(begun))
		}
		if !a.runs() {
			t.Error("an outage has stopped the checks of a node")
		}
		if err := b.Keep(t.Context(), step(2, monitor.WentUp)); err != nil {
			t.Fatal(err)
		}
		a.store.Heal()
		if err := a.Keep(t.Context(), step(2, monitor.WentUp)); !errors.Is(err, kept.ErrNotLeading) && !errors.Is(err, counterfoil.ErrUnavailable) {
			t.Errorf("Keep of a node that leads no longer = %v", err)
		}
		time.Sleep(10 * time.Second)
		if a.runs() {
			t.Error("a node goes on that leads no longer")
		}
		if got := alerts(t, db); !slices.Equal(got, []string{"KEY-1-down", "KEY-2-up"}) {
			t.Errorf("alerts %v", got)
		}
	})
}

// A node that stops gives the lease back.
func TestStopsInGoodOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := shared{memory.New()}
		a, b := newNode(t, db), newNode(t, db)
		stop := a.start(t)
		synctest.Wait()
		b.start(t)
		time.Sleep(time.Minute)
		s := step(1, monitor.WentUp)
		s.Events = nil
		if err := a.Keep(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		stop()
		time.Sleep(4 * time.Second)
		if !b.runs() {
			t.Fatal("the other node does not lead 4 s after the first has stopped")
		}
		got, err := b.Load(t.Context())
		if err != nil || got.States["shop"].Number != 1 {
			t.Errorf("the state of before is %+v, %v", got.States["shop"], err)
		}
	})
}

// Nobody waits where no other process can have the store.
func TestExclusiveStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := memory.New()
		a := newNode(t, db)
		a.start(t)
		synctest.Wait()
		a.store.Inject(storetest.Fault{}) // killed
		b := newNode(t, db)
		b.start(t)
		synctest.Wait()
		if !b.runs() {
			t.Error("it waits for a lease of a process that is gone")
		}
	})
}

// No lease is renewed where no other process can have the store.
func TestNothingToRenew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, memory.New())
		n.start(t)
		time.Sleep(time.Second)
		before := n.store.Calls(storetest.OpCommit)
		time.Sleep(time.Hour)
		if more := n.store.Calls(storetest.OpCommit) - before; more > 0 || !n.runs() {
			t.Errorf("%d commits in an hour in which nothing happened", more)
		}
	})
}

// A commit whose answer is lost is not done twice: neither of the alerts, nor of the lease.
func TestLostAnswers(t *testing.T) {
	for _, kind := range []store.Kind{"monitorstate", "monitorlease", "monitorincident"} {
		synctest.Test(t, func(t *testing.T) {
			db := shared{memory.New()}
			n := newNode(t, db)
			n.start(t)
			time.Sleep(time.Second)
			n.mu.Lock()
			n.waiting = []string{"ops"}
			n.mu.Unlock()
			n.store.Inject(storetest.Fault{Op: storetest.OpCommit, Kind: kind, Times: 1, Lost: true})
			down := step(1, monitor.WentDown)
			for range 10 {
				if n.Keep(t.Context(), down) == nil {
					break
				}
				time.Sleep(5 * time.Second)
			}
			time.Sleep(time.Minute)
			up := step(2, monitor.WentUp)
			if err := n.Keep(t.Context(), up); err != nil {
				t.Fatalf("%s: %v", kind, err)
			}
			if got := alerts(t, db); !slices.Equal(got, []string{"KEY-1-down", "KEY-2-up"}) || !n.runs() {
				t.Errorf("%s: alerts %v, runs: %v", kind, got, n.runs())
			}
			all, _, err := n.Incidents(t.Context(), "", 10)
			if err != nil || len(all) != 1 || all[0].Ended.IsZero() {
				t.Errorf("%s: incidents %+v, %v", kind, all, err)
			}
		})
	}
}

// While the store is away people are told from memory, once. When it is back, the store tells those
// who were not.
func TestToldFromMemory(t *testing.T) {
	for name, left := range map[string][]string{"all were told": nil, "one channel was not": {"ops"}} {
		synctest.Test(t, func(t *testing.T) {
			db := shared{memory.New()}
			n := newNode(t, db)
			n.start(t)
			time.Sleep(time.Second)
			n.mu.Lock()
			n.waiting = left
			n.mu.Unlock()
			n.store.Inject(storetest.Fault{})
			down := step(1, monitor.WentDown)
			for range 5 {
				if err := n.Keep(t.Context(), down); !errors.Is(err, counterfoil.ErrUnavailable) {
					t.Fatalf("Keep = %v", err)
				}
				time.Sleep(5 * time.Second)
			}
			if got := n.direct; !slices.Equal(got, []string{"KEY-1-down"}) {
				t.Errorf("%s: told %v", name, got)
			}
			n.store.Heal()
			time.Sleep(5 * time.Second)
			if err := n.Keep(t.Context(), down); err != nil {
				t.Fatal(err)
			}
			var want []string
			if left != nil {
				want = []string{"KEY-1-down:ops"}
			}
			if got := alerts(t, db); !slices.Equal(got, want) {
				t.Errorf("%s: the store tells %v, want %v", name, got, want)
			}
		})
	}
}
