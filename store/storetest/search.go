package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/store"
)

func indexed(r store.Record, texts ...string) store.Record {
	r.Index = texts
	return r
}

// found returns what a search yields, as "TEXT/ID TEXT/ID".
func found(t *testing.T, s store.Store, prefix string, after store.Position) string {
	t.Helper()
	var out []string
	for m, err := range s.Search(t.Context(), "thing", prefix, after) {
		must(t, err)
		if m.Kind != "thing" || m.Rev == 0 || len(m.Value) == 0 {
			t.Errorf("Search yields %+v", m)
		}
		out = append(out, m.Text+"/"+m.ID)
	}
	return strings.Join(out, " ")
}

func search(t *testing.T, s store.Store) {
	if !s.Describe().Indexed {
		unindexed(t, s)
		return
	}
	see := func(what, prefix string, after store.Position, want string) {
		t.Helper()
		if got := found(t, s, prefix, after); got != want {
			t.Errorf("%s: Search(%q) after %v = %q, want %q", what, prefix, after, got, want)
		}
	}
	none := store.Position{}
	other := store.Record{Key: store.Key{Kind: "other", ID: "e"}, Value: []byte(`{}`), Index: []string{"ant"}}
	must(t, put(s, indexed(rec("a", "o", 0), "bee", "ant"), indexed(rec("b", "o", 0), "ant", "ant"), indexed(rec("c", "", 0), `an"t\`, "~", "a%_", "Ant"), rec("d", "o", 0), other))
	see("all", "", none, `Ant/c a%_/c an"t\/c ant/a ant/b bee/a ~/c`)
	see("prefix", "an", none, `an"t\/c ant/a ant/b`)
	see("no pattern", "a%", none, "a%_/c")
	see("the last characters", "~", none, "~/c")
	see("none", "ants", none, "")
	see("after the id", "a", store.Position{Text: "ant", ID: "a"}, "ant/b")
	see("after the text", "", store.Position{Text: "ant~"}, "bee/a ~/c")
	see("after what is before the prefix", "b", store.Position{Text: "ant", ID: "b"}, "bee/a")

	must(t, put(s, indexed(rec("a", "o", 1), "bee", "bee"), indexed(rec("c", "new", 1), "cat")))
	see("texts are replaced", "", none, "ant/b bee/a cat/c")
	must(t, put(s, indexed(rec("a", "new", 2), "bee"), rec("c", "new", 2)))
	see("the same texts, and none", "", none, "ant/b bee/a")
	moved := indexed(rec("a", "new", 3), "bee")
	moved.Expires = time.Unix(1, 0)
	must(t, put(s, moved))
	conflicts(t, s, "Put of an earlier revision", store.Batch{Put: []store.Record{indexed(rec("b", "o", 0), "cow")}})
	see("a commit that does nothing", "", none, "ant/b bee/a")
	if _, err := s.Sweep(t.Context(), time.Now()); err != nil {
		t.Error(err)
	}
	see("swept", "", none, "ant/b")
	_, err := s.Commit(t.Context(), store.Batch{Delete: []store.Key{key("b")}, Put: []store.Record{indexed(rec("e", "o", 0), "elk"), indexed(rec("f", "p", 0), "fox")}})
	must(t, err)
	see("deleted", "", none, "elk/e fox/f")
	_, err = s.Commit(t.Context(), store.Batch{DeleteOwned: []store.Owned{{Kind: "thing", Owner: "o"}}})
	must(t, err)
	see("deleted by owner", "", none, "fox/f")
	_, err = s.Commit(t.Context(), store.Batch{Delete: []store.Key{key("f")}, Put: []store.Record{indexed(rec("f", "p", 1), "fly")}})
	must(t, err)
	see("deleted and put in one commit", "", none, "fly/f")
	for name, texts := range map[string][]string{"empty": {""}, "long": {strings.Repeat("x", 201)}, "not ASCII": {"ä"}, "control": {"a\nb"}, "many": slices.Repeat([]string{"x"}, 65)} {
		if err := put(s, indexed(rec("x", "", 0), texts...)); err == nil || errors.Is(err, store.ErrConflict) {
			t.Errorf("%s: Put = %v, want a refusal", name, err)
		}
	}
	see("refused", "", none, "fly/f")
}

// unindexed looks at a store that keeps no texts: it yields each record of the kind once, in an
// order that any position can go on in.
func unindexed(t *testing.T, s store.Store) {
	all := fill(t, s, 600, time.Time{})
	must(t, put(s, store.Record{Key: store.Key{Kind: "other", ID: "e"}, Value: []byte(`{}`)}))
	var seen []string
	var last store.Position
	for m, err := range s.Search(t.Context(), "thing", "any", store.Position{}) {
		must(t, err)
		if at := m.At(); at.Text < last.Text || at.Text == last.Text && at.ID <= last.ID {
			t.Fatalf("Search yields %v after %v", at, last)
		}
		seen, last = append(seen, m.ID), m.At()
		if len(seen)%97 == 0 {
			for next, err := range s.Search(t.Context(), "thing", "", last) {
				must(t, err)
				if at := next.At(); at.Text < last.Text || at.Text == last.Text && at.ID <= last.ID {
					t.Fatalf("Search after %v yields %v", last, at)
				}
				break
			}
		}
	}
	if slices.Sort(seen); !slices.Equal(seen, all) {
		t.Errorf("Search yields %d of %d records", len(seen), len(all))
	}
	if n, _, err := s.Count(t.Context(), "thing", "", 10); !errors.Is(err, store.ErrNotIndexed) || n != 0 {
		t.Errorf("Count = %d, %v, want ErrNotIndexed", n, err)
	}
}

func searchPages(t *testing.T, s store.Store) {
	var want []string
	for from := 0; from < 1500; from += 500 {
		var b store.Batch
		for n := range 500 {
			r := indexed(rec(fmt.Sprintf("r%06d", from+n), "o", 0), fmt.Sprintf("t%03d", (from+n)/7))
			b.Put, want = append(b.Put, r), append(want, r.ID)
		}
		_, err := s.Commit(t.Context(), b)
		must(t, err)
	}
	var got []string
	last := store.Position{}
	for more := true; more; { // in pages of 130, as an API reads them
		more = false
		n := 0
		for m, err := range s.Search(t.Context(), "thing", "t", last) {
			must(t, err)
			if n == 130 {
				more = true
				break
			}
			n, last, got = n+1, m.At(), append(got, m.ID)
		}
	}
	if !s.Describe().Indexed {
		slices.Sort(got)
	}
	if !slices.Equal(got, want) {
		t.Errorf("pages have %d records, or another order, want %d", len(got), len(want))
	}
}

// searchWhole moves records from one text to another while a reader searches. Each record is
// under one text at any time.
func searchWhole(t *testing.T, s store.Store) {
	if !s.Describe().Indexed {
		return
	}
	const n = 8
	texts := []string{"here", "there"}
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			for rev := range uint64(25) {
				if err := put(s, indexed(rec(fmt.Sprintf("r%d", i), "o", rev), texts[rev%2])); err != nil {
					t.Error(err)
				}
				// What has returned is there for every later search.
				at := 0
				for m, err := range s.Search(t.Context(), "thing", "", store.Position{}) {
					if err != nil {
						t.Error(err)
						return
					}
					if m.ID == fmt.Sprintf("r%d", i) {
						if at++; m.Text != texts[rev%2] || m.Rev != rev+1 {
							t.Errorf("after revision %d Search yields %s, revision %d", rev+1, m.Text, m.Rev)
						}
					}
				}
				if at != 1 {
					t.Errorf("record %d was yielded %d times", i, at)
				}
			}
		})
	}
	wg.Wait()
}

func count(t *testing.T, s store.Store) {
	if !s.Describe().Indexed {
		return
	}
	var b store.Batch
	for i := range 40 {
		b.Put = append(b.Put, indexed(rec(fmt.Sprintf("r%d", i), "o", 0), "all", fmt.Sprintf("n%d", i%10)))
	}
	_, err := s.Commit(t.Context(), b)
	must(t, err)
	for _, c := range []struct {
		prefix      string
		limit, want int
		more        bool
	}{{"all", 100, 40, false}, {"all", 40, 40, false}, {"all", 39, 39, true}, {"n", 100, 40, false}, {"n1", 100, 4, false}, {"", 80, 40, false}, {"none", 10, 0, false}} {
		if n, more, err := s.Count(t.Context(), "thing", c.prefix, c.limit); n != c.want || more != c.more || err != nil {
			t.Errorf("Count(%q) of %d texts = %d, %v, %v, want %d, %v", c.prefix, c.limit, n, more, err, c.want, c.more)
		}
	}
}
