package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/store"
)

func list(t *testing.T, s store.Store) {
	must(t, put(s, rec("b", "o", 0), rec("B", "o", 0), rec("a", "o", 0), rec("c", "other", 0), rec("d", "", 0),
		store.Record{Key: store.Key{Kind: "other", ID: "e"}, Owner: "o"}))
	for owner, want := range map[string]string{"o": "B a b", "other": "c", "": "d", "*": "B a b c d", "nobody": "", "O": ""} {
		if got := ids(t, s, owner); got != want {
			t.Errorf("List(%q) = %q, want %q", owner, got, want)
		}
	}
	for after, want := range map[string]string{"A": "B a b", "B": "a b", "Z": "a b", "a": "b", "aa": "b", "b": "", "zz": ""} {
		if got := idsAfter(t, s, "o", after); got != want {
			t.Errorf("List after %q = %q, want %q", after, got, want)
		}
	}
	if all, none := idsAfter(t, s, "*", "a"), idsAfter(t, s, "", "c"); all != "b c d" || none != "d" {
		t.Errorf("List of all after a = %q, of no owner after c = %q", all, none)
	}
	for r, err := range s.List(t.Context(), "thing", "other", "") {
		if err != nil || r.Rev != 1 || r.Owner != "other" || string(r.Value) != "{}" {
			t.Errorf("List yields %+v, %v", r, err)
		}
	}
}

// fill puts n records, and returns their ids in order.
func fill(t *testing.T, s store.Store, n int, expires time.Time) []string {
	t.Helper()
	var all []string
	var b store.Batch
	for i := range n {
		r := rec(fmt.Sprintf("r%06d", i), []string{"even", "odd"}[i%2], 0)
		r.Expires = expires
		all, b.Put = append(all, r.ID), append(b.Put, r)
	}
	_, err := s.Commit(t.Context(), b)
	must(t, err)
	return all
}

func listPages(t *testing.T, s store.Store) {
	all := fill(t, s, 2500, time.Time{})
	if got := ids(t, s, "*"); got != strings.Join(all, " ") {
		t.Errorf("List of %d records has %d bytes of ids, or another order", len(all), len(got))
	}
	var odd []string
	for n := 1; n < len(all); n += 2 {
		odd = append(odd, all[n])
	}
	if got := ids(t, s, "odd"); got != strings.Join(odd, " ") {
		t.Error("List of an owner differs")
	}
	for _, from := range []int{1, 63, 64, 65, 1023, 1024, 2400, 2498} {
		if got := idsAfter(t, s, "*", all[from]); got != strings.Join(all[from+1:], " ") {
			t.Errorf("List of all after %s begins otherwise, or is of another length", all[from])
		}
		if got := idsAfter(t, s, "odd", all[from]); got != strings.Join(odd[(from+1)/2:], " ") {
			t.Errorf("List of an owner after %s begins otherwise, or is of another length", all[from])
		}
	}
	n := 0
	for range s.List(t.Context(), "thing", "*", "") {
		if n++; n == 3 {
			break
		}
	}
}

func listAndUse(t *testing.T, s store.Store) {
	all := fill(t, s, 1200, time.Time{})
	var listed []string
	for r, err := range s.List(t.Context(), "thing", "*", "") {
		must(t, err)
		_, err := s.Commit(t.Context(), store.Batch{Delete: []store.Key{r.Key}})
		must(t, err)
		listed = append(listed, r.ID)
	}
	if !slices.Equal(listed, all) || ids(t, s, "*") != "" {
		t.Errorf("List yields %d of %d records while the caller deletes each of them", len(listed), len(all))
	}
}

func sweep(t *testing.T, s store.Store) {
	now := time.Now().Truncate(time.Second)
	old, kept, same, always := rec("old", "o", 0), rec("kept", "o", 0), rec("same", "", 0), rec("always", "", 0)
	old.Expires, kept.Expires, same.Expires = now.Add(-time.Minute), now.Add(time.Minute), now
	must(t, put(s, old, kept, same, always))
	revoke(t, s, "old", now.Add(-time.Minute))
	head := revoke(t, s, "kept", now.Add(time.Minute))
	n, err := s.Sweep(t.Context(), now)
	must(t, err)
	entries, after, err := s.Log(t.Context(), counterfoil.Cursor{}, 10)
	must(t, err)
	if got, own := ids(t, s, "*"), ids(t, s, "o"); n != 1 || got != "always kept same" || own != "kept" {
		t.Errorf("Sweep = %d, left %q, of the owner %q", n, got, own)
	}
	if len(entries) != 1 || entries[0].ID != "kept" || after != head {
		t.Errorf("Sweep left %v in the log, head %v, want the later entry and head %v", entries, after, head)
	}
	// The numbers go on from the head, even if the log is empty.
	_, err = s.Sweep(t.Context(), now.Add(time.Hour))
	must(t, err)
	if next := revoke(t, s, "next", now.Add(2*time.Hour)); !head.Before(next) {
		t.Errorf("head %v after a sweep is not after %v", next, head)
	}
}

// A reader finds that the sweep has dropped one record, and then finds another record that it
// has not. So the read ran during the sweep. A single sweep may finish before the reader
// notices; ten do not.
func sweepInBatches(t *testing.T, s store.Store) {
	for range 10 {
		all := fill(t, s, 10_000, time.Unix(1, 0))
		done := make(chan struct{})
		go func() {
			defer close(done)
			if n, err := s.Sweep(t.Context(), time.Now()); n != len(all) || err != nil {
				t.Errorf("Sweep = %d, %v, want %d", n, err, len(all))
			}
		}()
		gone, between := false, false
		for n := 0; !between; n++ {
			_, err := store.One(t.Context(), s, key(all[n*7919%len(all)]))
			if err != nil && !errors.Is(err, store.ErrNotFound) {
				t.Error(err)
			}
			between = gone && err == nil
			gone = gone || err != nil
			select {
			case <-done:
				if !between {
					n = -1
				}
			default:
				continue
			}
			break
		}
		<-done
		if between {
			return
		}
	}
	t.Error("no read ran during a sweep")
}
