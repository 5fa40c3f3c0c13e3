package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store"
)

func log(t *testing.T, s store.Store) {
	later := time.Now().Add(time.Hour)
	first, second := revoke(t, s, "1", later), revoke(t, s, "2", later)
	if !first.Before(second) {
		t.Errorf("heads %v and %v are not in order", first, second)
	}
	foreign := counterfoil.Cursor{Epoch: first.Epoch + 1, Seq: second.Seq}
	ahead := counterfoil.Cursor{Epoch: first.Epoch, Seq: second.Seq + 1000}
	for _, c := range []struct {
		after       counterfoil.Cursor
		limit, want int
	}{{counterfoil.Cursor{}, 10, 2}, {foreign, 10, 2}, {first, 10, 1}, {second, 10, 0}, {ahead, 10, 0}, {counterfoil.Cursor{}, 1, 1}, {counterfoil.Cursor{}, 0, 0}, {second, 1, 0}} {
		entries, head, err := s.Log(t.Context(), c.after, c.limit)
		if err != nil || len(entries) != c.want || head != second {
			t.Errorf("Log(%v, %d) = %d entries, %v, %v, want %d", c.after, c.limit, len(entries), head, err, c.want)
		}
	}
	// An ordinary commit does not move the head. It returns the head.
	if head, err := s.Commit(t.Context(), store.Batch{Put: []store.Record{rec("a", "", 0)}}); err != nil || head != second {
		t.Errorf("Commit = %v, %v, want the head %v", head, err, second)
	}
}

func logPages(t *testing.T, s store.Store) {
	var b store.Batch
	for n := range 1000 {
		b.Revoke = append(b.Revoke, entry(fmt.Sprint(n), time.Now().Add(time.Hour)))
	}
	last, err := s.Commit(t.Context(), b)
	must(t, err)
	n, at := 0, counterfoil.Cursor{}
	for at != last {
		entries, head, err := s.Log(t.Context(), at, 99)
		must(t, err)
		if len(entries) == 0 || head != last {
			t.Fatalf("Log(%v) = %d entries, head %v, want more up to %v", at, len(entries), head, last)
		}
		for _, e := range entries {
			if e.ID != fmt.Sprint(n) || at.Epoch == e.At.Epoch && !at.Before(e.At) {
				t.Fatalf("entry %d is %v, after %v", n, e, at)
			}
			at = e.At
			n++
		}
	}
	if n != 1000 {
		t.Errorf("%d entries, want 1000", n)
	}
}

func logEntries(t *testing.T, s store.Store) {
	later := time.Now().Add(time.Hour).Truncate(time.Second)
	in := []source.Revocation{
		{Scope: source.ScopeSession, ID: "s", Reason: "log out", Expires: later},
		{Scope: source.ScopeAll, Reason: "", Expires: later},
		{Scope: "not yet invented", ID: "'; --", Expires: later.Add(time.Minute)},
	}
	head, err := s.Commit(t.Context(), store.Batch{Revoke: in})
	must(t, err)
	out, _, err := s.Log(t.Context(), counterfoil.Cursor{}, 10)
	must(t, err)
	for n, e := range out {
		if e.At.Epoch != head.Epoch || !e.Expires.Equal(in[n].Expires) {
			t.Errorf("entry %d = %v, want %v", n, e, in[n])
		}
		e.At, e.Expires = in[n].At, in[n].Expires
		if e != in[n] {
			t.Errorf("entry %d = %v, want %v", n, e, in[n])
		}
	}
	if len(out) != len(in) || out[len(out)-1].At != head {
		t.Errorf("Log = %v, want the last at %v", out, head)
	}
}

func newEpoch(t *testing.T, s store.Store) {
	old := revoke(t, s, "before", time.Now().Add(time.Hour))
	must(t, put(s, rec("a", "", 0)))
	head, err := s.Commit(t.Context(), store.Batch{NewEpoch: true, Revoke: []source.Revocation{entry("first", time.Now().Add(time.Hour))}})
	must(t, err)
	entries, now, err := s.Log(t.Context(), old, 10)
	if err != nil || len(entries) != 1 || entries[0].ID != "first" || entries[0].At != head || now != head || head.Epoch == old.Epoch {
		t.Errorf("after NewEpoch: %v, %v, %v", entries, now, err)
	}
	if _, err := store.One(t.Context(), s, key("a")); err != nil {
		t.Errorf("Get after NewEpoch = %v, want the record: records belong to no epoch", err)
	}
	second, err := s.Commit(t.Context(), store.Batch{NewEpoch: true})
	if err != nil || second.Epoch == head.Epoch || second.Epoch == old.Epoch {
		t.Errorf("NewEpoch = %v, %v, want another", second, err)
	}
}

// remember gives a store the head that an earlier process has seen. A head that the log has
// reached changes nothing. A later head means that entries are lost: the store refuses Log and
// Commit until a commit begins an epoch.
func remember(t *testing.T, s store.Store) {
	seen := revoke(t, s, "1", time.Now().Add(time.Hour))
	head := revoke(t, s, "2", time.Now().Add(time.Hour))
	for _, at := range []counterfoil.Cursor{{}, seen, head} {
		must(t, s.Remember(t.Context(), at))
		must(t, put(s, rec(at.String(), "", 0)))
	}
	lost := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, store.ErrLost) {
			t.Errorf("%s after a loss = %v, want ErrLost", what, err)
		}
	}
	lost("Remember", s.Remember(t.Context(), counterfoil.Cursor{Epoch: head.Epoch, Seq: head.Seq + 1}))
	for range 2 {
		_, _, err := s.Log(t.Context(), head, 1)
		lost("Log", err)
		lost("Commit", put(s, rec("late", "", 0)))
		_, err = s.Commit(t.Context(), store.Batch{Revoke: []source.Revocation{entry("late", time.Now().Add(time.Hour))}})
		lost("Revoke", err)
		lost("Remember", s.Remember(t.Context(), seen))
	}
	if _, err := store.One(t.Context(), s, key("late")); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Get of a record whose commit was refused = %v, want ErrNotFound", err)
	}
	began, err := s.Commit(t.Context(), store.Batch{NewEpoch: true})
	must(t, err)
	if _, now, err := s.Log(t.Context(), head, 1); err != nil || now != began || began.Epoch == head.Epoch {
		t.Errorf("Log after NewEpoch = %v, %v, want %v", now, err, began)
	}
	must(t, s.Remember(t.Context(), began))
	must(t, put(s, rec("late", "", 0)))
}

func describe(t *testing.T, s store.Store) {
	is := s.Describe()
	if is.Durability != store.Durable && is.Durability != store.Lossy || (is.Durability == store.Lossy) != (is.WhyLossy != "") {
		t.Errorf("Describe = %+v, want durable; or lossy with a reason", is)
	}
}

func wait(t *testing.T, s store.Store) {
	head := revoke(t, s, "1", time.Now())
	// The head differs already: Wait returns at once.
	must(t, s.Wait(t.Context(), counterfoil.Cursor{}))
	must(t, s.Wait(t.Context(), counterfoil.Cursor{Epoch: head.Epoch, Seq: head.Seq - 1}))
	for _, b := range []store.Batch{
		{Revoke: []source.Revocation{entry("2", time.Now())}}, {NewEpoch: true},
	} {
		woken := make(chan error)
		for range 3 {
			go func() { woken <- s.Wait(context.Background(), head) }()
		}
		next, err := s.Commit(t.Context(), b)
		must(t, err)
		for range 3 {
			must(t, <-woken)
		}
		head = next
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { // Wait may return early: it is a hint
		err := error(nil)
		for err == nil {
			err = s.Wait(ctx, head)
		}
		ended <- err
	}()
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("Wait(cancelled) = %v", err)
	}
}

func waitClose(t *testing.T, s store.Store) {
	head := revoke(t, s, "1", time.Now())
	woken := make(chan struct{})
	go func() {
		defer close(woken)
		_ = s.Wait(context.Background(), head)
	}()
	must(t, s.Close())
	<-woken
}

// engineTime: the clock of an engine of its own runs; an engine in this process has none, and
// never pretends that the clock of this process is another one.
func engineTime(t *testing.T, s store.Store) {
	first, err := s.Time(t.Context())
	must(t, err)
	for moved := false; !moved; { // until the clock has moved
		next, err := s.Time(t.Context())
		must(t, err)
		switch {
		case first.IsZero() != next.IsZero():
			t.Fatalf("Time = %v, then %v", first, next)
		case next.Before(first):
			t.Fatalf("Time = %v after %v", next, first)
		}
		moved = first.IsZero() || next.After(first)
	}
	if !first.IsZero() && time.Since(first).Abs() > time.Hour { // the engines of the tests run on this machine
		t.Errorf("Time = %v, and here it is %v", first, time.Now())
	}
}
