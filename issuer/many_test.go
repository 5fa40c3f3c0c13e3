package issuer_test

import (
	"context"
	"iter"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/memory"
	"github.com/counterfoil/counterfoil/store/sqlite"
)

// work counts what is asked of a store. A reader that gate stops waits at the third record
// of its list.
type work struct {
	store.Store
	calls, records, commits atomic.Int64
	gate                    func()
}

func (w *work) Get(ctx context.Context, keys ...store.Key) ([]store.Record, error) {
	w.calls.Add(1)
	w.records.Add(int64(len(keys)))
	return w.Store.Get(ctx, keys...)
}

func (w *work) List(ctx context.Context, kind store.Kind, owner, after string) iter.Seq2[store.Record, error] {
	w.calls.Add(1)
	return func(yield func(store.Record, error) bool) {
		n := 0
		for r, err := range w.Store.List(ctx, kind, owner, after) {
			w.records.Add(1)
			if n++; n == 3 && w.gate != nil {
				w.gate()
			}
			if !yield(r, err) {
				return
			}
		}
	}
}

func (w *work) Commit(ctx context.Context, b store.Batch) (counterfoil.Cursor, error) {
	w.calls.Add(1)
	w.commits.Add(1)
	return w.Store.Commit(ctx, b)
}

func (w *work) reset() { w.calls.Store(0); w.records.Store(0); w.commits.Store(0) }

// A page of a subject with 10,000 sessions asks as little of the store as one of a subject
// with a hundred, its last page too, and to end all others is one commit and one entry.
// While 20 readers stand in the middle of their pages, everybody else signs in, is looked
// up, refreshes and revokes: a reader holds nothing that others need.
func TestManySessionsCostOthersNothing(t *testing.T) {
	for name, open := range map[string]func() store.Store{
		"memory": func() store.Store { return memory.New() },
		"sqlite": func() store.Store {
			s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "store.db"))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { s.Close() })
			return s
		},
	} {
		for _, c := range []counterfoil.Carrier{counterfoil.CarrierCookie, counterfoil.CarrierBearer} {
			t.Run(name+"/"+c.String(), func(t *testing.T) {
				w := &work{Store: open()}
				i, own := manySessions(t, w, c)
				subject := own.Session.Subject

				const limit = 50
				last := ""
				for after, pages := "", 0; ; pages++ {
					w.reset()
					page, next, err := i.Sessions(t.Context(), subject, after, limit)
					if err != nil || next != "" && len(page) != limit {
						t.Fatalf("page %d has %d sessions, %v", pages, len(page), err)
					}
					// One list, the subject and its client, and the refresh tokens of the page.
					if calls, records := w.calls.Load(), w.records.Load(); calls > 4 || records > 2*limit+10 {
						t.Fatalf("page %d asked the store %d times, for %d records", pages, calls, records)
					}
					if next == "" {
						break
					}
					after, last = next, next
				}

				held, release := make(chan struct{}), make(chan struct{})
				w.gate = func() { held <- struct{}{}; <-release }
				var readers sync.WaitGroup
				for n := range 20 {
					readers.Go(func() {
						after := ""
						if n%2 == 1 {
							after = last[:len(last)-5] + "05000"
						}
						if page, _, err := i.Sessions(t.Context(), subject, after, limit); err != nil || len(page) != limit {
							t.Errorf("a reader was answered with %d sessions, %v", len(page), err)
						}
					})
				}
				for range 20 {
					<-held
				}
				othersGoOn(t, i, c)
				close(release)
				readers.Wait()

				w.gate = nil
				before := entries(t, i)
				w.reset()
				if _, err := i.EndOthers(t.Context(), own.Session, audit.Act{}); err != nil {
					t.Fatal(err)
				}
				if commits, calls, written := w.commits.Load(), w.calls.Load(), entries(t, i)-before; commits != 1 || calls > 6 || written != 1 {
					t.Errorf("the end of all others: %d commits, %d calls of the store, %d entries in the log", commits, calls, written)
				}
				if page, _, err := i.Sessions(t.Context(), subject, "", limit); err != nil || len(page) != 1 {
					t.Errorf("then there are %d sessions, %v", len(page), err)
				}
			})
		}
	}
}

// othersGoOn does for another subject what clients do all the time.
func othersGoOn(t *testing.T, i *issuer.Issuer, c counterfoil.Carrier) {
	t.Helper()
	got := signedIn(t, i, 1, c)
	if _, err := i.Lookup(t.Context(), got.Access.Reveal()); err != nil {
		t.Error(err)
	}
	if r := got.Refresh.Reveal(); r != "" {
		if _, err := i.Refresh(t.Context(), r, issuer.Renewal{}); err != nil {
			t.Error(err)
		}
	}
	if _, err := i.Revoke(t.Context(), source.ScopeSession, got.Session.ID, audit.Act{}); err != nil {
		t.Error(err)
	}
}

func entries(t *testing.T, i *issuer.Issuer) int {
	t.Helper()
	page, err := i.Log(t.Context(), source.Follow{})
	if err != nil {
		t.Fatal(err)
	}
	return len(page.Entries)
}
