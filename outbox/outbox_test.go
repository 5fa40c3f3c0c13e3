package outbox_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/internal/testsvc"
	"github.com/counterfoil/counterfoil/outbox"
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/memory"
	"github.com/counterfoil/counterfoil/store/postgres"
	"github.com/counterfoil/counterfoil/store/sqlite"
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

// fail has each delivery from now on fail by f; nil: none.
func (r *receiver) fail(f func(outbox.Item) error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fails = f
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
