package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store"
	"github.com/counterfoil/counterfoil/store/sqlite"
)

func fresh(t testing.TB) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(context.Background(), filepath.Join(t.TempDir(), "c.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func row(id string, rev uint64) store.Record {
	return store.Record{Key: store.Key{Kind: "thing", ID: id}, Owner: "o", Rev: rev, Value: []byte("{}")}
}

func puts(r ...store.Record) store.Batch { return store.Batch{Put: r} }

func revokes(id string) store.Batch {
	return store.Batch{Revoke: []source.Revocation{{Scope: source.ScopeSession, ID: id, Expires: time.Now().Add(time.Hour)}}}
}

// Within one group each batch sees the batches before it. A conflict fails its own batch
// alone. The head of a batch is the head of the log right after the batch.
func TestGroupIsSerial(t *testing.T) {
	s := fresh(t)
	wipe := revokes("x")
	wipe.DeleteOwned = []store.Owned{{Kind: "thing", Owner: "o"}}
	heads, errs, err := s.CommitGroup(
		puts(row("a", 0)), puts(row("a", 1)), puts(row("a", 1), row("lost", 0)), // the third conflicts with the second
		wipe, puts(row("b", 0)), revokes("y"), store.Batch{Require: []store.Require{{Key: row("a", 0).Key, Rev: 2}}},
	)
	if err != nil {
		t.Fatal(err)
	}
	for n, conflict := range []bool{2: true, 6: true} {
		if errors.Is(errs[n], store.ErrConflict) != conflict || (errs[n] == nil) == conflict {
			t.Errorf("batch %d = %v, conflict wanted: %v", n, errs[n], conflict)
		}
	}
	if heads[0] != heads[1] || !heads[1].Before(heads[3]) || heads[4] != heads[3] || !heads[4].Before(heads[5]) {
		t.Errorf("heads %v: want each to be the head right after its batch", heads)
	}
	entries, head, err := s.Log(t.Context(), counterfoil.Cursor{}, 10)
	if err != nil || len(entries) != 2 || entries[0].At != heads[3] || head != heads[5] {
		t.Errorf("Log = %v, %v, %v", entries, head, err)
	}
	for id, there := range map[string]bool{"a": false, "lost": false, "b": true} {
		if _, err := store.One(t.Context(), s, row(id, 0).Key); (err == nil) != there {
			t.Errorf("Get(%s) = %v", id, err)
		}
	}
}

// If the engine cannot write one batch, the whole group fails and nothing of it is stored.
func TestGroupFailsTogether(t *testing.T) {
	s := fresh(t)
	if err := s.Limit(); err != nil {
		t.Fatal(err)
	}
	big := row("big", 0)
	big.Value = make([]byte, 60_000)
	_, _, err := s.CommitGroup(puts(row("a", 0)), puts(row("a", 0)), puts(big), revokes("x"))
	if err == nil || errors.Is(err, store.ErrConflict) {
		t.Fatalf("a group that does not fit = %v, want an outage", err)
	}
	if _, err := s.Commit(t.Context(), puts(big)); err == nil || errors.Is(err, store.ErrConflict) {
		t.Errorf("Commit = %v, want an outage", err)
	}
	if err := s.Unlimit(); err != nil {
		t.Fatal(err)
	}
	if entries, _, err := s.Log(t.Context(), counterfoil.Cursor{}, 10); err != nil || len(entries) != 0 {
		t.Errorf("Log = %v, %v, want nothing", entries, err)
	}
	if _, err := s.Commit(t.Context(), puts(row("a", 0), big)); err != nil {
		t.Errorf("Commit afterwards = %v", err)
	}
}

// A batch whose context ends while it waits is not committed. The other batches are.
func TestGroupLeavesOutCancelledBatch(t *testing.T) {
	s := fresh(t)
	release := s.HoldLead()
	ctx, cancel := context.WithCancel(t.Context())
	gone, stayed := make(chan error, 1), make(chan error, 1)
	go func() {
		_, err := s.Commit(ctx, puts(row("gone", 0)))
		gone <- err
	}()
	go func() {
		_, err := s.Commit(t.Context(), puts(row("stayed", 0)))
		stayed <- err
	}()
	for s.Waiting() < 2 {
		runtime.Gosched()
	}
	cancel()
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Errorf("Commit = %v, want %v", err, context.Canceled)
	}
	release()
	if err := <-stayed; err != nil {
		t.Error(err)
	}
	if _, err := store.One(t.Context(), s, row("gone", 0).Key); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Get(gone) = %v, want ErrNotFound", err)
	}
}

// More callers commit at once than a group takes. Every call returns. A record is stored
// exactly if its call succeeded.
func TestGroupHammer(t *testing.T) {
	s := fresh(t)
	release := s.HoldLead()
	var wg sync.WaitGroup
	const callers = 1300
	for n := range callers {
		ctx, cancel := context.WithCancel(t.Context())
		if n%7 == 0 {
			go cancel()
		}
		wg.Go(func() {
			defer cancel()
			id := fmt.Sprint(n)
			b := puts(row(id, 0))
			b.Revoke = revokes(id).Revoke
			b.Require = []store.Require{{Key: row("absent", 0).Key, Rev: uint64(n % 5 / 4)}} // every fifth conflicts
			head, err := s.Commit(ctx, b)
			_, found := store.One(context.Background(), s, row(id, 0).Key)
			if conflict := n%5 == 4; (err == nil) != (found == nil) || err == nil && (conflict || head.Seq == 0) || err != nil && head.Seq != 0 {
				t.Errorf("Commit %d = %v, %v; Get = %v", n, head, err, found)
			}
		})
		if rand.N(100) == 0 {
			runtime.Gosched()
		}
	}
	release()
	wg.Wait()
	if n := s.Waiting(); n != 0 {
		t.Errorf("%d calls are left in the queue", n)
	}
}
