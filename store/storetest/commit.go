package storetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/source"
	"github.com/counterfoil/counterfoil/store"
)

func allOrNothing(t *testing.T, s store.Store) {
	must(t, put(s, rec("a", "", 0), rec("c", "o", 0)))
	_, before, err := s.Log(t.Context(), counterfoil.Cursor{}, 10)
	must(t, err)
	for what, refused := range map[string]store.Batch{
		"a false Require": {Require: []store.Require{{Key: key("absent"), Rev: 1}}, Put: []store.Record{rec("b", "", 0)}},
		"a late Put":      {Put: []store.Record{rec("b", "", 0), rec("a", "", 7)}},
	} {
		refused.Delete = []store.Key{key("a")}
		refused.DeleteOwned = []store.Owned{{Kind: "thing", Owner: "o"}}
		refused.Revoke = []source.Revocation{{Scope: source.ScopeAll}}
		refused.NewEpoch = true
		conflicts(t, s, what, refused)
		if left := ids(t, s, "*"); left != "a c" {
			t.Errorf("%s left %q, want a and c", what, left)
		}
		entries, head, err := s.Log(t.Context(), counterfoil.Cursor{}, 10)
		if err != nil || len(entries) != 0 || head != before {
			t.Errorf("%s left %v in the log, head %v, %v", what, entries, head, err)
		}
	}
	if head, err := s.Commit(t.Context(), store.Batch{}); err != nil || head != before {
		t.Errorf("an empty Commit = %v, %v, want %v", head, err, before)
	}
}

func revisions(t *testing.T, s store.Store) {
	conflicts(t, s, "Put(rev 1) of an absent record", store.Batch{Put: []store.Record{rec("a", "o", 1)}})
	must(t, put(s, rec("a", "o", 0)))
	for _, rev := range []uint64{0, 2, 1 << 40} {
		conflicts(t, s, fmt.Sprintf("Put(rev %d)", rev), store.Batch{Put: []store.Record{rec("a", "o", rev)}})
	}
	must(t, put(s, rec("a", "o", 1)))
	if r, err := store.One(t.Context(), s, key("a")); err != nil || r.Rev != 2 || r.Owner != "o" {
		t.Errorf("Get = %+v, %v, want revision 2", r, err)
	}
	_, err := s.Commit(t.Context(), store.Batch{Delete: []store.Key{key("a")}})
	must(t, err)
	conflicts(t, s, "Put(rev 2) of a deleted record", store.Batch{Put: []store.Record{rec("a", "o", 2)}})
	must(t, put(s, rec("a", "o", 0)))
}

func require(t *testing.T, s store.Store) {
	must(t, put(s, rec("a", "", 0)))
	good := []store.Require{{Key: key("a"), Rev: 1}, {Key: key("absent")}}
	for range 2 {
		_, err := s.Commit(t.Context(), store.Batch{Require: good})
		must(t, err)
	}
	if r, err := store.One(t.Context(), s, key("a")); err != nil || r.Rev != 1 {
		t.Errorf("Get = %+v, %v, want revision 1", r, err)
	}
	for _, bad := range []store.Require{{Key: key("a")}, {Key: key("a"), Rev: 2}, {Key: key("absent"), Rev: 1}} {
		conflicts(t, s, fmt.Sprintf("Require(%s at %d)", bad.ID, bad.Rev), store.Batch{Require: append(good, bad)})
	}
}

func conditionsFirst(t *testing.T, s store.Store) {
	must(t, put(s, rec("a", "o", 0), rec("b", "o", 0)))
	// When the store checks the conditions, the records that the batch deletes still exist.
	wipe := store.Batch{DeleteOwned: []store.Owned{{Kind: "thing", Owner: "o"}}, Delete: []store.Key{key("a"), key("b")}}
	first := wipe
	first.Put = []store.Record{rec("a", "o", 0)}
	conflicts(t, s, "creating a record that the batch deletes", first)
	second := wipe
	second.Require, second.Put = []store.Require{{Key: key("b"), Rev: 1}}, []store.Record{rec("a", "o", 1)}
	_, err := s.Commit(t.Context(), second)
	must(t, err)
	if r, err := store.One(t.Context(), s, key("a")); err != nil || r.Rev != 2 {
		t.Errorf("Get = %+v, %v, want revision 2", r, err)
	}
}

func putSurvives(t *testing.T, s store.Store) {
	must(t, put(s, rec("a", "o", 0), rec("b", "o", 0), rec("c", "other", 0), store.Record{Key: store.Key{Kind: "other", ID: "d"}, Owner: "o"}))
	_, err := s.Commit(t.Context(), store.Batch{
		DeleteOwned: []store.Owned{{Kind: "thing", Owner: "o"}}, Delete: []store.Key{key("a")}, Put: []store.Record{rec("a", "o", 1), rec("e", "o", 0)},
	})
	must(t, err)
	if own, all := ids(t, s, "o"), ids(t, s, "*"); own != "a e" || all != "a c e" {
		t.Errorf("left are %q and %q, want a, e and a, c, e", own, all)
	}
	if _, err := store.One(t.Context(), s, store.Key{Kind: "other", ID: "d"}); err != nil {
		t.Errorf("Get of another kind of the same owner = %v", err)
	}
}

func newOwner(t *testing.T, s store.Store) {
	must(t, put(s, rec("a", "old", 0)))
	must(t, put(s, rec("a", "new", 1)))
	if was, is := ids(t, s, "old"), ids(t, s, "new"); was != "" || is != "a" {
		t.Errorf("old owner has %q, new one %q", was, is)
	}
	_, err := s.Commit(t.Context(), store.Batch{DeleteOwned: []store.Owned{{Kind: "thing", Owner: "old"}}})
	must(t, err)
	if is := ids(t, s, "new"); is != "a" {
		t.Errorf("after deleting the records of the old owner the new owner has %q, want a", is)
	}
}

func deleteAbsent(t *testing.T, s store.Store) {
	_, err := s.Commit(t.Context(), store.Batch{Delete: []store.Key{key("x"), key("x")}, DeleteOwned: []store.Owned{{Kind: "thing", Owner: "x"}}})
	must(t, err)
}

func limits(t *testing.T, s store.Store) {
	long := strings.Repeat("x", 201)
	value := func(n int) store.Record {
		r := rec("value", "", 0)
		r.Value = make([]byte, n)
		return r
	}
	for name, r := range map[string]store.Record{
		"no id": rec("", "", 0), "long id": rec(long, "", 0), "long owner": rec("a", long, 0),
		"control": rec("a\n", "", 0), "not ASCII": rec("ä", "", 0), "value": value(64<<10 + 1),
		"no kind": {Key: store.Key{ID: "a"}}, "kind": {Key: store.Key{Kind: "Thing", ID: "a"}},
	} {
		if err := put(s, rec("beside", "", 0), r); err == nil || errors.Is(err, store.ErrConflict) {
			t.Errorf("%s: Put = %v, want a refusal", name, err)
		}
	}
	if err := put(s, rec("a", "", 0), rec("a", "", 0)); err == nil {
		t.Error("a batch that puts a key twice was accepted")
	}
	if got := ids(t, s, "*"); got != "" {
		t.Errorf("a refused commit left %q", got)
	}
	must(t, put(s, rec(long[:200], long[:200], 0), rec(" !~", "", 0), value(64<<10)))
}

func roundTrip(t *testing.T, s store.Store) {
	expires := time.Now().Add(time.Hour)
	r := store.Record{Key: key("a"), Owner: "o'; --", Expires: expires, Value: []byte(`{"a":"\u0000ä"}`)}
	must(t, put(s, r))
	want := string(r.Value)
	r.Value[0] = '!' // the store must have its own copy
	for range 2 {
		got, err := store.One(t.Context(), s, key("a"))
		must(t, err)
		if string(got.Value) != want || got.Key != r.Key || got.Owner != r.Owner || got.Expires.Before(expires) || got.Expires.After(expires.Add(time.Second)) {
			t.Errorf("Get = %+v, want %+v", got, r)
		}
		got.Value[0] = '!' // the caller must have its own copy
	}
	must(t, put(s, rec("never", "", 0)))
	if got, err := store.One(t.Context(), s, key("never")); err != nil || !got.Expires.IsZero() {
		t.Errorf("Get = %+v, %v, want no expiry", got, err)
	}
}

func absent(t *testing.T, s store.Store) {
	must(t, put(s, rec("a", "", 0)))
	for _, k := range []store.Key{key("b"), {Kind: "other", ID: "a"}, key("A"), key("a ")} {
		if r, err := store.One(t.Context(), s, k); !errors.Is(err, store.ErrNotFound) || r.ID != "" {
			t.Errorf("Get(%s %q) = %+v, %v, want ErrNotFound", k.Kind, k.ID, r, err)
		}
	}
}

// many gets several keys at once, one of them twice. Each key gets its own record.
func many(t *testing.T, s store.Store) {
	must(t, put(s, rec("a", "o", 0), rec("b", "", 0)))
	must(t, put(s, rec("b", "", 1)))
	keys := []store.Key{key("b"), key("absent"), key("a"), {Kind: "other", ID: "a"}, key("b"), key("\x00")}
	got, err := s.Get(t.Context(), keys...)
	must(t, err)
	for n, want := range []uint64{2, 0, 1, 0, 2, 0} {
		if len(got) != len(keys) || got[n].Key != keys[n] || got[n].Rev != want || want > 0 && string(got[n].Value) != "{}" {
			t.Fatalf("Get(%q) = %+v, want revision %d at %d", keys, got, want, n)
		}
	}
	if got[2].Owner != "o" {
		t.Errorf("Get(%q) = %+v, want owner o", keys[2], got[2])
	}
	got[0].Value[0] = '!' // each record must have its own copy
	if string(got[4].Value) != "{}" {
		t.Errorf("two records of one Get share a value: %s", got[4].Value)
	}
}

// outage fails the test unless each method of s returns an error that is no answer.
func outage(t *testing.T, s store.Store, ctx context.Context, want error) {
	t.Helper()
	_, get := s.Get(ctx, key("a"))
	_, many := s.Get(ctx, key("a"), key("b"))
	_, commit := s.Commit(ctx, store.Batch{Put: []store.Record{rec("new", "", 0)}})
	_, _, read := s.Log(ctx, counterfoil.Cursor{}, 1)
	_, swept := s.Sweep(ctx, time.Now())
	remembered := s.Remember(ctx, counterfoil.Cursor{})
	_, told := s.Time(ctx)
	calls := map[string]error{"Remember": remembered, "Time": told, "Get": get, "Get of two": many, "Commit": commit, "Log": read, "Sweep": swept}
	for owner, name := range map[string]string{"o": "List of a few", "*": "List of all", "nobody": "List of none"} {
		calls[name] = nil
		for _, err := range s.List(ctx, "thing", owner, "") {
			calls[name] = err
		}
	}
	_, _, calls["Count"] = s.Count(ctx, "thing", "", 1)
	calls["Search"] = nil
	for _, err := range s.Search(ctx, "thing", "", store.Position{}) {
		calls["Search"] = err
	}
	for name, err := range calls {
		if err == nil || errors.Is(err, store.ErrNotIndexed) || errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrConflict) || want != nil && !errors.Is(err, want) {
			t.Errorf("%s = %v, want an outage", name, err)
		}
	}
}

func contexts(t *testing.T, s store.Store) {
	must(t, put(s, rec("a", "o", 0)))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	outage(t, s, ctx, context.Canceled)
	_, head, err := s.Log(t.Context(), counterfoil.Cursor{}, 1)
	must(t, err)
	if err := s.Wait(ctx, head); !errors.Is(err, context.Canceled) {
		t.Errorf("Wait = %v, want %v", err, context.Canceled)
	}
	if got := ids(t, s, "*"); got != "a" {
		t.Errorf("a cancelled commit left %q", got)
	}
}

func closed(t *testing.T, s store.Store) {
	must(t, put(s, rec("a", "o", 0)))
	must(t, s.Close())
	outage(t, s, t.Context(), nil)
}
