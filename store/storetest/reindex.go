package storetest

import (
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/store"
)

// reindex gives texts to records that have none, once for each version of the texts, also to
// those that are changed meanwhile.
func reindex(t *testing.T, s store.Store) {
	all := fill(t, s, 1100, time.Now().Add(time.Hour).Truncate(time.Second))
	if !s.Describe().Indexed {
		must(t, store.Reindex(t.Context(), s, "thing", 1, func(store.Record) []string { return []string{"x"} }, func(int) { t.Error("written without an index") }))
		return
	}
	texts := func(text string) func(store.Record) []string {
		return func(r store.Record) []string {
			if string(r.Value) == `{"changed":true}` {
				return []string{text + "changed"}
			}
			if r.ID == all[700] { // it changes between the reading and the writing
				r.Index, r.Value = []string{text + "changed"}, []byte(`{"changed":true}`)
				if err := put(s, r); err != nil {
					t.Error(err)
				}
			}
			return []string{text}
		}
	}
	see := func(prefix string, want int) {
		t.Helper()
		if n, _, err := s.Count(t.Context(), "thing", prefix, 5000); n != want || err != nil {
			t.Errorf("Count(%q) = %d, %v, want %d", prefix, n, err, want)
		}
	}
	must(t, store.Reindex(t.Context(), s, "thing", 1, texts("a"), func(int) {}))
	see("", len(all))
	see("achanged", 1)
	must(t, store.Reindex(t.Context(), s, "thing", 1, texts("b"), func(int) { t.Error("the texts of a version are written twice") }))
	must(t, store.Reindex(t.Context(), s, "thing", 2, texts("b"), func(int) {}))
	see("a", 0)
	see("b", len(all))
	r, err := store.One(t.Context(), s, key(all[0]))
	if must(t, err); string(r.Value) != "{}" || r.Owner != "even" || !r.Expires.After(time.Now()) {
		t.Errorf("a record became %+v", r)
	}
}
